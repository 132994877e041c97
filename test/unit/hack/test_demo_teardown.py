"""What `hack/demo --down` deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from clusterlib import paths
from demolib import teardown

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFESTS = paths.CHECKOUT / "manifests"
SAMPLES = [MANIFESTS / "samples" / name for name in ("file-store", "client")]

# Deleted by steps of their own.
APART = {"namespaces", teardown.DEFINITIONS, teardown.SERVERS.partition(".")[0]}


def test_every_kind_of_the_manifests_is_deleted() -> None:
    assert set(_resources()) <= {*teardown.KINDS, *APART}


def _resources() -> Iterator[str]:
    folders = [*(MANIFESTS / name for name in ("crd", "controller")), *SAMPLES]
    files = [file for folder in folders for file in folder.glob("*.yaml")]
    for file in [*files, MANIFESTS / "namespace.yaml"]:
        for document in yaml.safe_load_all(file.read_text()):
            # The settings are no object: the kustomization makes a ConfigMap of them.
            kind = document.get("kind", "ConfigMap")
            if kind != "Kustomization":
                yield _plural(kind.lower())


def _plural(kind: str) -> str:
    return kind.removesuffix("y") + "ies" if kind.endswith("y") else f"{kind}s"
