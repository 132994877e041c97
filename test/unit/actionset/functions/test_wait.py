"""Wait and WaitV2: what they look at, and when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from controller.errors import Forbidden
from fakes.apiclient import Action
from fakes.clock import FakeClock
from fakes.phaseclient import PhaseClient, client_of
from fakes.phaseruns import Phase, phase_run
from fakes.workloads import NAMESPACE, pod
from reconcilers import resources
from reconcilers.actionset import unrendered
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.functions import conditions
from reconcilers.actionset.functions.wait import WAIT, WAIT_V2, Wait
from reconcilers.actionset.templates.errors import TemplateError
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.actionset.templates.renderer import ConditionKind


@define
class Evaluator:
    """Evaluates conditions that are the name of a phase: whether the pod is in it."""

    kinds: set[str] = field(factory=set)
    places: list[str] = field(factory=list)

    def render(self, parameters: Mapping[str, Any], tree: Any, *, place: str) -> Any:
        raise NotImplementedError

    def evaluate_wait(
        self, kind: ConditionKind, condition: str, obj: Mapping[str, Any], *, place: str
    ) -> bool:
        self.kinds.add(kind.value)
        self.places.append(place)
        if condition in ("not yet", "never"):
            raise TemplateError(f"{place}: {condition}", permanent=condition == "never")
        return bool(obj["status"]["phase"] == condition)


def on(name: str, condition: str) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "resource": "pods", "name": name, "namespace": NAMESPACE}
    return {"condition": condition, "objectReference": reference}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client() -> PhaseClient:
    made = PhaseClient()
    made.put(resources.PODS, pod("a", phase="Running"))
    made.put(resources.PODS, pod("b", phase="Pending"))
    return made


def phase(
    client: PhaseClient, clock: FakeClock, given: dict[str, Any], *, timeout: str = "60s"
) -> Phase:
    function = Wait(WAIT, client_of(client), Evaluator(), clock)
    return Phase(function, clock, {"timeout": timeout, "conditions": given}, phase_run(clock))


A, B, C = on("a", "Running"), on("b", "Running"), on("absent", "Running")
ANY, ALL = "conditions.anyOf", "conditions.allOf"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        pytest.param({"anyOf": [A]}, None, id="the only one of any"),
        pytest.param({"anyOf": [B, A]}, None, id="one of any"),
        pytest.param(
            {"anyOf": [C, A]}, None, id="one of any, although the object of another is not there"
        ),
        pytest.param({"allOf": [A]}, None, id="all of one"),
        pytest.param({"anyOf": [B], "allOf": [A]}, None, id="all, if not any"),
        pytest.param({"anyOf": [A], "allOf": [B]}, None, id="any, if not all"),
        pytest.param({"ANYOF": [A]}, None, id="names in other letters, as Kanister reads them"),
        pytest.param({"anyOf": [B]}, f"{ANY}[0]", id="none of any"),
        pytest.param({"allOf": [A, B]}, f"{ALL}[1]", id="not all"),
        pytest.param(
            {"anyOf": [B], "allOf": [C, A]},
            f"{ANY}[0]; {ALL}[0]: its object does not exist",
            id="neither; an object that is not there may come",
        ),
        pytest.param(
            {"anyOf": [on("a", "not yet")]},
            f"{ANY}[0].condition of phase step: not yet",
            id="a field that is not there may come",
        ),
    ],
)
def test_what_is_waited_for(
    client: PhaseClient, clock: FakeClock, given: dict[str, Any], missing: str | None
) -> None:
    step = phase(client, clock, given).advance()

    expected = Complete() if missing is None else Running(waits_for=missing, again_after=0.5)
    assert step == expected


def test_it_looks_again_until_the_condition_is_met(client: PhaseClient, clock: FakeClock) -> None:
    run = phase(client, clock, {"anyOf": [B]})
    assert run.advance() == Running(waits_for=f"{ANY}[0]", again_after=0.5)
    clock.step(20)
    assert run.advance() == Running(waits_for=f"{ANY}[0]", again_after=2.0)

    client.put(resources.PODS, pod("b", phase="Running"))

    assert run.advance() == Complete()
    # Rendered once, although it looks again and again.
    assert run.rendered == 1


def test_another_process_goes_on(client: PhaseClient, clock: FakeClock) -> None:
    run = phase(client, clock, {"anyOf": [B]})
    run.advance()
    client.put(resources.PODS, pod("b", phase="Running"))

    run.function = Wait(WAIT, client_of(client), Evaluator(), clock)

    assert run.advance() == Complete()


def test_an_object_is_read_once_for_all_its_conditions(
    client: PhaseClient, clock: FakeClock
) -> None:
    phase(client, clock, {"allOf": [A, A, B]}).advance()

    assert client.taken() == [Action("get", "pods", "a"), Action("get", "pods", "b")]


def test_it_fails_at_its_timeout_and_not_before(client: PhaseClient, clock: FakeClock) -> None:
    run = phase(client, clock, {"allOf": [B, C]})

    assert run.finish() == Failed(
        "the conditions were not met within 60 s, the argument timeout; not met:"
        f" {ALL}[0]; {ALL}[1]: its object does not exist"
    )
    assert (clock.now() - run.run.started_at).total_seconds() == 60


def test_what_is_met_at_the_last_look_counts(client: PhaseClient, clock: FakeClock) -> None:
    """The process may have been away until long after the timeout."""
    run = phase(client, clock, {"anyOf": [A]})
    clock.step(3600)

    assert run.advance() == Complete()


def test_a_condition_that_can_never_be_met_fails_it_at_once(
    client: PhaseClient, clock: FakeClock
) -> None:
    with pytest.raises(InvalidInput, match=r"conditions.anyOf\[0\].condition of phase step: never"):
        phase(client, clock, {"anyOf": [on("a", "never")]}).advance()


def test_a_missing_right_is_the_engines_to_report(client: PhaseClient, clock: FakeClock) -> None:
    client.failures[Action("get", "pods", "a")] = Forbidden(403, "Forbidden", "no")

    with pytest.raises(Forbidden):
        phase(client, clock, {"anyOf": [A]}).advance()


@pytest.mark.parametrize(
    ("name", "kind"), [pytest.param(WAIT, "jsonpath"), pytest.param(WAIT_V2, "gotemplate")]
)
def test_each_has_conditions_of_its_own_kind(
    client: PhaseClient, clock: FakeClock, name: str, kind: str
) -> None:
    evaluator = Evaluator()
    given = {"timeout": "60s", "conditions": {"anyOf": [A]}}

    run = Phase(Wait(name, client_of(client), evaluator, clock), clock, given, phase_run(clock))

    assert run.advance() == Complete()
    assert (run.function.name, evaluator.kinds) == (name, {kind})


def test_of_the_arguments_the_conditions_alone_are_not_rendered() -> None:
    given = {"timeout": "T", "conditions": {"anyOf": [A], "allOf": [{"Condition": "c"}]}}

    left = unrendered.without(given, conditions.UNRENDERED)

    assert left == {
        "timeout": "T",
        "conditions": {"anyOf": [{"objectReference": A["objectReference"]}], "allOf": [{}]},
    }


def test_a_cancelled_wait_has_nothing_to_end(client: PhaseClient, clock: FakeClock) -> None:
    run = phase(client, clock, {"anyOf": [B]})
    run.advance()

    assert run.function.cancel(run.run) == Failed("cancelled while it waited for its conditions")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"anyOf": []},
            "argument conditions has neither anyOf nor allOf with an entry; add one",
            id="nothing to wait for",
        ),
        pytest.param(
            {"oneOf": [A]},
            "argument conditions has a field that is neither anyOf nor allOf; remove it",
            id="a slip",
        ),
        pytest.param(
            {"anyOf": A},
            "argument conditions.anyOf must be a list of objectReference and condition",
            id="no list",
        ),
        pytest.param(
            {"anyOf": [{**A, "condition": ""}]},
            "argument conditions.anyOf[0].condition is missing or no text; set it to a template",
            id="no condition",
        ),
        pytest.param(
            {"allOf": [A, {"condition": "x"}]},
            "argument conditions.allOf[1].objectReference must be a map with apiVersion, resource,"
            " name, group and namespace",
            id="no reference",
        ),
    ],
)
def test_conditions_that_cannot_be_looked_at_are_refused(
    client: PhaseClient, clock: FakeClock, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        phase(client, clock, given).advance()

    assert refused.value.message == message
    assert client.taken() == []
