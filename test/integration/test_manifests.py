"""`kubectl apply -k manifests` on a real API server, and what the controller may do there."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.errors import Forbidden
from controller.rest.client import Client, Object, Resource
from reconcilers import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACE = "kanister"
SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:repository-server-controller"

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
PODS = Resource("", "v1", "pods", "Pod")
REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)

OVERLAY = """
resources: [{manifests}]
namespace: backup
images:
  - {{name: repository-server-controller, newName: registry.example/controller, newTag: 1.2.3}}
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: repository-server-controller
      spec:
        template:
          spec:
            containers:
              - name: controller
                env:
                  - {{name: RSC_SERVER_IMAGE, value: registry.example/kopia:1.2.3}}
"""

PROFILES_OVERLAY = """
resources: [{manifests}]
components: [{manifests}/kanister-profiles]
namespace: backup
"""

SETTINGS_OVERLAY = """
resources: [{manifests}]
namespace: backup
configMapGenerator:
  - name: repository-server-controller-settings
    behavior: replace
    files: [settings.yaml]
"""


def kustomization_for_several(folder: Path, number: int) -> None:
    """Write a kustomization that docs/installation.md has for several namespaces.

    Args:
        folder: Where to.
        number: Which of the page.
    """
    page = (MANIFESTS.parent / "docs" / "installation.md").read_text()
    section = page.partition("### Several namespaces\n")[2]
    block = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)[number]
    manifests = os.path.relpath(MANIFESTS, folder.resolve())
    text = textwrap.dedent(block).replace("path/to/manifests", manifests)
    (folder / "kustomization.yaml").write_text(text)


def find(objects: list[Object], kind: str) -> Object:
    (found,) = (obj for obj in objects if obj["kind"] == kind)
    return found


@pytest.fixture(scope="module")
def build(kubectl: Callable[..., str]) -> Callable[[Path], list[Object]]:
    def run(folder: Path) -> list[Object]:
        return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))

    return run


def references(value: Any, path: str = "spec") -> Iterator[tuple[str, Object]]:
    """Return the references to Secrets in a part of a resource, with their paths."""
    for key, part in value.items() if isinstance(value, dict) else ():
        if key.lower().endswith("secretref"):
            yield f"{path}.{key}", part
        else:
            yield from references(part, f"{path}.{key}")


@pytest.fixture(scope="module")
def _applied(kubectl: Callable[..., str]) -> None:
    kubectl("apply", "--kustomize", str(MANIFESTS))


@pytest.mark.usefixtures("_applied")
class TestApply:
    def test_leaves_nothing_to_apply(self, kubectl: Callable[..., str]) -> None:
        # Not by the words of another apply: kubectl patches the selector of a PodDisruptionBudget
        # each time, with what it is already.
        assert kubectl("diff", "--kustomize", str(MANIFESTS)) == ""

    @pytest.mark.parametrize("sample", ["file-store", "s3"])
    def test_takes_the_samples(self, kubectl: Callable[..., str], sample: str) -> None:
        applied = kubectl(
            "apply", "--kustomize", str(MANIFESTS / "samples" / sample), "--dry-run=server"
        )

        assert "repositoryserver.cr.kanister.io" in applied

    @pytest.mark.parametrize("sample", ["file-store", "s3", "gcs", "azure"])
    def test_the_samples_say_in_which_namespace_each_secret_is(
        self, kubectl: Callable[..., str], sample: str
    ) -> None:
        """Kanister's own functions do not take that of the resource where it is left out."""
        built = yaml.safe_load_all(kubectl("kustomize", str(MANIFESTS / "samples" / sample)))
        (server,) = (one for one in built if one["kind"] == "RepositoryServer")

        found = {path: ref.get("namespace") for path, ref in references(server["spec"])}

        assert "spec.storage.secretRef" in found
        assert set(found.values()) == {server["metadata"]["namespace"]}

    def test_makes_a_certificate_once(self, kubeconfig: str, kubectl: Callable[..., str]) -> None:
        script = MANIFESTS / "samples" / "file-store" / "tls-secret.sh"
        read = ("get", "secret", "file-store-tls", f"--namespace={NAMESPACE}", "--output=yaml")
        command = [str(script), NAMESPACE, f"--kubeconfig={kubeconfig}"]

        subprocess.run(command, check=True)  # noqa: S603 - a script of ours
        made = kubectl(*read)
        subprocess.run(command, check=True)  # noqa: S603 - a script of ours

        assert yaml.safe_load(made)["type"] == "kubernetes.io/tls"
        assert kubectl(*read) == made


class TestRemove:
    def test_keeps_what_is_the_users(self, build: Callable[[Path], list[Object]]) -> None:
        kinds = {obj["kind"] for obj in build(MANIFESTS / "controller")}

        assert not kinds & {"Namespace", "CustomResourceDefinition"}


class TestOverlay:
    @pytest.fixture
    def objects(self, tmp_path: Path, build: Callable[[Path], list[Object]]) -> list[Object]:
        text = OVERLAY.format(manifests=os.path.relpath(MANIFESTS, tmp_path.resolve()))
        (tmp_path / "kustomization.yaml").write_text(text)
        return build(tmp_path)

    def test_moves_all_to_its_namespace(self, objects: list[Object]) -> None:
        namespaces = {obj["metadata"].get("namespace") for obj in objects}
        bindings = [obj for obj in objects if obj["kind"] == "RoleBinding"]

        assert namespaces == {None, "backup"}
        assert find(objects, "Namespace")["metadata"]["name"] == "backup"
        assert [one["subjects"][0]["namespace"] for one in bindings] == ["backup", "backup"]

    def test_moves_the_right_to_write_profiles_as_well(
        self, tmp_path: Path, build: Callable[[Path], list[Object]]
    ) -> None:
        manifests = os.path.relpath(MANIFESTS, tmp_path.resolve())
        text = PROFILES_OVERLAY.format(manifests=manifests)
        (tmp_path / "kustomization.yaml").write_text(text)

        bindings = [obj for obj in build(tmp_path) if obj["kind"] == "RoleBinding"]

        subjects = [(obj["metadata"]["namespace"], obj["subjects"][0]) for obj in bindings]
        assert [namespace for namespace, _ in subjects] == ["backup"] * 3
        assert [subject["namespace"] for _, subject in subjects] == ["backup"] * 3

    def test_binds_the_account_of_the_controller_in_one_more_namespace(
        self, tmp_path: Path, build: Callable[[Path], list[Object]]
    ) -> None:
        kustomization_for_several(tmp_path, 0)

        role, binding = build(tmp_path)

        assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "apps"
        assert [one["namespace"] for one in binding["subjects"]] == ["kanister"]

    def test_names_the_namespaces_to_the_controller(
        self, tmp_path: Path, build: Callable[[Path], list[Object]]
    ) -> None:
        kustomization_for_several(tmp_path, 1)

        (container,) = find(build(tmp_path), "Deployment")["spec"]["template"]["spec"]["containers"]

        # The API server refuses a variable with both.
        assert not [one for one in container["env"] if {"value", "valueFrom"} <= one.keys()]
        given = {one["name"]: one.get("value", "") for one in container["env"]}
        assert options.parse_options([], given).namespace == ("kanister", "apps")

    def test_sets_both_images(self, objects: list[Object]) -> None:
        pod = find(objects, "Deployment")["spec"]["template"]["spec"]
        (controller,) = pod["containers"]
        environment = {entry["name"]: entry.get("value") for entry in controller["env"]}

        assert controller["image"] == "registry.example/controller:1.2.3"
        assert environment["RSC_SERVER_IMAGE"] == "registry.example/kopia:1.2.3"
        assert environment["RSC_LOG_FORMAT"] == "json"

    def test_mounts_the_settings_of_its_own(
        self, tmp_path: Path, build: Callable[[Path], list[Object]]
    ) -> None:
        text = SETTINGS_OVERLAY.format(manifests=os.path.relpath(MANIFESTS, tmp_path.resolve()))
        (tmp_path / "kustomization.yaml").write_text(text)
        (tmp_path / "settings.yaml").write_text("image: registry.example/kopia:0.23.1\n")

        objects = build(tmp_path)

        config, pod = find(objects, "ConfigMap"), find(objects, "Deployment")["spec"]["template"]
        (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "settings")
        assert config["data"] == {"settings.yaml": "image: registry.example/kopia:0.23.1\n"}
        assert volume["configMap"]["name"] == config["metadata"]["name"]
        assert config["metadata"]["name"] != "repository-server-controller-settings"


class TestPodSecurity:
    @pytest.fixture
    def restricted(self, client: Client, namespace: str) -> str:
        """Have the API server refuse pods that do not meet the restricted profile."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        client.merge_patch(NAMESPACES, "", namespace, {"metadata": {"labels": labels}})
        return namespace

    @pytest.mark.parametrize(
        ("folder", "kind"),
        [
            pytest.param("controller", "Deployment", id="controller"),
            pytest.param("samples/file-store", "Job", id="job that makes the repository"),
            pytest.param("samples/client", "Pod", id="client"),
        ],
    )
    def test_restricted_admits(
        self,
        client: Client,
        restricted: str,
        build: Callable[[Path], list[Object]],
        folder: str,
        kind: str,
    ) -> None:
        owner = find(build(MANIFESTS / folder), kind)
        template = owner if kind == "Pod" else owner["spec"]["template"]

        created = client.create(PODS, restricted, pod(template["spec"]))

        assert created["status"]["phase"] == "Pending"

    def test_restricted_refuses_another_pod(self, client: Client, restricted: str) -> None:
        with pytest.raises(Forbidden, match="restricted"):
            client.create(PODS, restricted, pod({"containers": [{"name": "a", "image": "a"}]}))


def pod(spec: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "admitted-"},
        "spec": spec,
    }


def attributes(resource: str, verb: str, **others: str) -> dict[str, str]:
    """Return a request for a review: `resource` is `plural[/subresource][.group]`."""
    path, _, group = resource.partition(".")
    plural, _, subresource = path.partition("/")
    request = {"group": group, "resource": plural, "subresource": subresource, "verb": verb}
    return {"namespace": NAMESPACE, **request, **others}


@pytest.mark.usefixtures("_applied")
class TestRights:
    @pytest.fixture
    def may(self, client: Client) -> Callable[[dict[str, str]], bool]:
        def review(request: dict[str, str]) -> bool:
            answer = client.create(
                REVIEWS,
                "",
                {
                    "apiVersion": REVIEWS.api_version,
                    "kind": REVIEWS.kind,
                    "spec": {"user": SERVICE_ACCOUNT, "resourceAttributes": request},
                },
            )
            return bool(answer["status"]["allowed"])

        return review

    @pytest.mark.parametrize(
        ("resource", "verbs"),
        [
            ("repositoryservers.cr.kanister.io", "get list watch"),
            ("repositoryservers/status.cr.kanister.io", "patch"),
            ("repositoryservers/finalizers.cr.kanister.io", "update"),
            ("replicasets.apps", "list watch create patch delete"),
            ("replicasets/status.apps", "patch"),
            ("pods", "list watch patch delete"),
            ("pods/exec", "get create"),
            ("services", "list watch create patch delete"),
            ("networkpolicies.networking.k8s.io", "list watch create patch"),
            ("endpointslices.discovery.k8s.io", "list watch"),
            ("cronjobs.batch", "list watch create patch delete"),
            ("jobs.batch", "list watch"),
            ("persistentvolumeclaims", "get"),
            ("serviceaccounts", "list watch"),
            ("secrets", "get list watch create patch delete"),
            ("events.events.k8s.io", "create patch"),
            ("leases.coordination.k8s.io", "create"),
        ],
    )
    def test_suffice(
        self, may: Callable[[dict[str, str]], bool], resource: str, verbs: str
    ) -> None:
        refused = [verb for verb in verbs.split() if not may(attributes(resource, verb))]

        assert refused == []

    @pytest.mark.parametrize("verb", ["get", "list", "watch", "update"])
    def test_suffice_for_its_own_lease(
        self, may: Callable[[dict[str, str]], bool], verb: str
    ) -> None:
        lease = "leases.coordination.k8s.io"

        assert may(attributes(lease, verb, name="repository-server-controller"))
        assert not may(attributes(lease, verb, name="another"))

    @pytest.mark.parametrize(
        "request_",
        [
            pytest.param(attributes("secrets", "get", namespace="default"), id="Secrets elsewhere"),
            pytest.param(attributes("secrets", "list", namespace=""), id="all Secrets"),
            pytest.param(
                attributes("pods/exec", "create", namespace="default"), id="commands elsewhere"
            ),
            pytest.param(
                attributes("repositoryservers.cr.kanister.io", "patch"), id="the users' wishes"
            ),
            pytest.param(attributes("secrets", "deletecollection"), id="all Secrets at once"),
            pytest.param(
                attributes("networkpolicies.networking.k8s.io", "delete"), id="what protects a pod"
            ),
            pytest.param(
                attributes("roles.rbac.authorization.k8s.io", "create"), id="further rights"
            ),
            pytest.param(attributes("serviceaccounts/token", "create"), id="others' tokens"),
            pytest.param(attributes("persistentvolumeclaims", "delete"), id="the users' backups"),
            pytest.param(attributes("pods", "create"), id="pods of its own making"),
            pytest.param(attributes("jobs.batch", "create"), id="Jobs of its own making"),
            pytest.param(attributes("nodes", "list", namespace=""), id="nodes"),
        ],
    )
    def test_do_not_reach(
        self, may: Callable[[dict[str, str]], bool], request_: dict[str, str]
    ) -> None:
        assert not may(request_)
