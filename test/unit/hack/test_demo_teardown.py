"""What `hack/demo --down` deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from clusterlib import paths
from demolib import teardown

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFESTS = paths.CHECKOUT / "manifests"
FOLDERS = [
    *(
        MANIFESTS / name
        for name in ("crd", "controller", "kanister-crds", "actionset-controller", "application")
    ),
    *(MANIFESTS / "samples" / name for name in ("file-store", "client", "actionsets")),
]

# Deleted by steps of their own.
APART = {
    "namespaces",
    teardown.DEFINITIONS,
    *(resource.partition(".")[0] for resource in teardown.CUSTOM),
}
# The demo does not make the schedule of the sample.
LEFT_OUT = {"cronjobs"}


def test_every_kind_of_the_manifests_is_deleted() -> None:
    assert set(_resources()) <= {*teardown.KINDS, *APART, *LEFT_OUT}


def _resources() -> Iterator[str]:
    files = [file for folder in FOLDERS for file in folder.glob("*.yaml")]
    for file in [*files, MANIFESTS / "namespace.yaml"]:
        for document in yaml.safe_load_all(file.read_text()):
            # The settings are no object: the kustomization makes a ConfigMap of them.
            kind = document.get("kind", "ConfigMap")
            if kind not in ("Kustomization", "Component"):
                yield _plural(kind.lower())


def _plural(kind: str) -> str:
    return kind.removesuffix("y") + "ies" if kind.endswith("y") else f"{kind}s"
