"""Parameters for the templates of a Blueprint's action, made from what these ask for.

Outputs, artifacts, Secrets and keys of the object are those that the templates name. What has a
fixed shape, the workload, the Profile and the like, is as it is of a real target.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WORKLOADS = ("StatefulSet", "Deployment", "DeploymentConfig")
WORKLOAD = {
    "Name": "my-db",
    "Namespace": "app",
    "Pods": ["my-db-0"],
    "Containers": [["db"]],
    "PersistentVolumeClaims": {"my-db-0": {"data-my-db-0": "/data"}},
}
LOCATION = {
    "type": "s3Compliant",
    "bucket": "bucket",
    "endpoint": "https://store",
    "prefix": "prefix",
    "region": "region",
}

#: A value, which is base64 as well: templates decode what is in the object's data.
VALUE = "dmFsdWU="

PHASE_OUTPUT = re.compile(r"\.Phases\.(\w+)\.Output\.(\w+)")
PHASE_SECRET = re.compile(r'\.Phases\.(\w+)\.Secrets\.(\w+)\.Data "([^"]+)"')
SECRET = re.compile(r"(?<![\w.])\.Secrets\.(\w+)\.Data\.(\w+)")
CONFIG_MAP = re.compile(r"(?<![\w.])\.ConfigMaps\.(\w+)\.Data\.(\w+)")
ARTIFACT = re.compile(r"\.ArtifactsIn\.(\w+)\.KeyValue\.(\w+)")
SNAPSHOT = re.compile(r"\.ArtifactsIn\.(\w+)\.KopiaSnapshot")
OBJECT_DATA = re.compile(r'\.Object\.data(?:\.(\w+)| "([^"]+)")')


def strings(tree: Any) -> Iterator[str]:
    """Yield all strings of a tree."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from strings(key)
            yield from strings(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from strings(value)


@frozen
class Setting:
    """What may be one way or another for an action that is the same.

    Args:
        credential: Of the Profile.
        options: Of the ActionSet.
    """

    credential: Mapping[str, Any]
    options: Mapping[str, str] = field(factory=dict)


KEY_PAIR = Setting({"Type": "keyPair", "KeyPair": {"ID": "id", "Secret": "secret"}})
SECRET_WITH_OPTIONS = Setting(
    {
        "Type": "secret",
        "Secret": {
            "metadata": {"name": "credentials"},
            "data": {"aws_access_key_id": VALUE, "aws_secret_access_key": VALUE},
        },
    },
    {"kanisterImage": "registry/tools", "pitr": "2026-01-02T03:04:05Z"},
)


def made_for(action: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Return parameters for the templates of an action."""
    text = "\n".join(strings(dict(action)))
    kinds = [kind for kind in WORKLOADS if f".{kind}." in text]
    return {
        **dict.fromkeys(kinds, WORKLOAD),
        **({"Namespace": {"Name": "app", "Namespace": "app"}} if ".Namespace.Name" in text else {}),
        "Object": _object(text),
        "ArtifactsIn": _artifacts(text),
        "ConfigMaps": _named(CONFIG_MAP, text, "text"),
        "Secrets": _named(SECRET, text, VALUE),
        "Profile": {"Location": LOCATION, "Credential": setting.credential, "SkipSSLVerify": True},
        "Options": dict(setting.options),
        "Time": "2026-01-02T03:04:05.123456789Z",
        "Phases": _phases(text),
        "DeferPhase": {},
    }


def _object(text: str) -> dict[str, Any]:
    data = {plain or quoted: VALUE for plain, quoted in OBJECT_DATA.findall(text)}
    names = ("app.kubernetes.io/instance", "release", "app")
    return {
        "metadata": {
            "name": "my-db",
            "namespace": "app",
            "uid": "uid",
            "labels": dict.fromkeys(names, "my-db"),
        },
        "spec": {"serviceName": "my-db", "nodeSets": [{"name": "default", "count": 3}]},
        "data": data,
    }


def _artifacts(text: str) -> dict[str, dict[str, Any]]:
    artifacts: dict[str, dict[str, Any]] = {}
    for name, key in ARTIFACT.findall(text):
        artifacts.setdefault(name, {}).setdefault("keyValue", {})[key] = "value"
    for name in SNAPSHOT.findall(text):
        artifacts.setdefault(name, {})["kopiaSnapshot"] = '{"id":"value"}'
    return artifacts


def _named(pattern: re.Pattern[str], text: str, value: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, key in pattern.findall(text):
        found.setdefault(name, {"metadata": {"name": name}, "data": {}})["data"][key] = value
    return found


def _phases(text: str) -> dict[str, dict[str, Any]]:
    phases: dict[str, dict[str, Any]] = {}
    for name, key in PHASE_OUTPUT.findall(text):
        phases.setdefault(name, {}).setdefault("Output", {})[key] = "value"
    for name, secret, key in PHASE_SECRET.findall(text):
        secrets = phases.setdefault(name, {}).setdefault("Secrets", {})
        one = secrets.setdefault(secret, {"metadata": {"name": secret}, "data": {}})
        one["data"][key] = VALUE
    return phases
