"""The strategic merge of podOverride, held against that of a real API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from controller.resource import Resource
from reconcilers.pods import overrides, strategicmerge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.rest.client import Client, Object

POD_TEMPLATES = Resource("", "v1", "podtemplates", "PodTemplate")

SERVER = "server"
SIDECAR = "sidecar"

NODE: Object = {"fieldPath": "spec.nodeName"}

POD: Object = {
    "securityContext": {"runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "tolerations": [{"key": "backup", "operator": "Exists"}],
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a"]}],
    "containers": [
        {
            "name": SERVER,
            "image": "kopia:1",
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
            "securityContext": {"capabilities": {"drop": ["ALL"]}},
        },
        {
            "name": SIDECAR,
            "image": "sidecar:1",
            "env": [{"name": "A", "value": "b"}],
            "ports": [{"containerPort": 1}],
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        },
    ],
    "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}],
}


def on(container: str, change: Object) -> Object:
    return {"containers": [{"name": container, **change}]}


def template(name: str, spec: Object) -> Object:
    return {"metadata": {"name": name}, "template": {"spec": spec}}


def fields(
    definitions: Object, name: str, seen: frozenset[str], at: strategicmerge.Path = ()
) -> Iterator[tuple[strategicmerge.Path, Object]]:
    """Yield the path of each field below a definition of the API, with its schema."""
    for field, schema in definitions[name].get("properties", {}).items():
        path = (*at, field)
        yield path, schema
        target = (schema.get("items") or schema).get("$ref", "").rpartition("/")[2]
        if target and target not in seen:
            yield from fields(definitions, target, seen | {target}, path)


def ordered(node: Any) -> Any:
    """Sort the lists whose items a key tells apart: their order is no part of a merge."""
    if isinstance(node, dict):
        return {
            name: sorted(map(ordered, value), key=lambda item: json.dumps(item, sort_keys=True))
            if name in strategicmerge.MERGE_KEYS
            else ordered(value)
            for name, value in node.items()
        }
    return node


def test_the_merge_keys_are_those_of_the_api(kubectl: Callable[..., str]) -> None:
    definitions = json.loads(kubectl("get", "--raw", "/openapi/v2"))["definitions"]

    pod = "io.k8s.api.core.v1.PodSpec"
    keys = {
        (path, schema["x-kubernetes-patch-merge-key"])
        for path, schema in fields(definitions, pod, frozenset())
        if "x-kubernetes-patch-merge-key" in schema
        # Below a claim's own metadata; no volume of ours has any.
        and path[-1] != "ownerReferences"
    }

    # Older versions lack some.
    assert keys <= set(strategicmerge.LISTS.items())


@pytest.mark.parametrize(
    "override",
    [
        pytest.param({"securityContext": {"fsGroup": 1}}, id="objects are merged"),
        pytest.param({"hostAliases": None}, id="null takes a field away"),
        pytest.param({"tolerations": [{"operator": "Exists"}]}, id="a list without key"),
        pytest.param(
            {
                "hostAliases": [{"ip": "192.0.2.2", "hostnames": ["b"]}],
                "imagePullSecrets": [{"name": "registry"}],
                "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
                "topologySpreadConstraints": [
                    {
                        "topologyKey": "zone",
                        "maxSkew": 1,
                        "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": {"matchLabels": {"a": "b"}},
                    }
                ],
            },
            id="lists with a key are added to",
        ),
        pytest.param(
            {"hostAliases": [{"ip": "192.0.2.1", "$patch": "delete"}]}, id="an item is deleted"
        ),
        pytest.param(
            {"hostAliases": [{"$patch": "replace"}, {"ip": "192.0.2.2", "hostnames": ["b"]}]},
            id="a list is replaced",
        ),
        pytest.param(
            on(SERVER, {"securityContext": {"$patch": "replace", "readOnlyRootFilesystem": True}}),
            id="an object is replaced",
        ),
        pytest.param(on(SERVER, {"resources": {"$patch": "delete"}}), id="an object is emptied"),
        pytest.param(
            on(
                SIDECAR,
                {
                    "env": [
                        {"name": "C", "value": "$(A)"},
                        {"name": "A", "value": None, "valueFrom": {"fieldRef": NODE}},
                    ],
                    "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": None}},
                    "volumeMounts": [
                        {"name": "cache", "mountPath": "/cache", "subPath": "kopia"},
                        {"name": "cache", "mountPath": "/other"},
                    ],
                    "ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2}],
                },
            ),
            id="a container is merged in depth",
        ),
        pytest.param(
            {
                "containers": [{"name": "third", "image": "third", "stdin": None}],
                "initContainers": [{"name": "first", "image": "first", "env": [{"name": "A"}]}],
            },
            id="containers are added",
        ),
    ],
)
def test_merges_as_the_api_server_does(
    kubectl: Callable[..., str], client: Client, namespace: str, override: Object
) -> None:
    client.create(POD_TEMPLATES, namespace, template("patched", POD))
    patch = json.dumps({"template": {"spec": override}})
    there = ["--namespace", namespace, "podtemplates/patched"]
    patched = kubectl("patch", *there, "--type=strategic", f"--patch={patch}", "--output=json")

    merged = overrides.merged(POD, override, container=SERVER)
    created = client.create(POD_TEMPLATES, namespace, template("merged", merged))

    assert ordered(json.loads(patched)["template"]) == ordered(created["template"])
