"""What the pod of a phase is called, and how it is known again."""

from __future__ import annotations

import re
from typing import Any

import pytest

from controller.reconcile import Request
from fakes.phases import ACTION_SET, REQUEST, made, phase_run
from reconcilers.actionset.phases import cache, names

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def test_the_name_is_always_the_same_for_the_same_phase() -> None:
    assert names.pod_name(phase_run()) == "backup-1-dump-a9d0b50daa"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"phase": "verify"}, id="another phase"),
        pytest.param({"deferred": True}, id="the deferPhase of that name"),
        pytest.param({"index": 1}, id="the same phase of another action"),
        pytest.param(
            {"action_set": {"metadata": {**ACTION_SET["metadata"], "uid": "other"}}},
            id="an ActionSet of that name that came later",
        ),
    ],
)
def test_no_other_phase_has_it(changes: dict[str, Any]) -> None:
    assert names.pod_name(phase_run(**changes)) != names.pod_name(phase_run())


def test_attempts_and_parts_have_names_of_their_own() -> None:
    run = phase_run()

    parts = [names.pod_name(run, attempt=n, part=part) for n in (0, 1) for part in ("", "db-0")]

    assert len(set(parts)) == 4
    assert {names.selector(run)} == {names.selector(phase_run(memo={"attempt": 1}))}


@pytest.mark.parametrize(
    ("action_set", "phase"),
    [
        pytest.param("a" * 253, "p", id="a long ActionSet"),
        pytest.param("b.c", "p" * 300, id="a long phase"),
        pytest.param("a", "Dump_All.tables!", id="characters that no pod may have"),
        pytest.param("a", "übung", id="letters that no pod may have"),
        pytest.param("a", "", id="no name"),
        pytest.param("a-" * 26, "-", id="a hyphen at the cut"),
    ],
)
def test_a_name_is_a_host_name(action_set: str, phase: str) -> None:
    run = phase_run(request=Request("kanister", action_set), phase=phase)

    assert LABEL.fullmatch(names.pod_name(run))


def test_a_pod_is_known_by_its_labels() -> None:
    pod = made()

    assert names.belongs_to(pod, phase_run())
    assert not names.belongs_to(pod, phase_run(phase="verify"))
    assert not names.belongs_to({"metadata": {}}, phase_run())


def test_a_pod_says_which_containers_are_the_phase() -> None:
    assert names.containers_of(made(containers=("output", "background"))) == (
        "output",
        "background",
    )


def test_without_its_annotation_the_first_container_is() -> None:
    pod = made()
    pod["metadata"]["annotations"] = None

    assert names.containers_of(pod) == ("container",)


def test_a_pod_wakes_its_actionset() -> None:
    assert list(cache.requests_of(made())) == [REQUEST]
    assert list(cache.requests_of({"metadata": {}})) == []


def test_pods_are_found_by_their_actionset() -> None:
    index = cache.INDEXERS[cache.INDEX_ACTION_SET]

    assert index(made()) == ["kanister/backup-1"]
    assert index({"metadata": {"annotations": None}}) == []


def test_the_informer_selects_our_pods() -> None:
    assert cache.SELECTION.selects(made())
    assert not cache.SELECTION.selects({"metadata": {"name": "other", "labels": {}}})


def test_the_cache_keeps_no_command_and_no_variable() -> None:
    """A rendered one may hold a password."""
    pod = made(phase="Running")
    resources = {"limits": {"memory": "1Gi"}}
    pod["spec"] = {
        "nodeName": "node-a",
        "volumes": [{"name": "v"}],
        "containers": [
            {"name": "container", "command": ["x"], "env": [{}], "resources": resources}
        ],
    }
    pod["metadata"]["managedFields"] = [{}]

    trimmed = cache.trimmed(pod)

    assert trimmed["spec"] == {
        "nodeName": "node-a",
        "containers": [{"name": "container", "resources": resources}],
    }
    assert "managedFields" not in trimmed["metadata"]
    assert trimmed["status"] == {"phase": "Running"}
