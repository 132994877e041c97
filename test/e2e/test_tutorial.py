"""docs/tutorial.md works as it stands there, from the first server to the last deletion."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from e2e.cluster import NAMESPACE, Cluster
from e2e.documented import NOT_RUN, TUTORIAL, all_commands_of, filled_in
from e2e.installation import MANIFESTS
from e2e.kubectl import Ran
from e2e.node import DEFAULT_OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.installation import Controller
    from e2e.node import Node

NAME: Final = "file-store"
#: What the manifests name, which the tests have under names of their own.
IMAGE: Final = "kopia/kopia:0.23.1"
KANISTER: Final = "namespace: kanister"
WORDS: Final = {
    "-n kanister": f"-n {NAMESPACE}",
    "tls-secret.sh kanister": f"tls-secret.sh {NAMESPACE}",
}
SHORTEST_PASSWORD: Final = 16
TIMEOUT_SECONDS: Final = 240.0


@pytest.fixture
def checkout(
    cluster: Cluster,
    node: Node,
    controller: Controller,  # noqa: ARG001 - it makes the server
    tmp_path: Path,
) -> Iterator[Path]:
    """Give a folder with the samples for this cluster, and the volume that their claim is for."""
    samples = tmp_path / "manifests" / "samples"
    shutil.copytree(MANIFESTS / "samples", samples)
    for path in samples.rglob("*.yaml"):
        text = path.read_text().replace(KANISTER, f"namespace: {NAMESPACE}")
        path.write_text(text.replace(IMAGE, cluster.server_image))
    node.make_volume(NAME)
    # A volume of a StorageClass is made writable for the pods by their fsGroup.
    node.shell(f"chown {DEFAULT_OWNER}:{DEFAULT_OWNER} {node.directory}/{NAME}")
    yield tmp_path
    node.remove_volume(NAME)


def typed(command: str, cluster: Cluster, folder: Path) -> Ran:
    """Run a line in a shell, as a reader does, and return what came of it."""
    result = subprocess.run(  # noqa: S603 - the page is ours
        ["/bin/bash", "-euo", "pipefail", "-c", filled_in(command, WORDS)],
        cwd=folder,
        env={**os.environ, "KUBECONFIG": cluster.kubectl.kubeconfig},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return Ran(result.returncode, result.stdout, result.stderr)


def remember_passwords(cluster: Cluster, folder: Path) -> None:
    """Have the passwords that were filled in looked for, in whatever is printed anywhere."""
    for path in folder.rglob("secret*.yaml"):
        for secret in yaml.safe_load_all(path.read_text()):
            for value in secret["stringData"].values():
                if value.isalnum() and len(value) >= SHORTEST_PASSWORD:
                    cluster.confidential.remember(f"a password of {path.parent.name}", value)


def test_each_line_works(cluster: Cluster, checkout: Path) -> None:
    printed: dict[str, list[str]] = {}
    for command in all_commands_of(TUTORIAL):
        if command not in NOT_RUN:
            ran = typed(command, cluster, checkout)
            assert ran.code == 0, f"{command}: {ran}"
            printed.setdefault(command, []).append(ran.output + ran.complaint)
            if "fill-in.sh" in command:
                remember_passwords(cluster, checkout)

    before, after = printed["kubectl get reposerver -n kanister -o wide"]
    assert row(before)[:2] == ["True", "ServerReady"]
    # Ready, its reason, the age, Available.
    assert row(after)[:2] == ["False", "RepositoryPasswordWrong"]
    assert row(after)[3] == "True"
    assert "key repo-password" in after
    assert printed["kubectl exec -n kanister client -- cat /data/letters/first"] == [
        "Dear reader\n"
    ]
    backups = printed["kubectl exec -n kanister client -- kopia snapshot create /data/letters"]
    assert ["Created snapshot with root" in each for each in backups] == [True, True]


def row(table: str) -> list[str]:
    """Return the columns of the tutorial's server after its name."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"{NAME} ")]
    return line.split()[1:]
