"""The manifests and samples of ActionSets on a real API server, and every YAML of their page."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from controller.errors import AlreadyExists, Forbidden
from e2e import kanistercrds
from e2e.documented import code_blocks
from e2e.waiting import wait_for
from integration.actionpolicies import ACCOUNT, action_set, install_definitions
from integration.conftest import NAMESPACES
from integration.running import DEFINITIONS
from integration.test_manifests import MANIFESTS, NAMESPACE, REVIEWS, attributes, find, pod
from reconcilers import resources
from reconcilers.actionset import api

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from controller.rest.client import Client, Object

    Build = Callable[[Path], list[Object]]
    Kubectl = Callable[..., str]

PAGE = "docs/actionsets.md"
SAMPLE = MANIFESTS / "samples" / "actionsets"
APPLICATION = "shop"
ELSEWHERE = "default"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
SCHEDULE = f"system:serviceaccount:{NAMESPACE}:backup-postgresql"

KUSTOMIZATION = "# kustomization"
KUSTOMIZATIONS = [block for block in code_blocks(PAGE, "yaml") if block.startswith(KUSTOMIZATION)]
OBJECTS = [block for block in code_blocks(PAGE, "yaml") if not block.startswith(KUSTOMIZATION)]

#: With what YAML and Go's templates could take for something else.
ARTIFACTS: Final = {
    "claim": {"keyValue": {"backupID": "0123", "odd": 'a"b\\c\nü: {}'}},
    "dump": {"kopiaSnapshot": '{"id": "0123", "logicalSize": 1}'},
}

UNRESTRICTED: Final[Object] = {"containers": [{"name": "a", "image": "a"}]}
SERVER = {"name": "file-store", "namespace": NAMESPACE}


def write(block: str, folder: Path) -> Path:
    """Write a kustomization of the page, with the checkout's manifests."""
    manifests = os.path.relpath(MANIFESTS, folder.resolve())
    (folder / "kustomization.yaml").write_text(block.replace("path/to/manifests", manifests))
    return folder


def kustomization(block: str) -> Object:
    loaded: Object = yaml.safe_load(block)
    return loaded


@pytest.fixture(scope="module")
def build(kubectl: Kubectl) -> Build:
    return lambda folder: list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


@pytest.fixture(scope="module")
def installed(
    client: Client, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Install all that the page says, and return the folders of its kustomizations."""
    folders = []
    for block in KUSTOMIZATIONS:
        folder = write(block, tmp_path_factory.mktemp("overlay"))
        try:
            name = kustomization(block)["namespace"]
            client.create(NAMESPACES, "", {"metadata": {"name": name}})
        except AlreadyExists:
            pass
        kubectl("apply", f"--kustomize={folder}")
        folders.append(folder)
    install_definitions(client)
    kubectl("apply", f"--kustomize={SAMPLE}")
    return folders


class TestInstall:
    def test_leaves_nothing_to_apply(self, installed: list[Path], kubectl: Kubectl) -> None:
        # Those of the CRDs are other tests' as well.
        kinds = "--selector=app.kubernetes.io/name=actionset-controller"
        for folder in installed:
            assert kubectl("diff", f"--kustomize={folder}", kinds) == ""
        assert kubectl("diff", f"--kustomize={SAMPLE}") == ""

    @pytest.mark.parametrize("block", KUSTOMIZATIONS)
    def test_moves_all_to_its_namespace(self, build: Build, tmp_path: Path, block: str) -> None:
        objects = build(write(block, tmp_path))
        namespaces = {one["metadata"].get("namespace") for one in objects}
        subjects = [
            subject["namespace"]
            for one in objects
            if one["kind"] == "RoleBinding"
            for subject in one["subjects"]
        ]

        where = kustomization(block)["namespace"]
        assert namespaces == {None, where} - ({None} if where != NAMESPACE else set())
        assert set(subjects) == {where}

    def test_gives_both_controllers_one_image(self, build: Build, tmp_path: Path) -> None:
        objects = build(write(KUSTOMIZATIONS[0], tmp_path))
        containers = [
            container
            for one in objects
            if one["kind"] == "Deployment"
            for container in one["spec"]["template"]["spec"]["containers"]
        ]
        functions = {
            variable["value"]
            for container in containers
            for variable in container["env"]
            if variable["name"] == "ASC_FUNCTIONS_IMAGE"
        }

        images = {container["image"] for container in containers}
        assert images == functions == {"registry.example/controller:0.1.0"}

    def test_is_no_part_of_an_installation(self, build: Build) -> None:
        text = yaml.safe_dump(build(MANIFESTS))

        assert ACCOUNT not in text
        assert api.ACTION_SETS.full_name not in text


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("block", OBJECTS)
def test_every_object_of_the_page_is_taken_as_it_stands(client: Client, block: str) -> None:
    obj = yaml.safe_load(block)
    resource = {one.kind: one for one in (api.ACTION_SETS, api.BLUEPRINTS)}[obj["kind"]]

    created = client.create(resource, obj["metadata"]["namespace"], obj)

    assert created["spec"] == obj["spec"]
    client.delete(resource, obj["metadata"]["namespace"], created["metadata"]["name"])


@pytest.mark.usefixtures("installed")
class TestRights:
    @pytest.fixture
    def may(self, client: Client) -> Callable[[str, dict[str, str]], bool]:
        def review(user: str, request: dict[str, str]) -> bool:
            spec = {"user": user, "resourceAttributes": request}
            body = {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind, "spec": spec}
            return bool(client.create(REVIEWS, "", body)["status"]["allowed"])

        return review

    @pytest.mark.parametrize(
        ("resource", "verbs"),
        [
            ("actionsets.cr.kanister.io", "get list watch patch delete"),
            ("actionsets/finalizers.cr.kanister.io", "update"),
            ("blueprints.cr.kanister.io", "get"),
            ("profiles.cr.kanister.io", "get"),
            ("repositoryservers.cr.kanister.io", "get list"),
            ("pods", "get list watch create patch delete"),
            ("pods/log", "get"),
            ("secrets", "get create delete"),
            ("configmaps", "get"),
            ("deployments.apps", "list"),
            ("events.events.k8s.io", "create patch"),
            ("leases.coordination.k8s.io", "create"),
        ],
    )
    def test_in_its_own_namespace_suffice(
        self, may: Callable[[str, dict[str, str]], bool], resource: str, verbs: str
    ) -> None:
        refused = [verb for verb in verbs.split() if not may(USER, attributes(resource, verb))]

        assert refused == []

    @pytest.mark.parametrize("verb", ["get", "list", "watch", "update"])
    def test_suffice_for_its_own_lease(
        self, may: Callable[[str, dict[str, str]], bool], verb: str
    ) -> None:
        lease = "leases.coordination.k8s.io"

        assert may(USER, attributes(lease, verb, name=ACCOUNT))
        assert not may(USER, attributes(lease, verb, name="repository-server-controller"))

    @pytest.mark.parametrize(
        ("resource", "verbs"),
        [
            ("statefulsets.apps", "get"),
            ("deployments.apps", "get"),
            ("replicasets.apps", "list"),
            ("statefulsets/scale.apps", "get patch"),
            ("deployments/scale.apps", "get patch"),
            ("persistentvolumeclaims", "get"),
            ("repositoryservers.cr.kanister.io", "get list"),
            ("profiles.cr.kanister.io", "get"),
            ("pods", "get list watch create patch delete"),
            ("pods/log", "get"),
            ("pods/exec", "get create"),
            ("secrets", "get create"),
            ("configmaps", "get"),
        ],
    )
    def test_in_the_namespace_of_an_application_suffice(
        self, may: Callable[[str, dict[str, str]], bool], resource: str, verbs: str
    ) -> None:
        asked = {verb: attributes(resource, verb, namespace=APPLICATION) for verb in verbs.split()}

        assert [verb for verb, request in asked.items() if not may(USER, request)] == []

    def test_reach_the_namespace_itself_and_no_other(
        self, may: Callable[[str, dict[str, str]], bool]
    ) -> None:
        """The API server takes the name of a Namespace that is read as the namespace of the
        request.
        """
        for name, allowed in ((APPLICATION, True), (ELSEWHERE, False)):
            request = attributes("namespaces", "get", namespace=name, name=name)
            assert may(USER, request) is allowed

    @pytest.mark.parametrize(
        "request_",
        [
            pytest.param(attributes("secrets", "get", namespace=ELSEWHERE), id="Secrets elsewhere"),
            pytest.param(attributes("secrets", "get", namespace=""), id="all Secrets"),
            pytest.param(attributes("pods", "create", namespace=ELSEWHERE), id="pods elsewhere"),
            pytest.param(attributes("pods/exec", "create"), id="commands in its own namespace"),
            pytest.param(attributes("secrets", "list"), id="a list of Secrets"),
            pytest.param(
                attributes("secrets", "list", namespace=APPLICATION),
                id="a list of an application's Secrets",
            ),
            pytest.param(
                attributes("secrets", "patch", namespace=APPLICATION), id="others' passwords"
            ),
            pytest.param(
                attributes("secrets", "delete", namespace=APPLICATION), id="others' Secrets"
            ),
            pytest.param(attributes("actionsets.cr.kanister.io", "create"), id="work of its own"),
            pytest.param(attributes("blueprints.cr.kanister.io", "patch"), id="others' Blueprints"),
            pytest.param(
                attributes("statefulsets.apps", "patch", namespace=APPLICATION),
                id="more of a workload than its replicas",
            ),
            pytest.param(
                attributes("persistentvolumeclaims", "delete", namespace=APPLICATION),
                id="the data of an application",
            ),
            pytest.param(attributes("pods", "deletecollection"), id="all pods at once"),
            pytest.param(
                attributes("serviceaccounts/token", "create", namespace=APPLICATION),
                id="others' tokens",
            ),
            pytest.param(
                attributes("roles.rbac.authorization.k8s.io", "create"), id="further rights"
            ),
            pytest.param(attributes("nodes", "list", namespace=""), id="nodes"),
        ],
    )
    def test_do_not_reach(
        self, may: Callable[[str, dict[str, str]], bool], request_: dict[str, str]
    ) -> None:
        assert not may(USER, request_)

    def test_of_the_schedule_are_what_the_policies_ask(
        self, may: Callable[[str, dict[str, str]], bool]
    ) -> None:
        """And nothing of Secrets, Blueprints or ActionSets that are there."""
        asked = [
            attributes(resource, verb, namespace=namespace)
            for namespace in (NAMESPACE, APPLICATION)
            for verb, resource in (
                ("create", "pods"),
                ("create", "pods/exec"),
                ("update", "statefulsets/scale.apps"),
                ("update", "deployments/scale.apps"),
            )
        ]
        further = [
            attributes("secrets", "get"),
            attributes("blueprints.cr.kanister.io", "create"),
            attributes("actionsets.cr.kanister.io", "patch"),
            attributes("actionsets.cr.kanister.io", "create", namespace=APPLICATION),
        ]

        assert may(SCHEDULE, attributes("actionsets.cr.kanister.io", "create"))
        assert [request for request in asked if not may(SCHEDULE, request)] == []
        assert [request for request in further if may(SCHEDULE, request)] == []


class TestPodSecurity:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            pytest.param("actionset-controller/deployment.yaml", "Deployment", id="controller"),
            pytest.param("samples/actionsets/schedule.yaml", "CronJob", id="schedule"),
            pytest.param("samples/actionsets/postgresql.yaml", "StatefulSet", id="database"),
        ],
    )
    def test_restricted_admits(self, client: Client, namespace: str, path: str, kind: str) -> None:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        client.merge_patch(NAMESPACES, "", namespace, {"metadata": {"labels": labels}})
        owner = find(list(yaml.safe_load_all((MANIFESTS / path).read_text())), kind)["spec"]
        owner = owner.get("jobTemplate", {}).get("spec", owner)
        spec = owner["template"]["spec"]
        for claim in owner.get("volumeClaimTemplates", ()):
            spec["volumes"] = [{"name": claim["metadata"]["name"], "emptyDir": {}}]
        if "serviceAccountName" in spec:
            account = {"metadata": {"name": spec["serviceAccountName"]}}
            client.create(resources.SERVICE_ACCOUNTS, namespace, account)

        with pytest.raises(Forbidden, match="restricted"):
            client.create(resources.PODS, namespace, pod(UNRESTRICTED))
        created = client.create(resources.PODS, namespace, pod(spec))

        assert created["status"]["phase"] == "Pending"


class TestFollowUp:
    """The script that makes an ActionSet of what another one has backed up."""

    @pytest.fixture
    def backup(self, client: Client, installed: list[Path]) -> Object:
        spec = yaml.safe_load((SAMPLE / "backup.yaml").read_text())
        spec["spec"]["actions"][0]["options"] = {"sparse": "yes"}
        return client.create(api.ACTION_SETS, NAMESPACE, spec)

    def run(self, kubeconfig: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(SAMPLE / "follow-up.sh"), *arguments, f"--kubeconfig={kubeconfig}"]
        return subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - a script of ours

    def test_hands_on_what_the_backup_has_put_out(
        self, client: Client, kubeconfig: str, backup: Object
    ) -> None:
        name = backup["metadata"]["name"]
        status = {"state": "complete", "actions": [{"artifacts": ARTIFACTS}]}
        client.merge_patch(api.ACTION_SETS, NAMESPACE, name, {"status": status})

        ran = self.run(kubeconfig, "restore", NAMESPACE, name)

        assert ran.returncode == 0, ran.stderr
        (made,) = (
            one
            for one in client.list(api.ACTION_SETS, NAMESPACE)["items"]
            if one["metadata"]["name"].startswith(f"restore-{name}-")
        )
        (action,) = made["spec"]["actions"]
        (before,) = backup["spec"]["actions"]
        assert action == {**before, "name": "restore", "artifacts": ARTIFACTS}

    def test_refuses_a_backup_that_is_not_complete(self, kubeconfig: str, backup: Object) -> None:
        ran = self.run(kubeconfig, "restore", NAMESPACE, backup["metadata"]["name"])

        assert ran.returncode == 1
        assert "is pending: it has artifacts once it is complete" in ran.stderr


class TestBesideKanister:
    """Under Kanister's own CRDs, which its operator installs over ours."""

    @pytest.fixture
    def _kanister(self, client: Client) -> object:
        for definition in kanistercrds.DEFINITIONS:
            client.apply(DEFINITIONS, "", definition["metadata"]["name"], definition)
        yield
        install_definitions(client)

    @pytest.mark.usefixtures("_kanister")
    def test_the_option_stays_and_the_field_is_dropped(
        self, client: Client, namespace: str
    ) -> None:
        action = {
            "name": "backup",
            "blueprint": "files",
            "object": {"kind": "pvc", "name": "data"},
            "repositoryServer": SERVER,
            "options": {api.OPTION_REPOSITORY_SERVER: f"{NAMESPACE}/file-store"},
        }
        body = action_set()
        body["metadata"] = {"generateName": "backup-"}
        body["spec"]["actions"] = [action]
        expected = {key: value for key, value in action.items() if key != "repositoryServer"}

        # A moment passes until the API server serves the other definition.
        wait_for(
            "Kanister's definition to be in force",
            lambda: client.create(api.ACTION_SETS, namespace, body)["spec"]["actions"],
            lambda actions: actions == [expected],
        )
