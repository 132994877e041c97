"""What of an ActionSet's spec is taken, and what is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.actionsets import NAMESPACE, action, action_set
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.parse import parse
from reconcilers.errors import InvalidInput

NAMED = {"name": "x"}
HERE = ObjectReference("x", NAMESPACE)


def test_every_field_is_read() -> None:
    spec = action(
        artifacts={"dump": {"keyValue": {"path": "p"}}},
        configMaps={"settings": {"name": "c", "namespace": "app"}},
        secrets={"login": {"name": "s", "namespace": "app"}},
        profile={"name": "p", "namespace": "app"},
        repositoryServer={"name": "r", "namespace": "app"},
        options={"o": "1"},
        podOverride={"nodeName": "n"},
        podLabels={"l": "1"},
        podAnnotations={"a": "1"},
        preferredVersion="v1.0.0-alpha",
    )

    assert parse(action_set(spec)) == (
        Action(
            index=0,
            name="backup",
            blueprint="db",
            object=ObjectReference("db", "app", "StatefulSet"),
            artifacts={"dump": {"keyValue": {"path": "p"}}},
            config_maps={"settings": ObjectReference("c", "app")},
            secrets={"login": ObjectReference("s", "app")},
            profile=ObjectReference("p", "app"),
            repository_server=ObjectReference("r", "app"),
            options={"o": "1"},
            pod_override={"nodeName": "n"},
            pod_labels={"l": "1"},
            pod_annotations={"a": "1"},
            preferred_version="v1.0.0-alpha",
        ),
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param(
            {"kind": "Deployment", "name": "x"},
            ObjectReference("x", NAMESPACE, "Deployment"),
            id="a workload without a namespace is in that of the ActionSet",
        ),
        pytest.param(
            {"kind": "namespace", "name": "app"},
            ObjectReference("app", "app", "namespace"),
            id="a namespace is in itself",
        ),
        pytest.param(
            {"kind": "pvc", "name": "x", "namespace": "app"},
            ObjectReference("x", "app", "pvc"),
            id="a claim goes by Kanister's short name",
        ),
        pytest.param(
            {"apiVersion": "v1", "resource": "nodes", "name": "x"},
            ObjectReference("x", "", "", "v1", "", "nodes"),
            id="one that is named by its resource may be cluster-scoped",
        ),
    ],
)
def test_targets(target: dict[str, Any], expected: ObjectReference) -> None:
    (parsed,) = parse(action_set(action(object=target)))

    assert parsed.object == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"repositoryServer": NAMED}, HERE, id="by the field"),
        pytest.param(
            {"options": {"repositoryServer": "app/x"}},
            ObjectReference("x", "app"),
            id="by the option, where a schema prunes the field",
        ),
        pytest.param(
            {"options": {"repositoryServer": "x"}},
            HERE,
            id="by the option, in the ActionSet's namespace",
        ),
        pytest.param(
            {"repositoryServer": NAMED, "options": {"repositoryServer": "app/y"}},
            HERE,
            id="the field counts more",
        ),
        pytest.param({}, None, id="none"),
    ],
)
def test_the_repository_server(fields: dict[str, Any], expected: ObjectReference | None) -> None:
    (parsed,) = parse(action_set(action(**fields)))

    assert parsed.repository_server == expected


FIRST = "spec.actions[0]"
SAY = "say what the action is about, as kind, name and namespace"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(None, "spec.actions is empty; name at least one action", id="no spec"),
        pytest.param(
            {"actions": []}, "spec.actions is empty; name at least one action", id="no action"
        ),
        pytest.param(
            {"actions": [None]},
            f"{FIRST}.name is empty; name an action of the Blueprint",
            id="an action that is null",
        ),
        pytest.param(
            {"actions": [action(blueprint="")]},
            f"{FIRST}.blueprint is empty; name a Blueprint in the namespace of the ActionSet",
            id="no Blueprint",
        ),
        pytest.param(
            {"actions": [action(object={})]},
            f"{FIRST}.object.kind is empty; {SAY}",
            id="no target",
        ),
        pytest.param(
            {"actions": [action(object={"kind": "Pvc"})]},
            f"{FIRST}.object.name is empty; {SAY}",
            id="a target without a name",
        ),
        pytest.param(
            {"actions": [action(object={"kind": "Pod", "name": "x"})]},
            f"{FIRST}.object.kind Pod needs apiVersion (without the group) and resource (the"
            " plural) beside it; only deployment, deploymentconfig, namespace, pvc, statefulset do"
            " without",
            id="another kind without its resource",
        ),
        pytest.param(
            {"actions": [action(object={"kind": "PersistentVolumeClaim", "name": "x"})]},
            f"{FIRST}.object.kind PersistentVolumeClaim must be written as pvc, or have apiVersion"
            " v1 and resource persistentvolumeclaims beside it",
            id="a claim by its kind",
        ),
        pytest.param(
            {"actions": [action(secrets={"login": {}})]},
            f"{FIRST}.secrets.login.name is empty; name the Secret",
            id="a Secret without a name",
        ),
        pytest.param(
            {"actions": [action(profile={"namespace": "x"})]},
            f"{FIRST}.profile.name is empty; name the Profile",
            id="a Profile without a name",
        ),
        pytest.param(
            {"actions": [action(options={"repositoryServer": "a/b/c"})]},
            f"{FIRST}.options.repositoryServer is not of the form namespace/name",
            id="an option that is no name",
        ),
    ],
)
def test_what_cannot_run_is_refused_by_field_and_fix(spec: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse({**action_set(), "spec": spec})

    assert refused.value.message == message
