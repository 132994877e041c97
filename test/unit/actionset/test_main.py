"""The program `actionset-controller`: its flags, and where it refuses to run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from controller.errors import Forbidden, TransportError
from controller.rest.client import Client
from controller.rest.cutoff import STOP_GRACE_SECONDS
from controller.stop import Stop
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER, FakeClock, InstantClock
from reconcilers.actionset.guard import LOOK_SECONDS, Guard, KanisterRuns
from reconcilers.actionset.kanister import operators
from reconcilers.actionset.options import parse_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict

    from controller.clock import Deadline
    from controller.resource import Object


def deployment(name: str = "kanister", **spec: Any) -> Object:
    """Return a Deployment with a container and nothing of Kanister."""
    labels = {"matchLabels": {"app": "web"}}
    template = {"spec": {"containers": [{"name": "web"}]}}
    return {"metadata": {"name": name}, "spec": {"selector": labels, "template": template, **spec}}


SELECTED = {"selector": {"matchLabels": {"app": "kanister-operator"}}}
CONTAINER = {"name": "x", "env": [{"name": "CREATEORUPDATE_CRDS", "value": "false"}]}
VARIABLE = {"template": {"spec": {"containers": [CONTAINER]}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, [], id="another Deployment"),
        pytest.param(SELECTED, ["kanister"], id="by the selector of the chart"),
        pytest.param(VARIABLE, ["kanister"], id="by its variable, whatever it is called"),
        pytest.param({**SELECTED, "replicas": 0}, [], id="one that was scaled to 0 is no danger"),
    ],
)
def test_which_deployment_is_a_kanister_operator(spec: Any, expected: list[str]) -> None:
    assert operators([deployment(**spec)]) == expected


@define
class FakeClient:
    """Answers a list of Deployments."""

    answers: list[Any]

    def list(self, _resource: Any, _namespace: str, *, deadline: Deadline) -> Any:
        deadline.check()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"items": answer}


def check(*answers: Any) -> FakeClient:
    client = FakeClient(list(answers))
    Guard(client, "kanister", InstantClock()).wait_clear(Stop())  # type: ignore[arg-type]
    return client


def test_in_the_namespace_of_a_kanister_operator_it_refuses_by_its_name() -> None:
    with pytest.raises(KanisterRuns) as refused:
        check([deployment(), deployment("k10", **SELECTED)])

    assert str(refused.value) == (
        "Deployment k10 in namespace kanister is a Kanister operator, which runs the ActionSets"
        " there; serve another namespace (--namespace), or scale it to 0"
    )


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([[deployment()]], id="no operator"),
        pytest.param(
            [TransportError("refused"), [deployment()]], id="it asks until there is an answer"
        ),
        pytest.param([Forbidden(403, "Forbidden", "no")], id="without the right it cannot tell"),
    ],
)
def test_elsewhere_it_runs(answers: list[Any]) -> None:
    assert check(*answers).answers == []


def test_an_operator_that_is_installed_later_ends_it_whatever_was_answered_before() -> None:
    answers = [[deployment()], TransportError("away"), [deployment("k10", **SELECTED)], []]
    client, clock = FakeClient(answers), InstantClock()

    with pytest.raises(KanisterRuns, match="Deployment k10 in namespace kanister"):
        Guard(client, "kanister", clock).run(Stop())  # type: ignore[arg-type]

    assert client.answers == [[]]
    assert clock.monotonic() == 3 * LOOK_SECONDS


def test_it_looks_no_more_once_it_is_to_stop() -> None:
    stop = Stop()
    stop.set()

    Guard(FakeClient([]), "kanister", InstantClock()).run(stop)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "before"),
    [
        pytest.param(Guard.wait_clear, 0.0, id="before anything runs"),
        pytest.param(Guard.run, LOOK_SECONDS, id="beside the controllers"),
    ],
)
def test_a_stop_cuts_a_request_that_hangs(
    method: Callable[[Guard, Stop], None], before: float, logged: list[EventDict]
) -> None:
    clock, stop = FakeClock(), Stop()
    with FakeApiServer() as server, ThreadPoolExecutor(1) as pool:
        client = Client(server.transport(clock=clock), field_manager="test")
        looking = pool.submit(method, Guard(client, "kanister", clock), stop)
        clock.step_until(lambda: bool(server.requests), before or 1.0)
        clock.block_until_waiters(1)
        stop.set()
        clock.step(STOP_GRACE_SECONDS)

        looking.result(STUCK_AFTER)

    assert logged == []


def test_flags_have_variables_of_their_own() -> None:
    options = parse_options(
        [], {"ASC_WORKERS": "3", "RSC_WORKERS": "4", "ASC_SERVICE_ACCOUNT": "a"}
    )

    assert (options.workers, options.service_account, options.pod_override) == (
        3,
        "a",
        "restricted",
    )
    assert options.lease_terms("ns").full_name == "ns/actionset-controller"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pod-override=all"], "argument --pod-override: 'all' is not one of"),
        (["--functions-image=A B"], "argument --functions-image: 'A B' is not a valid name"),
        (["--leader-election-renew-deadline=20"], "leader election:"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(arguments, {})

    lines = capsys.readouterr().err.splitlines()
    assert (ended.value.code, len(lines)) == (2, 1)
    assert lines[0].startswith(f"actionset-controller: {message}")
