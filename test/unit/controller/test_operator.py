"""An operator: its groups, namespaces, own writes and fences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import controller.operator as subject
from controller.cache.shared import Selection
from controller.errors import NotLeading
from controller.events import EVENTS, EventRecorder
from controller.leaderelection.lease import LeaseTerms
from controller.manager import Manager
from controller.operator import Operator
from controller.reconcile import Request, Result
from controller.resource import Resource
from fakes import apiserver
from fakes.apiserver import FakeApiServer, pod
from fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.clock import Deadline
    from controller.manager import Group, Runnable
    from controller.rest.client import Client

PODS = Resource("", "v1", "pods", "Pod")
LEASE = LeaseTerms("ns", "lease")


class Nothing:
    """A reconciler that has nothing to do."""

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        del request, deadline
        return Result()


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        yield made


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The parts that run with the operator: their group by their name."""
    added: dict[str, str] = {}
    add = Manager.add

    def record(manager: Manager, runnable: Runnable, group: Group) -> None:
        added[runnable.name] = group.value
        add(manager, runnable, group)

    monkeypatch.setattr(Manager, "add", record)
    monkeypatch.setattr(Manager, "run", lambda _manager, _stop: None)
    return added


def operator(server: FakeApiServer, **options: Any) -> Operator:
    return Operator(server.api_client(), "greeter", clock=FakeClock(), **options)


def test_all_parts_run_in_their_groups(server: FakeApiServer, parts: dict[str, str]) -> None:
    made = operator(server, namespaces=["a", "b"], lease=LEASE)
    builder = made.controller("greeting").for_(PODS)
    builder.complete(Nothing())
    assert builder.commands is builder.commands

    made.run(None)  # type: ignore[arg-type]  # nothing runs

    assert parts == {
        "events": "recorders",
        "health probes": "servers",
        "metrics": "servers",
        "informer of pods/a": "caches",
        "informer of pods/b": "caches",
        "leader election": "election",
        "informer of leases.coordination.k8s.io": "election",
        "controller greeting": "controllers",
        "commands of greeting": "controllers",
    }


def test_a_namespace_comes_and_goes_with_its_informers(
    server: FakeApiServer, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(Manager, "remove", lambda _manager, part: removed.append(part.name))
    made = operator(server, namespaces=["a"])
    made.informer(PODS)
    made.run(None)  # type: ignore[arg-type]  # nothing runs

    made.add_namespace("b")
    made.remove_namespace("b")

    assert parts["informer of pods/b"] == "caches"
    assert removed == ["informer of pods/b"]


def test_a_namespace_that_comes_before_the_start_runs_as_the_others_do(
    server: FakeApiServer, parts: dict[str, str]
) -> None:
    made = operator(server, namespaces=["a", "c"])
    made.informer(PODS)

    made.add_namespace("b")
    made.remove_namespace("c")
    made.run(None)  # type: ignore[arg-type]  # nothing runs

    caches = [name for name, group in parts.items() if group == "caches"]
    assert caches == ["informer of pods/a", "informer of pods/b"]


def test_an_informer_follows_namespaces_of_its_own_before_the_start_and_later(
    server: FakeApiServer, parts: dict[str, str]
) -> None:
    made = operator(server, namespaces=["a"])
    pods = made.informer(PODS, own_namespaces=True)

    made.follow(pods, "early")
    made.run(None)  # type: ignore[arg-type]  # nothing runs
    before = [name for name, group in parts.items() if group == "caches"]
    made.follow(pods, "late")
    made.follow(pods, "late")

    assert before == ["informer of pods/early"]
    caches = [name for name, group in parts.items() if group == "caches"]
    assert caches == ["informer of pods/early", "informer of pods/late"]


def test_what_the_client_writes_is_in_the_caches_at_once(server: FakeApiServer) -> None:
    made = operator(server, namespaces=["ns"])
    everything = made.informer(PODS)
    labelled = made.informer(PODS, Selection(labels="app=x"), name="pods of x")
    server.expect(apiserver.ok(pod("a", 7)))

    made.client.create(PODS, "ns", pod("a", 0))

    assert everything.get("ns", "a") == pod("a", 7)
    assert labelled.get("ns", "a") is None


def refuses(fence: Callable[[], None]) -> bool:
    try:
        fence()
    except NotLeading:
        return True
    return False


class TestFence:
    @pytest.fixture
    def fenced(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bool]]:
        """Who is made with a fence that is closed: nobody leads yet."""
        made: dict[str, list[bool]] = {}
        for name in ("Client", "Executor"):
            original = getattr(subject, name)

            def record(
                *arguments: Any, name: str = name, original: Any = original, **options: Any
            ) -> Any:
                fence = options.get("fence")
                made.setdefault(name, []).append(fence is not None and refuses(fence))
                return original(*arguments, **options)

            monkeypatch.setattr(subject, name, record)
        return made

    @pytest.mark.parametrize(
        ("lease", "expected"),
        [
            pytest.param(None, {"Client": [False, False], "Executor": [False]}, id="no lease"),
            pytest.param(
                LEASE,
                {"Client": [False, True], "Executor": [True]},
                id="all that writes but the elector and the events",
            ),
        ],
    )
    def test_who_is_fenced(
        self,
        server: FakeApiServer,
        fenced: dict[str, list[bool]],
        lease: LeaseTerms | None,
        expected: dict[str, list[bool]],
    ) -> None:
        operator(server, lease=lease)

        assert fenced == expected

    def test_an_event_about_the_end_of_leading_is_sent_though_the_fence_is_closed(
        self, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delivering: list[Client] = []

        def record(client: Client, **options: Any) -> EventRecorder:
            delivering.append(client)
            return EventRecorder(client, **options)

        monkeypatch.setattr(subject, "EventRecorder", record)
        operator(server, lease=LEASE)
        server.expect(apiserver.ok({}))

        delivering[0].create(EVENTS, "kanister", {})

        assert len(server.requests) == 1
