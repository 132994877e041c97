"""The manifests of ActionSets as files: what holds of them without an API server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import yaml

from reconcilers.actionset import api, options
from reconcilers.actionset.phases import names
from reconcilers.actionset.placement import podspec
from reconcilers.actionset.placement.podspec import ROOT_USER, Placed
from reconcilers.actionset.templates.child import Limits
from reconcilers.actionset.templates.program import AT_ONCE
from reconcilers.pods import quantities

Object = dict[str, Any]

MANIFESTS: Final = Path(__file__).parents[2] / "manifests"
CONTROLLER: Final = MANIFESTS / "actionset-controller"
APPLICATION: Final = MANIFESTS / "application"
PAGE: Final = (MANIFESTS.parent / "docs/actionsets.md").read_text()

#: What the manager takes at most to stop.
GRACEFUL_TIMEOUT_SECONDS: Final = 30

#: What the controller and its users write on an ActionSet or a Blueprint.
ANNOTATIONS: Final = [
    value
    for name, value in vars(api).items()
    if name.startswith("ANNOTATION_") and value != api.ANNOTATION_PREFIX
]


def load(name: str, folder: Path = CONTROLLER) -> Object:
    loaded: Object = yaml.safe_load((folder / f"{name}.yaml").read_text())
    return loaded


def pod() -> Object:
    spec: Object = load("deployment")["spec"]["template"]["spec"]
    return spec


def variables() -> dict[str, Object]:
    (container,) = pod()["containers"]
    return {entry["name"]: entry for entry in container["env"]}


@pytest.mark.parametrize("name", ["controller", "application"])
def test_rights_are_given_by_name_in_one_namespace(name: str) -> None:
    folder = CONTROLLER if name == "controller" else APPLICATION
    for path in folder.glob("*role*.yaml"):
        obj = yaml.safe_load(path.read_text())

        assert obj["kind"] in ("Role", "RoleBinding")
        assert "*" not in str(obj)


@pytest.mark.parametrize("name", ["role", "secrets-role"])
def test_the_roles_of_an_application_are_bound_to_the_controllers_account(name: str) -> None:
    binding = load(f"{name}-binding", APPLICATION)
    namespace = yaml.safe_load((MANIFESTS / "namespace.yaml").read_text())["metadata"]["name"]

    assert binding["roleRef"]["name"] == load(name, APPLICATION)["metadata"]["name"]
    assert binding["subjects"] == [
        {
            "kind": "ServiceAccount",
            "name": load("service-account")["metadata"]["name"],
            "namespace": namespace,
        }
    ]


def test_those_of_an_application_name_no_namespace() -> None:
    """One command, `kubectl apply -n`, gives them any."""
    for path in APPLICATION.glob("*.yaml"):
        assert "namespace" not in yaml.safe_load(path.read_text()).get("metadata", {})


def test_the_reading_of_secrets_can_be_left_out() -> None:
    rules = load("role", APPLICATION)["rules"]

    assert [rule["verbs"] for rule in rules if "secrets" in rule["resources"]] == [["create"]]


class TestDeployment:
    def test_runs_the_program(self) -> None:
        (container,) = pod()["containers"]

        assert container["command"] == [options.PROGRAM]

    def test_gives_the_manager_time_to_stop(self) -> None:
        assert pod()["terminationGracePeriodSeconds"] > GRACEFUL_TIMEOUT_SECONDS

    def test_sets_what_the_command_knows(self) -> None:
        given = {name: entry.get("value", "x") for name, entry in variables().items()}

        understood = attrs.asdict(options.parse_options([], given))

        texts = {True: "true", False: "false"}
        assert given == {
            name: texts.get(value, value)
            for name in given
            for value in [understood[name.removeprefix(options.PREFIX).lower()]]
        }

    def test_names_its_namespace_and_its_account(self) -> None:
        fields = {
            name: entry["valueFrom"]["fieldRef"]["fieldPath"]
            for name, entry in variables().items()
            if "valueFrom" in entry
        }

        assert fields == {
            "ASC_NAMESPACE": "metadata.namespace",
            "ASC_SERVICE_ACCOUNT": "spec.serviceAccountName",
        }

    def test_gives_the_pods_of_data_functions_its_own_image(self) -> None:
        (container,) = pod()["containers"]

        assert variables()["ASC_FUNCTIONS_IMAGE"]["value"] == container["image"]

    @pytest.mark.parametrize(
        ("port", "variable"),
        [("metrics", "ASC_METRICS_BIND_ADDRESS"), ("probes", "ASC_HEALTH_PROBE_BIND_ADDRESS")],
    )
    def test_binds_the_ports_that_it_names(self, port: str, variable: str) -> None:
        (container,) = pod()["containers"]
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}

        assert variables()[variable]["value"] == f":{ports[port]}"

    def test_runs_several_replicas_of_which_one_works(self) -> None:
        assert load("deployment")["spec"]["replicas"] > 1
        assert variables()["ASC_LEADER_ELECT"]["value"] == "true"

    def test_may_use_the_lease_that_the_command_names(self) -> None:
        (names_,) = (
            rule["resourceNames"] for rule in load("role")["rules"] if "resourceNames" in rule
        )

        assert names_ == [options.parse_options([], {}).leader_election_id]

    @pytest.mark.parametrize("name", ["service", "network-policy", "pod-disruption-budget"])
    def test_is_selected_by(self, name: str) -> None:
        spec = load(name)["spec"]
        selector = spec.get("selector") or spec["podSelector"]

        labels = load("deployment")["spec"]["template"]["metadata"]["labels"]
        assert selector.get("matchLabels", selector) == labels


def test_templates_at_their_limit_do_not_kill_the_controller() -> None:
    """The renderers are in its container, whose processes are killed together."""
    (container,) = pod()["containers"]
    asked, limit = (
        float(quantities.amount(container["resources"][kind]["memory"]))
        for kind in ("requests", "limits")
    )

    assert limit >= asked + AT_ONCE * Limits().memory_bytes


class TestPolicies:
    """They know what is the controller's by the names that the code gives."""

    @pytest.mark.parametrize(
        ("policy", "known"),
        [
            ("actionset-controller-writes", api.LABEL_UID),
            ("actionset-controller-writes", names.LABEL_MANAGED_BY),
            ("actionset-controller-writes", f"'{api.MANAGER}'"),
            ("actionset-controller-writes", names.ANNOTATION_PHASE),
            ("actionset-authors", f"'{api.ANNOTATION_PREFIX}'"),
        ],
    )
    def test_name(self, policy: str, known: str) -> None:
        assert known in (MANIFESTS / "policies" / f"{policy}.yaml").read_text()

    @pytest.mark.parametrize(
        "policy",
        ["actionset-authors", "actionset-controller-writes", "actionset-controller-pods"],
    )
    def test_mean_the_account_of_the_deployment(self, policy: str) -> None:
        text = (MANIFESTS / "policies" / f"{policy}.yaml").read_text()

        assert f"':{pod()['serviceAccountName']}'" in text

    @pytest.mark.parametrize("writes", [False, True], ids=["reads", "restores"])
    def test_let_root_read_and_restore(self, *, writes: bool) -> None:
        """The pods of data functions as they are made, not as they might be."""
        placed = Placed((), user=ROOT_USER, writes=writes)
        (container,) = podspec.spec(placed, image="functions", secret="pod")["containers"]
        added = container["securityContext"]["capabilities"]["add"]
        text = (MANIFESTS / "policies/actionset-controller-pods.yaml").read_text()
        (allowed,) = re.findall(r"capabilities\.add\.exists\(one,\s+!\(one in (\[.*\])\)\)", text)

        assert set(added) <= set(yaml.safe_load(allowed))

    def test_authors_are_asked_where_that_account_is(self) -> None:
        _, binding = yaml.safe_load_all((MANIFESTS / "policies/actionset-authors.yaml").read_text())

        assert binding["spec"]["paramRef"] == {
            "name": pod()["serviceAccountName"],
            "parameterNotFoundAction": "Allow",
        }


class TestPage:
    @pytest.mark.parametrize("annotation", ANNOTATIONS)
    def test_every_annotation_is_told(self, annotation: str) -> None:
        name = annotation.removeprefix(api.ANNOTATION_PREFIX)

        assert f"| `{annotation}` |" in PAGE or f"`{name}`" in PAGE

    def test_every_metric_is_told(self) -> None:
        """Those of the collector and those of phases; test_monitoring asks whether they exist."""
        for metric in ("actionset_action_sets", "actionset_last_success_timestamp_seconds"):
            assert f"| `{metric}{{" in PAGE
