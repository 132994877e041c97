"""What the chart and the manifests have apart, each with its reason: all else is equal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml
from attrs import frozen

from integration.charts import NAMESPACE, RELEASE
from reconcilers import options
from reconcilers.actionset import options as actionset_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.resource import Object

_SUFFIX: Final = f".{NAMESPACE}.{RELEASE}"
ACTIONSETS: Final = "actionset-controller"
_NAME: Final = "app.kubernetes.io/name"
_LABELS: Final = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
}
_CLUSTER_WIDE: Final = {
    "ClusterRole",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
#: Variables that the chart sets to what a value says, where the manifests leave the default.
_VARIABLES: Final = {
    "WORKERS",
    "MAX_CONCURRENT_REPLACEMENTS",
    "LEADER_ELECTION_ID",
    "LEADER_ELECTION_LEASE_DURATION",
    "LEADER_ELECTION_RENEW_DEADLINE",
    "LEADER_ELECTION_RETRY_PERIOD",
}
_PARSERS: Final = {"RSC": options.parse_options, "ASC": actionset_options.parse_options}


@frozen
class Difference:
    """One thing that the two have apart.

    Args:
        reason: Why.
        without: Returns an object without it, None for one that is left out.
    """

    reason: str
    without: Callable[[Object], Object | None]


def apart(objects: Iterable[Object], differences: Iterable[Difference]) -> list[Object]:
    """Return objects without what the two may have apart."""
    found = []
    for obj in objects:
        kept: Object | None = json.loads(json.dumps(obj))
        for difference in differences:
            kept = difference.without(kept) if kept is not None else None
        if kept is not None:
            found.append(kept)
    return found


def _every_map(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, dict):
        return change({key: _every_map(item, change) for key, item in value.items()})
    return [_every_map(item, change) for item in value] if isinstance(value, list) else value


def _labels(obj: Object) -> Object:
    return dict(
        _every_map(
            obj, lambda found: {key: item for key, item in found.items() if key not in _LABELS}
        )
    )


def _label_of_all(obj: Object) -> Object:
    labels = obj["metadata"].get("labels", {})
    labels.pop(_NAME, None)
    if not labels:
        obj["metadata"].pop("labels", None)
    return obj


def _no_namespace(obj: Object) -> Object | None:
    return None if obj["kind"] == "Namespace" else obj


def _cluster_wide_names(obj: Object) -> Object:
    if obj["kind"] in _CLUSTER_WIDE:
        obj["metadata"]["name"] = obj["metadata"]["name"].removesuffix(_SUFFIX)
        spec = obj.get("spec", {})
        if "policyName" in spec:
            spec["policyName"] = spec["policyName"].removesuffix(_SUFFIX)
    return obj


def _account(obj: Object) -> Object:
    for condition in obj.get("spec", {}).get("matchConditions", ()):
        for account in (RELEASE, ACTIONSETS):
            condition["expression"] = condition["expression"].replace(
                f"username == 'system:serviceaccount:{NAMESPACE}:{account}'",
                f"username.endsWith(':{account}')",
            )
    return obj


def _keep(obj: Object) -> Object:
    if obj["kind"] == "CustomResourceDefinition":
        annotations = obj["metadata"].get("annotations", {})
        annotations.pop("helm.sh/resource-policy", None)
        if not annotations:
            obj["metadata"].pop("annotations", None)
    return obj


def _settings(obj: Object) -> Object:
    prefix = f"{RELEASE}-settings"
    if obj["kind"] == "ConfigMap" and obj["metadata"]["name"].startswith(prefix):
        obj["metadata"]["name"] = prefix
        obj["data"] = {key: yaml.safe_load(text) for key, text in obj["data"].items()}
    if obj["kind"] == "Deployment":
        template = obj["spec"]["template"]
        template["metadata"]["annotations"].pop("checksum/settings", None)
        for volume in template["spec"]["volumes"]:
            if "configMap" in volume:
                volume["configMap"]["name"] = prefix
    return obj


def _image(obj: Object) -> Object:
    if obj["kind"] == "Deployment":
        (container,) = obj["spec"]["template"]["spec"]["containers"]
        container["image"] = container["image"].partition(":")[0]
        for one in container["env"]:
            if one["name"] == "ASC_FUNCTIONS_IMAGE":
                one["value"] = one["value"].partition(":")[0]
    return obj


def _variables(obj: Object) -> Object:
    """Leave out the variables that say what holds without them."""
    if obj["kind"] != "Deployment":
        return obj
    (container,) = obj["spec"]["template"]["spec"]["containers"]
    container["env"] = [one for one in container["env"] if not _is_default(one)]
    return obj


def _is_default(variable: Object) -> bool:
    prefix, _, name = variable["name"].partition("_")
    if name not in _VARIABLES:
        return False
    # The two commands give other types of options.
    parse: Callable[[list[str], dict[str, str]], Any] = _PARSERS[prefix]
    return bool(parse([], {variable["name"]: variable["value"]}) == parse([], {}))


def _dashboard(obj: Object) -> Object:
    if obj["kind"] == "ConfigMap" and obj["metadata"]["name"].endswith("-dashboard"):
        ((_, text),) = obj["data"].items()
        obj["data"] = {"dashboard": {**json.loads(text), "uid": "", "title": ""}}
    return obj


DIFFERENCES: Final = (
    Difference("Helm makes the namespace only if it is asked to", _no_namespace),
    Difference("labels that tell the releases of a namespace apart, and say who made it", _labels),
    Difference("the label of the name, which the chart gives every object", _label_of_all),
    Difference(
        "two releases of a cluster need two names of what is cluster-wide", _cluster_wide_names
    ),
    Difference("a release knows the namespace of its account", _account),
    Difference("an uninstall keeps the CRD", _keep),
    Difference("a hash of the settings in another place, and their comments", _settings),
    Difference("the tag is the chart's version", _image),
    Difference(
        "values that the chart writes out where the command has the same default", _variables
    ),
    Difference(
        "two releases of a cluster need two uids, titles and files of dashboards", _dashboard
    ),
)
