"""The manifests as files: what holds of them without an API server."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import yaml

from fakes import storage as fakes
from reconcilers import options, settings
from reconcilers.kopia.storage import kinds
from reconcilers.kopia.storage.paths import repository_path
from reconcilers.pods import accounts
from reconcilers.repositoryserver import api, references
from reconcilers.repositoryserver.children import names
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

MANIFESTS = Path(__file__).parents[2] / "manifests"
CONTROLLER = MANIFESTS / "controller"
SAMPLES = MANIFESTS / "samples"
SETTINGS = CONTROLLER / "settings.yaml"

KUSTOMIZATION = "kustomization.yaml"
ACCOUNT = "repository-server-controller"

# Their comments say where these come from: a script.
SECRETS_MADE_ELSEWHERE = {"file-store-tls", "s3-tls", "gcs-tls", "azure-tls"}

# Keys of Secrets that hold nothing confidential.
PLAIN_KEYS = {"username", "hostname", "gcp_project_id", "azure_storage_account_id"}

STORES = ["s3", "gcs", "azure"]

# How a flag's value is written where it is not the text itself.
TEXTS = {True: "true", False: "false", ("from-a-field",): "from-a-field"}

# What the manager takes at most to stop.
GRACEFUL_TIMEOUT_SECONDS = 30


def load(path: Path) -> list[Object]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def resources(folder: Path) -> list[Object]:
    """Load what the kustomization of a folder lists, without what it has kustomize change."""
    (kustomization,) = load(folder / KUSTOMIZATION)
    found: list[Object] = []
    for name in kustomization["resources"]:
        path = folder / name
        found.extend(resources(path) if path.is_dir() else load(path))
    return found


def find(objects: list[Object], kind: str, name: str = "") -> Object:
    (found,) = (
        obj for obj in objects if obj["kind"] == kind and name in ("", obj["metadata"]["name"])
    )
    return found


def container(pod_spec: Object) -> Object:
    (found,) = pod_spec["containers"]
    return dict(found)


def schema_fields(schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Walk a schema: each field with its path, list items and map values included."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from schema_fields(child, f"{path}.{name}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in schema:
            yield from schema_fields(schema[keyword], path + mark)


def crd_fields() -> dict[str, Object]:
    crd = find(resources(MANIFESTS / "crd"), "CustomResourceDefinition")
    (version,) = crd["spec"]["versions"]
    return dict(schema_fields(version["schema"]["openAPIV3Schema"]))


FIELDS = crd_fields()
RULES = [
    pytest.param(rule, id=f"{path or 'root'}-{number}")
    for path, schema in FIELDS.items()
    for number, rule in enumerate(schema.get("x-kubernetes-validations", []))
]
FOLDERS = [path.parent for path in sorted(MANIFESTS.rglob(KUSTOMIZATION))]


@pytest.fixture
def deployment() -> Object:
    return find(resources(CONTROLLER), "Deployment")


@pytest.fixture
def file_store() -> list[Object]:
    return resources(SAMPLES / "file-store")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_kustomization_lists_every_file_beside_it(folder: Path) -> None:
    (kustomization,) = load(folder / KUSTOMIZATION)
    beside = {path.name for path in folder.glob("*.yaml")} - {KUSTOMIZATION}

    listed = {name for name in kustomization.get("resources", ()) if name.endswith(".yaml")}
    generated = {
        name
        for one in kustomization.get("configMapGenerator", [])
        for name in one["files"]
        if name.endswith(".yaml")
    }

    configuring = set(kustomization.get("configurations", ()))

    assert listed | generated | configuring == beside


def test_argo_cd_finds_the_health_check_by_the_kind() -> None:
    """It looks up group and kind, with an underscore between them (argo-cd util/settings)."""
    (kustomization,) = load(MANIFESTS / "gitops" / KUSTOMIZATION)
    (generated,) = kustomization["configMapGenerator"]

    (file,) = generated["files"]

    assert generated["name"] == "argocd-cm"
    key, _, path = file.partition("=")
    kind = api.REPOSITORY_SERVERS
    assert key == f"resource.customizations.health.{kind.group}_{kind.kind}"
    assert (MANIFESTS / "gitops" / path).exists()


class TestCustomResourceDefinition:
    # The API server describes metadata itself and refuses a description of ours.
    @pytest.mark.parametrize("path", sorted(set(FIELDS) - {".metadata"}))
    def test_a_field_says_in_sentences_what_it_is(self, path: str) -> None:
        description = FIELDS[path].get("description", "")

        assert description[:1].isupper()
        assert description.endswith(".")

    @pytest.mark.parametrize("rule", RULES)
    def test_a_rule_says_the_fix(self, rule: Object) -> None:
        assert rule["message"]

    def test_no_more_requests_are_compared_than_kubernetes_1_29_can_afford(self) -> None:
        """With eight it refuses the CRD: 1.007 times what a rule may cost (seen with 1.29.6)."""
        assert FIELDS[".spec.server.resources.requests"]["maxProperties"] <= 7

    def test_a_status_of_the_removed_controller_lacks_nothing_required(self) -> None:
        required = {
            path: schema["required"]
            for path, schema in FIELDS.items()
            if path.startswith(".status") and "required" in schema
        }

        assert required == {".status.conditions[]": ["type"]}


class TestRights:
    @pytest.fixture
    def role(self) -> Object:
        return find(resources(CONTROLLER), "Role", ACCOUNT)

    def test_are_in_one_namespace(self) -> None:
        kinds = {obj["kind"] for obj in resources(CONTROLLER)}

        assert not kinds & {"ClusterRole", "ClusterRoleBinding"}

    def test_to_lead_are_apart_from_those_on_servers(self, role: Object) -> None:
        """The Lease is in one namespace, however many are served."""
        lease = find(resources(CONTROLLER), "Role", f"{ACCOUNT}-lease")

        of_servers = {name for rule in role["rules"] for name in rule["resources"]}
        to_lead = {name for rule in lease["rules"] for name in rule["resources"]}
        assert "leases" not in of_servers
        assert to_lead == {"leases", "events"}

    def test_are_given_by_name(self, role: Object) -> None:
        assert "*" not in str(role["rules"])

    def test_on_profiles_are_given_apart_and_to_the_same_account(self, role: Object) -> None:
        apart = resources(MANIFESTS / "kanister-profiles")
        account = find(resources(CONTROLLER), "ServiceAccount")["metadata"]["name"]
        binding = find(apart, "RoleBinding")

        assert not [rule for rule in role["rules"] if "profiles" in rule["resources"]]
        (rule,) = find(apart, "Role")["rules"]
        assert rule["resources"] == ["profiles"]
        assert binding["roleRef"]["name"] == find(apart, "Role")["metadata"]["name"]
        assert [subject["name"] for subject in binding["subjects"]] == [account]

    def test_reach_the_service_account_of_the_pod(self, deployment: Object) -> None:
        bindings = [one for one in resources(CONTROLLER) if one["kind"] == "RoleBinding"]
        account = find(resources(CONTROLLER), "ServiceAccount")

        subjects = [subject["name"] for one in bindings for subject in one["subjects"]]
        assert subjects == [account["metadata"]["name"]] * 2
        assert (
            deployment["spec"]["template"]["spec"]["serviceAccountName"]
            == account["metadata"]["name"]
        )


@pytest.mark.parametrize("name", ["controller-pods", "actionset-controller-pods"])
def test_the_policies_refuse_the_accounts_of_the_operators_that_the_controllers_refuse(
    name: str,
) -> None:
    policy = find(load(MANIFESTS / "policies" / f"{name}.yaml"), "ValidatingAdmissionPolicy")

    (expression,) = (
        one["expression"]
        for one in policy["spec"]["validations"]
        if "serviceAccountName" in one["expression"]
    )

    (pattern,) = re.findall(r"serviceAccountName\.matches\(\s*'\((\S+)\)\$'\)", expression)
    assert sorted(pattern.split("|")) == sorted(accounts.OPERATORS)


class TestDeployment:
    def test_gives_the_manager_time_to_stop(self, deployment: Object) -> None:
        pod = deployment["spec"]["template"]["spec"]

        assert pod["terminationGracePeriodSeconds"] > GRACEFUL_TIMEOUT_SECONDS

    @pytest.mark.parametrize(
        ("port", "variable"),
        [
            pytest.param("metrics", "RSC_METRICS_BIND_ADDRESS", id="metrics"),
            pytest.param("probes", "RSC_HEALTH_PROBE_BIND_ADDRESS", id="probes"),
        ],
    )
    def test_binds_the_ports_that_it_names(
        self, deployment: Object, port: str, variable: str
    ) -> None:
        controller = container(deployment["spec"]["template"]["spec"])
        ports = {port["name"]: port["containerPort"] for port in controller["ports"]}
        environment = {entry["name"]: entry.get("value") for entry in controller["env"]}

        assert environment[variable] == f":{ports[port]}"

    def test_sets_what_the_command_knows(self, deployment: Object) -> None:
        controller = container(deployment["spec"]["template"]["spec"])
        given = {entry["name"]: entry.get("value", "from-a-field") for entry in controller["env"]}

        understood = attrs.asdict(options.parse_options([], given))

        assert given == {
            name: TEXTS.get(value, value)
            for name in given
            for value in [understood[name.removeprefix("RSC_").lower()]]
        }

    def test_reads_the_settings_that_the_kustomization_makes(self, deployment: Object) -> None:
        pod = deployment["spec"]["template"]["spec"]
        environment = {entry["name"]: entry.get("value") for entry in container(pod)["env"]}
        (mount,) = (one for one in container(pod)["volumeMounts"] if one["name"] == "settings")
        (volume,) = (one for one in pod["volumes"] if one["name"] == "settings")
        (kustomization,) = load(CONTROLLER / KUSTOMIZATION)
        (generated,) = kustomization["configMapGenerator"]

        assert volume["configMap"]["name"] == generated["name"]
        assert [f"{mount['mountPath']}/{name}" for name in generated["files"]] == [
            environment["RSC_CONFIG"]
        ]

    def test_the_settings_keep_the_servers_on_linux(self) -> None:
        assert settings.load(str(SETTINGS)).pod.node_selector == {"kubernetes.io/os": "linux"}

    def test_each_setting_is_there_if_only_as_a_comment(self) -> None:
        text = re.sub("^ *# ", "", SETTINGS.read_text(), flags=re.MULTILINE)

        for cls in (settings.Settings, settings.PodDefaults, settings.StorageDefaults):
            for field in attrs.fields(cls):
                key = re.sub("_(.)", lambda found: found.group(1).upper(), field.name)
                assert re.search(rf"^ *{key}:", text, re.MULTILINE), key

    def test_runs_several_replicas_of_which_one_works(self, deployment: Object) -> None:
        controller = container(deployment["spec"]["template"]["spec"])
        environment = {entry["name"]: entry.get("value") for entry in controller["env"]}

        assert deployment["spec"]["replicas"] > 1
        assert environment["RSC_LEADER_ELECT"] == "true"

    def test_may_use_the_lease_that_the_command_names(self) -> None:
        rules = find(resources(CONTROLLER), "Role", f"{ACCOUNT}-lease")["rules"]
        (names,) = (rule["resourceNames"] for rule in rules if "resourceNames" in rule)

        assert names == [options.parse_options([], {}).leader_election_id]

    @pytest.mark.parametrize("kind", ["Service", "NetworkPolicy", "PodDisruptionBudget"])
    def test_is_selected_by(self, deployment: Object, kind: str) -> None:
        selector = find(resources(CONTROLLER), kind)["spec"]
        found = selector.get("selector") or selector["podSelector"]
        labels = found.get("matchLabels", found)

        assert labels == deployment["spec"]["template"]["metadata"]["labels"]


class TestSamples:
    @pytest.mark.parametrize("sample", ["file-store", *STORES])
    def test_name_secrets_that_there_are(self, sample: str) -> None:
        objects = resources(SAMPLES / sample)
        there = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "Secret"}

        named = references.secret_names(in_namespace(find(objects, api.KIND)))

        assert named <= there | SECRETS_MADE_ELSEWHERE

    @pytest.mark.parametrize("sample", ["file-store", *STORES, "client", "functions"])
    def test_hold_no_password_but_placeholders(self, sample: str) -> None:
        confidential = {
            key: value
            for obj in resources(SAMPLES / sample)
            if obj["kind"] == "Secret" and obj.get("type") != secrets.TYPE_LOCATION
            for key, value in obj["stringData"].items()
            if key not in PLAIN_KEYS
        }

        assert confidential
        assert all(value.startswith("placeholder-") for value in confidential.values())

    def test_are_filled_in_with_passwords_of_ones_own(self, tmp_path: Path) -> None:
        samples = tmp_path / "samples"
        shutil.copytree(SAMPLES, samples)

        subprocess.run([samples / "fill-in.sh"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603

        values = {
            sample: [
                value
                for obj in resources(samples / sample)
                if obj["kind"] == "Secret"
                for key, value in obj["stringData"].items()
                if "password" in key or key.startswith(("client", "backup_at"))
            ]
            for sample in ("file-store", *STORES, "client", "functions")
        }
        assert not [value for found in values.values() for value in found if "placeholder" in value]
        assert min(len(value) for found in values.values() for value in found) >= 32
        # The client's is that of the user of each server; no other is anywhere twice.
        (of_client,) = values["client"]
        others = [value for found in values.values() for value in found if value != of_client]
        assert all(of_client in found for found in values.values())
        assert len(others) == len(set(others))

    def test_get_a_certificate_by_an_older_openssl_or_that_of_macos(self, tmp_path: Path) -> None:
        programs = {
            # LibreSSL and OpenSSL 1.1 know -nodes alone.
            "openssl": f"""case " $* " in *" -noenc "*) exit 1; esac
                exec {shutil.which("openssl")} "$@" """,
            "kubectl": 'case "$3" in get) ;; create) echo "$@"; esac',
        }
        for name, script in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)

        ran = subprocess.run(  # noqa: S603 - a script of ours
            [SAMPLES / "file-store" / "tls-secret.sh", "backup"],
            env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )

        assert ran.stdout.startswith("--namespace backup create secret tls file-store-tls --cert ")

    def test_make_the_repository_where_the_server_looks_for_it(
        self, file_store: list[Object]
    ) -> None:
        server = api.parse(in_namespace(find(file_store, api.KIND)))
        location = secrets.read(
            server.location,
            as_stored(find(file_store, "Secret", server.location.name)),
            (secrets.TYPE_LOCATION,),
        )
        storage = kinds.kind_of(location).storage(fakes.source(server, location))
        job = container(find(file_store, "Job")["spec"]["template"]["spec"])
        environment = {entry["name"]: entry.get("value") for entry in job["env"]}
        (mount,) = (mount for mount in job["volumeMounts"] if mount["name"] == "data")

        (served,) = storage.mounts

        relative = Path(storage.config["path"]).relative_to(served["mountPath"])

        assert Path(environment["REPOSITORY"]) == Path(mount["mountPath"]) / relative
        assert find(file_store, "PersistentVolumeClaim")["metadata"]["name"] == storage.claim

    @pytest.mark.parametrize("sample", STORES)
    def test_and_so_in_an_object_store(self, sample: str) -> None:
        found = resources(SAMPLES / sample)
        server = api.parse(in_namespace(find(found, api.KIND)))
        location = secrets.read(
            server.location,
            as_stored(find(found, "Secret", server.location.name)),
            (secrets.TYPE_LOCATION,),
        )
        job = container(find(found, "Job")["spec"]["template"]["spec"])
        environment = {entry["name"]: entry for entry in job["env"]}
        root_path = environment["ROOT_PATH"]["value"]

        (prefix,) = re.findall(r'--prefix="(.*)"', job["args"][0])

        assert environment["PREFIX"]["valueFrom"]["secretKeyRef"] == {
            "name": server.location.name,
            "key": "prefix",
        }
        assert prefix.replace("$PREFIX", location.text("prefix")).replace(
            "$ROOT_PATH", root_path
        ) == repository_path(location, server.root_path)

    @pytest.mark.parametrize("sample", STORES)
    def test_have_a_credential_of_the_type_that_their_location_needs(self, sample: str) -> None:
        found = resources(SAMPLES / sample)
        location = find(found, "Secret", f"{sample}-location")["stringData"]

        credential = find(found, "Secret", f"{sample}-credential")

        assert credential["type"] == kinds.KINDS[location["type"]].credential_type

    @pytest.mark.parametrize("sample", ["file-store", *STORES])
    def test_let_in_the_clients_of_the_other_namespace(self, sample: str) -> None:
        reader = resources(SAMPLES / "connection-reader")
        peer, *_ = find(resources(SAMPLES / sample), api.KIND)["spec"]["server"]["networkPolicy"][
            "from"
        ]

        assert peer["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": find(reader, "Namespace")["metadata"]["name"]
        }

    def test_connect_the_client_by_two_secrets_alone(self, file_store: list[Object]) -> None:
        server = api.parse(in_namespace(find(file_store, api.KIND)))
        client = resources(SAMPLES / "client")
        pod = find(client, "Pod")["spec"]
        (connection,) = (one["secret"] for one in pod["volumes"] if "secret" in one)
        references = [one["valueFrom"] for one in container(pod)["env"] if "valueFrom" in one]

        assert server.publish.connection
        assert connection["secretName"] == names.connection_name(server)
        assert [one["secretKeyRef"]["name"] for one in references] == [
            find(client, "Secret")["metadata"]["name"]
        ]
        assert {obj["kind"] for obj in client} == {"Pod", "Secret"}

    def test_let_an_account_of_another_namespace_read_one_secret(
        self, file_store: list[Object]
    ) -> None:
        server = api.parse(in_namespace(find(file_store, api.KIND)))
        reader = resources(SAMPLES / "connection-reader")
        account = find(reader, "ServiceAccount")["metadata"]
        binding = find(reader, "RoleBinding")

        assert find(reader, "Role")["rules"] == [
            {
                "apiGroups": [""],
                "resources": ["secrets"],
                "resourceNames": [names.connection_name(server)],
                "verbs": ["get"],
            }
        ]
        assert binding["roleRef"]["name"] == find(reader, "Role")["metadata"]["name"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", **account}]
        assert account["namespace"] != server.namespace

    def test_give_the_client_the_password_of_its_user(self, file_store: list[Object]) -> None:
        users = find(file_store, "Secret", "file-store-users")["stringData"]
        client = resources(SAMPLES / "client")
        (arguments,) = container(find(client, "Pod")["spec"])["args"]
        server = api.parse(in_namespace(find(file_store, api.KIND)))

        assert f"--override-username={server.access.username} " in arguments
        assert all(f"--override-hostname={host}\n" in arguments for host in users)
        assert list(users.values()) == [find(client, "Secret")["stringData"]["password"]]

    def test_run_the_kopia_of_the_servers(self, file_store: list[Object]) -> None:
        pods = [
            find(file_store, "Job")["spec"]["template"]["spec"],
            find(resources(SAMPLES / "client"), "Pod")["spec"],
        ]

        assert {container(pod)["image"] for pod in pods} == {settings.load(str(SETTINGS)).image}


def in_namespace(obj: Object) -> Object:
    """Add what the API server and the kustomization give an object."""
    return {**obj, "metadata": {**obj["metadata"], "namespace": "kanister", "uid": "1"}}


def as_stored(secret: Object) -> Object:
    """Return a Secret as the API server does, its text encoded."""
    data = {
        key: base64.b64encode(value.encode()).decode()
        for key, value in secret["stringData"].items()
    }
    return {**secret, "data": data}
