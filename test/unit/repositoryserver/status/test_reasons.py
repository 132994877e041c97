"""The table of the conditions: it is whole, the status follows it, and so do those who read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from lupa import LuaRuntime  # type: ignore[import-untyped]

from controller.conditions import get_condition, is_true
from fakes import kstatus, objects
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import reasons
from reconcilers.repositoryserver.status.conditions import Outcome, desired_status
from reconcilers.repositoryserver.status.reasons import Kind
from reconcilers.repositoryserver.verdict import SERVER_SETUP, Problem, Waiting

if TYPE_CHECKING:
    from controller.resource import Object

ROOT = Path(__file__).parents[4]
HEALTH = ROOT / "manifests" / "gitops" / "health.lua"
GENERATION = 3

# Reasons of conditions other than Ready.
OF_OTHERS = {
    status.REASON_PENDING,
    status.REASON_SERVING,
    status.REASON_EXPIRING,
    status.REASON_EXPIRED,
    status.REASON_RENEWED,
    status.REASON_SHARED,
    status.REASON_NOT_SHARED,
    status.REASON_NO_USERS,
    status.REASON_USERS_NAMED,
    status.REASON_PASSWORD_SHORT,
    status.REASON_PASSWORDS_LONG,
    status.REASON_IN_REPOSITORY,
    status.REASON_NOT_IN_REPOSITORY,
    status.REASON_UNMAINTAINED,
    status.REASON_MAINTAINED,
    status.REASON_UNPUBLISHED,
    status.REASON_PUBLISHED,
}

ROWS = [
    pytest.param(reason, available, id=f"{reason}, {'a pod' if available else 'no pod'} serves")
    for reason, kind in reasons.REASONS.items()
    for available in (False, True)
    if available or kind is not Kind.READY
]


def resource(reason: str, *, available: bool) -> Object:
    """Return a RepositoryServer whose condition Ready has a reason."""
    kind = reasons.REASONS[reason]
    found: tuple[Problem | Waiting, ...]
    if kind is Kind.READY:
        found = ()
    elif kind is Kind.WAIT:
        found = (Waiting(SERVER_SETUP, reason, "its words"),)
    else:
        found = (Problem(SERVER_SETUP, reason, "its words"),)
    outcome = Outcome(found, available=available, pod_name="p", service_name="s")
    written = desired_status({}, outcome, generation=GENERATION, now=objects.NOW)
    change = {"metadata": {"generation": GENERATION}, "status": written}
    return objects.repository_server(change)


def argo_cd(obj: Object) -> tuple[str, str]:
    """Return the health that Argo CD gives an object, and its message, by our script.

    It runs the script with the object as the global `obj` and takes the table that it returns
    (argo-cd util/lua, ExecuteHealthLua).
    """
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    lua.globals().obj = lua.table_from(obj, recursive=True)
    health = lua.execute(HEALTH.read_text())
    return health.status, health.message


def test_every_reason_of_the_code_is_in_the_table_and_no_other() -> None:
    found = {
        reason
        for path in ROOT.glob("reconcilers/**/*.py")
        # Those are no conditions: an ActionSet has none.
        if "reconcilers/actionset" not in str(path)
        for reason in re.findall(
            r'^REASON_\w+(?:: Final)? = "(\w+)"', path.read_text(), re.MULTILINE
        )
    }

    assert found - OF_OTHERS == set(reasons.REASONS)


@pytest.mark.parametrize(("reason", "available"), ROWS)
def test_the_status_is_as_the_table_says(reason: str, available: bool) -> None:
    shown = reasons.shown(reasons.REASONS[reason], available=available)

    written = resource(reason, available=available)["status"]

    conditions = written["conditions"]
    assert shown == attrs.evolve(
        shown,
        available=is_true(conditions, "Available"),
        ready=is_true(conditions, "Ready"),
        reconciling=is_true(conditions, "Reconciling"),
        stalled=is_true(conditions, "Stalled"),
        progress=written["progress"],
    )
    for type_, present in (("Reconciling", shown.reconciling), ("Stalled", shown.stalled)):
        assert (get_condition(conditions, type_) is not None) is present
    ready = get_condition(conditions, "Ready")
    assert ready is not None
    assert ready["reason"] == reason


@pytest.mark.parametrize(("reason", "available"), ROWS)
def test_flux_and_argo_cd_make_of_it_what_the_table_says(
    reason: str,
    available: bool,
) -> None:
    shown = reasons.shown(reasons.REASONS[reason], available=available)
    obj = resource(reason, available=available)
    ready = get_condition(obj["status"]["conditions"], "Ready")
    assert ready is not None

    assert kstatus.compute(obj) == shown.kstatus
    assert argo_cd(obj) == (shown.argo, ready["message"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"status": None}, "Waiting for the controller", id="nobody has seen it yet"),
        pytest.param(
            {"status": {"observedGeneration": -1, "conditions": None}},
            "Waiting for the controller",
            id="as the API server stores a new one",
        ),
        pytest.param(
            {"metadata": {"generation": GENERATION + 1}},
            "Waiting for the controller to see the change",
            id="it has been edited",
        ),
        pytest.param(
            {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
            "Being deleted",
            id="it is being deleted",
        ),
        pytest.param(
            {"status": {"observedGeneration": None, "conditions": None}},
            "Waiting for the controller",
            id="the status of the removed controller",
        ),
    ],
)
def test_what_is_not_known_is_in_progress_for_argo_cd(change: Object, message: str) -> None:
    obj = objects.merged(resource(reasons.REASON_READY, available=True), change)

    assert argo_cd(obj) == ("Progressing", message)


@pytest.mark.parametrize("change", [{"status": {"observedGeneration": -1, "conditions": None}}])
def test_a_resource_that_no_controller_has_seen_is_in_progress_for_flux(change: Object) -> None:
    """Without an observed generation kstatus would take it for current."""
    obj = objects.merged(resource(reasons.REASON_READY, available=True), change)

    assert kstatus.compute(obj) == "InProgress"


def test_a_reason_that_nobody_has_classified_is_a_fault_that_lasts() -> None:
    assert reasons.kind_of(Problem(SERVER_SETUP, "Unheard", "of")) is Kind.LASTING
    assert reasons.is_fault("Unheard")
