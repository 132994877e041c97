"""What the chart takes from manifests/ as it is: long texts of which there should be one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clusterlib import paths

if TYPE_CHECKING:
    from pathlib import Path

CHART: Final = paths.CHECKOUT / "charts" / "repository-server-controller"
MANIFESTS: Final = paths.CHECKOUT / "manifests"

#: Files below the chart's folder `files`, by the files of manifests/ that they come from.
SOURCES: Final = {
    "crd/repositoryservers.yaml": "crd.yaml",
    "served-namespace/role.yaml": "role.yaml",
    "controller/lease-role.yaml": "lease-role.yaml",
    "kanister-profiles/role.yaml": "profiles-role.yaml",
    "monitoring/prometheus-rule.yaml": "prometheus-rule.yaml",
    "monitoring/dashboard.json": "dashboard.json",
    "policies/authors.yaml": "policies/authors.yaml",
    "policies/controller-pods.yaml": "policies/controller-pods.yaml",
    "policies/controller-writes.yaml": "policies/controller-writes.yaml",
    "policies/actionset-authors.yaml": "policies/actionset-authors.yaml",
    "policies/actionset-controller-pods.yaml": "policies/actionset-controller-pods.yaml",
    "policies/actionset-controller-writes.yaml": "policies/actionset-controller-writes.yaml",
    "actionset-controller/role.yaml": "actionset-role.yaml",
    "application/role.yaml": "application-role.yaml",
    "application/secrets-role.yaml": "application-secrets-role.yaml",
    "kanister-crds/actionsets.yaml": "kanister-crds/actionsets.yaml",
    "kanister-crds/blueprints.yaml": "kanister-crds/blueprints.yaml",
    "kanister-crds/profiles.yaml": "kanister-crds/profiles.yaml",
    "user-roles/viewer.yaml": "user-roles/viewer.yaml",
    "user-roles/editor.yaml": "user-roles/editor.yaml",
}


def wanted() -> dict[Path, str]:
    """Return what the files of the chart's folder `files` should hold."""
    return {
        CHART / "files" / target: (MANIFESTS / source).read_text()
        for source, target in SOURCES.items()
    }
