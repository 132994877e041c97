"""Which overrides the flag --pod-override admits."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.errors import InvalidInput
from reconcilers.pods import allowed

Object = dict[str, Any]

SERVER = "server"

EMPTY_DIR: Object = {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}


def on_server(change: Object) -> Object:
    return {"containers": [{"name": SERVER, **change}]}


def env(**variable: Any) -> Object:
    return on_server({"env": [variable]})


def check(override: Object, mode: str = allowed.RESTRICTED) -> None:
    allowed.check(override, mode=mode, rules=allowed.of_server(SERVER))


@pytest.mark.parametrize(
    "override",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"priorityClassName": "high", "preemptionPolicy": "Never"}, id="priority"),
        pytest.param(
            {
                "affinity": {"podAntiAffinity": {}},
                "nodeSelector": {"zone": "a"},
                "schedulerName": "own",
                "tolerations": [{"operator": "Exists"}],
                "topologySpreadConstraints": [{"topologyKey": "zone"}],
            },
            id="scheduling",
        ),
        pytest.param({"affinity": None}, id="a field of these, taken away"),
        pytest.param(
            on_server({"resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": None}}}),
            id="resources",
        ),
        pytest.param(env(name="HTTPS_PROXY", value="http://proxy:3128"), id="a plain variable"),
        pytest.param(
            env(name="NOTE", value="costs $5 (net)"), id="a dollar that refers to nothing"
        ),
        pytest.param(
            {
                "volumes": [EMPTY_DIR],
                **on_server({"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}),
            },
            id="an empty volume, mounted",
        ),
        pytest.param(
            {
                "volumes": [EMPTY_DIR],
                **on_server(
                    {
                        "volumeMounts": [
                            {
                                "name": "scratch",
                                "mountPath": "/a",
                                "subPath": "a",
                                "readOnly": False,
                            }
                        ]
                    }
                ),
            },
            id="a folder of it",
        ),
    ],
)
def test_restricted_takes(override: Object) -> None:
    check(override)


@pytest.mark.parametrize(
    ("override", "path"),
    [
        pytest.param({"initContainers": [{"name": "a"}]}, "initContainers", id="a container first"),
        pytest.param(
            {"containers": [{"name": "a", "image": "b"}]}, "containers[a]", id="a container beside"
        ),
        pytest.param(
            {"ephemeralContainers": [{"name": "a"}]},
            "ephemeralContainers",
            id="one that comes late",
        ),
        pytest.param({"containers": None}, "containers", id="no container"),
        pytest.param({"containers": ["server"]}, "containers", id="a container that is none"),
        pytest.param(
            {"containers": [{"name": ["server"]}]},
            "containers[['server']]",
            id="a container whose name is a list",
        ),
        pytest.param(
            on_server({"volumeMounts": [{"name": {}, "mountPath": "/a"}]}),
            "containers[server].volumeMounts[/a]",
            id="a mount of a volume whose name is an object",
        ),
        pytest.param(on_server({"image": "mine"}), "containers[server].image", id="an image"),
        pytest.param(
            on_server({"lifecycle": {"postStart": {"exec": {"command": ["sh"]}}}}),
            "containers[server].lifecycle",
            id="a hook",
        ),
        pytest.param(
            on_server({"readinessProbe": {"periodSeconds": 1}}),
            "containers[server].readinessProbe",
            id="a probe",
        ),
        pytest.param(
            on_server({"securityContext": None}),
            "containers[server].securityContext",
            id="no profile",
        ),
        pytest.param(
            on_server({"envFrom": [{"secretRef": {"name": "other"}}]}),
            "containers[server].envFrom",
            id="all of a Secret in the environment",
        ),
        pytest.param(
            env(name="A", valueFrom={"secretKeyRef": {"name": "other", "key": "password"}}),
            "containers[server].env[A].valueFrom",
            id="a key of a Secret in the environment",
        ),
        pytest.param(
            on_server({"env": {"A": "b"}}), "containers[server].env", id="variables by name"
        ),
        pytest.param(on_server({"env": None}), "containers[server].env", id="no variables"),
        pytest.param(
            on_server({"resources": {"claims": [{"name": "gpu"}]}}),
            "containers[server].resources.claims",
            id="a device",
        ),
        pytest.param(
            on_server({"resources": "all"}),
            "containers[server].resources",
            id="a word for resources",
        ),
        pytest.param(
            on_server({"$patch": "replace"}), "containers[server].$patch", id="all of the server"
        ),
        pytest.param({"$patch": "replace"}, "$patch", id="all of the pod"),
        pytest.param(
            {"volumes": [{"name": "a", "secret": {"secretName": "other"}}]},
            "volumes[a].secret",
            id="a Secret",
        ),
        pytest.param(
            {"volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "other"}}]},
            "volumes[a].persistentVolumeClaim",
            id="a claim",
        ),
        pytest.param(
            {"volumes": [{"name": "a", "projected": {"sources": []}}]},
            "volumes[a].projected",
            id="a token",
        ),
        pytest.param({"volumes": [{"name": "a", "csi": {}}]}, "volumes[a].csi", id="a driver"),
        pytest.param(
            {"volumes": [{"name": "a", "ephemeral": {}}]}, "volumes[a].ephemeral", id="a new claim"
        ),
        pytest.param(
            {"volumes": [{"name": "a", "configMap": {}}]}, "volumes[a].configMap", id="a ConfigMap"
        ),
        pytest.param(
            {"volumes": [{"name": "a", "$patch": "delete"}]}, "volumes[a].$patch", id="no volume"
        ),
        pytest.param({"volumes": None}, "volumes", id="none of the volumes"),
        pytest.param(
            on_server({"volumeMounts": [{"name": "config", "mountPath": "/mnt"}]}),
            "containers[server].volumeMounts[/mnt]",
            id="a volume of the controller's, mounted once more",
        ),
        pytest.param(
            {
                "volumes": [{"name": "config"}],
                **on_server({"volumeMounts": [{"name": "config", "mountPath": "/mnt"}]}),
            },
            "containers[server].volumeMounts[/mnt]",
            id="the same, as if it were the override's",
        ),
        pytest.param(
            {
                "volumes": [EMPTY_DIR],
                **on_server(
                    {
                        "volumeMounts": [
                            {
                                "name": "scratch",
                                "mountPath": "/a",
                                "mountPropagation": "HostToContainer",
                            }
                        ]
                    }
                ),
            },
            "containers[server].volumeMounts[/a].mountPropagation",
            id="what the node mounts there",
        ),
        pytest.param(
            on_server({"volumeDevices": [{"name": "a"}]}),
            "containers[server].volumeDevices",
            id="a device of a volume",
        ),
        pytest.param({"hostAliases": [{"ip": "192.0.2.1"}]}, "hostAliases", id="another store"),
        pytest.param({"dnsConfig": {"nameservers": ["192.0.2.1"]}}, "dnsConfig", id="names"),
        pytest.param({"imagePullSecrets": []}, "imagePullSecrets", id="what has a field"),
        pytest.param(
            {"automountServiceAccountToken": True}, "automountServiceAccountToken", id="its token"
        ),
        pytest.param({"shareProcessNamespace": True}, "shareProcessNamespace", id="processes"),
        pytest.param({"resourceClaims": []}, "resourceClaims", id="devices"),
        pytest.param(
            {"securityContext": {"fsGroup": 1}}, "securityContext", id="the pod's profile"
        ),
        pytest.param({"runtimeClassName": "other"}, "runtimeClassName", id="another runtime"),
    ],
)
def test_restricted_refuses(override: Object, path: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check(override)

    assert refusal.value.reason == "InvalidPodOverride"
    assert refusal.value.message == (
        f"spec.server.podOverride.{path} is not allowed: the controller takes only scheduling, "
        "priority, resources, plain variables and emptyDir volumes in an override; remove it, or "
        "have whoever runs the controller set --pod-override=any"
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("AZURE_AUTHORITY_HOST", id="where Azure's credential goes"),
        pytest.param("STORAGE_EMULATOR_HOST", id="where Google's token goes"),
        pytest.param("AWS_CONTAINER_CREDENTIALS_FULL_URI", id="where Amazon's token goes"),
        pytest.param("SSL_CERT_FILE", id="whom Go trusts"),
        pytest.param("LD_PRELOAD", id="what is loaded"),
        pytest.param("BASH_FUNC_ls%%", id="what a shell runs for a program"),
        pytest.param("SHELLOPTS", id="that a shell traces what it runs"),
        pytest.param("PS4", id="what a shell runs as it traces"),
        pytest.param("KOPIA_LOG_DIR", id="what Kopia does"),
        pytest.param("kopia_log_dir", id="in small letters"),
    ],
)
def test_restricted_refuses_a_variable_that_sends_credentials_elsewhere(name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check(env(name=name, value="x"))

    assert refusal.value.message.startswith(
        f"spec.server.podOverride.containers[server].env[{name}] is not allowed: the variable says "
        "where credentials go, whom to trust or what to load; remove it, or have"
    )


def test_restricted_refuses_a_value_that_would_carry_a_password_away() -> None:
    """The kubelet replaces $(NAME) by the variable's value, one from a Secret included."""
    with pytest.raises(InvalidInput, match="its value refers to another variable") as refusal:
        check(env(name="HTTPS_PROXY", value="http://$(KOPIA_PASSWORD)@thief:3128"))

    assert "thief" not in refusal.value.message


def test_restricted_refuses_a_path_that_would_hold_a_password() -> None:
    """The kubelet repeats a path that climbs, with the variables in it, in the pod's status."""
    mount = {"name": "scratch", "mountPath": "/a", "subPathExpr": "$(UP)/$(KOPIA_PASSWORD)"}
    container = {"env": [{"name": "UP", "value": ".."}], "volumeMounts": [mount]}

    with pytest.raises(InvalidInput) as refusal:
        check({"volumes": [EMPTY_DIR], **on_server(container)})

    assert refusal.value.message.startswith(
        "spec.server.podOverride.containers[server].volumeMounts[/a].subPathExpr is not allowed: "
        "its value refers to another variable"
    )


@pytest.mark.parametrize("override", [{"initContainers": []}, on_server({"image": "mine"})])
def test_any_leaves_it_to_what_is_never_allowed(override: Object) -> None:
    check(override, allowed.ANY)


def test_off_takes_no_override() -> None:
    check({}, allowed.OFF)
    with pytest.raises(InvalidInput) as refusal:
        check({"priorityClassName": "high"}, allowed.OFF)

    assert refusal.value.message == (
        "spec.server.podOverride is not allowed: the controller runs with --pod-override=off; "
        "remove it"
    )


@pytest.mark.parametrize(
    ("override", "path"),
    [
        pytest.param({"hostNetwork": True}, "hostNetwork", id="of the pod"),
        pytest.param(on_server({"command": ["sh"]}), "containers[server].command", id="of Kopia"),
    ],
)
def test_nobody_is_sent_for_a_setting_that_would_not_help(override: Object, path: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check(override)

    assert refusal.value.message.startswith(f"spec.server.podOverride.{path} must not be changed")
    assert "--pod-override" not in refusal.value.message
