"""What the demo makes of the manifests of ActionSets and their sample, and what it reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from clusterlib.errors import ClusterError
from demolib import actionsets, objects
from demolib.actionsets import ActionSets
from demolib.objects import Images
from demolib.postgres import STEPS, Scene
from demolib.target import OwnCluster

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from demolib.kubectl import Kubectl
    from demolib.objects import Object

IMAGES = Images("mine:1", "kopia:1", "digest", "postgres:15")


def documents(folder: Path) -> list[Object]:
    found: list[Object] = []
    for file in sorted(folder.glob("*.yaml")):
        found += yaml.safe_load_all(file.read_text())
    return [one for one in found if "metadata" in one and "name" in one["metadata"]]


def test_the_controller_is_installed_in_the_namespace_with_the_image_of_the_checkout() -> None:
    rendered = [one for folder in actionsets.COMPONENTS for one in documents(folder)]

    made = actionsets.installation(rendered, IMAGES, "kanister")

    (deployment,) = objects.of_kind(made, "Deployment")
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert container["image"] == variables["ASC_FUNCTIONS_IMAGE"] == "mine:1"
    assert template["metadata"]["annotations"][objects.BUILD_ANNOTATION] == "digest"
    namespaces = {one["kind"]: one["metadata"].get("namespace") for one in made}
    assert namespaces.pop("CustomResourceDefinition") is None
    assert set(namespaces.values()) == {"kanister"}


def test_the_sample_has_the_images_of_the_cluster_and_no_schedule() -> None:
    made = actionsets.application(documents(actionsets.SAMPLE), IMAGES)

    assert {one["kind"] for one in made} == {"Namespace", "Service", "StatefulSet", "Blueprint"}
    text = json.dumps(made)
    assert '"postgres:17"' not in text
    assert '"backgroundImage": "postgres:15"' in text
    assert '"outputImage": "mine:1"' in text


def test_an_image_that_the_cluster_pulls_keeps_its_name() -> None:
    images = Images("mine:1", "")

    (made,) = objects.with_names([{"image": "postgres:17"}], objects.names_of(images))

    assert made == {"image": "postgres:17"}


def test_only_images_get_other_names() -> None:
    """The controller is called as its image is."""
    obj = {"metadata": {"name": "repository-server-controller"}, "value": "postgres:17"}

    assert objects.with_names([obj], objects.names_of(IMAGES)) == [obj]


def test_the_claim_is_the_one_that_the_cluster_makes_for_the_pod() -> None:
    made = actionsets.application(documents(actionsets.SAMPLE), IMAGES)

    (claim,) = actionsets.claims(made)

    assert objects.identity(claim) == ("PersistentVolumeClaim", "shop", "data-postgresql-0")
    (workload,) = objects.of_kind(made, "StatefulSet")
    (template,) = workload["spec"]["volumeClaimTemplates"]
    assert objects.is_ours(template)
    assert claim["spec"] == template["spec"]


def test_an_action_set_is_that_of_the_sample() -> None:
    sample = yaml.safe_load((actionsets.SAMPLE / "backup.yaml").read_text())

    made = actionsets.action_set(actionsets.CLAIM_BLUEPRINT, "backup", "kanister")

    (action,) = made["spec"]["actions"]
    assert action.pop("artifacts") == {}
    assert [action] == sample["spec"]["actions"]
    assert made["apiVersion"] == sample["apiVersion"]


def test_an_action_set_that_has_failed_says_why(
    scripted_kubectl: Callable[[str], Kubectl],
) -> None:
    status = {"state": "failed", "error": {"message": "phase copyClaim: no space"}}
    obj = {"kind": "ActionSet", "metadata": {"name": "a"}, "status": status}
    script = f"#!/bin/sh\ncat <<'END'\n{json.dumps(obj)}\nEND\n"
    database = ActionSets(scripted_kubectl(script), "kanister")

    with pytest.raises(ClusterError, match="ActionSet a has failed: phase copyClaim: no space"):
        database.end("a")


def test_other_rows_than_before_are_an_error(scripted_kubectl: Callable[[str], Kubectl]) -> None:
    script = "#!/bin/sh\ncat >/dev/null\necho '2|b'\n"
    database = ActionSets(scripted_kubectl(script), "kanister")

    with pytest.raises(ClusterError, match=r"differs: 1\|a before, 2\|b now"):
        database.compare("1|a")


def test_as_many_steps_are_announced_as_there_are(
    scripted_kubectl: Callable[[str], Kubectl],
) -> None:
    scene = Scene(scripted_kubectl(""), IMAGES, OwnCluster("demo"), "kanister", str)

    assert len(scene.steps()) == STEPS
