"""The manifests of a release, each one file for `kubectl apply -f`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import yaml

from chartlib.copies import MANIFESTS
from clusterlib import processes

if TYPE_CHECKING:
    from pathlib import Path

INSTALL: Final = "install.yaml"
POLICIES: Final = "policies.yaml"
#: The files, with the folder of manifests/ that each is made of, and what is said at its top.
FILES: Final = {
    INSTALL: (
        ".",
        """\
# Version {version}: everything that the controller needs, for namespace kanister, from Kubernetes
# 1.29 on.
#
# To take it away, delete its Deployment, not this file: that has the namespace with your Secrets,
# and the CRD with your RepositoryServers.
""",
    ),
    POLICIES: (
        "policies",
        """\
# Version {version}: refusals of the API server itself, for the whole cluster, from Kubernetes
# 1.30 on. The controller refuses what is dangerous without them all the same.
""",
    ),
}
#: The image's name in manifests/.
_IMAGE: Final = "repository-server-controller"


def overlay(resource: str, image: str, digest: str) -> dict[str, Any]:
    """Return a kustomization that gives manifests an image.

    Args:
        resource: The folder of the manifests, relative.
        image: The image's name, without a tag.
        digest: Its digest.
    """
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [resource],
        "images": [{"name": _IMAGE, "newName": image, "digest": digest}],
    }


def write(
    scratch: Path, target: Path, *, kubectl: Path, version: str, image: str, digest: str
) -> None:
    """Write the files of a release.

    Args:
        scratch: A folder for what is made on the way.
        target: Where they go.
        kubectl: The program.
        version: The version.
        image: The image's name, without a tag.
        digest: Its digest.

    Raises:
        ClusterError: kubectl refuses the manifests.
    """
    for name, (folder, head) in FILES.items():
        made = scratch / name
        made.mkdir()
        # kustomize takes relative paths only.
        resource = os.path.relpath((MANIFESTS / folder).resolve(), made.resolve())
        wanted = yaml.safe_dump(overlay(resource, image, digest))
        (made / "kustomization.yaml").write_text(wanted)
        command = [str(kubectl), "kustomize", str(made)]
        text = processes.run(command, what=f"rendering {name}")
        (target / name).write_text(head.format(version=version) + text)
