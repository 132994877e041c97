"""What a real API server makes of the CronJob that maintains a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from controller.resource import Resource
from fakes import objects
from fakes.children import inputs, server
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import compare, maintenance
from reconcilers.settings import PodDefaults

if TYPE_CHECKING:
    from controller.resource import Object
    from controller.rest.client import Client

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
WANTED = api.Maintenance("0 3 * * *", "admin@store.example")


def cron_job(namespace: str, **defaults: Any) -> Object:
    full = attrs.evolve(inputs(), defaults=PodDefaults(**defaults))
    made = maintenance.cron_job(server(), WANTED, full, "key")
    # There is no such owner here, and the garbage collector, where one runs, would notice.
    metadata = {**made["metadata"], "namespace": namespace, "ownerReferences": []}
    return {**made, "metadata": metadata}


@pytest.mark.parametrize("amount", ["1000m", "0.5", "1500Mi"])
def test_nothing_is_to_be_written_again_whatever_becomes_of_an_amount(
    client: Client, namespace: str, amount: str
) -> None:
    desired = cron_job(namespace, resources={"requests": {"memory": amount}})
    name = desired["metadata"]["name"]

    applied = client.apply(resources.CRON_JOBS, namespace, name, desired)

    template = desired["spec"].pop("jobTemplate")
    assert template["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert not compare.differs(desired, applied)


def test_its_pod_is_admitted_by_the_restricted_profile(client: Client, namespace: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.merge_patch(NAMESPACES, "", namespace, {"metadata": {"labels": labels}})
    template = cron_job(namespace)["spec"]["jobTemplate"]["spec"]["template"]
    pod = {**template, "metadata": {**template["metadata"], "name": "run", "namespace": namespace}}

    client.create(resources.PODS, namespace, pod)

    found = client.get(resources.PODS, namespace, "run")
    assert found["spec"]["containers"][0]["image"] == objects.IMAGE
