"""The objects of a server: what is in them, what renames them, and when they need applying."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from fakes import objects
from fakes import storage as fakes
from reconcilers.errors import InvalidInput
from reconcilers.kopia import cli
from reconcilers.kopia.repository_config import repository_config
from reconcilers.kopia.storage.model import Storage
from reconcilers.repositoryserver import api, children, servercommands
from reconcilers.secrets import data as secrets
from reconcilers.secrets.certificates import ServerCertificate

Object = dict[str, Any]

FINGERPRINT = "ab" * 32
DIGEST = objects.DIGEST
USERS = "v1"
FILE_STORE: fakes.Values = {
    "type": "filestore",
    "prefix": "backups",
    "claimName": objects.CLAIM,
}
SECRET_VALUES = (
    objects.REPOSITORY_PASSWORD_VALUE,
    objects.ADMIN_PASSWORD_VALUE,
    objects.key_pair().key,
)


def server(change: Object | None = None) -> api.RepositoryServer:
    return api.parse(objects.repository_server(change))


def named(name: str) -> api.RepositoryServer:
    return server({"metadata": {"name": name}})


def inputs(for_server: api.RepositoryServer | None = None) -> children.ServerInputs:
    of = for_server or server()
    storage = fakes.storage_of(of, FILE_STORE)
    pair = objects.key_pair()
    return children.ServerInputs(
        storage=storage,
        config=repository_config(of, storage),
        password=objects.REPOSITORY_PASSWORD_VALUE,
        admin=secrets.Admin("admin@files", objects.ADMIN_PASSWORD_VALUE),
        certificate=ServerCertificate(pair.certificate, pair.key, FINGERPRINT, objects.NOW),
        image=objects.IMAGE,
    )


def pod_spec(change: Object | None = None) -> Object:
    of = server(change)
    spec: Object = children.pod(of, inputs(of), DIGEST, USERS)["spec"]
    return spec


def container(change: Object | None = None) -> Object:
    (only,) = pod_spec(change)["containers"]
    return dict(only)


def environment(change: Object | None = None) -> Object:
    return {
        variable["name"]: variable.get("value", variable.get("valueFrom"))
        for variable in container(change)["env"]
    }


def on_server(change: Object) -> Object:
    """Return an override of the server's container."""
    return {"containers": [{"name": children.CONTAINER, **change}]}


def of_pod(**settings: Any) -> Object:
    """Return the change of a resource that sets fields of `spec.server`."""
    return {"spec": {"server": settings}}


CHILDREN: list[Callable[[api.RepositoryServer], Object]] = [
    lambda of: children.snapshot_secret(of, inputs(of), DIGEST),
    lambda of: children.pod(of, inputs(of), DIGEST, USERS),
    lambda of: children.service(of, DIGEST),
    children.network_policy,
]
KINDS = ["Secret", "Pod", "Service", "NetworkPolicy"]


class TestEveryChild:
    @pytest.mark.parametrize(("build", "kind"), list(zip(CHILDREN, KINDS, strict=True)), ids=KINDS)
    def test_stands_beside_the_resource_and_is_deleted_with_it(
        self, build: Callable[[api.RepositoryServer], Object], kind: str
    ) -> None:
        child = build(server())

        assert child["kind"] == kind
        assert child["metadata"]["namespace"] == objects.NAMESPACE
        assert child["metadata"]["ownerReferences"] == [server().owner_reference()]
        assert (
            child["metadata"]["labels"].items()
            >= {
                "app.kubernetes.io/managed-by": "repository-server-controller",
                "cr.kanister.io/repository-server": objects.NAME,
            }.items()
        )

    @pytest.mark.parametrize("build", CHILDREN[1:], ids=KINDS[1:])
    def test_but_the_snapshot_holds_no_secret_value(
        self, build: Callable[[api.RepositoryServer], Object]
    ) -> None:
        text = json.dumps(children.with_applied(build(server())))

        for value in SECRET_VALUES:
            assert value not in text
            assert base64.b64encode(value.encode()).decode() not in text

    def test_inputs_show_no_secret_value(self) -> None:
        shown = repr(inputs())

        assert objects.REPOSITORY_PASSWORD_VALUE not in shown
        assert objects.ADMIN_PASSWORD_VALUE not in shown
        assert "BEGIN" not in shown
        assert "maxCacheSize" not in shown, "the configuration may hold storage credentials"


class TestSnapshotSecret:
    def test_it_holds_one_reading_of_all_that_the_pod_needs(self) -> None:
        secret = children.snapshot_secret(server(), inputs(), DIGEST)

        data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        assert data == {
            "repository.config": inputs().config,
            "repository-password": objects.REPOSITORY_PASSWORD_VALUE,
            "admin-username": "admin@files",
            "admin-password": objects.ADMIN_PASSWORD_VALUE,
            "tls.crt": objects.key_pair().certificate,
            "tls.key": objects.key_pair().key,
        }

    def test_and_what_the_storage_needs_besides(self) -> None:
        storage = attrs.evolve(inputs().storage, files={"ca.crt": "authority"})

        secret = children.snapshot_secret(server(), attrs.evolve(inputs(), storage=storage), DIGEST)

        assert base64.b64decode(secret["data"]["ca.crt"]) == b"authority"

    def test_nobody_can_change_it_under_a_running_pod(self) -> None:
        secret = children.snapshot_secret(server(), inputs(), DIGEST)

        assert secret["immutable"] is True

    def test_it_has_the_name_of_the_pod(self) -> None:
        secret = children.snapshot_secret(server(), inputs(), DIGEST)
        pod = children.pod(server(), inputs(), DIGEST, USERS)

        assert secret["metadata"]["name"] == pod["metadata"]["name"] == f"{objects.NAME}-{DIGEST}"


def digest_of(change: Object | None = None, **replaced: Any) -> str:
    of = server(change)
    return children.digest(of, attrs.evolve(inputs(of), **replaced))


class TestDigest:
    @pytest.mark.parametrize(
        "replaced",
        [
            pytest.param({"password": "another"}, id="the repository password"),
            pytest.param(
                {"admin": secrets.Admin("other", objects.ADMIN_PASSWORD_VALUE)},
                id="the administrator's name",
            ),
            pytest.param(
                {"admin": secrets.Admin("admin@files", "another")},
                id="the administrator's password",
            ),
            pytest.param(
                {"certificate": attrs.evolve(inputs().certificate, certificate="renewed")},
                id="the certificate",
            ),
            pytest.param(
                {"certificate": attrs.evolve(inputs().certificate, key="another")},
                id="the private key",
            ),
            pytest.param({"image": "kopia/kopia:0.24.0"}, id="the image"),
            pytest.param({"config": "{}"}, id="the configuration"),
            pytest.param(
                {"storage": fakes.storage({**FILE_STORE, "claimName": "other"})}, id="the claim"
            ),
            pytest.param(
                {"storage": attrs.evolve(inputs().storage, files={"ca.crt": "another"})},
                id="the authorities that the storage's certificate is checked by",
            ),
        ],
    )
    def test_a_new_pod_takes_up_a_change_of(self, replaced: dict[str, Any]) -> None:
        assert digest_of(**replaced) != digest_of()

    @pytest.mark.parametrize(
        "spec",
        [
            pytest.param({"repository": {"rootPath": "other"}}, id="the path"),
            pytest.param({"repository": {"username": "other"}}, id="the session's user name"),
            pytest.param({"repository": {"hostname": "other"}}, id="the session's host name"),
            pytest.param(
                {"repository": {"cacheSizeSettings": {"content": 100}}}, id="a cache's limit"
            ),
            pytest.param({"server": {"runAsUser": 1000}}, id="the user id"),
            pytest.param({"server": {"runAsUser": 65532}}, id="the default user id, now named"),
            pytest.param({"server": {"resources": {"limits": {"memory": "1Gi"}}}}, id="a limit"),
            pytest.param({"server": {"nodeSelector": {"disk": "fast"}}}, id="where it may run"),
            pytest.param(
                {"server": {"refreshSeconds": 20}}, id="how often it looks at its storage"
            ),
            pytest.param({"server": {"podOverride": {"hostPID": True}}}, id="its override"),
        ],
    )
    def test_and_of_what_the_resource_says_about_the_process(self, spec: Object) -> None:
        assert digest_of({"spec": spec}) != digest_of()

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"metadata": {"labels": {"team": "a"}}}, id="labels"),
            pytest.param({"metadata": {"annotations": {"note": "a"}}}, id="annotations"),
            pytest.param({"metadata": {"resourceVersion": "999"}}, id="the resourceVersion"),
            pytest.param({"metadata": {"generation": 9}}, id="the generation"),
            pytest.param({"status": {"progress": "Ready"}}, id="the status"),
            pytest.param(
                {"spec": {"server": {"userAccess": {"username": "other"}}}}, id="the user name"
            ),
            pytest.param(
                {"spec": {"server": {"userAccess": {"userAccessSecretRef": {"name": "other"}}}}},
                id="the access Secret",
            ),
            pytest.param(
                {"spec": {"server": {"networkPolicy": {"namespaceSelector": {}}}}},
                id="who may connect",
            ),
            pytest.param(of_pod(podLabels={"team": "a"}), id="the pod's labels"),
            pytest.param(of_pod(podAnnotations={"note": "b"}), id="the pod's annotations"),
            pytest.param(of_pod(drainSeconds=0), id="how long a replaced pod serves on"),
            pytest.param(of_pod(podOverride={}), id="an override that overrides nothing"),
            pytest.param(
                {"spec": {"repository": {"passwordSecretRef": {"name": "other"}}}},
                id="another Secret with the same contents",
            ),
            pytest.param(
                {"spec": {"repository": {"configuration": {"logDirectory": "/x"}}}},
                id="settings without effect",
            ),
        ],
    )
    def test_nothing_is_restarted_for(self, change: Object) -> None:
        assert digest_of(change) == digest_of()


DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

NAMES = [
    pytest.param("files", id="a short one"),
    pytest.param("a", id="one letter"),
    pytest.param("1-files", id="a digit in front"),
    pytest.param("files.backup.example", id="dots"),
    pytest.param("f" * 51, id="as long as fits the Service"),
    pytest.param("f" * 52, id="as long as fits the pod"),
    pytest.param("f" * 253, id="the longest there is"),
    pytest.param("-".join("f" * 126), id="dashes where it is cut"),
    pytest.param(".".join("f" * 127), id="the longest of dots"),
]


class TestNames:
    @pytest.mark.parametrize("name", NAMES)
    def test_every_resource_gets_names_that_are_dns_labels(self, name: str) -> None:
        of = named(name)

        for made in (children.versioned_name(of, DIGEST), children.stable_name(of)):
            assert DNS_LABEL.fullmatch(made)

    @pytest.mark.parametrize("name", NAMES)
    def test_and_a_label_by_which_its_pods_are_found(self, name: str) -> None:
        label = children.network_policy(named(name))["metadata"]["labels"][children.LABEL_INSTANCE]

        assert DNS_LABEL.fullmatch(label)

    def test_a_name_that_fits_stays_as_it_is(self) -> None:
        of = named("files")

        assert children.versioned_name(of, DIGEST) == "files-0123456789"
        assert children.stable_name(of) == "repo-server-files"

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param("a.b", "a-b", id="that are one without dots"),
            pytest.param("f" * 100, "f" * 101, id="that are one when cut"),
        ],
    )
    def test_names_stay_apart(self, first: str, second: str) -> None:
        assert children.stable_name(named(first)) != children.stable_name(named(second))
        assert children.versioned_name(named(first), DIGEST) != children.versioned_name(
            named(second), DIGEST
        )


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
        spec = children.pod(server(), of, DIGEST, USERS)["spec"]

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

    def test_the_kubelet_keeps_kopias_last_words(self) -> None:
        assert container()["terminationMessagePolicy"] == "FallbackToLogsOnError"

    def test_it_shows_its_certificate_and_the_users_that_it_has(self) -> None:
        pod = children.pod(server(), inputs(), DIGEST, USERS)

        assert pod["metadata"]["annotations"] == {
            "cr.kanister.io/tls-fingerprint": FINGERPRINT,
            "cr.kanister.io/tls-not-after": "2026-01-01T00:00:00Z",
            "cr.kanister.io/users": USERS,
        }

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

        assert "affinity" not in children.pod(server(), of, DIGEST, USERS)["spec"]


class TestUsersSecret:
    def test_it_can_change_and_belongs_to_the_server(self) -> None:
        secret = children.users_secret(server(), "a@h:hash\n", "v2")

        assert secret["metadata"]["name"] == "repo-server-files-users"
        assert secret["metadata"]["ownerReferences"][0]["name"] == objects.NAME
        assert "immutable" not in secret
        assert {key: base64.b64decode(value) for key, value in secret["data"].items()} == {
            "htpasswd": b"a@h:hash\n",
            "version": b"v2",
        }

    def test_users_that_a_pod_takes_up_are_no_other_wish_for_the_pod(self) -> None:
        def mark(users: str) -> str:
            applied = children.with_applied(children.pod(server(), inputs(), DIGEST, users))
            return str(applied["metadata"]["annotations"]["cr.kanister.io/applied"])

        assert mark("v1") == mark("v2")


MEMORY_LIMIT = of_pod(resources={"limits": {"memory": "1Gi"}})


class TestPodSettings:
    @pytest.mark.parametrize(
        ("resources", "expected"),
        [
            pytest.param(
                {}, {"requests": {"cpu": "50m", "memory": "128Mi"}}, id="without any, a small one"
            ),
            pytest.param(
                {"requests": {"memory": "1Gi"}},
                {"requests": {"cpu": "50m", "memory": "1Gi"}},
                id="what is left out keeps its default",
            ),
            pytest.param(
                {"limits": {"memory": "1Gi"}},
                {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
                id="a limit leaves the requests alone",
            ),
            pytest.param(
                {"limits": {"memory": "64Mi", "cpu": "50m"}},
                {"requests": {"cpu": "50m"}, "limits": {"memory": "64Mi", "cpu": "50m"}},
                id="a default above its limit is no request",
            ),
        ],
    )
    def test_the_resources(self, resources: Object, expected: Object) -> None:
        assert container(of_pod(resources=resources))["resources"] == expected

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            pytest.param({}, None, id="without a limit it may take what the node has"),
            pytest.param(MEMORY_LIMIT, "966367641", id="nine tenths of the limit"),
            pytest.param(
                of_pod(podOverride=on_server({"resources": {"limits": {"memory": "1000"}}})),
                "900",
                id="of the limit that an override sets, too",
            ),
            pytest.param(
                objects.merged(
                    MEMORY_LIMIT,
                    of_pod(
                        podOverride=on_server({"env": [{"name": "GOMEMLIMIT", "value": "1GiB"}]})
                    ),
                ),
                "1GiB",
                id="unless the user knows better",
            ),
            pytest.param(
                of_pod(podOverride=on_server({"resources": {"limits": {"memory": "lots"}}})),
                None,
                id="of no amount it is none: the API server refuses it",
            ),
        ],
    )
    def test_kopia_keeps_below_its_memory_limit(self, change: Object, expected: str | None) -> None:
        assert environment(change).get("GOMEMLIMIT") == expected

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            pytest.param("nodeSelector", {"disk": "fast"}, id="labels of the node"),
            pytest.param("tolerations", [{"operator": "Exists"}], id="taints of the node"),
            pytest.param("imagePullSecrets", [{"name": "registry"}], id="the image's registry"),
            pytest.param("serviceAccountName", "cloud", id="the service account"),
        ],
    )
    def test_it_runs_where_and_as_whom_the_resource_says(self, setting: str, value: Any) -> None:
        assert pod_spec(of_pod(**{setting: value}))[setting] == value
        assert setting not in pod_spec()

    def test_its_labels_and_annotations_are_those_of_the_resource_and_ours(self) -> None:
        of = server(
            of_pod(
                podLabels={"team": "a", children.LABEL_DIGEST: "mine"},
                podAnnotations={"note": "b", children.ANNOTATION_FINGERPRINT: "mine"},
            )
        )

        metadata = children.pod(of, inputs(of), DIGEST, USERS)["metadata"]

        ours = children.pod(server(), inputs(), DIGEST, USERS)["metadata"]
        assert metadata["labels"] == {"team": "a", **ours["labels"]}
        assert metadata["annotations"] == {"note": "b", **ours["annotations"]}

    def test_only_the_pod_has_them(self) -> None:
        of = server(of_pod(podLabels={"team": "a"}))

        assert "team" not in children.service(of, DIGEST)["metadata"]["labels"]
        assert "team" not in children.service(of, DIGEST)["spec"]["selector"]
        assert "team" not in children.snapshot_secret(of, inputs(of), DIGEST)["metadata"]["labels"]

    def test_an_override_comes_last(self) -> None:
        change = of_pod(
            nodeSelector={"disk": "fast"},
            podOverride={"nodeSelector": {"zone": "a"}, **on_server({"image": "other"})},
        )

        spec = pod_spec(change)

        assert spec["nodeSelector"] == {"disk": "fast", "zone": "a"}
        assert spec["containers"][0]["image"] == "other"
        assert spec["containers"][0]["args"] == container()["args"]

    def test_an_override_of_what_the_server_depends_on_is_refused(self) -> None:
        of = server(of_pod(podOverride={"volumes": [{"name": "config", "$patch": "delete"}]}))

        with pytest.raises(InvalidInput, match=r"podOverride\.volumes\[config\] must not be "):
            children.digest(of, inputs(of))


def test_the_service_routes_to_the_pod_with_the_digest() -> None:
    assert children.service(server(), DIGEST)["spec"] == {
        "type": "ClusterIP",
        "selector": {
            "cr.kanister.io/repository-server": objects.NAME,
            "cr.kanister.io/digest": DIGEST,
        },
        "ports": [{"name": "https", "port": 51515, "protocol": "TCP", "targetPort": 51515}],
    }
    pod = children.pod(server(), inputs(), DIGEST, USERS)
    selector = children.service(server(), DIGEST)["spec"]["selector"]
    assert selector.items() <= pod["metadata"]["labels"].items()


def test_only_the_namespace_and_the_named_peers_may_connect() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    of = server({"spec": {"server": {"networkPolicy": {"from": [peer]}}}})

    assert children.network_policy(of)["spec"] == {
        "podSelector": {"matchLabels": {"cr.kanister.io/repository-server": objects.NAME}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [{"podSelector": {}}, peer],
                "ports": [{"port": 51515, "protocol": "TCP"}],
            }
        ],
    }


class TestWithApplied:
    def test_the_annotation_is_the_only_difference(self) -> None:
        desired = children.pod(server(), inputs(), DIGEST, USERS)

        applied = children.with_applied(desired)

        digest = applied["metadata"]["annotations"].pop("cr.kanister.io/applied")
        assert re.fullmatch("[0-9a-f]{10}", digest)
        assert applied == desired

    def test_the_desired_object_is_left_alone(self) -> None:
        desired = children.service(server(), DIGEST)

        children.with_applied(desired)

        assert desired == children.service(server(), DIGEST)

    def test_a_field_that_is_no_longer_desired_changes_it(self) -> None:
        desired = children.service(server(), DIGEST)
        less = objects.merged(desired, {"spec": {"type": None}})

        assert children.with_applied(desired) != children.with_applied(less)
        assert children.differs(
            children.with_applied(less), objects.stored(children.with_applied(desired))
        )


SERVICE = children.with_applied(children.service(server(), DIGEST))
POLICY = children.with_applied(
    children.network_policy(server({"spec": {"server": {"networkPolicy": {"podSelector": {}}}}}))
)
POD = children.with_applied(children.pod(server(), inputs(), DIGEST, USERS))

FOREIGN_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "foreign"}
SIDECAR = {"name": "proxy", "image": "proxy:1"}
PORT = {"name": "https", "port": 51515, "protocol": "TCP", "targetPort": 51515}
RULE = POLICY["spec"]["ingress"][0]


class TestDiffers:
    @pytest.mark.parametrize("desired", [SERVICE, POLICY, POD], ids=["Service", "Policy", "Pod"])
    def test_what_the_api_server_makes_of_it_is_no_difference(self, desired: Object) -> None:
        assert not children.differs(desired, objects.stored(desired, status={"any": "thing"}))

    @pytest.mark.parametrize(
        ("desired", "change"),
        [
            pytest.param(SERVICE, {"metadata": {"labels": {"team": "a"}}}, id="a label"),
            pytest.param(SERVICE, {"metadata": {"annotations": {"n": "a"}}}, id="an annotation"),
            pytest.param(SERVICE, {"metadata": {"finalizers": ["x"]}}, id="a finalizer"),
            pytest.param(
                SERVICE,
                {
                    "metadata": {
                        "ownerReferences": [FOREIGN_OWNER, *SERVICE["metadata"]["ownerReferences"]]
                    }
                },
                id="another owner, whom an apply would not take away",
            ),
            pytest.param(SERVICE, {"spec": {"sessionAffinity": "ClientIP"}}, id="a field unsaid"),
            pytest.param(
                POD,
                {"spec": {"containers": [SIDECAR, *POD["spec"]["containers"]]}},
                id="a container that a service mesh puts in",
            ),
        ],
    )
    def test_what_others_add_is_let_be(self, desired: Object, change: Object) -> None:
        observed = objects.merged(objects.stored(desired), change)

        assert not children.differs(desired, observed)

    @pytest.mark.parametrize(
        ("desired", "change"),
        [
            pytest.param(
                SERVICE,
                {"metadata": {"labels": {children.LABEL_INSTANCE: None}}},
                id="a label gone",
            ),
            pytest.param(SERVICE, {"metadata": {"ownerReferences": []}}, id="the owner gone"),
            pytest.param(SERVICE, {"metadata": {"ownerReferences": None}}, id="all owners gone"),
            pytest.param(
                SERVICE,
                {"metadata": {"ownerReferences": [FOREIGN_OWNER]}},
                id="another owner in its place",
            ),
            pytest.param(
                SERVICE,
                {"metadata": {"annotations": {children.ANNOTATION_APPLIED: "0"}}},
                id="last applied from something else",
            ),
            pytest.param(SERVICE, {"spec": {"type": "NodePort"}}, id="a field changed"),
            pytest.param(SERVICE, {"spec": {"ports": [{**PORT, "port": 1}]}}, id="a port changed"),
            pytest.param(SERVICE, {"spec": {"ports": [PORT, PORT]}}, id="a port more"),
            pytest.param(SERVICE, {"spec": {"ports": []}}, id="a port less"),
            pytest.param(SERVICE, {"spec": {"ports": None}}, id="no ports"),
            pytest.param(SERVICE, {"spec": {"selector": {"x": "y"}}}, id="a selector's label more"),
            pytest.param(SERVICE, {"spec": {"selector": None}}, id="the selector gone"),
            pytest.param(
                POLICY,
                {"spec": {"podSelector": {"matchLabels": {"x": "y"}}}},
                id="fewer pods protected",
            ),
            pytest.param(POLICY, {"spec": {"ingress": [RULE, {}]}}, id="a rule for everybody"),
            pytest.param(
                POLICY,
                {"spec": {"ingress": [{**RULE, "from": [*RULE["from"], {"podSelector": {}}]}]}},
                id="a peer more",
            ),
            pytest.param(
                POLICY,
                {"spec": {"ingress": [{"ports": RULE["ports"]}]}},
                id="no peers, which means everybody",
            ),
            pytest.param(
                POLICY, {"spec": {"policyTypes": ["Ingress", "Egress"]}}, id="a type more"
            ),
            pytest.param(POD, {"spec": {"containers": [{"name": "x"}]}}, id="another container"),
        ],
    )
    def test_what_is_not_as_it_should_be(self, desired: Object, change: Object) -> None:
        observed = objects.merged(objects.stored(desired), change)

        assert children.differs(desired, observed)

    @pytest.mark.parametrize(
        ("desired", "observed"),
        [
            pytest.param({"a": 1}, None, id="null in place of an object"),
            pytest.param({"a": [1]}, {"a": {"0": 1}}, id="an object in place of a list"),
            pytest.param({"a": 1}, {"a": "1"}, id="text in place of a number"),
            pytest.param({"a": [1, 2]}, {"a": [2, 1]}, id="another order"),
            pytest.param({"a": {}}, {}, id="an empty object left out"),
        ],
    )
    def test_values_of_another_kind(self, desired: Object, observed: object) -> None:
        assert children.differs(desired, observed)


@pytest.mark.parametrize(
    ("desired", "observed", "applied"),
    [
        pytest.param(
            {"nodeName": "a"}, {"nodeName": "b", "priority": 0}, {"nodeName": "b"}, id="a value"
        ),
        pytest.param({"httpGet": {"port": 1}}, {"exec": {}}, {}, id="one that was taken away"),
        pytest.param(
            {"containers": [{"name": "a", "image": "a:1"}, {"name": "b"}]},
            {"containers": [{"name": "proxy"}, {"name": "a", "image": "a:2", "tty": True}]},
            {"containers": [{"name": "a", "image": "a:2"}]},
            id="an item of a list that is merged: one more in front, one less",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "a"}, {"key": "b"}]},
            {"tolerations": [{"key": "a"}, {"key": "b"}]},
            id="a list that is taken whole",
        ),
        pytest.param(
            {"nodeSelector": {"ports": "a"}},
            {"nodeSelector": {"ports": "b"}},
            {"nodeSelector": {"ports": "b"}},
            id="a label that is called as a list",
        ),
    ],
)
def test_of_a_pod_that_exists_what_is_desired_has_its_values(
    desired: Object, observed: Object, applied: Object
) -> None:
    assert children.with_observed_values(desired, observed) == applied
