"""The definition of RepositoryServers, as objects from before it and kubectl meet it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.errors import Invalid
from controller.rest.client import Client, Object, Resource
from e2e.waiting import wait_for
from fakes import kstatus
from integration.running import DEFINITION, DEFINITIONS, install_definition, serves
from integration.serverobjects import (
    LEGACY_STATUS,
    NOT_OBSERVED,
    REPOSITORY_SERVERS,
    SERVER,
    changed,
    nested,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The same schema in another API group, for a test that changes it under the feet of its objects.
GROUP_OF_COPY = "copy.kanister.io"
COPIES = Resource(GROUP_OF_COPY, "v1alpha1", "repositoryservers", "RepositoryServer")


def refuses(client: Client, namespace: str, obj: Object) -> bool:
    try:
        created = client.create(COPIES, namespace, obj)
    except Invalid:
        return True
    client.delete(COPIES, namespace, created["metadata"]["name"])
    return False


def definition() -> Object:
    loaded: Object = yaml.safe_load(DEFINITION.read_text())
    return loaded


def schema(definition: Object) -> Object:
    (version,) = definition["spec"]["versions"]
    root: Object = version["schema"]["openAPIV3Schema"]
    return root


def described(node: Object, path: str) -> Iterator[tuple[str, str]]:
    """Yield each field, in the path syntax of `kubectl explain`, with its description."""
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child.get("description", "")
        yield from described(child, f"{path}.{name}")
    if "items" in node:
        yield from described(node["items"], path)


def without_rules(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: without_rules(value)
            for key, value in node.items()
            if key != "x-kubernetes-validations"
        }
    if isinstance(node, list):
        return [without_rules(value) for value in node]
    return node


@pytest.fixture(scope="module", autouse=True)
def _crd(client: Client) -> None:
    install_definition(client)


@pytest.fixture
def server(client: Client, namespace: str) -> Object:
    return client.create(REPOSITORY_SERVERS, namespace, SERVER)


class TestAnObjectFromBeforeTheRules:
    """Stored with values that a rule refuses by now: it must stay usable."""

    @pytest.fixture
    def old(self, client: Client, namespace: str) -> Iterator[Object]:
        """Store an object under a copy of the schema without rules, then bring the rules in."""
        refused = changed(
            SERVER,
            {
                "apiVersion": COPIES.api_version,
                "spec.repository.rootPath": "../repository",
                "spec.server.userAccess.username": "Backup",
            },
        )
        ruled = changed(
            definition(),
            {"metadata.name": COPIES.full_name, "spec.group": GROUP_OF_COPY},
        )
        ruled["spec"]["names"] = {**ruled["spec"]["names"], "shortNames": []}
        client.apply(DEFINITIONS, "", COPIES.full_name, without_rules(ruled))
        wait_for("the copy", lambda: serves(client, COPIES))
        stored = client.create(COPIES, namespace, refused)

        client.apply(DEFINITIONS, "", COPIES.full_name, ruled)
        probe = changed(refused, {"metadata.name": "probe"})
        wait_for("the rules", lambda: refuses(client, namespace, probe))
        yield stored
        client.delete(DEFINITIONS, "", COPIES.full_name)

    def test_can_be_updated(self, client: Client, namespace: str, old: Object) -> None:
        name = old["metadata"]["name"]

        client.merge_patch(COPIES, namespace, name, {"status": LEGACY_STATUS}, subresource="status")
        client.merge_patch(COPIES, namespace, name, nested("spec.server.runAsUser", 1))
        client.merge_patch(COPIES, namespace, name, nested("metadata.labels.a", "b"))
        with pytest.raises(Invalid, match="Kopia refuses this user name"):
            client.merge_patch(
                COPIES, namespace, name, nested("spec.server.userAccess.username", "BACKUP")
            )
        client.merge_patch(
            COPIES, namespace, name, nested("spec.server.userAccess.username", "backup")
        )


class TestKubectl:
    def test_explains_every_field(self, kubectl: Callable[..., str]) -> None:
        # The copy has the same name, and what the API server says of it goes a moment after it.
        ours = f"--api-version={REPOSITORY_SERVERS.api_version}"
        for path, description in described(schema(definition()), "repositoryservers"):
            explanation = " ".join(kubectl("explain", ours, path).split())

            # The API server has its own words for these.
            if path.split(".")[1] not in ("apiVersion", "kind", "metadata"):
                assert " ".join(description.split()) in explanation
            assert "<empty>" not in explanation

    def test_knows_the_short_name(
        self, kubectl: Callable[..., str], namespace: str, server: Object
    ) -> None:
        found = kubectl("get", "reposerver", "--namespace", namespace, "--output", "name")

        assert found.strip() == f"repositoryserver.cr.kanister.io/{server['metadata']['name']}"

    def test_prints_the_story(
        self, client: Client, kubectl: Callable[..., str], namespace: str, server: Object
    ) -> None:
        ready = {"type": "Ready", "status": "False", "reason": "SecretMissing", "message": "Fix!"}
        available = {"type": "Available", "status": "True", "reason": "Serving", "message": "yes"}
        info = {"podName": "pod", "serviceName": "service", "tlsFingerprint": "f00d"}
        client.merge_patch(
            REPOSITORY_SERVERS,
            namespace,
            server["metadata"]["name"],
            {
                "status": {
                    "progress": "Failed",
                    "conditions": [available, ready],
                    "serverInfo": info,
                }
            },
            subresource="status",
        )

        table = kubectl("get", "reposerver", "--namespace", namespace).splitlines()
        wide = kubectl("get", "reposerver", "--namespace", namespace, "-o", "wide").splitlines()

        assert [line.split()[:3] for line in table] == [
            ["NAME", "READY", "REASON"],
            ["server", "False", "SecretMissing"],
        ]
        assert table[0].split()[3:] == ["AGE"]
        assert [line.split()[4:] for line in wide] == [
            ["AVAILABLE", "SERVICE", "MESSAGE", "POD", "FINGERPRINT"],
            ["True", "service", "Fix!", "pod", "f00d"],
        ]

    def test_lists_it_with_all_of_kanister(
        self, kubectl: Callable[..., str], namespace: str, server: Object, tmp_path: Path
    ) -> None:
        # What kubectl remembers of a server may be of another one that had the same port.
        cache = f"--cache-dir={tmp_path}"

        found = kubectl("get", "kanister", "--namespace", namespace, "-o", "name", cache)

        assert found.split() == [f"repositoryserver.cr.kanister.io/{server['metadata']['name']}"]


class TestKstatus:
    """What Flux waits for."""

    def test_a_resource_that_no_controller_has_seen_is_in_progress(
        self, client: Client, namespace: str, server: Object
    ) -> None:
        found = client.get(REPOSITORY_SERVERS, namespace, server["metadata"]["name"])

        assert found["status"] == NOT_OBSERVED
        assert kstatus.compute(found) == "InProgress"


class TestKubectlWait:
    def test_waits_for_an_edit_that_the_controller_has_not_seen(
        self, client: Client, kubectl: Callable[..., str], namespace: str, server: Object
    ) -> None:
        name = server["metadata"]["name"]
        wait = ("wait", "--namespace", namespace, "--for=condition=Ready", f"reposerver/{name}")

        def report(generation: int) -> None:
            ready = {"type": "Ready", "status": "True", "observedGeneration": generation}
            status = {"observedGeneration": generation, "conditions": [ready]}
            client.merge_patch(
                REPOSITORY_SERVERS, namespace, name, {"status": status}, subresource="status"
            )

        report(server["metadata"]["generation"])
        assert "condition met" in kubectl(*wait, "--timeout=60s")
        change = {"spec": {"server": {"drainSeconds": 7}}}
        edited = client.merge_patch(REPOSITORY_SERVERS, namespace, name, change)

        with pytest.raises(subprocess.CalledProcessError):
            kubectl(*wait, "--timeout=1s")

        report(edited["metadata"]["generation"])
        assert "condition met" in kubectl(*wait, "--timeout=60s")
