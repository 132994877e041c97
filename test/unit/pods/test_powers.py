"""What no override may have under any setting: power over the node, or another account."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.errors import InvalidInput
from reconcilers.pods import overrides

Object = dict[str, Any]

SERVER = "server"

POD: Object = {
    "securityContext": {"runAsUser": 65532},
    "containers": [{"name": SERVER, "image": "kopia:1"}],
}


def on_server(change: Object) -> Object:
    return {"containers": [{"name": SERVER, **change}]}


def merged(override: Object) -> Object:
    return overrides.merged(POD, override, container=SERVER)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param(
            {"hostPID": True},
            "podOverride.hostPID must not be changed: a pod must not see the processes of its node",
            id="the processes of the node",
        ),
        pytest.param(
            {"hostIPC": True}, "podOverride.hostIPC must not be changed", id="the node's memory"
        ),
        pytest.param(
            {"nodeName": "control-plane"},
            "podOverride.nodeName must not be changed: it goes around the scheduler and the taints "
            "of the node; set spec.server.nodeSelector",
            id="a node that the scheduler would not choose",
        ),
        pytest.param(
            {"serviceAccountName": "repository-server-controller"},
            "podOverride.serviceAccountName must not be changed: an account has to be allowed by "
            "its owner; set spec.server.serviceAccountName",
            id="another account",
        ),
        pytest.param(
            {"serviceAccount": "repository-server-controller"},
            "podOverride.serviceAccount must not be changed",
            id="another account, by the field's old name",
        ),
        pytest.param(
            {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]},
            "spec.server.podOverride.volumes[node].hostPath is never allowed: it gives the pod "
            "power over its node; mount a volume of another kind",
            id="files of the node",
        ),
        pytest.param(
            on_server({"securityContext": {"privileged": True}}),
            "podOverride.containers[server].securityContext.privileged is never allowed",
            id="a privileged server",
        ),
        pytest.param(
            {"initContainers": [{"name": "first", "securityContext": {"privileged": True}}]},
            "podOverride.initContainers[first].securityContext.privileged is never allowed",
            id="a privileged container before the server",
        ),
        pytest.param(
            {"ephemeralContainers": [{"name": "late", "securityContext": {"privileged": True}}]},
            "podOverride.ephemeralContainers[late].securityContext.privileged is never allowed",
            id="a privileged container that comes later",
        ),
        pytest.param(
            {
                "containers": [
                    {"name": "beside", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}
                ]
            },
            "podOverride.containers[beside].securityContext.capabilities.add is never allowed",
            id="a capability for a container beside the server",
        ),
        pytest.param(
            {"containers": [{"name": "beside", "securityContext": {"procMount": "Unmasked"}}]},
            "podOverride.containers[beside].securityContext.procMount is never allowed",
            id="the kernel's own files",
        ),
        pytest.param(
            {"containers": [{"name": "beside", "securityContext": {"runAsUser": 0}}]},
            "podOverride.containers[beside].securityContext.runAsUser is never allowed: a "
            "container of a server runs as root only where the server does; set "
            "spec.server.runAsUser to 0, or another user id here",
            id="root in a container beside the server",
        ),
        pytest.param(
            {"securityContext": {"windowsOptions": {"hostProcess": True}}},
            "podOverride.securityContext.windowsOptions.hostProcess is never allowed",
            id="a process of a Windows node",
        ),
        pytest.param(
            {"containers": [{"name": "beside", "ports": [{"containerPort": 1, "hostPort": 1}]}]},
            "podOverride.containers[beside].ports[1].hostPort is never allowed",
            id="a port of the node",
        ),
    ],
)
def test_refuses(override: Object, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        merged(override)

    assert refusal.value.reason == "InvalidPodOverride"
    assert message in refusal.value.message


def test_a_container_beside_a_server_that_is_root_may_be_root_as_well() -> None:
    root = {**POD, "securityContext": {"runAsUser": 0}}
    beside = {"name": "beside", "securityContext": {"runAsUser": 0}}

    result = overrides.merged(root, {"containers": [beside]}, container=SERVER)

    assert result["containers"][1] == beside


@pytest.mark.parametrize(
    "override",
    [
        pytest.param({"initContainers": [{"name": "a", "securityContext": "x"}]}, id="a context"),
        pytest.param({"containers": [{"name": "a", "securityContext": 1}]}, id="a number"),
        pytest.param({"volumes": [{"name": "a", "hostPath": None}]}, id="a null"),
    ],
)
def test_what_is_no_power_but_no_pod_either_is_left_to_the_api_server(override: Object) -> None:
    merged(override)
