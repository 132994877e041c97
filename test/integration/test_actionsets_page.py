"""Every command of docs/actionsets.md and of the README of manifests/application, run."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from controller.errors import AlreadyExists
from e2e.documented import as_typed, commands_of
from integration.actionpolicies import install_definitions
from integration.plane import LEASES
from integration.test_manifests import MANIFESTS
from reconcilers.actionset import api

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.rest.client import Client

ROOT = Path(__file__).parents[2]
PAGES = ("docs/actionsets.md", "manifests/application/README.md")
SAMPLE = MANIFESTS / "samples" / "actionsets"
NAME = "backup-of-the-page"

#: These change the whole cluster, or take away what others need: they are only asked for.
ASKED_FOR = ("apply -k manifests/policies", "delete ")


@pytest.fixture(scope="module")
def _installed(client: Client, kubectl: Callable[..., str]) -> None:
    kubectl("apply", "--kustomize", str(MANIFESTS))
    kubectl("apply", "--namespace=kanister", "--kustomize", str(MANIFESTS / "actionset-controller"))
    install_definitions(client)
    kubectl("apply", "--kustomize", str(SAMPLE))
    backup = yaml.safe_load((SAMPLE / "backup.yaml").read_text())
    backup["metadata"] = {"name": NAME, "namespace": "kanister"}
    backup["status"] = {"state": "complete"}
    client.create(api.ACTION_SETS, "kanister", backup)
    with contextlib.suppress(AlreadyExists):
        client.create(LEASES, "kanister", {"metadata": {"name": "actionset-controller"}})


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("command", [line for page in PAGES for line in commands_of(page)])
def test_runs(kubeconfig: str, command: str) -> None:
    words = as_typed(command, {"NAME": NAME})
    if any(shlex.join(words).startswith(one) for one in ASKED_FOR):
        words.append("--dry-run=server")

    line = ["kubectl", f"--kubeconfig={kubeconfig}", *words]
    ran = subprocess.run(  # noqa: S603 - the page is ours
        line,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
