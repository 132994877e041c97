"""A reconciler with a server, and everything around them: API server, kubelet, Kopia and time."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from prometheus_client import CollectorRegistry

from controller.cache.mutationcache import MutationCache
from controller.cache.store import Store
from controller.clock import Deadline
from controller.commands import Commands
from controller.conditions import get_condition
from controller.metrics import Metrics
from controller.reconcile import Request, Result
from controller.stop import Stop
from fakes import objects
from fakes.apiclient import Action, FakeClient
from fakes.clock import FakeClock
from fakes.kopia import FakeKopia
from fakes.ondemand import OnDemand
from fakes.recorder import FakeRecorder
from fakes.replicasets import ReplicaSets
from reconcilers import resources
from reconcilers.kopia import htpasswd
from reconcilers.pods import allowed
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.caches import (
    INDEX_INSTANCE,
    INDEX_OWNER,
    INDEX_RELEASED,
    INDEX_SERVICE,
    Caches,
    owner_uids,
)
from reconcilers.repositoryserver.children import names, record
from reconcilers.repositoryserver.children.secrets import KEY_CERTIFICATE
from reconcilers.repositoryserver.informers import instance, released
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler as Reconciler
from reconcilers.repositoryserver.rollout import endpoints
from reconcilers.repositoryserver.rollout.throttle import RolloutSlots
from reconcilers.repositoryserver.rollout.update import QUIET_SECONDS
from reconcilers.repositoryserver.status.stages import STAGE_PAUSE_SECONDS
from reconcilers.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.cache.store import IndexFunction
    from controller.errors import ClientError
    from controller.resource import Object, Resource
    from reconcilers.repositoryserver.users import sync

REQUEST = Request(objects.NAMESPACE, objects.NAME)
SERVICE = f"repo-server-{objects.NAME}"
USERS_SECRET = f"{SERVICE}-users"
USER = "backup@app"
#: How many servers may be replaced at once.
SLOTS = 5

# The requests of a pass, in the words of `FakeClient.taken`.
READ_INPUTS = [
    Action("get", "secrets", name)
    for name in (
        objects.LOCATION,
        objects.REPOSITORY_PASSWORD,
        objects.ADMIN,
        objects.TLS,
    )
]
READ_PASSWORDS = Action("get", "secrets", objects.USERS)
READ_USERS = [Action("get", "secrets", USERS_SECRET), READ_PASSWORDS]
WRITE_STATUS = Action("patch", "repositoryservers/status", objects.NAME)

# Those of the tests, so that they can be told from their hashes.
_PASSWORDS = (
    objects.USER_PASSWORD_VALUE,
    objects.OTHER_PASSWORD_VALUE,
    objects.NEW_PASSWORD_VALUE,
    "other",
    "n",
    "p",
)
_RECONCILE_SECONDS = 120
_BY_OWNER: Mapping[str, IndexFunction] = {
    INDEX_OWNER: owner_uids,
    INDEX_INSTANCE: instance,
    INDEX_RELEASED: released,
}
_BY_SERVICE: Mapping[str, IndexFunction] = {INDEX_SERVICE: endpoints.service_of}


class World:
    """One server `objects.NAME` with its Secrets, of which the reconciler has not heard yet.

    Attributes:
        api: Holds the objects, and tells of each request that was sent.
        kopia: Holds the users of the repository, and tells of each command that was run.
        recorder: Holds the events.
        replica_sets: Makes and deletes pods after each reconcile.
        clock: Moves when a test says so.
        stop: Ends each request that hangs.
        settings: With which the next controller starts.
        slots: Those of the servers that are being replaced.
        pod_override: Which overrides of a pod the controller takes from its next start on.
        users_secret: Name of the Secret that the running server reads its users from.
        commands_wait: Commands run when `run_commands` says so, and not at once.
        woken: The servers that the end of a command has woken.
        profiles: What the controller sees of Kanister's Profiles.
        profiles_refused: What a list of these is answered with after the next start.
        endpoints_lag: The endpoints do not follow the Service by themselves.
        reconciler: The subject.
    """

    def __init__(self) -> None:
        self.api = FakeClient()
        self.kopia = FakeKopia(volume=self.volume)
        self.recorder = FakeRecorder()
        self.replica_sets = ReplicaSets(self.api)
        self.clock = FakeClock(objects.NOW)
        self.stop = Stop()
        self.settings = Settings(image=objects.IMAGE)
        self.slots = RolloutSlots(SLOTS, clock=self.clock)
        self.pod_override = allowed.RESTRICTED
        self.users_secret = USERS_SECRET
        self.endpoints_lag = False
        self.commands_wait = False
        self.woken: list[Request] = []
        self.profiles_refused: ClientError | None = None
        self._threads: list[Callable[[], None]] = []
        self.restart()
        for secret in objects.all_secrets():
            self.api.put(resources.SECRETS, secret)
        self.api.put(api.REPOSITORY_SERVERS, objects.repository_server())

    def _spawn(self, work: Callable[[], None]) -> None:
        if self.commands_wait:
            self._threads.append(work)
        else:
            work()

    def run_commands(self) -> list[Request]:
        """Run the commands that wait; return the servers that their ends wake."""
        self.woken.clear()
        threads, self._threads = self._threads, []
        for work in threads:
            work()
        return self.woken

    def restart(self, *, cached_secrets: Iterable[Object] | None = None) -> None:
        """Start the controller anew: what it remembered is gone, and so is what it ran.

        Args:
            cached_secrets: The Secrets that its cache shows, in place of all.
        """
        self._threads.clear()
        if cached_secrets is None:
            secrets = self._cache(resources.SECRETS)
        else:
            store = Store(_BY_OWNER)
            for secret in cached_secrets:
                store.add(secret)
            secrets = MutationCache(store, clock=self.clock, indexers=_BY_OWNER)
            self.api.caches.setdefault(resources.SECRETS, []).append(secrets)
        self.profiles = OnDemand(self._cache(resources.PROFILES), self.profiles_refused)
        self.reconciler = Reconciler(
            client=self.api,  # type: ignore[arg-type]  # the fake has what is called
            commands=Commands(
                "commands",
                self.kopia,  # type: ignore[arg-type]
                clock=self.clock,
                metrics=Metrics(CollectorRegistry()),
                enqueue=self.woken.append,
                spawn=self._spawn,
            ),
            caches=Caches(
                servers=self._cache(api.REPOSITORY_SERVERS),
                replica_sets=self._cache(resources.REPLICA_SETS),
                pods=self._cache(resources.PODS),
                services=self._cache(resources.SERVICES),
                network_policies=self._cache(resources.NETWORK_POLICIES),
                secrets=secrets,
                cron_jobs=self._cache(resources.CRON_JOBS),
                jobs=self._cache(resources.JOBS),
                endpoint_slices=self._cache(resources.ENDPOINT_SLICES, _BY_SERVICE),
                service_accounts=self._cache(resources.SERVICE_ACCOUNTS),
                profiles=self.profiles,
            ),
            recorder=self.recorder,
            clock=self.clock,
            settings=self.settings,
            slots=self.slots,
            pod_override=self.pod_override,
        )

    def _cache(
        self, resource: Resource, indexers: Mapping[str, IndexFunction] = _BY_OWNER
    ) -> MutationCache:
        store = self.api.store(resource, indexers)
        cache = MutationCache(store, clock=self.clock, indexers=indexers)
        self.api.caches.setdefault(resource, []).append(cache)
        return cache

    def reconcile(self) -> Result:
        """Let the endpoints follow the Service, unless they lag, and reconcile once."""
        service = self.api.store(resources.SERVICES).get(objects.NAMESPACE, SERVICE)
        if service is not None and not self.endpoints_lag:
            digest = service["spec"]["selector"].get(names.LABEL_HASH)
            for pod in self.pods():
                if names.hash_of(pod) == digest:
                    self.route_to(pod)
        return self.reconcile_of(REQUEST)

    def reconcile_of(self, request: Request) -> Result:
        """Reconcile a server once, be it another one."""
        try:
            return self.reconciler.reconcile(
                request, Deadline.after(self.clock, _RECONCILE_SECONDS, stop=self.stop)
            )
        finally:
            self.replica_sets.sync()

    def report(self) -> None:
        """Reconcile until a stage is reported."""
        self.reconcile()
        self.clock.step(STAGE_PAUSE_SECONDS)
        self.reconcile()

    def settle(self) -> None:
        """Bring the server up as the kubelet and the events do, and forget what was needed."""
        self.reconcile()
        for pod in self.pods():
            self.kubelet(pod, objects.serving())
        self.reconcile()
        self.api.taken()
        self.kopia.ran()
        self.recorder.events.clear()

    def serve_by_removed_controller(self) -> None:
        """Write the status as the removed controller leaves it for a server that is up."""
        self.change_server({"status": objects.REMOVED_STATUS})

    def change_server(self, change: Object) -> None:
        """Apply a merge patch to the resource."""
        self.api.put(api.REPOSITORY_SERVERS, objects.merged(self.server(), change))

    def edit(self, spec: Object) -> None:
        """Change the resource as its user does.

        Args:
            spec: A merge patch of its spec.
        """
        generation = self.server()["metadata"]["generation"] + 1
        change = {"metadata": {"generation": generation}, "spec": spec}
        self.api.put(api.REPOSITORY_SERVERS, objects.merged(self.server(), change))

    def change_secret(self, secret: Object) -> None:
        """Write a Secret, or make it."""
        self.api.put(resources.SECRETS, secret)

    def drop_secret(self, name: str) -> None:
        """Delete a Secret."""
        self.api.drop(resources.SECRETS, objects.NAMESPACE, name)

    def drop_pod(self, pod: Object) -> None:
        """Delete a pod, which is gone at once."""
        self.api.drop(resources.PODS, objects.NAMESPACE, pod["metadata"]["name"])

    def begin_revision(self) -> Result:
        """Reconcile a server that serves until it has made the revision of changed inputs."""
        self.reconcile()
        self.clock.step(QUIET_SECONDS)
        return self.reconcile()

    def renew(self) -> tuple[Object, Object]:
        """Renew the certificate of a settled server; return the former pod and the new one."""
        old = self.pod()
        self.change_secret(objects.tls_secret(objects.key_pair("renewed")))
        self.begin_revision()
        (new,) = [pod for pod in self.pods() if pod["metadata"]["uid"] != old["metadata"]["uid"]]
        return old, new

    def kubelet(self, pod: Object, status: Object) -> None:
        """Write a pod's status as the kubelet does."""
        self.api.put(resources.PODS, {**pod, "status": status})

    def route_to(self, pod: Object) -> None:
        """Write the EndpointSlice of the Service as its controller does."""
        endpoint = {"targetRef": {"uid": pod["metadata"]["uid"]}, "conditions": {"ready": True}}
        labels = {endpoints.LABEL_SERVICE: SERVICE}
        metadata = {"name": f"{SERVICE}-x", "namespace": objects.NAMESPACE, "labels": labels}
        self.api.put(resources.ENDPOINT_SLICES, {"metadata": metadata, "endpoints": [endpoint]})

    def record(self, text: str) -> None:
        """Write the record of the only revision as somebody else."""
        change = {"metadata": {"annotations": {names.ANNOTATION_RECORD: text}}}
        self.api.put(resources.REPLICA_SETS, objects.merged(self.replica_set(), change))

    def users_state(self) -> sync._State:
        """Return what the reconciler remembers of the server's users."""
        users = self.reconciler._parts.users  # noqa: SLF001 - nothing else shows it
        return users._state._states[REQUEST][1]  # noqa: SLF001

    def server(self) -> Object:
        """Return the resource."""
        return self._one(api.REPOSITORY_SERVERS, objects.NAME)

    def condition(self, type_: str) -> tuple[str, str, str]:
        """Return the status, the reason and the message of a condition of the server."""
        found = get_condition(self.server()["status"]["conditions"], type_)
        assert found is not None, f"no condition {type_}"
        return found["status"], found["reason"], found["message"]

    def progress(self) -> str:
        """Return the progress of the server."""
        progress: str = self.server()["status"]["progress"]
        return progress

    def selected(self) -> str:
        """Return the digest that the Service selects."""
        service = self._one(resources.SERVICES, SERVICE)
        digest: str = service["spec"]["selector"][names.LABEL_HASH]
        return digest

    def secret(self, name: str) -> Object:
        """Return a Secret."""
        return self._one(resources.SECRETS, name)

    def pods(self) -> list[Object]:
        """Return all pods."""
        return self.api.store(resources.PODS).list()

    def pod(self) -> Object:
        """Return the only pod."""
        (pod,) = self.pods()
        return pod

    def revisions(self) -> list[Object]:
        """Return all ReplicaSets."""
        return self.api.store(resources.REPLICA_SETS).list()

    def replica_set(self) -> Object:
        """Return the only ReplicaSet."""
        (found,) = self.revisions()
        return found

    def replica_set_of(self, pod: Object) -> Object:
        """Return the ReplicaSet that has made a pod."""
        (owner,) = pod["metadata"]["ownerReferences"]
        return self._one(resources.REPLICA_SETS, owner["name"])

    def fingerprint(self, pod: Object) -> str:
        """Return the fingerprint of the certificate that a pod shows."""
        snapshot = self.secret(self.replica_set_of(pod)["metadata"]["name"])
        pem = base64.b64decode(snapshot["data"][KEY_CERTIFICATE])
        return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()

    def stored(self, pod: Object) -> Object:
        """Return a pod as it is now."""
        return self._one(resources.PODS, pod["metadata"]["name"])

    def recorded(self, **changes: Any) -> str:
        """Return the record of the only revision, with changes."""
        annotations = self.replica_set()["metadata"]["annotations"]
        found = record.parse(annotations[names.ANNOTATION_RECORD])
        assert found is not None
        return record.render(evolve(found, **changes))

    @property
    def write_record(self) -> Action:
        """The request that brings the record of the only revision up to date."""
        return Action("patch", "replicasets", self.replica_set()["metadata"]["name"])

    def volume(self) -> str:
        """Return the users as the kubelet brings them into the pod."""
        return base64.b64decode(self.secret(self.users_secret)["data"]["htpasswd"]).decode()

    def may_connect(self) -> dict[str, str]:
        """Return the users that the running server accepts, with their password."""
        return {
            user: next((word for word in _PASSWORDS if htpasswd.verify(word, hash_)), "?")
            for user, hash_ in htpasswd.entries(self.kopia.served or self.volume()).items()
        }

    def _one(self, resource: Resource, name: str) -> Object:
        obj = self.api.store(resource).get(objects.NAMESPACE, name)
        assert obj is not None, f"no {resource.plural} {name}"
        return obj
