"""What a user's podOverride does to the generated pod, and what it may not do."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest

from reconcilers.errors import InvalidInput
from reconcilers.pods import overrides

Object = dict[str, Any]

SERVER = "server"

# One of each kind of part that a generated pod has.
POD: Object = {
    "automountServiceAccountToken": False,
    "imagePullSecrets": [{"name": "mirror"}, {"name": "registry"}],
    "securityContext": {"runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "tolerations": [{"key": "backup", "operator": "Exists"}],
    "containers": [
        {
            "name": SERVER,
            "image": "kopia:1",
            "command": ["/bin/kopia"],
            "args": ["server", "start"],
            "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - a value
            "ports": [{"name": "https", "containerPort": 51515}],
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
            "securityContext": {"capabilities": {"drop": ["ALL"]}},
            "readinessProbe": {"exec": {"command": ["status"]}, "periodSeconds": 10},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a value
        }
    ],
    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
}


def on_server(change: Object) -> Object:
    return {"containers": [{"name": SERVER, **change}]}


def merged(override: Object) -> Object:
    return overrides.merged(POD, override, container=SERVER)


def with_server(change: Object) -> Object:
    """Return the generated pod with fields of the server's container set."""
    pod = copy.deepcopy(POD)
    pod["containers"][0].update(change)
    return pod


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        pytest.param({}, POD, id="an empty override changes nothing"),
        pytest.param(
            {"priorityClassName": "high"},
            {**POD, "priorityClassName": "high"},
            id="a new field is added",
        ),
        pytest.param(
            {"automountServiceAccountToken": True},
            {**POD, "automountServiceAccountToken": True},
            id="a plain value is replaced",
        ),
        pytest.param(
            {"automountServiceAccountToken": None},
            {name: value for name, value in POD.items() if name != "automountServiceAccountToken"},
            id="null takes a field away",
        ),
        pytest.param(
            {"securityContext": {"fsGroup": 1, "seccompProfile": {"type": "Unconfined"}}},
            {
                **POD,
                "securityContext": {
                    "runAsUser": 65532,
                    "fsGroup": 1,
                    "seccompProfile": {"type": "Unconfined"},
                },
            },
            id="objects are merged, at any depth",
        ),
        pytest.param(
            {"securityContext": {"$patch": "replace", "runAsUser": 65532}},
            {**POD, "securityContext": {"runAsUser": 65532}},
            id="an object is replaced where that is asked for",
        ),
        pytest.param(
            on_server({"securityContext": {"$patch": "delete"}}),
            with_server({"securityContext": {}}),
            id="an object is emptied where that is asked for",
        ),
        pytest.param(
            {"tolerations": [{"operator": "Exists"}]},
            {**POD, "tolerations": [{"operator": "Exists"}]},
            id="a list without a merge key is replaced",
        ),
        pytest.param(
            on_server({"image": "kopia:2"}),
            with_server({"image": "kopia:2"}),
            id="the server's container is found by its name",
        ),
        pytest.param(
            on_server({"resources": {"limits": {"memory": "1Gi"}}}),
            with_server(
                {
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "128Mi"},
                        "limits": {"memory": "1Gi"},
                    }
                }
            ),
            id="a limit is added to the requests",
        ),
        pytest.param(
            on_server({"env": [{"name": "HTTPS_PROXY", "value": "proxy"}]}),
            with_server(
                {
                    "env": [
                        *POD["containers"][0]["env"],
                        {"name": "HTTPS_PROXY", "value": "proxy"},
                    ]
                }
            ),
            id="a variable is added after the controller's, and may refer to them",
        ),
        pytest.param(
            on_server({"env": [{"name": "HOME", "value": "/tmp"}]}),  # noqa: S108 - a value
            POD,
            id="what says the same as the generated pod is no change",
        ),
        pytest.param(
            on_server({"readinessProbe": {"periodSeconds": 60}}),
            with_server({"readinessProbe": {"exec": {"command": ["status"]}, "periodSeconds": 60}}),
            id="a probe gets another period",
        ),
        pytest.param(
            {"containers": [{"name": "sidecar", "image": "sidecar", "stdin": None}]},
            {
                **POD,
                "containers": [*POD["containers"], {"name": "sidecar", "image": "sidecar"}],
            },
            id="a container comes after the server, without what was nulled",
        ),
        pytest.param(
            {
                "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
                **on_server({"volumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/certs"}]}),
            },
            {
                **with_server(
                    {
                        "volumeMounts": [
                            *POD["containers"][0]["volumeMounts"],
                            {"name": "ca", "mountPath": "/etc/ssl/certs"},
                        ]
                    }
                ),
                "volumes": [*POD["volumes"], {"name": "ca", "configMap": {"name": "ca"}}],
            },
            id="a volume of the user's is mounted beside the controller's",
        ),
        pytest.param(
            {"imagePullSecrets": [{"name": "mirror", "$patch": "delete"}]},
            {**POD, "imagePullSecrets": [{"name": "registry"}]},
            id="an item of a list is deleted where that is asked for",
        ),
        pytest.param(
            {"affinity": {"nodeAffinity": None, "podAffinity": {}}},
            {**POD, "affinity": {"podAffinity": {}}},
            id="null in what is added takes nothing away",
        ),
        pytest.param(
            {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["s3"]}]},
            {**POD, "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["s3"]}]},
            id="a list that the pod lacks is added",
        ),
        pytest.param(
            on_server({"securityContext": {"capabilities": {"drop": None}}}),
            with_server({"securityContext": {"capabilities": {}}}),
            id="a security context without power over the node is the user's choice",
        ),
        pytest.param(
            {"containers": [{"name": "beside", "securityContext": {"procMount": "Default"}}]},
            {
                **POD,
                "containers": [
                    *POD["containers"],
                    {"name": "beside", "securityContext": {"procMount": "Default"}},
                ],
            },
            id="what a container has anyway is no power",
        ),
        pytest.param(
            {"nodeSelector": {"ports": "fast", "volumes": "big"}},
            {**POD, "nodeSelector": {"ports": "fast", "volumes": "big"}},
            id="labels that are called as lists of a pod",
        ),
    ],
)
def test_merges(override: Object, expected: Object) -> None:
    assert merged(override) == expected


@pytest.mark.parametrize("label", ["disk", "ports", "containers"])
def test_a_node_selector_of_both_is_the_sum_and_the_overrides_counts(label: str) -> None:
    generated = {**POD, "nodeSelector": {"kubernetes.io/os": "linux", label: "slow"}}

    pod = overrides.merged(generated, {"nodeSelector": {label: "fast"}}, container=SERVER)

    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", label: "fast"}


@pytest.mark.parametrize(
    "override",
    [
        pytest.param({"securityContext": {"runAsGroup": 5}}, id="a field of an object is set"),
        pytest.param({"securityContext": {"seccompProfile": None}}, id="a field is taken away"),
        pytest.param({"tolerations": []}, id="a list is replaced"),
        pytest.param({"imagePullSecrets": [{"name": "third"}]}, id="an item is added to a list"),
        pytest.param(on_server({"env": [{"name": "A", "value": "b"}]}), id="a variable is added"),
        pytest.param(on_server({"resources": {"requests": {"cpu": "1"}}}), id="a value deep below"),
    ],
)
def test_leaves_the_generated_pod_as_it_was(override: Object) -> None:
    before = copy.deepcopy(POD)

    assert merged(override) != before
    assert before == POD


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param(
            {"hostNetwork": True},
            "spec.server.podOverride.hostNetwork must not be changed: no NetworkPolicy protects "
            "a pod in the node's network; remove it from the override",
            id="the node's network, which no NetworkPolicy guards",
        ),
        pytest.param(
            {"restartPolicy": "Never"},
            "podOverride.restartPolicy must not be changed: the server is to run until",
            id="a server that would not be restarted",
        ),
        pytest.param(
            {"activeDeadlineSeconds": 3600},
            "podOverride.activeDeadlineSeconds must not be changed: the server is to run until",
            id="a server that would be ended",
        ),
        pytest.param(
            {"securityContext": {"runAsUser": 0}},
            "set spec.server.runAsUser",
            id="the user id, which has a field of its own",
        ),
        pytest.param(
            {"securityContext": {"$patch": "delete"}},
            "podOverride.securityContext.runAsUser must not be changed",
            id="the user id, deleted with all about it",
        ),
        pytest.param(
            on_server({"securityContext": {"runAsUser": 0}}),
            "podOverride.containers[server].securityContext.runAsUser must not be changed",
            id="the user id of the container",
        ),
        pytest.param(
            on_server({"command": ["/bin/sh"]}),
            "podOverride.containers[server].command must not be changed: the controller starts",
            id="another command",
        ),
        pytest.param(
            on_server({"args": None}),
            "podOverride.containers[server].args must not be changed",
            id="no arguments",
        ),
        pytest.param(
            on_server({"ports": [{"containerPort": 8080}]}),
            "podOverride.containers[server].ports must not be changed",
            id="another port",
        ),
        pytest.param(
            on_server({"env": [{"name": "HOME", "value": "/root"}]}),
            "podOverride.containers[server].env[HOME] must not be changed",
            id="a variable of the controller's",
        ),
        pytest.param(
            on_server({"env": [{"$patch": "replace"}, {"name": "A", "value": "b"}]}),
            "podOverride.containers[server].env[HOME] must not be changed",
            id="all variables of the controller's",
        ),
        pytest.param(
            on_server({"volumeMounts": [{"name": "mine", "mountPath": "/tmp"}]}),  # noqa: S108
            "mount a volume of yours at another path",
            id="another volume in the place of one of Kopia's",
        ),
        pytest.param(
            {"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}]},
            "podOverride.volumes[tmp] must not be changed: Kopia keeps its files there; give a "
            "volume of yours another name",
            id="a volume of the controller's",
        ),
        pytest.param(
            {"volumes": [{"name": "tmp", "$patch": "delete"}]},
            "podOverride.volumes[tmp] must not be changed",
            id="a volume of the controller's, deleted",
        ),
        pytest.param(
            {"volumes": None}, "podOverride.volumes[tmp] must not be changed", id="all volumes"
        ),
        pytest.param(
            on_server({"readinessProbe": {"exec": {"command": ["true"]}}}),
            "change its times, not what it asks",
            id="what a probe asks",
        ),
        pytest.param(
            on_server({"terminationMessagePolicy": "File"}),
            "the controller reads there why Kopia ended",
            id="the account of how Kopia ended",
        ),
        pytest.param(
            on_server({"$patch": "delete"}),
            "podOverride.containers[server] must not be changed: it is the server",
            id="the server itself",
        ),
        pytest.param(
            {"containers": None}, "podOverride.containers[server] must not", id="all containers"
        ),
        pytest.param(
            {"$patch": "replace"},
            "podOverride.securityContext.runAsUser must not",
            id="the whole pod, replaced",
        ),
        pytest.param(
            {"containers": {"server": {}}},
            "spec.server.podOverride.containers must be a list of objects, as in a pod",
            id="containers by name, as no pod has them",
        ),
        pytest.param(
            on_server({"env": [{"name": "A", "value": "b"}, "C=d"]}),
            "podOverride.containers[server].env must be a list of objects",
            id="a variable as text",
        ),
        pytest.param(
            {"volumes": 1},
            "podOverride.volumes must be a list of objects",
            id="a number in the place of a list",
        ),
        pytest.param(
            {"securityContext": "none"},
            "podOverride.securityContext must be an object",
            id="a value in the place of an object",
        ),
        pytest.param(
            {"tolerations": {"operator": "Exists"}},
            "podOverride.tolerations must be a list",
            id="an object in the place of a list",
        ),
        pytest.param(
            {"containers": [{"image": "kopia:2"}]},
            "an entry of spec.server.podOverride.containers lacks name, which tells the entries "
            "apart; add it",
            id="a container without its name",
        ),
        pytest.param(
            {"tolerations": [{"$patch": "replace"}]},
            "podOverride.tolerations.$patch is not a directive that works here",
            id="a directive in a list that is replaced anyway",
        ),
        pytest.param(
            {"securityContext": {"$patch": "merge"}},
            "podOverride.securityContext.$patch is not a directive",
            id="a directive that there is not",
        ),
        pytest.param(
            {"$setElementOrder/containers": [{"name": "server"}]},
            "podOverride.$setElementOrder/containers is not a directive",
            id="a directive that programs write",
        ),
        pytest.param(
            functools.reduce(lambda below, _: {"affinity": below}, range(900), Object()),
            "podOverride is nested deeper than any pod is",
            id="what Python cannot walk through",
        ),
    ],
)
def test_refuses(override: Object, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        merged(override)

    assert refusal.value.reason == "InvalidPodOverride"
    assert message in refusal.value.message
