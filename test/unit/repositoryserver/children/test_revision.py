"""What a new pod takes up, and the snapshot that it is started with."""

import base64
from typing import Any

import attrs
import pytest

from fakes import objects
from fakes import storage as fakes
from fakes.children import (
    DIGEST,
    FILE_STORE,
    Object,
    inputs,
    of_pod,
    server,
)
from reconcilers.repositoryserver.children import compare, revision
from reconcilers.secrets import data as secrets


class TestSnapshotSecret:
    def test_it_holds_one_reading_of_all_that_the_pod_needs(self) -> None:
        secret = revision.snapshot_secret(server(), inputs(), DIGEST)

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

        secret = revision.snapshot_secret(server(), attrs.evolve(inputs(), storage=storage), DIGEST)

        assert base64.b64decode(secret["data"]["ca.crt"]) == b"authority"

    def test_nobody_can_change_it_under_a_running_pod(self) -> None:
        secret = revision.snapshot_secret(server(), inputs(), DIGEST)

        assert secret["immutable"] is True

    def test_it_has_the_name_of_the_replica_set(self) -> None:
        secret = revision.snapshot_secret(server(), inputs(), DIGEST)
        name = replica_set()["metadata"]["name"]

        assert secret["metadata"]["name"] == name == f"{objects.NAME}-{DIGEST}"


def replica_set(change: Object | None = None, *, replicas: int = 1) -> Object:
    of = server(change)
    return revision.replica_set(of, inputs(of), DIGEST, replicas=replicas)


class TestReplicaSet:
    def test_it_keeps_one_pod_that_it_finds_by_labels_which_the_pod_has(self) -> None:
        spec = replica_set()["spec"]

        assert spec["replicas"] == 1
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()

    def test_its_selector_which_cannot_change_does_not_follow_the_resource(self) -> None:
        changed = replica_set(of_pod(podLabels={"team": "a"}, runAsUser=7))

        assert changed["spec"]["selector"] == replica_set()["spec"]["selector"]

    def test_how_many_pods_it_has_is_no_wish_of_the_resource(self) -> None:
        marks = [
            compare.with_applied(replica_set(replicas=replicas))["metadata"]["annotations"][
                "cr.kanister.io/applied"
            ]
            for replicas in (0, 1)
        ]

        assert marks[0] == marks[1]

    def test_the_names_of_its_pods_are_host_names_that_tell_revisions_apart(self) -> None:
        of = server({"metadata": {"name": "long-" * 40}})

        name = revision.replica_set(of, inputs(of), DIGEST, replicas=1)["metadata"]["name"]

        assert name.endswith(f"-{DIGEST}")
        assert len(f"{name}-abcde") <= 63


def hash_of(change: Object | None = None, **replaced: Any) -> str:
    of = server(change)
    return revision.revision_hash(of, attrs.evolve(inputs(of), **replaced))


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
        assert hash_of(**replaced) != hash_of()

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
            pytest.param({"server": {"fsGroup": -1}}, id="the group of its volumes"),
            pytest.param({"server": {"resources": {"limits": {"memory": "1Gi"}}}}, id="a limit"),
            pytest.param({"server": {"nodeSelector": {"disk": "fast"}}}, id="where it may run"),
            pytest.param(
                {"server": {"refreshSeconds": 20}}, id="how often it looks at its storage"
            ),
            pytest.param(
                {"server": {"podOverride": {"priorityClassName": "high"}}}, id="its override"
            ),
            pytest.param({"server": {"restart": "now"}}, id="a restart that is asked for"),
            pytest.param({"server": {"metrics": {}}}, id="the port of its metrics"),
        ],
    )
    def test_and_of_what_the_resource_says_about_the_process(self, spec: Object) -> None:
        assert hash_of({"spec": spec}) != hash_of()

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
            pytest.param({"spec": {"server": {"metrics": None}}}, id="that there are no metrics"),
            pytest.param(of_pod(podLabels={"team": "a"}), id="the pod's labels"),
            pytest.param(of_pod(podAnnotations={"note": "b"}), id="the pod's annotations"),
            pytest.param(of_pod(drainSeconds=0), id="how long a replaced pod serves on"),
            pytest.param(of_pod(podOverride={}), id="an override that overrides nothing"),
            pytest.param({"spec": {"paused": False}}, id="a server that is not paused"),
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
        assert hash_of(change) == hash_of()
