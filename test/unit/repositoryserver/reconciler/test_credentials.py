"""The credential of an object store."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, ClassVar

import pytest

from fakes import objects
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.status import patience
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World


class TestStorageCredential:
    S3: ClassVar[dict[str, str | bytes]] = {"type": "s3", "bucket": "backups"}
    NAMED: ClassVar[Object] = {
        "spec": {
            "storage": {
                "credentialSecretRef": {"name": objects.CREDENTIAL, "namespace": objects.NAMESPACE}
            }
        }
    }

    @staticmethod
    def keys(secret_key: str) -> Object:
        values = {"aws_access_key_id": "AKIA1", "aws_secret_access_key": secret_key}
        return objects.secret(objects.CREDENTIAL, secrets.TYPE_AWS, values)

    @pytest.fixture
    def named(self, world: World) -> World:
        """Give a server in S3 whose credential is named and does not exist yet."""
        world.api.put(api.REPOSITORY_SERVERS, objects.repository_server(self.NAMED))
        world.change_secret(objects.location_secret(self.S3))
        return world

    def test_it_is_part_of_the_snapshot_and_of_nothing_else(self, named: World) -> None:
        named.change_secret(self.keys("secret-key-b7d1"))

        named.reconcile()

        snapshot = named.secret(named.replica_set()["metadata"]["name"])
        config = base64.b64decode(snapshot["data"]["repository.config"]).decode()
        assert json.loads(config)["storage"]["config"]["secretAccessKey"] == "secret-key-b7d1"
        assert "secret-key-b7d1" not in json.dumps([named.pod(), named.replica_set()])

    def test_a_renewed_one_makes_a_new_pod(self, named: World) -> None:
        named.change_secret(self.keys("secret-key-b7d1"))
        named.settle()
        former = named.pod()["metadata"]["name"]

        named.change_secret(
            objects.merged(self.keys("secret-key-0c55"), {"metadata": {"resourceVersion": "51"}})
        )
        named.begin_revision()

        assert [pod["metadata"]["name"] for pod in named.pods()] != [former]

    def test_a_missing_one_is_told(self, named: World) -> None:
        named.reconcile()
        named.clock.step(patience.SECONDS)
        named.reconcile()

        _, reason, message = named.condition("Ready")
        assert reason == "SecretMissing"
        assert f"{objects.CREDENTIAL}, named by spec.storage.credentialSecretRef" in message

    def test_one_of_another_store_is_told(self, named: World) -> None:
        named.change_secret({**self.keys("secret-key-b7d1"), "type": secrets.TYPE_GCP})

        named.reconcile()

        _, reason, message = named.condition("Ready")
        assert reason == "SecretTypeWrong"
        assert "expected secrets.kanister.io/aws" in message

    def test_a_file_store_needs_none_though_one_is_named(self, world: World) -> None:
        world.api.put(api.REPOSITORY_SERVERS, objects.repository_server(self.NAMED))

        world.settle()

        assert world.progress() == "Ready"
