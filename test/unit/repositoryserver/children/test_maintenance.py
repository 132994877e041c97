"""The CronJob that maintains a repository."""

from __future__ import annotations

import base64
import json
from typing import Any

import attrs
import pytest

from fakes import objects
from fakes.children import FILE_STORE, Object, inputs, server
from fakes.storage import Values, storage_of
from reconcilers.errors import InvalidInput
from reconcilers.kopia import logfilter
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import maintenance, names
from reconcilers.settings import PodDefaults

S3: Values = {"type": "s3", "bucket": "b", "region": "eu-west-1", "ca.crt": ""}
WANTED = api.Maintenance("0 3 * * *", "admin@store.example")
KEY = maintenance.key(WANTED, "digest")


def cron_job(settings: Object | None = None, **changes: Any) -> Object:
    of = server({"spec": {"server": settings or {}}})
    return maintenance.cron_job(of, WANTED, attrs.evolve(inputs(of), **changes), KEY)


def pod_of(cron_job_: Object) -> Object:
    template: Object = cron_job_["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return template


def container(cron_job_: Object) -> Object:
    (only,) = pod_of(cron_job_)["containers"]
    return dict(only)


def test_one_run_at_a_time_and_none_that_keeps_the_next_from_starting() -> None:
    spec = cron_job()["spec"]

    assert (spec["schedule"], spec["timeZone"]) == ("0 3 * * *", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 86400


def test_it_runs_full_maintenance_and_nothing_besides() -> None:
    found = container(cron_job())

    assert found["image"] == objects.IMAGE
    assert found["command"] == ["/bin/kopia"]
    assert found["args"][-3:] == ["maintenance", "run", "--full"]


def test_kopia_is_the_owner_of_the_maintenance() -> None:
    secret = maintenance.secret(server(), WANTED, inputs(), KEY)

    config = json.loads(base64.b64decode(secret["data"]["repository.config"]))
    assert (config["username"], config["hostname"]) == ("admin", "store.example")
    assert config["storage"] == json.loads(inputs().config)["storage"]


def test_it_knows_neither_the_users_nor_the_administrator_nor_the_servers_key() -> None:
    secret = maintenance.secret(server(), WANTED, inputs(), KEY)

    assert secret["data"].keys() == {"repository.config", "repository-password"}
    assert secret["metadata"]["name"] == names.maintenance_name(server())


def test_kopia_can_write_its_lock_beside_its_configuration() -> None:
    found = cron_job()
    mounts = {one["mountPath"]: one for one in container(found)["volumeMounts"]}
    volumes = {one["name"]: one for one in pod_of(found)["volumes"]}

    assert "emptyDir" in volumes[mounts["/etc/kopia"]["name"]]
    assert mounts["/etc/kopia/repository.config"]["subPath"] == "repository.config"
    assert "secret" in volumes[mounts["/etc/kopia/repository.config"]["name"]]


def test_files_of_the_storage_are_where_the_server_has_them() -> None:
    storage = attrs.evolve(storage_of(server(), S3), files={"ca.crt": "PEM"})

    found = cron_job(storage=storage)

    mounts = {one["mountPath"]: one.get("subPath") for one in container(found)["volumeMounts"]}
    assert mounts["/etc/kopia/storage/ca.crt"] == "ca.crt"


def test_it_mounts_the_claim_of_a_file_store() -> None:
    found = cron_job(storage=storage_of(server(), FILE_STORE))

    assert {"name": "data", "mountPath": "/mnt/data"} in container(found)["volumeMounts"]
    assert any("persistentVolumeClaim" in volume for volume in pod_of(found)["volumes"])


def test_no_password_is_in_it() -> None:
    text = json.dumps(cron_job())

    assert objects.REPOSITORY_PASSWORD_VALUE not in text
    assert objects.ADMIN_PASSWORD_VALUE not in text


def test_its_pods_are_none_of_the_servers() -> None:
    template = cron_job()["spec"]["jobTemplate"]
    of_pods = template["spec"]["template"]["metadata"]["labels"]

    assert not of_pods.items() >= names.selector(server()).items()
    assert names.LABEL_INSTANCE not in of_pods
    assert template["metadata"]["labels"] == names.maintenance_labels(server())


def test_it_meets_the_restricted_profile() -> None:
    pod = pod_of(cron_job())

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container(cron_job())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("settings", "field", "expected"),
    [
        pytest.param({"serviceAccountName": "b"}, "serviceAccountName", "b", id="identity"),
        pytest.param({"nodeSelector": {"a": "b"}}, "nodeSelector", {"a": "b"}, id="nodes"),
        pytest.param(
            {"podOverride": {"priorityClassName": "low"}}, "priorityClassName", "low", id="override"
        ),
    ],
)
def test_it_runs_where_and_as_whom_the_server_does(
    settings: Object, field: str, expected: object
) -> None:
    assert pod_of(cron_job(settings))[field] == expected


def test_it_has_the_token_by_which_the_store_knows_it() -> None:
    settings = {"serviceAccountName": "cloud", "serviceAccountToken": {"audience": "sts"}}
    found = cron_job(settings)

    (volume,) = (one for one in pod_of(found)["volumes"] if "projected" in one)
    assert volume["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "sts"
    assert volume["name"] in {mount["name"] for mount in container(found)["volumeMounts"]}


def test_kopia_runs_behind_the_servers_filter_where_its_urls_hold_a_credential() -> None:
    account = {"azure_storage_account_id": "account1", "azure_storage_sas_token": "sv=1&sig=x"}
    storage = storage_of(server(), {"type": "azure", "bucket": "b"}, account)

    found = container(cron_job(storage=storage))

    assert found["command"] == list(logfilter.command())
    assert found["args"][-3:] == ["maintenance", "run", "--full"]


def test_it_follows_the_settings() -> None:
    found = cron_job(defaults=PodDefaults(priority_class_name="high"))

    assert pod_of(found)["priorityClassName"] == "high"


def test_an_override_gives_kopia_its_proxy_and_nothing_that_would_not_end() -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}
    override = {
        "containers": [
            {"name": names.CONTAINER, "env": [proxy], "readinessProbe": {"periodSeconds": 3}},
            {"name": "mesh", "image": "mesh"},
        ]
    }

    found = container(cron_job({"podOverride": override}))

    assert proxy in found["env"]
    assert "readinessProbe" not in found


def test_an_override_that_ends_kopia_otherwise_is_refused() -> None:
    with pytest.raises(InvalidInput, match="restartPolicy"):
        cron_job({"podOverride": {"restartPolicy": "OnFailure"}})


@pytest.mark.parametrize("name", ["files", "a" * 63, "a.b" * 80])
def test_a_job_can_be_called_after_it(name: str) -> None:
    found = names.maintenance_name(server({"metadata": {"name": name}}))

    assert len(found) <= 52
    assert found.startswith("repo-server-")
    assert found.endswith("-maintenance")


@pytest.mark.parametrize(
    ("wanted", "digest"),
    [
        pytest.param(attrs.evolve(WANTED, schedule="@daily"), "digest", id="the schedule"),
        pytest.param(attrs.evolve(WANTED, owner="other@host"), "digest", id="the owner"),
        pytest.param(WANTED, "other", id="what the server is made of"),
    ],
)
def test_it_is_made_anew_of(wanted: api.Maintenance, digest: str) -> None:
    assert maintenance.key(wanted, digest) != KEY
