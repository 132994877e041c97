"""The reconcile loop of a RepositoryServer: gather, decide, act, write the status once.

Nothing here waits. What is not there yet is reported in the status, and the event that brings it
wakes the resource again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from controller.clock import DeadlineExceeded
from controller.conditions import timestamp
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
from reconcilers.errors import InvalidInput
from reconcilers.pods import allowed
from reconcilers.repositoryserver import api, connection, parts
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.adoption import Outdated
from reconcilers.repositoryserver.children.known import Known
from reconcilers.repositoryserver.context import ReconcileContext
from reconcilers.repositoryserver.perobject import States
from reconcilers.repositoryserver.rollout.throttle import RolloutSlots
from reconcilers.repositoryserver.rollout.update import unfinished
from reconcilers.repositoryserver.serverexec import ServerCommands
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status.sharing import Repositories
from reconcilers.repositoryserver.status.writer import StatusWriter
from reconcilers.repositoryserver.users.purge import NOT_SEARCHED
from reconcilers.repositoryserver.verdict import PAUSED, SERVER_SETUP, Problem, RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock, Deadline
    from controller.commands import Commands
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.status.writer import Recorder
    from reconcilers.repositoryserver.verdict import Waiting
    from reconcilers.settings import Settings

#: Seconds kept back for the status: that of a reconcile that fails must still be written.
STATUS_GRACE_SECONDS: Final = 10.0
#: Seconds after which a server that is not Ready is looked at again even if no event comes.
UNREADY_RECHECK_SECONDS: Final = 30.0

REASON_PANICKED: Final = "ReconcilePanicked"
# The type alone: what else an exception says may be of a Secret.
PANICKED: Final = (
    "a bug in the controller ended the reconcile, which will be retried: {type}; report the "
    "traceback from the controller's log"
)


class RepositoryServerReconciler:
    """Brings one RepositoryServer to its desired state; see the module's docstring.

    Args:
        client: For reads of Secrets by name, and for writes.
        commands: Runs Kopia in the servers' containers, beside the workers.
        caches: What the informers hold.
        recorder: Takes events.
        clock: The time.
        settings: Defaults for all servers.
        slots: Limits how many servers are replaced at the same time.
        repositories: Holds which repository each server has.
        pod_override: Which overrides of a pod are taken, one of `allowed.MODES`.
    """

    def __init__(
        self,
        *,
        client: Client,
        commands: Commands,
        caches: Caches[Cache],
        recorder: Recorder,
        clock: Clock,
        settings: Settings,
        slots: RolloutSlots | None = None,
        repositories: Repositories | None = None,
        pod_override: str = allowed.RESTRICTED,
    ) -> None:
        self._servers = caches.servers
        self._slots = slots or RolloutSlots(clock=clock)
        self._repositories = repositories or Repositories()
        self._states = states = States()
        self._commands = ServerCommands(commands, states=states)
        self._writer = StatusWriter(
            client=client,
            servers=self._servers,
            recorder=recorder,
            states=states,
            clock=clock,
        )
        self._parts = parts.assemble(
            client=client,
            commands=self._commands,
            caches=caches,
            record_event=self._writer.record_event,
            states=states,
            clock=clock,
            settings=settings,
            slots=self._slots,
            repositories=self._repositories,
            pod_override=pod_override,
        )

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
        obj = self._servers.get(request.namespace, request.name)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            # The owner references do the rest, but for pods that have lost theirs.
            for part in (self._states, self._commands, self._slots, self._repositories):
                part.drop(request)
            self._parts.strays.ensure_gone(request, deadline)
            return Result()
        try:
            if api.is_paused(obj):
                self._break_off(obj, PAUSED, deadline)
                return Result()
            return self._reconcile(request, obj, deadline)
        except (Conflict, AlreadyExists):
            # Somebody was faster; the cache will show it.
            return Result(requeue=True)

    def _reconcile(self, request: Request, obj: dict[str, Any], deadline: Deadline) -> Result:
        """Reconcile a resource that is there, and report whatever ends that early."""
        try:
            server = api.read(obj)
            current = ReconcileContext(
                obj=obj,
                request=request,
                server=evolve(server, own_secrets=self._parts.adoption.secrets_of(server)),
                deadline=evolve(deadline, at=deadline.at - STATUS_GRACE_SECONDS),
            )
            self._commands.begin(current)
            outcome = self._bring_about(current)
        except Outdated:
            # The cache is about to show it.
            return Result(requeue_after=UNREADY_RECHECK_SECONDS)
        except (InvalidInput, RetryLater) as error:
            self._repositories.failed(request)
            self._break_off(obj, unfinished(error), deadline)
            return Result(requeue_after=UNREADY_RECHECK_SECONDS)
        except (Forbidden, Invalid, BadRequest, WebhookFailed, DeadlineExceeded) as error:
            self._break_off(obj, unfinished(error), deadline)
            raise
        except ClientError:
            # No answer, or a passing one.
            raise
        except Exception as error:
            message = PANICKED.format(type=type(error).__name__)
            self._break_off(obj, Problem(SERVER_SETUP, REASON_PANICKED, message), deadline)
            raise
        self._writer.report(current, outcome, deadline)
        if outcome.verdicts or not outcome.available:
            current.look_again(UNREADY_RECHECK_SECONDS)
        return Result(requeue_after=current.requeue_after, priority=current.requeue_priority)

    def _bring_about(self, current: ReconcileContext) -> status.Outcome:
        """Act on children and users, each step on what the ones before returned, and sum up."""
        do, server = self._parts, current.server

        # 1. Take over children that have lost their owner.
        do.adoption.ensure(current)

        # 2. Protect the server: no pod is ever without its NetworkPolicy.
        unprotected = do.protection.ensure(current)

        # 3. Write the users of the access Secrets for the server's pods.
        users = do.users.ensure_written(current)

        # 4. Gather the children, once.
        observed = do.observer.observe(server)

        # 5. Make the revision that the inputs ask for, once it may be made.
        update = do.updater.ensure(current, observed, users)
        do.sharing.ensure_known(current, update.inputs)

        # 6. Put back what others have changed of ReplicaSets and pods.
        observed = do.router.ensure_intact(current, observed.with_revision(update.revision))

        # 7. Load changed users: whoever was removed must not come in, whatever else is wrong.
        state = observed.rollout_state(update.hash, users.version)
        matter, others = state.split(observed.pods)
        others += do.strays.undecided(current, update.hash)
        setting = do.reader.setting(current)
        loaded = do.users.ensure_loaded(current, users, matter, others, setting)
        observed = observed.with_pods(loaded.pods)

        # 8. Move the Service to the pod that serves best, and retire the others.
        do.strays.ensure_pruned(current, update.hash)
        routed = do.router.roll_out(current, observed, update, state)
        observed, active = routed.observed, routed.active

        # 9. Replace pods that crash.
        do.crashes.ensure_replaced(current, (update.pod, active))

        # 10. Have the server that clients reach read what others write to the repository, and ask
        # it for the users in there and for its version.
        reached = do.router.endpoint_ready(current, observed, active)
        searched, version = NOT_SEARCHED, ""
        if reached is not None:
            do.refresher.ensure_caught_up(current, reached, observed.beside(reached))
            if update.is_of(reached):
                searched = do.user_search.ensure_searched(current, reached, users)
            version = do.versions.ensure_read(
                current, reached, searched.version, expected=searched.brings_version
            )
        found = searched.users

        # 11. Publish how clients connect to the server that they see.
        shown = reached or active
        in_effect = shown is not None and update.is_of(shown)
        published = do.publisher.ensure(current, shown, in_effect=in_effect)

        # 12. Keep the repository maintained, and find out who does it.
        maintained = do.maintainer.ensure(current, update.hash, reached, setting)

        # 13. Release the slot of a server that is replaced, or whose replacement has failed. Keep
        # what the next process needs to know of a server that is as it should be.
        problems = (unprotected, update.verdict, published.problem, users.problem, loaded.fault)
        verdicts = do.faults.judge(current, problems)
        do.updater.settle_slot(current, update, active, verdicts)
        if update.revision is not None and not verdicts:
            known = Known(update.inputs, users)
            do.records.ensure_kept(current, known, update.revision.replica_set)

        # 14. Sum up.
        inputs = update.inputs
        certificate = None if shown is None else do.certificates.of(current, shown, inputs)
        expiry = None if inputs is None else do.reader.expiry(current, inputs)
        return status.Outcome(
            verdicts=verdicts,
            available=reached is not None,
            in_effect=reached is not None and in_effect,
            pod_name="" if shown is None else shown["metadata"]["name"],
            service_name=names.stable_name(server),
            network_policy_name=names.stable_name(server),
            url=connection.url(server.namespace, names.stable_name(server)),
            published=published.names,
            unpublished=published.warning,
            kopia_version=version,
            fingerprint="" if certificate is None else certificate.fingerprint,
            not_after="" if certificate is None else timestamp(certificate.not_after),
            expiring=None if expiry is None else expiry.warning,
            expired=expiry is not None and expiry.is_over,
            shared=do.sharing.warning(current, setting.storage),
            nobody_named=users.warning,
            short_passwords=users.short,
            repository_users=None if found is None else found.number,
            in_repository=None if found is None else found.warning,
            unmaintained=maintained.warning,
            maintenance=maintained.status,
        )

    def _break_off(
        self, obj: Mapping[str, Any], verdict: Problem | Waiting, deadline: Deadline
    ) -> None:
        """Write what ended a reconcile before it had looked at the children; release its slot."""
        metadata = obj["metadata"]
        self._slots.release(Request(metadata["namespace"], metadata["name"]))
        info = (obj.get("status") or {}).get("serverInfo") or {}
        service = info.get("serviceName", "")
        pod = self._parts.observer.selected_pod(metadata, service)
        outcome = status.Outcome(
            verdicts=(verdict,),
            available=pod is not None,
            pod_name=info.get("podName", "") if pod is None else pod["metadata"]["name"],
            service_name=service,
        )
        self._writer.write(obj, outcome, deadline)
