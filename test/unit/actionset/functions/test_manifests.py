"""The argument `spec` of KubeOps."""

from __future__ import annotations

import pytest

from fakes.clock import FakeClock
from fakes.phaseruns import UID, phase_run
from reconcilers.actionset.functions import manifests
from reconcilers.errors import InvalidInput

RUN = phase_run(FakeClock())
MARK = f"{UID}/0/step/1"

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: made
data:
  key: value
"""
GENERATED = CONFIG_MAP.replace("name: made", "generateName: backup-session-")


def objects(spec: str, namespace: str = "app") -> tuple[manifests.Manifest, ...]:
    return manifests.objects(RUN, spec, namespace=namespace)


def test_an_object_is_marked_with_its_phase() -> None:
    (made,) = objects(CONFIG_MAP)

    assert (made.api_version, made.kind, made.name, made.namespace) == (
        "v1",
        "ConfigMap",
        "made",
        "app",
    )
    assert made.body == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "made",
            "namespace": "app",
            "annotations": {"actionset.cr.kanister.io/phase": MARK},
        },
        "data": {"key": "value"},
    }
    assert manifests.is_marked(made.body, MARK)


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        pytest.param(f"---\n{CONFIG_MAP}---\n", ["made"], id="empty documents are none"),
        pytest.param(
            f"{CONFIG_MAP}---\n{CONFIG_MAP.replace('made', 'other')}", ["made", "other"], id="two"
        ),
        pytest.param(
            "kind: List\nitems: [{apiVersion: v1, kind: Pod, metadata: {name: a}},"
            " {kind: PodList, items: [{apiVersion: v1, kind: Pod, metadata: {name: b}}]}]",
            ["a", "b"],
            id="lists are taken apart",
        ),
        pytest.param(
            '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}', ["a"], id="JSON"
        ),
    ],
)
def test_there_may_be_several(spec: str, names: list[str]) -> None:
    assert [one.name for one in objects(spec)] == names


def test_a_generated_name_is_the_same_for_each_try() -> None:
    """The second request of a phase then finds what the first one has made."""
    (first,), (again,) = objects(GENERATED), objects(GENERATED)
    two = objects(f"{GENERATED}---\n{GENERATED}")

    assert first.name == again.name
    assert first.name.startswith("backup-session-")
    assert len(first.name) == len("backup-session-") + 5
    assert "generateName" not in first.body["metadata"]
    assert two[0].name != two[1].name


def test_a_generated_name_is_no_longer_than_the_api_server_makes_it() -> None:
    (made,) = objects(GENERATED.replace("backup-session-", "x" * 100))

    assert len(made.name) == 63


@pytest.mark.parametrize(
    ("written", "value"),
    [
        pytest.param("2026-01-01", "2026-01-01", id="a date is a text"),
        pytest.param("12:30:45", "12:30:45", id="so is a time, no number to the base of 60"),
        pytest.param("0644", 420, id="an octal number"),
        pytest.param("0x1f", 31, id="a hexadecimal one"),
        pytest.param("1.5", 1.5, id="a fraction"),
        pytest.param("1e3", 1000.0, id="an exponent without a point"),
        pytest.param("-7", -7, id="below 0"),
        pytest.param("1.2.3", "1.2.3", id="a version"),
        pytest.param("1_000", 1000, id="with a separator"),
        pytest.param("yes", True, id="as YAML 1.1 has it"),
        pytest.param("~", None, id="null"),
        pytest.param("10Gi", "10Gi", id="a quantity"),
        pytest.param('"5"', "5", id="in quotes"),
    ],
)
def test_scalars_are_those_of_kubernetes(written: str, value: object) -> None:
    assert manifests.patch(f"spec: {{key: {written}}}") == {"spec": {"key": value}}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            "kind: [hunter2\nb",
            "argument spec is no YAML: line 2, column 2; correct it",
            id="no YAML",
        ),
        pytest.param(
            "a: &x 1\nb: *x",
            "argument spec has an alias in line 2; write its value in its place",
            id="an alias may be very large",
        ),
        pytest.param(
            "[" * 10_000, "argument spec is nested too deep, or no YAML; correct it", id="deep"
        ),
        pytest.param(
            "9" * 10_000, "argument spec is nested too deep, or no YAML; correct it", id="a number"
        ),
        pytest.param(
            "!!python/object/apply:os.system [hunter2]",
            "argument spec is no YAML: line 1, column 1; correct it",
            id="a tag of Python",
        ),
        pytest.param(
            "# nothing",
            "argument spec has no object; write one with apiVersion, kind and metadata",
            id="nothing",
        ),
        pytest.param(
            "hunter2", "object 1 of argument spec is no map; correct it", id="a text alone"
        ),
        pytest.param(
            CONFIG_MAP + "---\nmetadata: {name: x}",
            "object 2 of argument spec lacks apiVersion, or it is no text; set it",
            id="the second lacks something",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod",
            "object 1 of argument spec lacks metadata.name, or it is no text; set it",
            id="no name",
        ),
        pytest.param(
            CONFIG_MAP.replace("name: made", "name: [hunter2]"),
            "object 1 of argument spec lacks metadata.name, or it is no text; set it",
            id="a name that is a list",
        ),
        pytest.param(
            CONFIG_MAP.replace("name: made", "name: made\n  annotations: hunter2"),
            "object 1 of argument spec has metadata that is no map; correct it",
            id="annotations that are a text",
        ),
        pytest.param(
            CONFIG_MAP.replace("name: made", "name: ../secrets"),
            "object 1 of argument spec: metadata.name is no name that an object can have; check"
            " what its template renders",
            id="a path",
        ),
        pytest.param(
            CONFIG_MAP.replace("name: made", "name: made\n  namespace: kube-system"),
            "object 1 of argument spec: metadata.namespace is kube-system: a phase acts only in the"
            " namespace of the action's object, app, and in that of the ActionSet, kanister; use"
            " one of them",
            id="somewhere else",
        ),
    ],
)
def test_what_is_no_object_is_refused_without_its_values(spec: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        objects(spec)

    assert refused.value.message == message


def test_the_namespace_beside_the_spec_is_named_as_such() -> None:
    """Kanister creates in `default` what names no namespace."""
    with pytest.raises(InvalidInput, match=r"^argument namespace is default: a phase acts only"):
        objects(CONFIG_MAP, "default")


def test_a_patch_is_one_document() -> None:
    with pytest.raises(InvalidInput, match="argument spec has no object"):
        manifests.patch("a: 1\n---\nb: 2")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({}, {"metadata": {"annotations": {}}}, id="without metadata"),
        pytest.param({"metadata": None}, {"metadata": {"annotations": {}}}, id="with none"),
        pytest.param(
            {"metadata": {"annotations": {"a": "b"}, "labels": {}}},
            {"metadata": {"annotations": {"a": "b"}, "labels": {}}},
            id="what is there stays",
        ),
    ],
)
def test_a_mark_is_added(body: dict[str, object], expected: dict[str, object]) -> None:
    made = manifests.marked(body, MARK)

    assert made["metadata"]["annotations"].pop(manifests.ANNOTATION_PHASE) == MARK
    assert made == expected
