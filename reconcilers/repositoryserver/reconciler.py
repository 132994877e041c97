"""The reconcile loop of a RepositoryServer: gather, decide, act, write the status once.

Nothing here waits. What is not there yet is told in the status, and the event that brings it wakes
the resource again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from controller.clock import Deadline, DeadlineExceeded
from controller.conditions import TRUE, conditions_of, get_condition, parse_time, timestamp
from controller.errors import (
    AlreadyExists,
    BadRequest,
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    WebhookFailed,
)
from controller.reconcile import Request, Result
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.kopia import failures
from reconcilers.pods import allowed
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names, record
from reconcilers.repositoryserver.children.adoption import Adoption, Outdated
from reconcilers.repositoryserver.children.applier import ChildApplier
from reconcilers.repositoryserver.children.protection import Protection
from reconcilers.repositoryserver.children.record import Records
from reconcilers.repositoryserver.context import Memory, Pass
from reconcilers.repositoryserver.inputs.issuer import CertificateIssuer
from reconcilers.repositoryserver.inputs.permissions import Permissions
from reconcilers.repositoryserver.inputs.reader import InputReader
from reconcilers.repositoryserver.maintenance.maintainer import Maintainer
from reconcilers.repositoryserver.newest import NewestRevision, unfinished
from reconcilers.repositoryserver.rollout import plan, podstatus, retry
from reconcilers.repositoryserver.rollout.refresh import Refresher
from reconcilers.repositoryserver.rollout.router import ServiceRouter
from reconcilers.repositoryserver.rollout.strays import Strays
from reconcilers.repositoryserver.rollout.throttle import Turns
from reconcilers.repositoryserver.serverexec import ServerCommands
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import patience, sharing
from reconcilers.repositoryserver.status.certificate import ShownCertificates
from reconcilers.repositoryserver.status.sharing import Repositories
from reconcilers.repositoryserver.status.writer import StatusWriter
from reconcilers.repositoryserver.users.purge import RepositoryUserSearch
from reconcilers.repositoryserver.users.source import UserSource
from reconcilers.repositoryserver.users.sync import UserRegistrar
from reconcilers.repositoryserver.verdict import (
    REASON_WAITING_FOR_DELETION,
    SERVER_SETUP,
    Problem,
    Unsettled,
    Waiting,
)
from reconcilers.secrets.reader import SecretReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from controller.commands import Commands
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.rollout.plan import Newest, Rollout
    from reconcilers.repositoryserver.status.writer import Recorder
    from reconcilers.settings import Settings

# The status of a failed reconcile must still be written when its time for work is over.
STATUS_GRACE_SECONDS = 10.0
# While a server is not Ready it is looked at this often even if no event comes.
UNREADY_RECHECK_SECONDS = 30.0

# How long the Service of a new server waits for the pods of others that are as new.
POD_FIRST_SECONDS = 0.2

# Of a server that comes up the first stage is told after so long, the others no more often than so.
STAGE_PAUSE_SECONDS = 2.0
NEXT_STAGE_PAUSE_SECONDS = 5.0

# A Secret that many servers name may be written often without a change that matters. Its version
# goes onto their pods no more often than this; a process that is started before reads it anew.
RECORD_PAUSE_SECONDS = 3600.0


UNKNOWN_SETTING = failures.Setting(
    storage="its storage", location="", credential="", password="", user=0
)

REASON_PANICKED = "ReconcilePanicked"
# The type alone: what else an exception says may be of a Secret.
PANICKED = (
    "a bug in the controller ended the reconcile, which will be retried: {type}; report the "
    "traceback from the controller's log"
)


@frozen
class PodFirst:
    """How a pass ends that has given a new server its pod, and nothing after it yet.

    A pod takes the longest by far, so the others that are new get theirs before this server's
    Service is made.
    """


class RepositoryServerReconciler:
    """Brings one RepositoryServer to its desired state; see the module's docstring."""

    def __init__(
        self,
        *,
        client: Client,
        commands: Commands,
        caches: Caches[Cache],
        recorder: Recorder,
        clock: Clock,
        settings: Settings,
        turns: Turns | None = None,
        repositories: Repositories | None = None,
        pod_override: str = allowed.RESTRICTED,
    ) -> None:
        """Take the dependencies.

        Args:
            client: For reads of Secrets by name, and for writes.
            commands: Runs Kopia in the servers' containers, beside the workers.
            caches: What the informers hold.
            recorder: Takes events.
            clock: The time.
            settings: Defaults for all servers.
            turns: Limits how many servers are replaced at the same time.
            repositories: Is told which repository each server has.
            pod_override: Which overrides of a pod are taken, one of `allowed.MODES`.
        """
        self._caches = caches
        self._clock = clock
        self._turns = turns or Turns(clock=clock)
        self._repositories = repositories or Repositories()
        self._writer = StatusWriter(
            client=client, servers=caches.servers, recorder=recorder, clock=clock
        )
        self._adoption = Adoption(client=client, caches=caches)
        self._records = Records(record.program(settings.digest()))
        self._applier = ChildApplier(
            client=client,
            caches=caches,
            records=self._records,
            tell=self._writer.tell,
            clock=clock,
        )
        self._protection = Protection(caches=caches, applier=self._applier)
        self._certificates = ShownCertificates(client)
        issuer = CertificateIssuer(
            client=client,
            caches=caches,
            applier=self._applier,
            tell=self._writer.tell,
            clock=clock,
        )
        secrets = SecretReader(client=client, cache=caches.secrets)
        self._reader = InputReader(
            secret_reader=secrets,
            caches=caches,
            issuer=issuer,
            permissions=Permissions(
                accounts=caches.service_accounts,
                mode=pod_override,
                settings_account=settings.pod.service_account_name,
            ),
            clock=clock,
            settings=settings,
        )
        self._commands = ServerCommands(commands)
        self._registrar = UserRegistrar(
            commands=self._commands,
            reader=UserSource(secrets),
            applier=self._applier,
            tell=self._writer.tell,
            clock=clock,
        )
        self._user_search = RepositoryUserSearch(
            commands=self._commands,
            registrar=self._registrar,
            tell=self._writer.tell,
            clock=clock,
        )
        self._maintainer = Maintainer(
            applier=self._applier,
            reader=self._reader,
            commands=self._commands,
            caches=caches,
            clock=clock,
        )
        self._refresher = Refresher(commands=self._commands, clock=clock)
        self._strays = Strays(client=client, caches=caches)
        self._router = ServiceRouter(
            client=client,
            caches=caches,
            strays=self._strays,
            applier=self._applier,
            tell=self._writer.tell,
            clock=clock,
        )
        self._newest = NewestRevision(
            reader=self._reader,
            repositories=self._repositories,
            router=self._router,
            applier=self._applier,
            turns=self._turns,
            clock=clock,
        )
        # By request, with the uid of the resource: a namesake must not inherit.
        self._memories: dict[Request, tuple[str, Memory]] = {}

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        """Reconcile one resource.

        Args:
            request: Its namespace and name.
            deadline: Until when all must be done, the status included.

        Returns:
            When to look again without an event.

        Raises:
            ClientError: The API server could not be reached or refused; the queue tries again.
        """
        obj = self._caches.servers.get(request.namespace, request.name)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            # The owner references do the rest, but for pods that have lost theirs.
            self._memories.pop(request, None)
            self._commands.forget(request)
            self._turns.forget(request)
            self._repositories.forget(request)
            self._maintainer.forget(request)
            self._strays.ensure_gone(request, deadline)
            return Result()
        try:
            return self._reconcile(request, obj, deadline)
        except (Conflict, AlreadyExists):
            # Somebody was faster; the cache will show it.
            return Result(requeue=True)

    def _reconcile(self, request: Request, obj: dict[str, Any], deadline: Deadline) -> Result:
        try:
            current = self._begin(request, obj, deadline)
            outcome = self._bring_about(current)
        except Outdated:
            # The cache is about to show it.
            return Result(requeue_after=UNREADY_RECHECK_SECONDS)
        except InvalidInput as error:
            self._repositories.failed(request)
            self._break_off(obj, Problem.of(error, SERVER_SETUP), deadline)
            return Result(requeue_after=UNREADY_RECHECK_SECONDS)
        except Unsettled as error:
            self._break_off(
                obj, Waiting(SERVER_SETUP, REASON_WAITING_FOR_DELETION, str(error)), deadline
            )
            return Result(requeue_after=UNREADY_RECHECK_SECONDS)
        except (Forbidden, Invalid, BadRequest, WebhookFailed, DeadlineExceeded) as error:
            self._break_off(obj, unfinished(error), deadline)
            raise
        except ClientError:
            # No answer, or a passing one.
            raise
        except Exception as error:
            message = PANICKED.format(type=type(error).__name__)
            problem = Problem(SERVER_SETUP, REASON_PANICKED, message)
            self._break_off(obj, problem, deadline)
            raise
        if isinstance(outcome, PodFirst):
            # Not behind thousands that wait for their first pass.
            return Result(requeue_after=POD_FIRST_SECONDS, priority=0)
        self._tell(current, outcome, deadline)
        if outcome.verdicts or not outcome.serving:
            current.look_again(UNREADY_RECHECK_SECONDS)
        return Result(requeue_after=current.requeue_after, priority=current.requeue_priority)

    def _tell(self, current: Pass, outcome: status.Outcome, deadline: Deadline) -> None:
        left = self._stage_pause(current, outcome)
        if left > 0:
            current.look_again(left)
        else:
            self._writer.write(current.obj, outcome, deadline)
            current.memory.told_at = self._clock.monotonic()

    def _stage_pause(self, current: Pass, outcome: status.Outcome) -> float:
        """Return the seconds for which the next stage of a server that comes up may go untold.

        It passes four within seconds. Each write costs the API server as much as a child does, and
        whoever waits wants to know that it has begun, and that it has come up.
        """
        before = current.obj.get("status") or {}
        told_at = current.memory.told_at
        if told_at is None:
            told_at = current.memory.told_at = self._clock.monotonic()
        if not status.is_stage(before, outcome, current.server.generation):
            return 0.0
        pause = NEXT_STAGE_PAUSE_SECONDS if before.get("progress") else STAGE_PAUSE_SECONDS
        return told_at + pause - self._clock.monotonic()

    def _begin(self, request: Request, obj: dict[str, Any], deadline: Deadline) -> Pass:
        server = api.parse(obj)
        server = evolve(server, own_secrets=self._adoption.secrets_of(server))
        uid, memory = self._memories.get(request, ("", Memory()))
        if uid != server.uid:
            self._commands.forget(request)
            replica_sets = [one.replica_set for one in self._router.revisions(server)]
            memory = self._records.recall(server, replica_sets)
            self._memories[request] = (server.uid, memory)
        return Pass(
            obj=obj,
            request=request,
            server=server,
            memory=memory,
            deadline=Deadline(self._clock, deadline.at - STATUS_GRACE_SECONDS),
        )

    def _bring_about(self, current: Pass) -> status.Outcome | PodFirst:
        """Act on children and users, each step on what the ones before found, and sum up."""
        server = current.server
        self._adoption.ensure(current)
        # First, so that no pod is ever without its protection.
        unprotected = self._protection.ensure(current)
        unknown = self._registrar.ensure_known(current)
        is_new = not self._router.is_begun(server)
        newest = self._newest.ensure(current)
        if is_new and newest.replica_set is not None:
            return PodFirst()
        self._router.ensure_intact(current)
        place = self._router.place(server, newest, _users_version(current.memory))
        # Who may connect no more is told of even if somebody else's Secret is not right.
        untold = self._ensure_loaded(current, newest, place)
        serving = self._router.roll_out(current, newest, place)
        self._replace_crashing(current, newest.pod, serving)
        self._newest.settle_turn(current, newest, serving)
        reached = self._router.reached(current, serving)
        in_repository = None
        if reached is not None:
            others = self._router.pods_beside(server, reached)
            self._refresher.ensure_caught_up(current, reached, others)
            if newest.is_(reached):
                in_repository = self._user_search.ensure_searched(current, reached)
        found = (unprotected, newest.verdict, unknown, untold)
        verdicts = self._judge(current, tuple(v for v in found if v is not None))
        if newest.replica_set is not None and not verdicts:
            self._ensure_recorded(current, newest.replica_set)
        maintained = self._maintainer.ensure(
            current, newest.digest, reached, current.memory.setting or UNKNOWN_SETTING
        )
        shown = reached or serving
        certificate = None if shown is None else self._certificates.of(current, shown)
        return status.Outcome(
            verdicts=verdicts,
            serving=reached is not None,
            in_effect=reached is not None and newest.is_(reached),
            pod_name="" if shown is None else shown["metadata"]["name"],
            service_name=names.stable_name(server),
            network_policy_name=names.stable_name(server),
            fingerprint="" if certificate is None else certificate.fingerprint,
            not_after="" if certificate is None else timestamp(certificate.not_after),
            expiring=current.expiring,
            expired=current.expired,
            shared=self._shared(current),
            nobody_named=_users_warning(current.memory),
            repository_users=None if in_repository is None else in_repository.number,
            in_repository=None if in_repository is None else in_repository.warning,
            unmaintained=maintained.warning,
            maintenance=maintained.status,
        )

    def _judge(
        self, current: Pass, verdicts: tuple[Problem | Waiting, ...]
    ) -> tuple[Problem | Waiting, ...]:
        """Return the verdicts with a wait in place of each fault that may yet pass by itself."""
        ready = get_condition(conditions_of(current.obj), status.READY)
        reported = "" if ready is None else ready["reason"]
        memory, now = current.memory, self._clock.monotonic()
        judged = patience.judge(verdicts, memory.faults_since, reported=reported, now=now)
        memory.faults_since = judged.since
        if judged.seconds is not None:
            current.look_again(judged.seconds)
        return judged.verdicts

    def _shared(self, current: Pass) -> str | None:
        """Say who else serves the repository; empty if nobody does, None if that is not known."""
        setting, servers = current.memory.setting, self._caches.servers
        others = [
            other
            for other in self._repositories.sharing(current.request)
            if servers.get(other.namespace, other.name) is not None
        ]
        words = sharing.words(setting.storage, others) if others and setting is not None else ""
        told = get_condition(conditions_of(current.obj), status.REPOSITORY_SHARED)
        before = told["message"] if told is not None and told["status"] == TRUE else ""
        if before not in ("", words) and not self._have_all_been_examined():
            # This process has just started: what it says would change with each of the others.
            current.look_again(UNREADY_RECHECK_SECONDS)
            return None
        return words

    def _have_all_been_examined(self) -> bool:
        keys = self._caches.servers.keys()
        return self._repositories.have_examined(Request(*key) for key in keys)

    def _ensure_loaded(
        self, current: Pass, newest: Newest, place: Rollout
    ) -> Problem | Waiting | None:
        """Load changed users into all pods; the newest and the one that serves matter."""
        # Nobody knows the storage where an input has been wrong since the process began.
        setting = current.memory.setting or UNKNOWN_SETTING
        pods = self._router.pods(current.server)
        serving = place.serves(pods)
        matter = [pod for pod in pods if pod is serving or newest.is_(pod)]
        others = [pod for pod in pods if pod not in matter]
        if not newest.digest:
            # Nobody can say yet whether these have to go.
            others += self._strays.released(current.request)
        return self._registrar.ensure_loaded(current, matter, others, setting)

    def _ensure_recorded(self, current: Pass, replica_set: Mapping[str, Any]) -> None:
        """Keep what is known for a process that follows, unless that was done lately."""
        now, memory = self._clock.monotonic(), current.memory
        if memory.recorded_at is not None and now < memory.recorded_at + RECORD_PAUSE_SECONDS:
            return
        if self._applier.ensure_recorded(current, replica_set["metadata"]["name"]):
            memory.recorded_at = now

    def _replace_crashing(
        self, current: Pass, newest: Mapping[str, Any] | None, serving: Mapping[str, Any] | None
    ) -> None:
        """Delete pods that crash after a pause, so that their ReplicaSets make others.

        The kubelet would leave them for up to five minutes.
        """
        for pod in filter(None, (newest, serving if serving is not newest else None)):
            crashed = podstatus.failed_since(pod)
            if crashed is None or plan.is_over(pod):
                continue
            # An end that lies ahead is long ago as well: a clock was set back.
            since = abs((self._clock.now() - crashed).total_seconds())
            pause = retry.pause(self._not_ready_seconds(current))
            if since < pause:
                current.look_again(pause - since)
            else:
                self._applier.delete(current, resources.PODS, pod, plan.WHY_FAILED)

    def _not_ready_seconds(self, current: Pass) -> float:
        ready = get_condition(conditions_of(current.obj), status.READY)
        if ready is None or ready["status"] == TRUE:
            return 0.0
        return (self._clock.now() - parse_time(ready["lastTransitionTime"])).total_seconds()

    def _break_off(
        self, obj: Mapping[str, Any], verdict: Problem | Waiting, deadline: Deadline
    ) -> None:
        """Write what ended a reconcile before it had looked at the children; free its slot."""
        metadata = obj["metadata"]
        self._turns.give_back(Request(metadata["namespace"], metadata["name"]))
        info = (obj.get("status") or {}).get("serverInfo") or {}
        service = info.get("serviceName", "")
        pod = self._selected_pod(metadata, service)
        outcome = status.Outcome(
            verdicts=(verdict,),
            serving=pod is not None,
            pod_name=info.get("podName", "") if pod is None else pod["metadata"]["name"],
            service_name=service,
        )
        self._writer.write(obj, outcome, deadline)

    def _selected_pod(self, metadata: Mapping[str, Any], service: str) -> Mapping[str, Any] | None:
        """Return a Ready pod of a server that a Service selects; None if there is none.

        Args:
            metadata: Of the resource.
            service: Name of the Service, which may be that of the removed controller.
        """
        found = self._caches.services.get(metadata["namespace"], service) or {}
        selector = found.get("spec", {}).get("selector") or {}
        pods = self._router.pods_of(metadata["uid"]) if selector else ()
        selected = (
            pod
            for pod in pods
            if podstatus.is_ready(pod)
            and selector.items() <= (pod["metadata"].get("labels") or {}).items()
        )
        return next(selected, None)


def _users_version(memory: Memory) -> str:
    """Return the version of the users that a pod must have."""
    return "" if memory.users is None else memory.users.version


def _users_warning(memory: Memory) -> str | None:
    """Return what to say of access Secrets without keys; None while that is not known."""
    return None if memory.users is None else memory.users.warning
