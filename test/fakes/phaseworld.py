"""An API server, a kubelet and an engine for the pods of phases, each as far as these need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, evolve, field

from fakes.apiclient import FakeClient
from fakes.clock import FakeClock
from fakes.phases import OWN, exited, phase_run, wanted
from fakes.podlogs import FakeLogs, stamped
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.phases import cache, names
from reconcilers.actionset.phases.builder import Policy
from reconcilers.actionset.phases.follower import Follower
from reconcilers.actionset.phases.pods import PhasePods
from reconcilers.pods import allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clock import Deadline
    from controller.errors import ClientError
    from controller.resource import Object, Resource
    from reconcilers.actionset.function import PhaseRun, Step
    from reconcilers.actionset.phases.model import PhasePod

T = TypeVar("T")

OUTPUT = '###Phase-output###: {"key":"size","value":"5"}'


class Killed(Exception):
    """The process is killed here."""


@define
class KeepingClient(FakeClient):
    """A client of an API server that keeps what has a finalizer, and can kill the process.

    Attributes:
        kill_at: The number of the request at which the process is killed; 0 for none.
        answered: Whether the request was carried out by then.
    """

    kill_at: int = 0
    answered: bool = False
    _count: int = 0

    def list(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str = "",
        limit: int = 0,
        deadline: Deadline | None = None,
    ) -> Object:
        def do() -> Object:
            self._act("list", resource, label_selector)
            name, _, value = label_selector.partition("=")
            found = [
                one
                for one in self.store(resource).list()
                if one["metadata"]["namespace"] == namespace
                and one["metadata"]["labels"].get(name) == value
            ]
            return {"items": found}

        return self.request(do)

    def get(self, *arguments: Any, **keywords: Any) -> Object:
        return self.request(lambda: super(KeepingClient, self).get(*arguments, **keywords))

    def create(self, *arguments: Any, **keywords: Any) -> Object:
        return self.request(lambda: super(KeepingClient, self).create(*arguments, **keywords))

    def merge_patch(
        self, resource: Resource, namespace: str, name: str, *rest: Any, **more: Any
    ) -> Object:
        def do() -> Object:
            patched = super(KeepingClient, self).merge_patch(
                resource, namespace, name, *rest, **more
            )
            self.let_go(resource, patched)
            return patched

        return self.request(do)

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        grace_seconds: int | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        def do() -> None:
            self._act("delete", resource, name)
            obj = self._existing(resource, namespace, name)
            assert obj["metadata"]["uid"] == uid
            self.end(resource, obj, at="2026-01-01T00:00:30Z")

        self.request(do)

    def request(self, do: Callable[[], T]) -> T:
        """Carry out a request, unless the process is killed at it."""
        self._count += 1
        if self._count == self.kill_at and not self.answered:
            raise Killed
        result = do()
        if self._count == self.kill_at:
            raise Killed
        return result

    @property
    def count(self) -> int:
        """How many requests there were."""
        return self._count


@define
class Informer:
    """The informer of the pods, whose watch is instantaneous."""

    client: KeepingClient
    synced: bool = True
    #: Whether it shows nothing, as before its first list or for lack of a right.
    blind: bool = False
    #: The namespaces that it follows.
    followed: set[str] = field(factory=set)
    #: The answer by which there is nothing to follow.
    refused: ClientError | None = None

    def has_synced(self, namespace: str = "") -> bool:
        assert namespace
        return self.synced

    def follows(self, namespace: str) -> bool:
        return namespace in self.followed

    def refusal(self) -> ClientError | None:
        return self.refused

    def get(self, namespace: str, name: str) -> Object | None:
        if self.blind:
            return None
        return self.client.store(resources.PODS).get(namespace, name)

    def by_index(self, index: str, value: str) -> list[Object]:
        if self.blind:
            return []
        function = cache.INDEXERS[index]
        pods = self.client.store(resources.PODS).list()
        return [pod for pod in pods if value in function(pod)]


@define
class PhaseWorld:
    """Runs one phase as the engine does: a memo is stored before the next call.

    Attributes:
        run: The phase; its memo is that of the last call.
        pod: What the function wants.
        ran: Which pods have run, by their uids.
        followed: The namespaces that the informer follows.
    """

    run: PhaseRun = field(factory=phase_run)
    pod: PhasePod = field(factory=wanted)
    clock: FakeClock = field(factory=FakeClock)
    client: KeepingClient = field(factory=KeepingClient)
    logs: FakeLogs = field(factory=FakeLogs)
    ran: list[str] = field(factory=list)
    followed: set[str] = field(factory=set)
    policy: Policy = field(factory=lambda: Policy(OWN, "engine", of_action_sets=allowed.ANY))
    threads: list[Callable[[], None]] = field(factory=list)
    informer: Informer = field(init=False)
    pods: PhasePods = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.informer = Informer(self.client, followed=self.followed)
        self.start_process()

    def start_process(self) -> None:
        """Start anew: of the process before only the memo is left."""
        self.threads.clear()
        self.client.kill_at = 0
        follower = Follower("logs", self.logs, clock=self.clock, spawn=self.threads.append)
        self.pods = PhasePods(
            client=self.client,  # type: ignore[arg-type]  # has what is used
            pods=self.informer,
            follow=self.followed.add,
            follower=follower,
            policy=self.policy,
            clock=self.clock,
        )

    def advance(self, **options: Any) -> Step:
        """Call the function once, and store its memo."""
        step = self.pods.advance(self.run, lambda: self.pod, **options)
        if isinstance(step, Running) and step.memo is not None:
            self.client.request(lambda: self.remember(step.memo))
        return step

    def remember(self, memo: Mapping[str, Any] | None) -> None:
        """Store a memo."""
        self.run = evolve(self.run, memo=memo or {})

    def read_logs(self) -> None:
        """Have the threads read what they were started for."""
        threads = list(self.threads)
        self.threads.clear()
        for work in threads:
            work()

    def only_pod(self) -> Object:
        """Return the pod that there is."""
        (pod,) = self.client.store(resources.PODS).list()
        return pod

    def set_status(self, **status: Any) -> None:
        """Set the status of the pod."""
        self.client.put(resources.PODS, {**self.only_pod(), "status": status})

    def schedule(self) -> None:
        """Give the pod a node."""
        pod = self.only_pod()
        self.client.put(resources.PODS, {**pod, "spec": {**pod["spec"], "nodeName": "node-a"}})

    def run_pod(self, *lines: str, code: int = 0) -> None:
        """Run the pod to its end, as a kubelet does, unless it has run."""
        pod = self.only_pod()
        if pod["metadata"]["uid"] in self.ran:
            return
        self.ran.append(pod["metadata"]["uid"])
        self.schedule()
        ends = [exited(container, code) for container in names.containers_of(pod)]
        self.set_status(phase="Failed" if code else "Succeeded", containerStatuses=ends)
        self.logs.script.clear()
        # However often it is opened.
        for _ in range(3):
            self.logs.expect(stamped(*lines))

    def finish(self, *lines: str, code: int = 0, **options: Any) -> Step:
        """Run the phase to its end, and return what came of it."""
        for _ in range(20):
            step = self.advance(**options)
            if isinstance(step, Complete | Failed):
                return step
            if self.client.store(resources.PODS).list():
                self.run_pod(*lines, code=code)
            self.read_logs()
            self.clock.step(1.0)
        raise AssertionError("it does not end")
