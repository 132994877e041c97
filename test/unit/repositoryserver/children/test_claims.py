"""The claim of a file store is known by the ReplicaSets that mount it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconcilers.kopia.storage import filestore
from reconcilers.repositoryserver import informers
from reconcilers.repositoryserver.children import claims

if TYPE_CHECKING:
    from controller.resource import Object


def volume(claim: str, name: str = filestore.VOLUME) -> Object:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def revision(*volumes: Object, replicas: int | None = 1) -> Object:
    """Return a ReplicaSet as the cache holds it."""
    spec = {"containers": [{"name": "kopia"}], "volumes": list(volumes)}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    replica_set: Object = {"metadata": {"name": "files"}, "spec": {"template": template}}
    if replicas is not None:
        replica_set["spec"]["replicas"] = replicas
    return informers.trim_replica_set(replica_set)


@pytest.mark.parametrize(
    ("revisions", "found"),
    [
        pytest.param([], [], id="a server without a revision has none"),
        pytest.param(
            [revision({"name": "tmp", "emptyDir": {}})], [], id="an object store has none"
        ),
        pytest.param([revision(volume("disk"))], ["disk"], id="a file store has one"),
        pytest.param(
            [revision(volume("logs", "sidecar"), volume("disk"))],
            ["disk"],
            id="a claim that an override has added is none of the repository's",
        ),
        pytest.param(
            [revision(volume("new")), revision(volume("disk"), replicas=0)],
            ["new"],
            id="the one that a retired revision had does not count",
        ),
        pytest.param(
            [revision(volume("new")), revision(volume("disk"))],
            ["disk", "new"],
            id="both while the old pod drains",
        ),
        pytest.param(
            [revision(volume("disk"), replicas=None)],
            ["disk"],
            id="who has taken the number of pods away has left one",
        ),
    ],
)
def test_which_claims_hold_the_repository(revisions: list[Any], found: list[str]) -> None:
    assert claims.in_use(revisions) == found


def test_the_cache_keeps_nothing_else_of_the_specification_of_a_pod() -> None:
    of_file_store = revision(volume("disk"), {"name": "tmp", "emptyDir": {}})
    of_object_store = revision({"name": "tmp", "emptyDir": {}})

    assert of_file_store["spec"]["template"]["spec"] == {"volumes": [volume("disk")]}
    assert "spec" not in of_object_store["spec"]["template"]
