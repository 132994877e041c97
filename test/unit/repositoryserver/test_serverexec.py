"""What becomes of a command in a server's pod: each way in which it can end."""

from __future__ import annotations

import pytest

from controller.clock import DeadlineExceeded
from controller.errors import ClientError, Forbidden, NotFound, NotLeading, Stopped, TransportError
from controller.rest.podexec import ExecResult
from fakes import contexts, objects
from fakes.clock import FakeClock
from fakes.commands import Pool
from reconcilers.repositoryserver.perobject import States
from reconcilers.repositoryserver.serverexec import (
    COMMAND_SECONDS,
    UNANSWERED,
    ServerCommands,
    Unanswered,
    Unreachable,
)

POD = objects.pod(objects.serving())


class Asking:
    """A reconciler that asks for a command in a pod, again and again."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.current = contexts.begin(FakeClock())
        self.commands = ServerCommands(self.pool.commands, states=States())

    def ask(self, kind: str = "load_users", *, since: float = 0.0) -> ExecResult | None:
        return self.commands.ensure(
            self.current, POD, kind, ("kopia", "x"), stdin=b"lines", since=since
        )


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_it_runs_in_the_servers_container_and_its_result_is_for_the_reconciler(
    asking: Asking,
) -> None:
    asking.pool.executor.outcome = ExecResult(3, b"out", b"err")
    assert asking.ask() is None

    asking.pool.go_on()

    assert asking.pool.woken == [asking.current.request]
    assert asking.ask() == ExecResult(3, b"out", b"err")
    assert asking.pool.executor.calls == [
        {
            "container": (objects.NAMESPACE, objects.POD, "repo-server-container"),
            "argv": ("timeout", "-k", "1", "31", "kopia", "x"),
            "stdin": b"lines",
            "seconds": COMMAND_SECONDS,
        }
    ]


@pytest.mark.parametrize(
    ("kind", "since", "same"),
    [
        pytest.param("load_users", 0.0, True, id="it is the same command"),
        pytest.param("refresh", 0.0, False, id="another kind has nothing to do with it"),
        pytest.param("load_users", 7.0, False, id="what ran before it was asked for is not meant"),
    ],
)
def test_a_result_is_for_the_one_who_asked(
    asking: Asking, kind: str, since: float, *, same: bool
) -> None:
    asking.ask()
    asking.pool.go_on()

    assert (asking.ask(kind, since=since) is not None) is same


@pytest.mark.parametrize(
    ("error", "told", "message"),
    [
        pytest.param(
            DeadlineExceeded("EXEC ns/pod: the deadline has passed"),
            Unanswered,
            UNANSWERED,
            id="its time is over",
        ),
        pytest.param(
            NotFound(404, "NotFound", "pods files not found"),
            Unreachable,
            "pods files not found (404 NotFound)",
            id="the pod is gone",
        ),
        pytest.param(
            Forbidden(403, "Forbidden", "no exec"),
            Unreachable,
            "no exec (403 Forbidden)",
            id="it is not allowed",
        ),
        pytest.param(
            TransportError("connection reset"),
            Unreachable,
            "connection reset",
            id="the API server is away",
        ),
        pytest.param(
            NotLeading("another one leads"), NotLeading, "another one leads", id="it leads no more"
        ),
        pytest.param(Stopped("cut"), Stopped, "cut", id="the process ends"),
    ],
)
def test_one_that_has_not_come_to_its_end_says_why(
    asking: Asking, error: ClientError, told: type[Exception], message: str
) -> None:
    asking.pool.executor.outcome = error
    asking.ask()
    asking.pool.go_on()

    with pytest.raises(told) as raised:
        asking.ask()

    assert type(raised.value) is told
    assert str(raised.value) == message


def test_nothing_is_left_of_a_server_that_is_gone(asking: Asking) -> None:
    asking.ask()

    asking.commands.drop(asking.current.request)

    asking.pool.go_on()
    assert asking.pool.executor.ran == []
    assert asking.pool.woken == []


def test_what_a_command_is_for_is_one_of_the_words_that_metrics_have(asking: Asking) -> None:
    asking.ask("refresh")
    asking.pool.go_on()

    count = asking.pool.sample("pod_command_duration_seconds_count", kind="refresh", pool="short")
    assert count == 1
