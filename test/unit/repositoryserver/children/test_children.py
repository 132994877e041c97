"""What every object of a server has, and what none may hold."""

import base64
import json
from collections.abc import Callable

import pytest

from fakes import objects
from fakes.children import (
    DIGEST,
    Object,
    inputs,
    server,
)
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import compare, network, revision

SECRET_VALUES = (
    objects.REPOSITORY_PASSWORD_VALUE,
    objects.ADMIN_PASSWORD_VALUE,
    objects.key_pair().key,
)

CHILDREN: list[Callable[[api.RepositoryServer], Object]] = [
    lambda of: revision.snapshot_secret(of, inputs(of), DIGEST),
    lambda of: revision.replica_set(of, inputs(of), DIGEST, replicas=1),
    lambda of: network.service(of, DIGEST),
    network.network_policy,
]
KINDS = ["Secret", "ReplicaSet", "Service", "NetworkPolicy"]


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
        text = json.dumps(compare.with_applied(build(server())))

        for value in SECRET_VALUES:
            assert value not in text
            assert base64.b64encode(value.encode()).decode() not in text

    def test_inputs_show_no_secret_value(self) -> None:
        shown = repr(inputs())

        assert objects.REPOSITORY_PASSWORD_VALUE not in shown
        assert objects.ADMIN_PASSWORD_VALUE not in shown
        assert "BEGIN" not in shown
        assert "maxCacheSize" not in shown, "the configuration may hold storage credentials"
