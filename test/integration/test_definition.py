"""What a real API server says of the CRD that it serves, to an account without rights."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from controller.clock import SystemClock
from controller.errors import NotFound
from controller.metrics import Metrics
from controller.rest.client import Client
from controller.rest.kubeconfig import load_api_client
from controller.rest.transport import Transport
from e2e import removed
from e2e.waiting import wait_for
from integration.running import DEFINITION, install_definition
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.definition import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def nobody(client: Client, kubeconfig: str, namespace: str, tmp_path: Path) -> Client:
    """Give a client as an account that no Role names."""
    account = {"metadata": {"name": "nobody"}}
    client.create(resources.SERVICE_ACCOUNTS, namespace, account)
    command = ["kubectl", f"--kubeconfig={kubeconfig}", "create", "token", "nobody"]
    made = subprocess.run(  # noqa: S603 - kubectl of the test run
        [*command, f"--namespace={namespace}"], check=True, capture_output=True, text=True
    )
    content = yaml.safe_load(Path(kubeconfig).read_text())
    content["users"][0]["user"] = {"token": made.stdout.strip()}
    written = tmp_path / "kubeconfig"
    written.write_text(yaml.safe_dump(content))
    transport = Transport(
        load_api_client(str(written)), clock=SystemClock(), metrics=Metrics(CollectorRegistry())
    )
    return Client(transport, field_manager="nobody")


@pytest.fixture
def replace(client: Client, kubectl: Callable[..., str], tmp_path: Path) -> Iterator[Any]:
    """Give what puts another CRD in the place of this version's, and put that back."""
    install_definition(client)

    def write(definition: Any) -> None:
        path = tmp_path / "definition.json"
        path.write_text(json.dumps(definition))
        kubectl("replace", f"--filename={path}")

    yield write
    write(yaml.safe_load(DEFINITION.read_text()))


def test_names_the_fields_that_the_removed_one_lacks(nobody: Client, replace: Any) -> None:
    def missing() -> tuple[str, ...] | None:
        try:
            return fields.missing(nobody.openapi(api.REPOSITORY_SERVERS))
        except NotFound:  # it is described a moment after it is served
            return None

    wait_for("the CRD of this version to be described", missing, lambda found: found == ())

    replace(removed.definition())

    lacks = wait_for("the removed one to be described", missing)
    assert lacks is not None
    assert {"spec.publish", "spec.server.networkPolicy", "status.observedGeneration"} <= set(lacks)
    assert "spec.storage.secretRef" not in lacks
