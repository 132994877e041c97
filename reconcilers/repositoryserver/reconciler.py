"""The reconcile loop of a RepositoryServer: gather, decide, act, write the status once.

Nothing here waits. What is not there yet is told in the status, and the event that brings it wakes
the resource again.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from attrs import define, field, frozen
from controller.conditions import get_condition, is_true
from controller.controller import Request, Result

from controller.clock import Deadline
from controller.errors import Conflict, Forbidden, Invalid, NotFound
from reconcilers.repositoryserver import (
    api,
    certificates,
    children,
    kopia,
    repository_config,
    resources,
    secrets,
    status,
    users,
)
from reconcilers.repositoryserver.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.podexec import ExecResult

    from controller.client import Client, Resource
    from controller.clock import Clock
    from controller.mutationcache import MutationCache

INDEX_OWNER = "owner"

# Registered users are looked at again this often, so that drift inside Kopia is repaired.
DEFAULT_USER_CHECK_SECONDS = 1800.0
# The status of a failed reconcile must still be written when its time for work is over.
STATUS_GRACE_SECONDS = 10.0
# While a server is not Ready it is looked at this often even if no event comes.
UNREADY_RECHECK_SECONDS = 30.0

# What fails in Kopia is tried again after a tenth of the time it has been failing, within these
# bounds. The kubelet's restart delay grows to five minutes; whoever mends a storage should not have
# to wait that long, so a pod whose container keeps ending is replaced.
RETRY_MIN_SECONDS = 5.0
RETRY_MAX_SECONDS = 60.0

REASON_FOREIGN_CHILD = "NameTaken"
REASON_REFUSED = "ApiRequestRefused"
FOREIGN_CHILD = (
    "{kind} {namespace}/{name} exists and belongs to something else; delete it, or create the "
    "RepositoryServer under another name"
)
REFUSED = "the API server refuses a request of the controller: {message}"

EVENT_POD_CREATED = "PodCreated"
EVENT_POD_DELETED = "PodDeleted"
EVENT_CHILD_RESTORED = "ChildRestored"
EVENT_USERS_CHANGED = "UsersChanged"

_log = structlog.get_logger()


class Executor(Protocol):
    """Runs commands in containers, as `controller.podexec.Executor`."""

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline: Deadline,
    ) -> ExecResult:
        """Run a command to its end."""
        ...


class Recorder(Protocol):
    """Records events, as `controller.events.EventRecorder`."""

    def event(
        self, obj: Mapping[str, Any], type_: str, reason: str, note: str, action: str
    ) -> None:
        """Record one event; never blocks."""
        ...


@define
class Caches:
    """What the informers hold, with the reconciler's own writes laid over it.

    Attributes:
        servers: RepositoryServers.
        pods: Pods, indexed by owner.
        services: Services, indexed by owner.
        network_policies: NetworkPolicies, indexed by owner.
        secrets: Secrets without their data, indexed by owner.
    """

    servers: MutationCache
    pods: MutationCache
    services: MutationCache
    network_policies: MutationCache
    secrets: MutationCache


@frozen
class _Inputs:
    """What is remembered of the inputs once they were read: nothing secret.

    Attributes:
        versions: Generation of the resource and resourceVersions of the Secrets.
        digest: Names the snapshot and the pod.
        fingerprint: Of the certificate.
        not_after: When the certificate expires.
        tls: Reference to the certificate's Secret.
        context: What messages about the pod name.
    """

    versions: tuple[str, ...]
    digest: str
    fingerprint: str
    not_after: datetime
    tls: api.SecretRef
    context: status.PodContext


@frozen
class _Access:
    """What is remembered of the access Secret.

    Attributes:
        version: Its resourceVersion and the resource's generation.
        names: The users in it.
    """

    version: tuple[str, ...]
    names: frozenset[str]


@frozen
class _Checked:
    """The last time that registered users were seen to be as desired.

    Attributes:
        pod: Uid of the pod in which they were looked at.
        version: The version of the access Secret that they were compared with.
        at: Monotonic seconds.
    """

    pod: str
    version: tuple[str, ...]
    at: float


@define
class _Memory:
    """What this process remembers of one resource, so that a steady one costs no request."""

    inputs: _Inputs | None = None
    access: _Access | None = None
    checked: _Checked | None = None


@define
class _Pass:
    """One reconcile of one resource.

    Attributes:
        obj: The resource as the API server has it.
        server: The same, parsed.
        memory: What earlier passes remember.
        deadline: Until when work may go on.
        owned_users: Users that this controller has registered or is about to.
        requeue_after: Seconds after which to look again, the shortest that was asked for.
    """

    obj: dict[str, Any]
    server: api.RepositoryServer
    memory: _Memory
    deadline: Deadline
    owned_users: frozenset[str]
    requeue_after: float | None = field(default=None)

    def look_again(self, seconds: float) -> None:
        """Ask for another pass after so many seconds at the latest."""
        if self.requeue_after is None or seconds < self.requeue_after:
            self.requeue_after = seconds


class RepositoryServerReconciler:
    """Brings one RepositoryServer to its desired state; see the module's docstring."""

    def __init__(
        self,
        *,
        client: Client,
        executor: Executor,
        caches: Caches,
        recorder: Recorder,
        hasher: users.PasswordHasher,
        clock: Clock,
        image: str,
        user_check_seconds: float = DEFAULT_USER_CHECK_SECONDS,
    ) -> None:
        """Take the dependencies.

        Args:
            client: For reads of Secrets by name, and for writes.
            executor: Runs Kopia in the server's container.
            caches: What the informers hold.
            recorder: Takes events.
            hasher: Makes and verifies Kopia's password hashes.
            clock: The time.
            image: Image with Kopia for the server pods.
            user_check_seconds: How often registered users are looked at without a cause.
        """
        self._client = client
        self._executor = executor
        self._caches = caches
        self._recorder = recorder
        self._hasher = hasher
        self._clock = clock
        self._image = image
        self._user_check_seconds = user_check_seconds
        self._memories: dict[Request, tuple[str, _Memory]] = {}

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
            # The owner references do the rest.
            self._memories.pop(request, None)
            return Result()
        try:
            return self._reconcile(request, obj, deadline)
        except Conflict:
            return Result(requeue=True)

    def _reconcile(self, request: Request, obj: dict[str, Any], deadline: Deadline) -> Result:
        try:
            server = api.parse(obj)
        except InvalidInput as error:
            problem = Problem(status.SERVER_SETUP, error.reason, error.message)
            self._write_status(obj, self._outcome_of_the_unreadable(obj, problem), deadline)
            return Result()
        current = _Pass(
            obj=obj,
            server=server,
            memory=self._memory(request, server),
            deadline=Deadline(self._clock, deadline.at - STATUS_GRACE_SECONDS),
            owned_users=frozenset(obj.get("status", {}).get("registeredUsers") or ()),
        )
        try:
            outcome = self._bring_about(current)
        except (Forbidden, Invalid) as error:
            problem = Problem(
                status.SERVER_SETUP, REASON_REFUSED, REFUSED.format(message=error.message)
            )
            self._write_status(obj, self._outcome_of_the_unreadable(obj, problem), deadline)
            raise
        self._write_status(obj, outcome, deadline)
        if not outcome.serving or outcome.verdicts:
            current.look_again(UNREADY_RECHECK_SECONDS)
        return Result(requeue_after=current.requeue_after)

    def _memory(self, request: Request, server: api.RepositoryServer) -> _Memory:
        uid, memory = self._memories.get(request, ("", _Memory()))
        if uid != server.uid:
            memory = _Memory()
            self._memories[request] = (server.uid, memory)
        return memory

    def _bring_about(self, current: _Pass) -> status.Outcome:
        """Act on the children and say what was found."""
        server = current.server
        verdicts: list[Problem | status.Waiting] = []
        newest: dict[str, Any] | None = None
        digest = ""
        access, access_problem = self._access(current)
        try:
            # Before the pod, which is thus never without its protection.
            self._ensure(current, resources.NETWORK_POLICIES, children.network_policy(server))
            inputs, snapshot = self._inputs(current)
            self._check_expiry(current, inputs)
            digest = inputs.digest
            newest = self._ensure_pod(current, snapshot, digest)
        except InvalidInput as error:
            verdicts.append(Problem(status.SERVER_SETUP, error.reason, error.message))
        else:
            name = children.versioned_name(server, digest)
            verdict = status.examine_pod(newest, name, inputs.context)
            if newest is not None and verdict is None and access is not None:
                verdict = self._ensure_users(current, newest, access, inputs.context.setting)
            elif newest is not None:
                self._retry_crashed(current, newest)
            if verdict is not None:
                verdicts.append(verdict)
        if access_problem is not None:
            verdicts.append(access_problem)

        pods = self._caches.pods.by_index(INDEX_OWNER, server.uid)
        serving = _serving(digest, pods)
        service = self._ensure_service(current, serving, digest)
        if digest:
            self._prune(current, digest, serving)
        return self._outcome(current, tuple(verdicts), serving, service)

    def _outcome(
        self,
        current: _Pass,
        verdicts: tuple[Problem | status.Waiting, ...],
        serving: Mapping[str, Any] | None,
        service: str,
    ) -> status.Outcome:
        metadata = serving["metadata"] if serving is not None else {}
        return status.Outcome(
            verdicts=verdicts,
            serving=serving is not None and status.pod_ready(serving),
            pod_name=metadata.get("name", ""),
            service_name=service,
            network_policy_name=children.stable_name(current.server),
            fingerprint=metadata.get("annotations", {}).get(children.ANNOTATION_FINGERPRINT, ""),
            registered_users=tuple(sorted(current.owned_users)),
        )

    def _outcome_of_the_unreadable(self, obj: dict[str, Any], problem: Problem) -> status.Outcome:
        pods = self._caches.pods.by_index(INDEX_OWNER, obj["metadata"]["uid"])
        return status.Outcome(
            verdicts=(problem,),
            serving=any(status.pod_ready(pod) for pod in pods),
            registered_users=tuple(obj.get("status", {}).get("registeredUsers") or ()),
        )

    # Gathering: the user's Secrets.

    def _inputs(self, current: _Pass) -> tuple[_Inputs, children.ServerInputs | None]:
        """Return what is known of the inputs, and the inputs themselves if they had to be read."""
        server, memory = current.server, current.memory
        refs = [ref for ref in server.references if ref != server.access.secret]
        versions = (str(server.generation), *(self._cached_version(ref) for ref in refs))
        if (
            memory.inputs is not None
            and memory.inputs.versions == versions
            and self._children_stand(server, memory.inputs.digest)
        ):
            return memory.inputs, None
        memory.inputs = None

        def read(ref: api.SecretRef, *types: str) -> secrets.SecretData:
            return secrets.read(ref, self._read_secret(ref, current.deadline), types)

        location = secrets.location(read(server.location, secrets.TYPE_LOCATION))
        snapshot = children.ServerInputs(
            location=location,
            config=repository_config.repository_config(server, location),
            password=secrets.repository_password(read(server.password, secrets.TYPE_PASSWORD)),
            admin=secrets.admin(read(server.admin, secrets.TYPE_ADMIN)),
            certificate=certificates.server_certificate(read(server.tls, secrets.TYPE_TLS)),
            image=self._image,
        )
        setting = kopia.Setting(
            storage=repository_config.storage_label(location, server.root_path),
            location=str(server.location),
            password=str(server.password),
            user=children.run_as_user(server),
        )
        memory.inputs = _Inputs(
            versions=versions,
            digest=children.digest(server, snapshot),
            fingerprint=snapshot.certificate.fingerprint,
            not_after=snapshot.certificate.not_after,
            tls=server.tls,
            context=status.PodContext(location.claim_name, setting),
        )
        return memory.inputs, snapshot

    def _children_stand(self, server: api.RepositoryServer, digest: str) -> bool:
        """Return whether snapshot and pod exist, so that nobody needs their contents."""
        name = children.versioned_name(server, digest)
        pod = self._caches.pods.get(server.namespace, name)
        return (
            pod is not None
            and pod["metadata"].get("labels", {}).get(children.LABEL_DIGEST) == digest
            and self._caches.secrets.get(server.namespace, name) is not None
        )

    def _check_expiry(self, current: _Pass, inputs: _Inputs) -> None:
        left = (inputs.not_after - self._clock.now()).total_seconds()
        if left <= 0:
            raise InvalidInput(
                certificates.REASON_EXPIRED,
                certificates.EXPIRED.format(
                    ref=inputs.tls, field=inputs.tls.field, when=inputs.not_after.isoformat()
                ),
            )
        current.look_again(left)

    def _access(self, current: _Pass) -> tuple[_Access | None, Problem | None]:
        """Return the access users' names, read anew only if their Secret has changed."""
        version = self._access_version(current.server)
        known = current.memory.access
        if known is None or known.version != version:
            try:
                desired = self._read_users(current)
            except InvalidInput as error:
                return None, Problem(status.CLIENT_USER_INITIALIZED, error.reason, error.message)
            known = current.memory.access = _Access(version, frozenset(desired))
        current.owned_users |= known.names
        return known, None

    def _access_version(self, server: api.RepositoryServer) -> tuple[str, ...]:
        return (str(server.generation), self._cached_version(server.access.secret))

    def _read_users(self, current: _Pass) -> dict[str, str]:
        access = current.server.access
        obj = self._read_secret(access.secret, current.deadline)
        return users.desired_users(access, secrets.read(access.secret, obj, (secrets.TYPE_USERS,)))

    def _cached_version(self, ref: api.SecretRef) -> str:
        obj = self._caches.secrets.get(ref.namespace, ref.name)
        return (
            "" if obj is None else f"{obj['metadata']['uid']}/{obj['metadata']['resourceVersion']}"
        )

    def _read_secret(self, ref: api.SecretRef, deadline: Deadline) -> dict[str, Any] | None:
        if self._caches.secrets.get(ref.namespace, ref.name) is None:
            return None
        try:
            return self._client.get(resources.SECRETS, ref.namespace, ref.name, deadline=deadline)
        except NotFound:
            return None

    # Acting: the children.

    def _ensure(
        self, current: _Pass, resource: Resource, desired: dict[str, Any]
    ) -> dict[str, Any]:
        """Apply an object if it is not as desired, and return it as it is then."""
        cache = self._cache_of(resource)
        namespace, name = desired["metadata"]["namespace"], desired["metadata"]["name"]
        wanted = _with_applied(desired)
        observed = cache.get(namespace, name)
        if observed is not None:
            self._refuse_foreign(current, resource, observed)
            if not children.differs(_comparable(resource, wanted), observed):
                return observed
        applied = self._client.apply(resource, namespace, name, wanted, deadline=current.deadline)
        if children.differs(_comparable(resource, wanted), applied):
            # Somebody's addition to a list that server-side apply merges stays in it; a merge
            # patch replaces the list.
            applied = self._client.merge_patch(
                resource, namespace, name, {"spec": wanted["spec"]}, deadline=current.deadline
            )
        cache.mutated(applied)
        if observed is not None:
            self._event(
                current,
                "Normal",
                EVENT_CHILD_RESTORED,
                f"{resource.kind} {name} was not as it should be and was applied again",
                "Apply",
            )
        return applied

    def _refuse_foreign(
        self, current: _Pass, resource: Resource, observed: Mapping[str, Any]
    ) -> None:
        if _owned_by(observed, current.server.uid):
            return
        metadata = observed["metadata"]
        raise InvalidInput(
            REASON_FOREIGN_CHILD,
            FOREIGN_CHILD.format(
                kind=resource.kind, namespace=metadata["namespace"], name=metadata["name"]
            ),
        )

    def _ensure_pod(
        self, current: _Pass, inputs: children.ServerInputs | None, digest: str
    ) -> dict[str, Any] | None:
        """Create snapshot and pod if they are missing; delete a pod that has ended for good."""
        server = current.server
        name = children.versioned_name(server, digest)
        observed = self._caches.pods.get(server.namespace, name)
        if observed is not None:
            self._refuse_foreign(current, resources.PODS, observed)
            if observed["metadata"].get("deletionTimestamp"):
                return observed
            if observed.get("status", {}).get("phase") in ("Failed", "Succeeded"):
                self._delete(current, resources.PODS, observed, "it has ended for good")
                return observed
        if inputs is None:
            return observed
        self._ensure(current, resources.SECRETS, children.snapshot_secret(server, inputs, digest))
        pod = self._ensure(current, resources.PODS, children.pod(server, inputs, digest))
        if observed is None:
            self._event(current, "Normal", EVENT_POD_CREATED, f"created pod {name}", "Create")
        return pod

    def _ensure_service(
        self, current: _Pass, serving: Mapping[str, Any] | None, digest: str
    ) -> str:
        """Let the Service route to the serving pod; return its name, empty if there is none yet."""
        if serving is not None:
            digest = serving["metadata"]["labels"][children.LABEL_DIGEST]
        if not digest:
            return ""
        desired = children.service(current.server, digest)
        self._ensure(current, resources.SERVICES, desired)
        return children.stable_name(current.server)

    def _retry_crashed(self, current: _Pass, pod: Mapping[str, Any]) -> None:
        """Replace a pod whose container the kubelet would start again much later."""
        container = status.container_status(pod)
        ended = status.last_end(pod)
        if container is None or ended is None:
            return
        if (container["state"].get("waiting") or {}).get("reason") != status.CRASH_LOOP:
            return
        pause = self._retry_pause(current)
        left = pause - (self._clock.now() - _time(ended["finishedAt"])).total_seconds()
        if left > 0:
            current.look_again(left)
        else:
            self._delete(current, resources.PODS, pod, "its container keeps ending", grace=0)

    def _retry_pause(self, current: _Pass) -> float:
        """Return the seconds between two tries of what the resource has been failing at."""
        ready = get_condition(current.obj.get("status", {}).get("conditions") or [], status.READY)
        if ready is None:
            return RETRY_MIN_SECONDS
        failing = (self._clock.now() - _time(ready["lastTransitionTime"])).total_seconds()
        return min(max(failing / 10, RETRY_MIN_SECONDS), RETRY_MAX_SECONDS)

    def _prune(self, current: _Pass, digest: str, serving: Mapping[str, Any] | None) -> None:
        """Delete the children that newer ones have made superfluous.

        The removed controller's children have the same owner. They go when the newest pod serves.
        """
        newest = children.versioned_name(current.server, digest)
        keep = {newest, children.stable_name(current.server)}
        if serving is not None:
            keep.add(serving["metadata"]["name"])
        settled = (
            serving is not None
            and serving["metadata"]["name"] == newest
            and status.pod_ready(serving)
        )
        for resource in (
            resources.PODS,
            resources.SERVICES,
            resources.NETWORK_POLICIES,
            resources.SECRETS,
        ):
            for obj in self._cache_of(resource).by_index(INDEX_OWNER, current.server.uid):
                metadata = obj["metadata"]
                versioned = children.LABEL_DIGEST in metadata.get("labels", {})
                if metadata["name"] in keep or metadata.get("deletionTimestamp"):
                    continue
                if settled or versioned:
                    self._delete(current, resource, obj, "a newer one has taken its place")

    def _delete(
        self,
        current: _Pass,
        resource: Resource,
        obj: Mapping[str, Any],
        why: str,
        grace: int | None = None,
    ) -> None:
        metadata = obj["metadata"]
        try:
            self._client.delete(
                resource,
                metadata["namespace"],
                metadata["name"],
                uid=metadata["uid"],
                grace_seconds=grace,
                deadline=current.deadline,
            )
        except NotFound:
            return
        if resource == resources.PODS:
            self._event(
                current,
                "Normal",
                EVENT_POD_DELETED,
                f"deleted pod {metadata['name']}: {why}",
                "Delete",
            )

    # Acting: the users.

    def _ensure_users(
        self,
        current: _Pass,
        pod: Mapping[str, Any],
        access: _Access,
        setting: kopia.Setting,
    ) -> Problem | None:
        """Register the access users in Kopia and open the readiness gate."""
        checked = current.memory.checked
        uid = pod["metadata"]["uid"]
        due = self._user_check_seconds
        if checked is not None and checked.pod == uid and checked.version == access.version:
            due = checked.at + self._user_check_seconds - self._clock.monotonic()
            if due > 0 and _gate_open(pod):
                current.look_again(due)
                return None
        try:
            desired = self._read_users(current)
        except InvalidInput as error:
            return Problem(status.CLIENT_USER_INITIALIZED, error.reason, error.message)
        first = checked is None or checked.pod != uid
        problem = self._register(current, pod, desired, setting, refresh=first)
        if problem is not None:
            current.look_again(self._retry_pause(current))
            return problem
        current.owned_users = frozenset(desired)
        current.memory.checked = _Checked(uid, access.version, self._clock.monotonic())
        current.look_again(self._user_check_seconds)
        if not _gate_open(pod):
            self._open_gate(current, pod)
        return None

    def _register(
        self,
        current: _Pass,
        pod: Mapping[str, Any],
        desired: Mapping[str, str],
        setting: kopia.Setting,
        *,
        refresh: bool,
    ) -> Problem | None:
        """Bring Kopia's users to the desired ones, then let the server take them up.

        Args:
            current: This pass.
            pod: Where Kopia runs.
            desired: Passwords by user.
            setting: What messages name.
            refresh: Whether to refresh the server even if nothing changes: somebody may have
                changed users after it read them.
        """
        listed = self._exec(current, pod, kopia.LIST_USERS)
        if listed.exit_code != 0:
            return _kopia_problem(status.CLIENT_USER_INITIALIZED, listed, setting)
        try:
            registered = users.parse_users(listed.stdout)
        except users.UserListError as error:
            return Problem(
                status.CLIENT_USER_INITIALIZED, kopia.REASON_EXITED, f"Kopia printed an {error}"
            )
        plan = users.plan(desired, registered, current.owned_users, self._hasher)
        if plan:
            self._record_intent(current, plan)
        if plan or refresh:
            changed = self._exec(
                current, pod, kopia.CHANGE_USERS, stdin=kopia.change_users_input(plan)
            )
            if changed.exit_code != 0:
                step = (
                    status.SERVER_REFRESHED
                    if kopia.USERS_CHANGED in changed.stdout
                    else status.CLIENT_USER_INITIALIZED
                )
                return _kopia_problem(step, changed, setting)
        if plan:
            self._event(current, "Normal", EVENT_USERS_CHANGED, plan.summary(), "RegisterUsers")
        return None

    def _record_intent(self, current: _Pass, plan: users.Plan) -> None:
        """Put new users into the status before they are in Kopia.

        Whoever dies in between would otherwise leave users behind that nobody dares to delete.
        """
        recorded = set(current.obj.get("status", {}).get("registeredUsers") or ())
        if set(plan.add) <= recorded:
            return
        current.obj = self._patch_status(
            current.obj,
            {"registeredUsers": sorted(recorded | set(plan.add))},
            current.deadline,
        )

    def _exec(
        self,
        current: _Pass,
        pod: Mapping[str, Any],
        command: Sequence[str],
        stdin: bytes = b"",
    ) -> ExecResult:
        return self._executor.run(
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            children.CONTAINER,
            command,
            stdin=stdin,
            deadline=current.deadline,
        )

    def _open_gate(self, current: _Pass, pod: Mapping[str, Any]) -> None:
        condition = {
            "type": children.GATE,
            "status": "True",
            "lastTransitionTime": _timestamp(self._clock.now()),
        }
        patched = self._client.strategic_patch(
            resources.PODS,
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": [condition]}},
            subresource="status",
            deadline=current.deadline,
        )
        self._caches.pods.mutated(patched)

    # Telling.

    def _write_status(
        self, obj: dict[str, Any], outcome: status.Outcome, deadline: Deadline
    ) -> None:
        # An intent may have been recorded meanwhile: the cache has the latest.
        latest = self._caches.servers.get(obj["metadata"]["namespace"], obj["metadata"]["name"])
        if latest is None or latest["metadata"]["uid"] != obj["metadata"]["uid"]:
            return
        before = latest.get("status") or {}
        after = status.desired_status(
            before,
            outcome,
            generation=obj["metadata"].get("generation", 0),
            now=self._clock.now(),
        )
        if after == before:
            return
        self._patch_status(latest, after, deadline)
        self._tell_transition(obj, before, after)

    def _patch_status(
        self, obj: dict[str, Any], change: dict[str, Any], deadline: Deadline
    ) -> dict[str, Any]:
        patched = self._client.merge_patch(
            resources.REPOSITORY_SERVERS,
            obj["metadata"]["namespace"],
            obj["metadata"]["name"],
            # The version makes a decision on a stale resource a conflict, not a lie.
            {
                "metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]},
                "status": change,
            },
            subresource="status",
            deadline=deadline,
        )
        self._caches.servers.mutated(patched)
        return patched

    def _tell_transition(
        self, obj: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        old = get_condition(before.get("conditions") or [], status.READY)
        new = get_condition(after["conditions"], status.READY)
        if new is None or (old is not None and _told(old) == _told(new)):
            return
        if after["progress"] == status.PROGRESS_FAILED:
            self._recorder.event(obj, "Warning", new["reason"], new["message"], "Reconcile")
            _log.warning("not ready", reason=new["reason"], message=new["message"])
        elif new["status"] == "True":
            self._recorder.event(obj, "Normal", new["reason"], new["message"], "Reconcile")
            _log.info("ready", message=new["message"])
        elif old is not None and old["status"] == "True":
            self._recorder.event(obj, "Warning", "NotReady", new["message"], "Reconcile")
            _log.warning("no longer ready", message=new["message"])

    def _event(self, current: _Pass, type_: str, reason: str, note: str, action: str) -> None:
        _log.info(note, reason=reason)
        self._recorder.event(current.obj, type_, reason, note, action)

    def _cache_of(self, resource: Resource) -> MutationCache:
        return {
            resources.PODS: self._caches.pods,
            resources.SERVICES: self._caches.services,
            resources.NETWORK_POLICIES: self._caches.network_policies,
            resources.SECRETS: self._caches.secrets,
        }[resource]


def owner_uids(obj: Mapping[str, Any]) -> list[str]:
    """Return the uids of the RepositoryServers that own an object, for `INDEX_OWNER`."""
    return [
        reference["uid"]
        for reference in obj["metadata"].get("ownerReferences") or []
        if reference["kind"] == api.KIND and reference["apiVersion"].partition("/")[0] == api.GROUP
    ]


def _owned_by(obj: Mapping[str, Any], uid: str) -> bool:
    return uid in owner_uids(obj)


def _serving(digest: str, pods: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Choose the pod that the Service routes to.

    The newest as soon as it is Ready; until then one that is; without any, the newest.
    """
    ours = [pod for pod in pods if children.LABEL_DIGEST in pod["metadata"].get("labels", {})]
    newest = [pod for pod in ours if pod["metadata"]["labels"][children.LABEL_DIGEST] == digest]
    ready = [pod for pod in (*newest, *ours) if status.pod_ready(pod)]
    return next(iter((*ready, *newest, *ours)), None)


def _with_applied(desired: Mapping[str, Any]) -> dict[str, Any]:
    metadata = desired["metadata"]
    annotations = {
        **metadata.get("annotations", {}),
        children.ANNOTATION_APPLIED: children.applied_annotation(desired),
    }
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def _comparable(resource: Resource, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a desired object that can differ from the observed one."""
    if resource == resources.SECRETS:
        # Data are never in the cache, and an immutable Secret's cannot change.
        return {"metadata": wanted["metadata"]}
    if resource == resources.PODS:
        # All else in a pod's specification is immutable.
        images = [
            {"name": container["name"], "image": container["image"]}
            for container in wanted["spec"]["containers"]
        ]
        return {"metadata": wanted["metadata"], "spec": {"containers": images}}
    return {"metadata": wanted["metadata"], "spec": wanted["spec"]}


def _gate_open(pod: Mapping[str, Any]) -> bool:
    return is_true(pod.get("status", {}).get("conditions") or [], children.GATE)


def _kopia_problem(step: str, result: ExecResult, setting: kopia.Setting) -> Problem:
    output = result.stderr.decode(errors="replace")
    explanation = kopia.explain(output, result.exit_code, setting)
    return Problem(step, explanation.reason, explanation.message)


def _told(condition: Mapping[str, Any]) -> tuple[str, str, str]:
    return condition["status"], condition["reason"], condition["message"]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _timestamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
