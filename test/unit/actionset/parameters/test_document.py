"""The document of the parameters: what stays, how it is stored, and what is put in later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.parameters import document
from reconcilers.errors import InvalidInput

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ACTION = Action(
    0,
    "backup",
    "postgres",
    ObjectReference("db", "shop", "StatefulSet"),
    artifacts={"dump": {"keyValue": {"path": "a"}}},
    options={"image": "x"},
    pod_override={"nodeName": "n"},
    pod_labels={"l": "1"},
    pod_annotations={"a": "2"},
)


@pytest.mark.parametrize(
    ("microseconds", "expected"),
    [
        pytest.param(0, "2026-01-02T03:04:05Z", id="no fraction"),
        pytest.param(120_000, "2026-01-02T03:04:05.12Z", id="no zeros at the end"),
        pytest.param(7, "2026-01-02T03:04:05.000007Z", id="zeros before the first digit"),
    ],
)
def test_the_time_is_written_as_go_writes_it(microseconds: int, expected: str) -> None:
    assert document.rfc3339(TIME + timedelta(microseconds=microseconds)) == expected


def test_the_frozen_part() -> None:
    frozen = document.frozen(ACTION, time=TIME, target={"PVC": {"Name": "data"}}, pods=[{"p": 1}])

    assert frozen == {
        "Time": "2026-01-02T03:04:05Z",
        "PVC": {"Name": "data"},
        "ArtifactsIn": {"dump": {"keyValue": {"path": "a"}}},
        "Options": {"image": "x"},
        "PodOverride": {"nodeName": "n"},
        "PodLabels": {"l": "1"},
        "PodAnnotations": {"a": "2"},
        "workloadPods": [{"p": 1}],
    }


def test_it_is_stored_as_the_same_bytes_in_any_order() -> None:
    one = document.encode({"Time": "t", "Options": {"a": "1", "b": "ü"}}, action="backup")
    other = document.encode({"Options": {"b": "ü", "a": "1"}, "Time": "t"}, action="backup")

    assert one == other
    assert document.decode(one) == {"Time": "t", "Options": {"a": "1", "b": "ü"}}


def test_integers_and_floats_stay_what_they_are() -> None:
    parameters = {"Object": {"count": 3000000, "none": None, "on": True, "share": 1.0}}

    decoded = document.decode(document.encode(parameters, action="backup"))

    assert repr(decoded) == repr(parameters)


def test_one_that_is_too_large_names_the_part_that_makes_it_so() -> None:
    large = {"Object": {"x": "a" * 1000}, "Options": {"x": "password" * document.MAX_BYTES}}

    with pytest.raises(InvalidInput) as raised:
        document.encode(large, action="backup")

    assert raised.value.reason == document.REASON_TOO_LARGE
    assert "Options most of it" in raised.value.message
    assert "password" not in raised.value.message


def test_the_largest_that_fits() -> None:
    overhead = len(document.encode({"Time": ""}, action="backup"))
    text = "a" * (document.MAX_BYTES - overhead)

    assert len(document.encode({"Time": text}, action="backup")) == document.MAX_BYTES
    with pytest.raises(InvalidInput):
        document.encode({"Time": text + "a"}, action="backup")


def test_templates_do_not_see_the_pods_that_are_kept() -> None:
    frozen = {"Time": "t", document.POD_RECORDS: [{}]}

    assert document.for_templates(frozen, {"Secrets": {}}) == {"Time": "t", "Secrets": {}}
    assert document.POD_RECORDS in frozen


def test_outputs_are_put_beside_what_a_phase_has() -> None:
    parameters: dict[str, Any] = {
        "Phases": {"dump": {"Secrets": {"x": {}}}, "verify": {"Secrets": {}}},
        "DeferPhase": {"Secrets": {}},
    }

    completed = document.with_outputs(
        parameters, {"dump": {"path": "a"}, "scale": {"n": 1}, "wait": None}, {"last": "yes"}
    )

    assert completed == {
        "Phases": {
            "dump": {"Secrets": {"x": {}}, "Output": {"path": "a"}},
            "verify": {"Secrets": {}},
            "scale": {"Output": {"n": 1}},
            "wait": {},
        },
        "DeferPhase": {"Secrets": {}, "Output": {"last": "yes"}},
    }
    assert parameters["Phases"]["dump"] == {"Secrets": {"x": {}}}
