"""The Helm chart: what it renders is what the manifests are, and what its values change."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import yaml

import controller
from e2e.release import CHART
from integration import charts
from integration.chartdifferences import DIFFERENCES, Difference, apart
from reconcilers import options, settings
from reconcilers.actionset import options as actionset_options

if TYPE_CHECKING:
    from controller.resource import Object

SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.fixture(scope="module")
def rendered() -> list[Object]:
    return charts.template(charts.EVERYTHING)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    return charts.manifests(tmp_path_factory.mktemp("overlay"))


def find(objects: list[Object], kind: str, name: str = charts.RELEASE) -> Object:
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


class TestManifests:
    def test_have_the_same_objects(self, rendered: list[Object], built: list[Object]) -> None:
        of_chart = charts.by_key(apart(rendered, DIFFERENCES))
        of_manifests = charts.by_key(apart(built, DIFFERENCES))

        assert sorted(of_chart) == sorted(of_manifests)
        for key, obj in of_manifests.items():
            assert of_chart[key] == obj, key

    @pytest.mark.parametrize(
        "difference", [pytest.param(one, id=one.reason) for one in DIFFERENCES]
    )
    def test_differ_in_each_thing_that_is_listed(
        self, rendered: list[Object], built: list[Object], difference: Difference
    ) -> None:
        others = [one for one in DIFFERENCES if one is not difference]

        of_chart = sorted(map(json.dumps, apart(rendered, others)))

        assert of_chart != sorted(map(json.dumps, apart(built, others)))


class TestValues:
    def test_pass_the_lint(self) -> None:
        ran = charts.helm("lint", "--strict", str(CHART))

        assert ran.returncode == 0, ran.stdout + ran.stderr

    @pytest.mark.parametrize(
        ("values", "complaint"),
        [
            pytest.param({"replica": 2}, "replica", id="a value that is none"),
            pytest.param({"settings": {"pods": {}}}, "pods", id="a setting that is none"),
            pytest.param({"workers": "many"}, "workers", id="a number that is none"),
            pytest.param({"workers": 257}, "workers", id="a number above the limit"),
            pytest.param({"podOverride": "all"}, "podOverride", id="a mode that is none"),
            pytest.param({"namespaces": ["a", "a"]}, "namespaces", id="a namespace named twice"),
            pytest.param({"namespaces": ["A"]}, "namespaces", id="no name of a namespace"),
            pytest.param({"image": {"digest": "sha256:1"}}, "digest", id="no digest"),
            pytest.param(
                {"serviceAccount": {"create": False}},
                "serviceAccount.name is needed",
                id="an account that nobody makes or names",
            ),
            pytest.param(
                {"serviceAccount": {"create": False, "name": "default"}},
                "every pod of the namespace",
                id="the account of pods that name none",
            ),
            pytest.param(
                {"leaderElection": {"renewDeadline": 2.4}},
                "leaderElection.renewDeadline (2.4) must be above 1.2 times",
                id="a leader that gives up before its second try",
            ),
            pytest.param(
                {"leaderElection": {"leaseDuration": 10}},
                "leaderElection.leaseDuration (10) must be above",
                id="a Lease that others take before its holder gives up",
            ),
        ],
    )
    def test_are_refused(self, values: Any, complaint: str) -> None:
        ran = charts.helm(
            *("template", charts.RELEASE, str(CHART), "--values=-"),
            stdin=yaml.safe_dump(values),
        )

        assert ran.returncode != 0
        assert complaint in ran.stderr

    @pytest.mark.parametrize(
        ("cls", "path"),
        [
            pytest.param(settings.Settings, (), id="settings"),
            pytest.param(settings.PodDefaults, ("pod",), id="settings.pod"),
            pytest.param(settings.StorageDefaults, ("storage",), id="settings.storage"),
        ],
    )
    def test_have_every_setting_and_no_other(self, cls: Any, path: tuple[str, ...]) -> None:
        schema = SCHEMA["properties"]["settings"]
        for name in path:
            schema = schema["properties"][name]

        names = {camel_case(field.name) for field in attrs.fields(cls)}

        assert set(schema["properties"]) == names

    def test_say_of_each_what_it_is(self) -> None:
        def walk(schema: Any, path: str) -> list[str]:
            found = []
            for name, part in schema.get("properties", {}).items():
                text = part.get("description", "")
                told = text.endswith(".") and (text[:1].isupper() or text[:1] == "`")
                inside = f"{path}.{name}"
                # Requests and limits are words of the Kubernetes API.
                if not told and not path.endswith(".resources"):
                    found.append(inside)
                found += walk(part, inside)
            return found

        assert walk(SCHEMA, "") == []


class TestSeveralNamespaces:
    @pytest.fixture
    def objects(self) -> list[Object]:
        return charts.template({"namespaces": ["apps", "kanister"], **charts.EVERYTHING})

    def test_have_a_role_each(self, objects: list[Object]) -> None:
        roles = {
            (one["metadata"]["namespace"], one["metadata"]["name"])
            for one in objects
            if one["kind"] == "Role" and one["metadata"]["name"].startswith(charts.RELEASE)
        }

        assert roles == {
            ("apps", charts.RELEASE),
            ("kanister", charts.RELEASE),
            ("apps", f"{charts.RELEASE}-profiles"),
            ("kanister", f"{charts.RELEASE}-profiles"),
            ("kanister", f"{charts.RELEASE}-lease"),
        }

    def test_bind_the_one_account(self, objects: list[Object]) -> None:
        subjects = [
            one["subjects"]
            for one in objects
            if one["kind"] == "RoleBinding" and one["metadata"]["name"].startswith(charts.RELEASE)
        ]
        account = {"kind": "ServiceAccount", "name": charts.RELEASE, "namespace": "kanister"}
        assert subjects == [[account]] * 5

    def test_are_named_to_the_controller(self, objects: list[Object]) -> None:
        (container,) = find(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: one.get("value", "") for one in container["env"]}

        assert options.parse_options([], given).namespace == ("apps", "kanister")

    def test_leave_one_to_the_namespace_of_the_release(self) -> None:
        objects = charts.template({"namespaces": ["apps"]})

        roles = {one["metadata"]["namespace"] for one in objects if one["kind"] == "Role"}
        assert roles == {"apps", "kanister"}


class TestNames:
    @pytest.mark.parametrize(
        "release",
        [
            pytest.param("a" * 53, id="the longest of a release"),
            pytest.param("a" * 24, id="one that leaves no room for the whole name of the chart"),
            pytest.param(f"{'a' * 30}-{'a' * 22}", id="one that is cut at a hyphen"),
        ],
    )
    def test_of_services_are_names_of_hosts(self, release: str) -> None:
        objects = charts.template(charts.EVERYTHING, release=release)

        names = [one["metadata"]["name"] for one in objects if one["kind"] == "Service"]
        assert len(names) == 2
        assert all(re.fullmatch(r"[a-z]([a-z0-9]|-(?!-)){0,61}[a-z0-9]", name) for name in names)

    def test_stay_texts_where_yaml_takes_them_for_numbers_or_truth_values(self) -> None:
        def rendered(*names: str) -> list[Object]:
            release, namespace, served, application, account, secret, priority = names
            values = {
                **charts.EVERYTHING,
                "namespaces": [served],
                "actionsets": {"create": True, "applications": [application]},
                "serviceAccount": {"name": account},
                "metrics": {"tlsSecretName": secret},
                "priorityClassName": priority,
            }
            return charts.template(values, release=release, namespace=namespace)

        def types(*names: str) -> set[tuple[str, str]]:
            # The file of the dashboard is named after the release.
            release = f"{names[1]}.{names[0]}"
            found = types_of(rendered(*names))
            return {(path.replace(release, "RELEASE"), type_) for path, type_ in found}

        assert types("12", "34", "2024", "no", "56", "7", "1") == types(*"abcdefg")


class TestTwoReleases:
    @pytest.mark.parametrize(
        ("other", "namespace"),
        [
            pytest.param(charts.RELEASE, "backup", id="of one name, in two namespaces"),
            pytest.param("second", charts.NAMESPACE, id="of two names, in one namespace"),
        ],
    )
    def test_share_no_object_but_the_definition(self, other: str, namespace: str) -> None:
        values = {**charts.EVERYTHING, "namespaces": ["apps"]}
        first = charts.template(values)
        elsewhere = {"actionsets": {"create": True, "applications": ["warehouse"]}}
        second = charts.template(
            {**values, "namespaces": ["others"], **elsewhere}, release=other, namespace=namespace
        )

        shared = charts.by_key(first).keys() & charts.by_key(second).keys()

        assert {kind for kind, _, _ in shared} == {"CustomResourceDefinition"}

    def test_have_a_dashboard_each(self) -> None:
        found = {}
        for name in (charts.RELEASE, "second"):
            objects = charts.template(charts.EVERYTHING, release=name)
            (config_map,) = (one for one in objects if "-dashboard" in one["metadata"]["name"])
            ((key, text),) = config_map["data"].items()
            found[name] = {key, json.loads(text)["uid"], json.loads(text)["title"]}

        assert not found[charts.RELEASE] & found["second"]

    def test_in_one_namespace_select_their_own_pods(self) -> None:
        deployments = [
            find(charts.template(release=name), "Deployment", name)
            for name in (charts.RELEASE, f"second-{charts.RELEASE}")
        ]

        labels = [one["spec"]["template"]["metadata"]["labels"] for one in deployments]
        selectors = [one["spec"]["selector"]["matchLabels"] for one in deployments]
        assert selectors[0].items() <= labels[0].items()
        assert selectors[1].items() <= labels[1].items()
        assert not selectors[0].items() <= labels[1].items()

    def test_in_one_namespace_have_a_lease_each(self) -> None:
        objects = charts.template(charts.EVERYTHING, release="second")
        name = f"second-{charts.RELEASE}"
        (container,) = find(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: one.get("value", "") for one in container["env"]}
        rules = find(objects, "Role", f"{name}-lease")["rules"]
        alerts = json.dumps(find(objects, "PrometheusRule", name)["spec"])

        assert options.parse_options([], given).leader_election_id == name
        assert [rule["resourceNames"] for rule in rules if "resourceNames" in rule] == [[name]]
        assert f'leader_election_master_status{{name=\\"{name}\\"}}' in alerts

    def test_have_policies_for_the_account_of_each(self) -> None:
        objects = charts.template(
            {"policies": {"create": True}, "serviceAccount": {"name": "own"}}, namespace="backup"
        )
        policies = [one for one in objects if one["kind"] == "ValidatingAdmissionPolicy"]

        users = [
            condition["expression"]
            for one in policies
            for condition in one["spec"].get("matchConditions", ())
        ]
        assert len(users) == 2
        assert all("== 'system:serviceaccount:backup:own'" in one for one in users)
        assert "serviceAccountName != 'own'" in json.dumps(policies)


class TestActionSets:
    def test_are_no_part_of_the_default(self) -> None:
        objects = charts.template({**charts.EVERYTHING, "actionsets": {"create": False}})

        assert "actionset-controller" not in {
            one["metadata"].get("labels", {}).get("app.kubernetes.io/name") for one in objects
        }
        names = {one["metadata"]["name"] for one in objects}
        assert not [name for name in names if name.startswith("actionset-")]

    def test_of_another_release_are_called_as_it_is(self) -> None:
        objects = charts.template(charts.EVERYTHING, release="second")
        name = "second-actionset-controller"
        (container,) = find(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: one.get("value", "") for one in container["env"]}
        rules = find(objects, "Role", name)["rules"]
        policies = json.dumps([one for one in objects if "AdmissionPolicy" in one["kind"]])

        assert actionset_options.parse_options([], given).leader_election_id == name
        assert [rule["resourceNames"] for rule in rules if "resourceNames" in rule] == [[name]]
        assert f"system:serviceaccount:kanister:{name}" in policies
        assert "':actionset-controller'" not in policies

    def test_of_another_release_are_judged_where_its_own_account_is(self) -> None:
        objects = charts.template(charts.EVERYTHING, release="second")
        accounts = {one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount"}
        (binding,) = (one for one in objects if "paramRef" in one.get("spec", {}))

        assert binding["metadata"]["name"] == "actionset-authors.kanister.second"
        assert binding["spec"]["paramRef"]["name"] == "second-actionset-controller"
        assert binding["spec"]["paramRef"]["name"] in accounts

    def test_give_no_pod_an_account_of_the_release_that_is_called_otherwise(self) -> None:
        values = {"fullnameOverride": "repository-server-controller-two"}
        objects = charts.template({**charts.EVERYTHING, **values})

        expressions = {
            one["metadata"]["name"].partition(".")[0]: validation["expression"]
            for one in objects
            if one["kind"] == "ValidatingAdmissionPolicy"
            for validation in one["spec"]["validations"]
            if "pod.serviceAccountName" in validation["expression"]
        }
        assert expressions.keys() == {
            "repository-server-controller-pods",
            "actionset-controller-pods",
        }
        for name in ("repository-server-controller-two", "actionset-controller-two"):
            assert all(f"!= '{name}' &&" in one for one in expressions.values())

    def test_get_the_variables_of_their_own(self) -> None:
        proxy = {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}
        objects = charts.template({"actionsets": {"create": True, "env": [proxy]}})

        names = [
            one["metadata"]["name"]
            for one in objects
            if one["kind"] == "Deployment"
            and proxy in one["spec"]["template"]["spec"]["containers"][0]["env"]
        ]
        assert names == ["actionset-controller"]

    def test_read_no_secrets_of_applications_if_told_so(self) -> None:
        values = {"create": True, "applications": ["shop"], "readSecrets": False}
        objects = charts.template({"actionsets": values})

        roles = {
            one["metadata"]["name"]
            for one in objects
            if one["kind"] == "Role" and one["metadata"]["namespace"] == "shop"
        }
        assert roles == {"actionset-controller-application"}


class TestParts:
    @pytest.mark.parametrize(
        ("values", "kinds"),
        [
            pytest.param({"crd": {"create": False}}, {"CustomResourceDefinition"}, id="CRD"),
            pytest.param({"userRoles": {"create": False}}, {"ClusterRole"}, id="user roles"),
            pytest.param({"networkPolicy": {"create": False}}, {"NetworkPolicy"}, id="network"),
            pytest.param(
                {"podDisruptionBudget": {"create": False}}, {"PodDisruptionBudget"}, id="budget"
            ),
            pytest.param(
                {"serviceAccount": {"create": False, "name": "own"}},
                {"ServiceAccount"},
                id="account",
            ),
        ],
    )
    def test_can_be_left_out(self, values: Any, kinds: set[str]) -> None:
        by_default = {one["kind"] for one in charts.template()}

        assert by_default - {one["kind"] for one in charts.template(values)} == kinds

    def test_a_digest_counts_more_than_a_tag(self) -> None:
        digest = "sha256:" + "0" * 64
        objects = charts.template({"image": {"repository": "a/b", "tag": "1", "digest": digest}})

        (container,) = find(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"a/b@{digest}"

    def test_changed_settings_roll_the_deployment(self) -> None:
        former, changed = (
            find(charts.template({"settings": {"image": image}}), "Deployment")["spec"]["template"]
            for image in ("kopia/kopia:1", "kopia/kopia:2")
        )

        assert former["metadata"]["annotations"] != changed["metadata"]["annotations"]

    def test_the_version_is_that_of_the_program(self) -> None:
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

        assert chart["version"] == chart["appVersion"] == controller.__version__


def types_of(value: Any, path: str = "") -> set[tuple[str, str]]:
    """Return each field of objects with the type of its value."""
    if isinstance(value, dict):
        return {one for key, item in value.items() for one in types_of(item, f"{path}.{key}")}
    if isinstance(value, list):
        return {one for item in value for one in types_of(item, f"{path}[]")}
    return {(path, type(value).__name__)}


def camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
