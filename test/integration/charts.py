"""What `helm template` and `kubectl kustomize` make, without an API server."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

import yaml

from e2e.release import CHART, ROOT, program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from controller.resource import Object

MANIFESTS: Final = ROOT / "manifests"

#: The release whose objects have the names of the manifests.
RELEASE: Final = "repository-server-controller"
NAMESPACE: Final = "kanister"

#: Every part of the chart that is not there by default.
EVERYTHING: Final = {
    "policies": {"create": True},
    "kanisterProfiles": {"create": True},
    "actionsets": {"create": True, "kanisterCrds": True, "applications": ["shop"]},
    "monitoring": {
        "serviceMonitor": {"create": True},
        "rules": {"create": True},
        "dashboard": {"create": True},
    },
}

#: And every part of the manifests that has a namespace.
OVERLAY: Final = """
namespace: {namespace}
resources: [{manifests}]
components:
  - {manifests}/monitoring
  - {manifests}/kanister-profiles
  - {manifests}/kanister-crds
  - {manifests}/actionset-controller
"""
#: What the namespace of an application has.
APPLICATION: Final = """
namespace: shop
resources: [{manifests}]
"""
#: What has none. kustomize would give policies the one of an overlay.
CLUSTER_WIDE: Final = ("policies", "user-roles")

Key = tuple[str, str, str]


def helm(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run helm and return what came of it."""
    return subprocess.run(  # noqa: S603 - a program of this project's list
        [program("helm"), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def template(
    values: Any = None, *, release: str = RELEASE, namespace: str = NAMESPACE
) -> list[Object]:
    """Return the objects of a release.

    Raises:
        AssertionError: helm refuses the values.
    """
    ran = helm(
        *("template", release, str(CHART), f"--namespace={namespace}", "--values=-"),
        stdin=yaml.safe_dump(values or {}),
    )
    assert ran.returncode == 0, ran.stderr
    return [obj for obj in yaml.safe_load_all(ran.stdout) if obj]


def manifests(directory: Path) -> list[Object]:
    """Return all objects of the manifests.

    Args:
        directory: For the overlay.
    """
    relative = os.path.relpath(MANIFESTS, directory.resolve())
    text = OVERLAY.format(manifests=relative, namespace=NAMESPACE)
    (directory / "kustomization.yaml").write_text(text)
    application = directory / "application"
    application.mkdir()
    relative = os.path.relpath(MANIFESTS / "application", application.resolve())
    (application / "kustomization.yaml").write_text(APPLICATION.format(manifests=relative))
    folders = [directory, application, *(MANIFESTS / name for name in CLUSTER_WIDE)]
    return [obj for folder in folders for obj in kustomize(folder)]


def kustomize(folder: Path) -> list[Object]:
    """Return the objects that a kustomization makes."""
    ran = subprocess.run(  # noqa: S603 - a program of this project's list
        [program("kubectl"), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [obj for obj in yaml.safe_load_all(ran.stdout) if obj]


def by_key(objects: Iterable[Object]) -> dict[Key, Object]:
    """Return objects by kind, namespace and name."""
    found: dict[Key, Object] = {}
    for obj in objects:
        metadata = obj["metadata"]
        key = (obj["kind"], metadata.get("namespace", ""), metadata["name"])
        assert key not in found, key
        found[key] = obj
    return found
