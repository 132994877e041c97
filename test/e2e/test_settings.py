"""The settings file holds for every server, and a change of it rolls out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from controller.resource import Resource
from e2e.cluster import NAMESPACE
from e2e.server import is_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.server import Server


CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
TOLERATION = {"key": "backup", "operator": "Exists"}


@pytest.fixture
def other_settings(controller: Controller, cluster: Cluster) -> Iterator[str]:
    """Give a ConfigMap with settings, whose place the former one takes again afterwards."""
    before, name = controller.settings(), "other-settings"
    cluster.kubectl.create(
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "data": {"settings.yaml": json.dumps({"pod": {"tolerations": [TOLERATION]}})},
            }
        ]
    )
    yield name
    controller.use_settings(before)
    controller.wait_ready()
    cluster.discard(CONFIG_MAPS, name)


def test_servers_run_on_the_nodes_that_the_settings_name(server: Server) -> None:
    server.start()

    assert server.pod()["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_changed_settings_replace_the_pod_beside_the_one_that_serves(
    server: Server, controller: Controller, other_settings: str
) -> None:
    server.start()
    former = server.pod()["metadata"]["name"]

    controller.use_settings(other_settings)

    def replaced(seen: Object) -> bool:
        return is_ready(seen) and seen["status"]["serverInfo"]["podName"] != former

    server.wait("to be served by another pod", replaced)
    assert TOLERATION in server.pod()["spec"]["tolerations"]
    assert server.history() == ["True"], "the server was Ready all the time"
