"""The controller's connections, to the API server and into pods, on which requests fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from controller.cache.shared import Selection
from controller.errors import (
    Conflict,
    Forbidden,
    ServerUnavailable,
    TooManyRequests,
    TransportError,
)
from controller.resource import Resource
from fakes.simulation.apiserver import over_the_wire
from fakes.simulation.strands import Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from random import Random

    from controller.clock import Deadline
    from controller.resource import Object
    from fakes.kopia import FakeResult
    from fakes.simulation.agenda import Agenda
    from fakes.simulation.apiserver import ApiServer
    from fakes.simulation.kubelet import Nodes
    from fakes.simulation.strands import Strands

#: The subresource of a workload.
SCALE = "scale"
#: Seconds that a request takes.
LATENCY_SECONDS = (0.001, 0.02)
#: Seconds that it takes to get into a container.
EXEC_SECONDS = (0.01, 0.3)
#: Seconds after which the client gives a silent server up.
READ_TIMEOUT = 30.0


@frozen
class Sent:
    """A request of the controller.

    Attributes:
        verb: As in a Role.
        resource: What of.
        namespace: Of the object.
        name: Of the object.
        body: What is written; empty for reads and deletions.
        uid: The uid that a deletion is bound to.
    """

    verb: str
    resource: Resource
    namespace: str
    name: str
    body: Mapping[str, Any] = field(factory=dict)
    subresource: str = ""
    uid: str = ""


@define
class Weather:
    """How well requests fare.

    Attributes:
        failing: The share of requests that fail.
        forbidden: Verb and resource of what is refused for want of a right.
        cutting: The share of pieces of logs at which the log is cut.
    """

    failing: float = 0.0
    cutting: float = 0.0
    forbidden: set[tuple[str, Resource]] = field(factory=set)

    @property
    def is_fair(self) -> bool:
        """Whether nothing fails."""
        return not self.failing and not self.forbidden and not self.cutting

    def clear_up(self) -> None:
        """Let everything succeed."""
        self.failing = 0.0
        self.cutting = 0.0
        self.forbidden.clear()


class SimulatedClient:
    """The part of `controller.rest.client.Client` that reconcilers use."""

    def __init__(self, api: ApiServer, agenda: Agenda, random: Random, weather: Weather) -> None:
        self._api = api
        self._agenda = agenda
        self._random = random
        self._weather = weather
        #: Told of each request before it is carried out.
        self.observers: list[Callable[[Sent], None]] = []
        #: Called with each object that a write returned.
        self.on_write: Callable[[Resource, Object], None] = lambda _resource, _obj: None
        #: Whether the process has ended.
        self.killed = False

    def get(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        subresource: str = "",
        deadline: Deadline | None = None,
    ) -> Object:
        sent = Sent("get", resource, namespace, name, subresource=subresource)
        read = self._api.scale if subresource == SCALE else self._api.get
        return self._request(sent, deadline, lambda: read(resource, namespace, name))

    def list(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str = "",
        limit: int = 0,
        deadline: Deadline | None = None,
    ) -> Object:
        selection = Selection(labels=label_selector)

        def act() -> Object:
            found = [
                obj
                for obj in self._api.list(resource)
                if obj["metadata"]["namespace"] == namespace and selection.selects(obj)
            ]
            return {"items": found}

        return self._request(Sent("list", resource, namespace, ""), deadline, act)

    def api_resources(
        self, group: str, version: str, *, deadline: Deadline | None = None
    ) -> Object:
        def act() -> Object:
            found = [
                {"name": one.plural, "kind": one.kind, "namespaced": one.namespaced}
                for one in self._api.served()
                if (one.group, one.version) == (group, version)
            ]
            return {"resources": found}

        return self._request(Sent("get", Resource(group, version, "", ""), "", ""), deadline, act)

    def create(
        self,
        resource: Resource,
        namespace: str,
        body: Mapping[str, Any],
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        sent = Sent("create", resource, namespace, body["metadata"]["name"], body)
        return self._request(sent, deadline, lambda: self._api.create(resource, body))

    def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        sent = Sent("apply", resource, namespace, name, body)
        return self._request(
            sent, deadline, lambda: self._api.apply(resource, namespace, name, body)
        )

    def merge_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        subresource: str = "",
        deadline: Deadline | None = None,
    ) -> Object:
        sent = Sent("patch", resource, namespace, name, body, subresource)
        # A Scale is a view of the object itself.
        subresource = "" if subresource == SCALE else subresource
        return self._request(
            sent,
            deadline,
            lambda: self._api.merge_patch(resource, namespace, name, body, subresource),
        )

    def strategic_merge_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        # Of what has no lists the two are the same.
        return self.merge_patch(resource, namespace, name, body, deadline=deadline)

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
        def act() -> Object:
            self._api.delete(resource, namespace, name, uid=uid, grace_seconds=grace_seconds)
            return {}

        self._request(Sent("delete", resource, namespace, name, uid=uid), deadline, act)

    def _request(self, sent: Sent, deadline: Deadline | None, act: Callable[[], Object]) -> Object:
        if deadline is not None:
            deadline.check()
        self.take(self._random.uniform(*LATENCY_SECONDS))
        if (sent.verb, sent.resource) in self._weather.forbidden:
            raise Forbidden(403, "Forbidden", f"{sent.resource.plural} is forbidden")
        if self._random.random() < self._weather.failing:
            self._fail(sent, deadline, act)
        answer = self._carry_out(sent, act)
        self.take(self._random.uniform(*LATENCY_SECONDS))
        if sent.verb in ("create", "apply", "patch"):
            self.on_write(sent.resource, answer)
        return answer

    def _carry_out(self, sent: Sent, act: Callable[[], Object]) -> Object:
        for observer in self.observers:
            observer(sent)
        return over_the_wire(act())

    def _fail(self, sent: Sent, deadline: Deadline | None, act: Callable[[], Object]) -> None:
        """Fail in one of the ways in which requests do."""
        fault = self._random.choice(("lost", "unanswered", "refused", "busy", "conflict"))
        if fault == "refused":
            raise ServerUnavailable(503, "", "etcdserver: leader changed")
        if fault == "busy":
            raise TooManyRequests(429, "TooManyRequests", "try again", retry_after=1.0)
        if fault == "conflict" and sent.verb in ("apply", "patch"):
            raise Conflict(409, "Conflict", "the object has been modified")
        if fault == "unanswered":
            self._carry_out(sent, act)
        self.take(self._random.choice((0.1, READ_TIMEOUT)))
        if deadline is not None:
            deadline.check()
        raise TransportError(f"{sent.verb} {sent.name}: no answer")

    def take(self, seconds: float) -> None:
        """Let something take its time, in which others do what they do.

        Raises:
            Killed: The process has ended meanwhile.
        """
        self._agenda.advance(seconds)
        if self.killed:
            raise Killed


class SimulatedExecutor:
    """Runs commands in pods, as `controller.rest.podexec.Executor`, each in a strand of its own."""

    def __init__(
        self,
        client: SimulatedClient,
        nodes: Nodes,
        random: Random,
        weather: Weather,
        strands: Strands,
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._random = random
        self._weather = weather
        self._strands = strands

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> FakeResult:
        assert isinstance(stdin, bytes)
        self._take(EXEC_SECONDS)
        fails = self._random.random() < self._weather.failing
        if fails and self._random.random() < 0.5:
            raise TransportError(f"exec {pod}: no answer")
        # The process in the pod goes on whatever becomes of the controller.
        pause = self._strands.pause
        result = self._nodes.run(namespace, pod, command, stdin, deadline=deadline, pause=pause)
        self._take(LATENCY_SECONDS)
        if fails:
            # It was carried out all the same.
            raise TransportError(f"exec {pod}: no answer")
        return result

    def _take(self, seconds: tuple[float, float]) -> None:
        self._strands.pause(self._random.uniform(*seconds))
        if self._client.killed:
            raise Killed
