"""The pod: what is in it."""

import json

import attrs
import pytest

from fakes import objects
from fakes import storage as fakes
from fakes.children import (
    DIGEST,
    FINGERPRINT,
    Object,
    container,
    environment,
    inputs,
    of_pod,
    pod_spec,
    server,
)
from reconcilers.kopia import cli
from reconcilers.kopia.storage.model import Storage
from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.children.pod import template

# Volumes that the restricted profile allows.
RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def violations(spec: Object) -> set[str]:
    """Check a pod against the restricted Pod Security profile, baseline included."""
    of_pod = spec.get("securityContext", {})
    found = {field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)}
    if of_pod.get("sysctls"):
        found.add("sysctls")
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= RESTRICTED_VOLUMES:
            found.add(f"volume {volume['name']}")
    for one in [*spec.get("initContainers", []), *spec["containers"]]:
        own = one.get("securityContext", {})
        effective = {**of_pod, **own}
        capabilities = own.get("capabilities", {})
        rules = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities.drop": "ALL" in capabilities.get("drop", []),
            "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": effective.get("runAsNonRoot") is True,
            "runAsUser": effective.get("runAsUser") != 0,
            "seccompProfile": effective.get("seccompProfile", {}).get("type")
            in {"RuntimeDefault", "Localhost"},
            "procMount": own.get("procMount", "Default") == "Default",
            "seLinuxOptions": not effective.get("seLinuxOptions"),
            "appArmorProfile": not effective.get("appArmorProfile"),
            "hostPort": not any(port.get("hostPort") for port in one.get("ports", [])),
        }
        found |= {rule for rule, kept in rules.items() if not kept}
    return found


class TestPod:
    @pytest.mark.parametrize("user", [None, 1, 1000])
    def test_it_meets_the_restricted_profile(self, user: int | None) -> None:
        assert violations(pod_spec({"spec": {"server": {"runAsUser": user}}})) == set()

    def test_user_0_breaks_only_the_rules_about_the_user(self) -> None:
        spec = pod_spec({"spec": {"server": {"runAsUser": 0}}})

        assert violations(spec) == {"runAsNonRoot", "runAsUser"}

    def test_it_has_no_way_to_the_api_server_and_knows_no_other_service(self) -> None:
        assert pod_spec()["automountServiceAccountToken"] is False
        assert pod_spec()["enableServiceLinks"] is False

    def test_its_root_file_system_is_read_only(self) -> None:
        assert container()["securityContext"]["readOnlyRootFilesystem"] is True

    def test_kopia_is_the_main_process_without_a_shell(self) -> None:
        assert container()["command"] == [cli.EXECUTABLE]
        assert container()["args"] == [
            "--no-auto-maintenance",
            "--disable-file-logging",
            "--log-level=info",
            "server",
            "start",
            "--address=https://:51515",
            "--tls-cert-file=/etc/kopia/tls.crt",
            "--tls-key-file=/etc/kopia/tls.key",
            "--htpasswd-file=/etc/kopia-users/htpasswd",
            "--no-ui",
        ]

    def test_it_looks_at_its_storage_as_often_as_it_is_told_to(self) -> None:
        told = of_pod(refreshSeconds=20)

        (found,) = pod_spec(told)["containers"]
        assert found["args"][-2:] == ["--no-ui", "--refresh-interval=20s"]

    def test_its_metrics_are_on_a_port_of_their_own_if_that_is_asked_for(self) -> None:
        (found,) = pod_spec(of_pod(metrics={"port": 9090}))["containers"]

        # A flag of Kopia's own, and none of the command that it runs.
        assert found["args"].index("--metrics-listen-addr=:9090") < found["args"].index("server")
        assert {"name": "metrics", "containerPort": 9090, "protocol": "TCP"} in found["ports"]
        assert [port["name"] for port in container()["ports"]] == ["https"]

    @pytest.mark.parametrize(
        ("user", "expected"),
        [
            pytest.param(
                None,
                {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
                id="by default a file store is made usable for the group",
            ),
            pytest.param(
                1000,
                {"runAsUser": 1000, "runAsGroup": 1000},
                id="the files of a named owner are left as they are",
            ),
        ],
    )
    def test_the_user_id(self, user: int | None, expected: Object) -> None:
        context = pod_spec({"spec": {"server": {"runAsUser": user}}})["securityContext"]

        ids = {key: context[key] for key in context if key in expected or key == "fsGroup"}
        assert ids == expected

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            pytest.param({}, 65532, id="by default the kubelet changes the group of the files"),
            pytest.param({"fsGroup": -1}, None, id="-1 leaves the files of a volume as they are"),
            pytest.param({"fsGroup": 2000}, 2000, id="a group of its own replaces the default"),
            pytest.param(
                {"runAsUser": 1000}, None, id="who names the owner wants the files as they are"
            ),
            pytest.param(
                {"runAsUser": 1000, "fsGroup": 2000}, 2000, id="unless a group is named as well"
            ),
            pytest.param({"fsGroup": 0}, 0, id="0 is the group of root, not a missing value"),
        ],
    )
    def test_the_group_that_a_volume_is_given(self, settings: Object, expected: int | None) -> None:
        context = pod_spec(of_pod(**settings))["securityContext"]

        assert context.get("fsGroup") == expected
        assert ("fsGroupChangePolicy" in context) == (expected is not None)

    @pytest.mark.parametrize(
        ("variable", "key"),
        [
            ("KOPIA_PASSWORD", "repository-password"),
            ("KOPIA_SERVER_USERNAME", "admin-username"),
            ("KOPIA_SERVER_PASSWORD", "admin-password"),
            ("KOPIA_SERVER_CONTROL_USER", "admin-username"),
            ("KOPIA_SERVER_CONTROL_PASSWORD", "admin-password"),
        ],
    )
    def test_secret_values_come_from_the_snapshot(self, variable: str, key: str) -> None:
        assert environment()[variable] == {
            "secretKeyRef": {"name": f"{objects.NAME}-{DIGEST}", "key": key}
        }

    def test_its_other_variables_are_known(self) -> None:
        values = {name: value for name, value in environment().items() if isinstance(value, str)}

        assert values == {
            "HOME": "/tmp",  # noqa: S108 - the container's own
            "KOPIA_CHECK_FOR_UPDATES": "false",
            "KOPIA_PERSIST_CREDENTIALS_ON_CONNECT": "false",
            "KOPIA_CONFIG_PATH": "/etc/kopia/repository.config",
            "KOPIA_SERVER_ADDRESS": "https://localhost:51515",
            "KOPIA_SERVER_CERT_FINGERPRINT": FINGERPRINT,
        }

    def test_it_refers_to_no_secret_of_the_user(self) -> None:
        text = json.dumps(pod_spec())

        names = (objects.LOCATION, objects.REPOSITORY_PASSWORD, objects.ADMIN, objects.TLS)
        assert not [name for name in names if name in text]

    def test_passwords_are_not_among_its_files(self) -> None:
        (config,) = (volume for volume in pod_spec()["volumes"] if volume["name"] == "config")

        assert [item["key"] for item in config["secret"]["items"]] == [
            "repository.config",
            "tls.crt",
            "tls.key",
        ]

    @pytest.mark.parametrize(
        ("settings", "limit"),
        [
            pytest.param({}, "1524M", id="defaults: 0 and 500 MB"),
            pytest.param({"content": 2000, "metadata": 1000}, "4024M", id="given limits"),
        ],
    )
    def test_the_cache_has_room_for_its_limits_and_some(self, settings: Object, limit: str) -> None:
        spec = pod_spec({"spec": {"repository": {"cacheSizeSettings": settings}}})

        (cache,) = (volume for volume in spec["volumes"] if volume["name"] == "cache")
        assert cache["emptyDir"] == {"sizeLimit": limit}

    def test_the_repository_is_on_the_claim(self) -> None:
        (data,) = (volume for volume in pod_spec()["volumes"] if volume["name"] == "data")

        assert data["persistentVolumeClaim"] == {"claimName": objects.CLAIM}
        assert {"name": "data", "mountPath": "/mnt/data"} in container()["volumeMounts"]

    def test_an_object_store_brings_variables_files_and_volumes_and_no_claim(self) -> None:
        storage = Storage(
            type_="azureBlob",
            config={},
            label="a container",
            environment={"SSL_CERT_DIR": "/etc/kopia/storage"},
            files={"ca.crt": "authority"},
            volumes=[{"name": "token", "projected": {}}],
            mounts=[{"name": "token", "mountPath": "/token"}],
        )

        of = attrs.evolve(inputs(), storage=storage)
        spec = template(server(), of, DIGEST)["spec"]

        assert {"name": "SSL_CERT_DIR", "value": "/etc/kopia/storage"} in spec["containers"][0][
            "env"
        ]
        assert {"key": "ca.crt", "path": "storage/ca.crt"} in spec["volumes"][0]["secret"]["items"]
        names = [volume["name"] for volume in spec["volumes"]]
        assert names == ["config", "users", "cache", "tmp", "token"]
        assert {"name": "token", "mountPath": "/token"} in spec["containers"][0]["volumeMounts"]

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            pytest.param(None, None, id="the namespace's default"),
            pytest.param(
                {"spec": {"server": {"serviceAccountName": "backup"}}},
                "backup",
                id="one that an object store knows",
            ),
        ],
    )
    def test_the_service_account(self, change: Object | None, expected: str | None) -> None:
        assert pod_spec(change).get("serviceAccountName") == expected

    def test_opening_the_repository_may_take_ten_minutes(self) -> None:
        probe = container()["startupProbe"]

        assert probe["periodSeconds"] * probe["failureThreshold"] == 600

    def test_it_is_ready_when_the_server_answers_and_alive_while_its_process_does(self) -> None:
        readiness = container()["readinessProbe"]["exec"]["command"]

        assert readiness == list(servercommands.ready_check("/mnt/data/backups/files/"))
        assert container()["livenessProbe"]["httpGet"] == {
            "path": "/metrics",
            "port": 51515,
            "scheme": "HTTPS",
        }

    def test_it_serves_on_for_a_moment_when_it_is_deleted_and_then_has_time_to_end(self) -> None:
        """Whoever connects then is led to it until another pod is Ready."""
        assert container()["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "5"]}}}
        # Kopia ends within two seconds of being told to; the API server's default is 30 s.
        assert "terminationGracePeriodSeconds" not in pod_spec()

    def test_the_kubelet_keeps_kopias_last_words(self) -> None:
        assert container()["terminationMessagePolicy"] == "FallbackToLogsOnError"

    def test_its_users_are_mounted_apart_as_they_change_while_it_runs(self) -> None:
        (users,) = (volume for volume in pod_spec()["volumes"] if volume["name"] == "users")

        assert users["secret"] == {"secretName": "repo-server-files-users", "defaultMode": 0o444}
        assert {"name": "users", "mountPath": "/etc/kopia-users", "readOnly": True} in container()[
            "volumeMounts"
        ]

    def test_it_wishes_to_be_where_its_claim_is_mounted_already(self) -> None:
        preferred = "preferredDuringSchedulingIgnoredDuringExecution"
        (wish,) = pod_spec()["affinity"]["podAffinity"][preferred]

        assert wish["podAffinityTerm"] == {
            "labelSelector": {"matchLabels": {"cr.kanister.io/repository-server": objects.NAME}},
            "topologyKey": "kubernetes.io/hostname",
        }

    def test_without_a_claim_it_goes_where_the_scheduler_likes(self) -> None:
        of = attrs.evolve(inputs(), storage=attrs.evolve(inputs().storage, claim=""))

        assert "affinity" not in template(server(), of, DIGEST)["spec"]


@pytest.mark.parametrize(
    ("credential", "shell"),
    [
        pytest.param({"azure_storage_sas_token": "sv=1&sig=x"}, True, id="a SAS token"),
        pytest.param({"azure_storage_key": "a2V5"}, False, id="a key, which is in no URL"),
    ],
)
def test_kopia_runs_behind_a_filter_where_its_urls_hold_a_credential(
    credential: dict[str, str | bytes], *, shell: bool
) -> None:
    storage = fakes.storage(
        {"type": "azure", "bucket": "b"}, {"azure_storage_account_id": "account1", **credential}
    )
    made = attrs.evolve(inputs(), storage=storage)

    (kopia,) = template(server(), made, DIGEST)["spec"]["containers"]

    assert kopia["command"][-1] == "/bin/kopia"
    assert (kopia["command"][0] == "/bin/sh") is shell
