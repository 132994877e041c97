"""Finds a Kanister operator: two engines in one namespace would take each other's ActionSets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")

IN_THE_WAY: Final = (
    "Deployment {name} in namespace {namespace} is a Kanister operator, which runs the ActionSets"
    " there; serve another namespace (--namespace), or scale it to 0"
)

# Kanister helm/kanister-operator/templates/deployment.yaml: the selector is fixed, the name is not,
# and the variable is set in every version of the chart.
_SELECTED: Final = "kanister-operator"
_VARIABLE: Final = "CREATEORUPDATE_CRDS"


def operators(deployments: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the Deployments that are Kanister operators and may have a pod.

    Args:
        deployments: All of a namespace.
    """
    return [one["metadata"]["name"] for one in deployments if _is_operator(one["spec"])]


def _is_operator(spec: Mapping[str, Any]) -> bool:
    if spec.get("replicas", 1) == 0:
        return False
    labels = (spec.get("selector") or {}).get("matchLabels") or {}
    containers = spec["template"]["spec"].get("containers") or ()
    variables = {variable["name"] for one in containers for variable in one.get("env") or ()}
    return labels.get("app") == _SELECTED or _VARIABLE in variables
