"""The process is killed at each request of a phase, and another one goes on with its memo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import define

from controller.errors import ApiError
from controller.resource import Resource
from fakes.clock import FakeClock
from fakes.killing import Killed
from fakes.phaseclient import PhaseClient
from fakes.phaseruns import Phase, phase_run
from fakes.workloads import STATEFUL_SETS, workload
from reconcilers.actionset.function import Complete, Failed
from reconcilers.actionset.functions.kubeops import KubeOps
from reconcilers.actionset.functions.scaleworkload import ScaleWorkload

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcilers.actionset.function import Function

CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
REFERENCE: Final = {
    "apiVersion": "v1",
    "resource": "configmaps",
    "name": "there",
    "namespace": "app",
}
SPEC: Final = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: made-}"


@define
class KilledAt:
    """A client whose process is killed at a request, before it is sent or before its answer.

    Args:
        client: Carries requests out.
        number: At which one, counted from 0; None for never.
        reaches: Whether that one still reaches the server.
    """

    client: PhaseClient
    number: int | None = None
    reaches: bool = False
    count: int = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def request(*args: Any, **options: Any) -> Any:
            number, self.count = self.count, self.count + 1
            if number != self.number:
                return method(*args, **options)
            if self.reaches:
                try:
                    method(*args, **options)
                except ApiError:
                    raise Killed from None
            raise Killed

        return request


@define
class Case:
    """A phase to kill.

    Args:
        make: Returns the function of a process.
        given: Its arguments.
        requests: How many it sends when nothing happens.
    """

    make: Callable[[Any, FakeClock], Function[Any]]
    given: dict[str, Any]
    requests: int


def kube_ops(client: Any, clock: FakeClock) -> KubeOps:
    return KubeOps(client, clock)


def scale_workload(client: Any, clock: FakeClock) -> ScaleWorkload:
    return ScaleWorkload(client, clock=clock)


CASES: Final = {
    "create": Case(kube_ops, {"operation": "create", "namespace": "app", "spec": SPEC}, 2),
    "patch": Case(
        kube_ops,
        {"operation": "patch", "objectReference": REFERENCE, "spec": "data: {key: value}"},
        3,
    ),
    "delete": Case(kube_ops, {"operation": "delete", "objectReference": REFERENCE}, 4),
    "scale": Case(
        scale_workload,
        {"namespace": "app", "name": "db", "kind": "StatefulSet", "replicas": 0},
        4,
    ),
}
KILLS: Final = [
    pytest.param(name, number, reaches, id=f"{name}, request {number}, sent: {reaches}")
    for name, case in CASES.items()
    for number in range(case.requests)
    for reaches in (False, True)
]


def server() -> PhaseClient:
    kind = {"name": "configmaps", "kind": "ConfigMap", "namespaced": True}
    made = PhaseClient(served={("", "v1"): [kind]})
    made.put(CONFIG_MAPS, {"metadata": {"namespace": "app", "name": "there"}, "data": {}})
    made.put(STATEFUL_SETS, workload(STATEFUL_SETS))
    return made


def run(case: Case, client: KilledAt) -> Complete | Failed:
    """Run a phase; where its process is killed, another one goes on with what is stored."""
    clock = FakeClock()
    phase = Phase(case.make(client, clock), clock, case.given, phase_run(clock))
    try:
        return phase.finish()
    except Killed:
        phase.function = case.make(client, clock)
        return phase.finish()


def state(client: PhaseClient) -> dict[str, Any]:
    """Return what there is, without what differs from run to run."""
    (scaled,) = client.store(STATEFUL_SETS).list()
    maps = client.store(CONFIG_MAPS).list()
    return {"maps": {one["metadata"]["name"]: one.get("data") for one in maps}, **scaled["spec"]}


@pytest.mark.parametrize("name", CASES)
def test_undisturbed_it_sends_as_many_requests_as_are_killed_below(name: str) -> None:
    client = KilledAt(server())

    assert isinstance(run(CASES[name], client), Complete)
    assert client.count == CASES[name].requests


@pytest.mark.parametrize(("name", "number", "reaches"), KILLS)
def test_the_next_process_brings_it_to_the_same_end(
    name: str, number: int, *, reaches: bool
) -> None:
    undisturbed, killed = KilledAt(server()), KilledAt(server(), number, reaches)
    expected = run(CASES[name], undisturbed)

    step = run(CASES[name], killed)

    if step != expected:
        # What is not there may have been there: this operation alone cannot tell.
        assert name == "create"
        assert isinstance(step, Failed)
        assert step.message.startswith("outcome unknown: ")
        assert state(killed.client) == state(server())
        return
    assert state(killed.client) == state(undisturbed.client)
    writes = [one.verb for one in killed.client.actions if one.verb not in ("get", "list")]
    # To set the same scale again changes nothing.
    assert len(writes) == (2 if name == "scale" and (number, reaches) == (1, True) else 1)
