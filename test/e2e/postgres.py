"""PostgreSQL and the Blueprints of manifests/samples/actionsets, in the namespaces of the tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from attrs import define, field

from e2e.cluster import CLAIMS, CLIENTS, NAMESPACE, Cluster
from e2e.installation import MANIFESTS
from e2e.server import HOST, USERNAME
from reconcilers import resources
from reconcilers.actionset.api import BLUEPRINTS, CREATED_BY, LABEL_CREATED_BY

if TYPE_CHECKING:
    from controller.resource import Object
    from e2e.node import Node
    from e2e.server import Server

IMAGE_VARIABLE: Final = "RSC_TEST_POSTGRES_IMAGE"
SAMPLE: Final = MANIFESTS / "samples" / "actionsets"
FILES: Final = ("postgresql", "secrets", "blueprint-claim", "blueprint-dump")
#: The RepositoryServer that the Blueprints name.
SERVER: Final = "file-store"

NAME: Final = "postgresql"
POD: Final = f"{NAME}-0"
CLAIM: Final = f"data-{POD}"
#: User of the image.
USER: Final = 999
FILES_OF_DATABASE: Final = "/var/lib/postgresql/data/pgdata"
#: Random text that pg_dump cannot say in less, in a table that no test looks at.
FILL: Final = """
CREATE TABLE filling AS
SELECT sha512(convert_to(n || :'seed', 'UTF8')) FROM generate_series(1, 100000) AS n;
"""


@define
class Postgres:
    """The database in its StatefulSet.

    Attributes:
        cluster: Where it is.
        node: Keeps its volume.
        server: The RepositoryServer that it is backed up through.
        image: Of PostgreSQL.
    """

    cluster: Cluster
    node: Node
    server: Server
    image: str = field(init=False)

    @image.default
    def _image(self) -> str:
        found = os.environ.get(IMAGE_VARIABLE)
        if not found:
            pytest.fail(f"{IMAGE_VARIABLE} is not set; `hack/images load postgres` makes the image")
        return found

    def start(self) -> None:
        """Make all objects of the sample, and wait until the database is ready and has data."""
        self.node.make_volume(CLAIM, CLIENTS)
        # A volume of the kind hostPath is not handed to a pod's fsGroup.
        self.node.shell(f"chown {USER}:{USER} {self.node.directory}/{CLAIM}")
        self.cluster.kubectl.create(self._objects())
        self.wait_ready()
        self.sql(FILL, "--set=seed=tests")

    def remove(self) -> None:
        """Delete all of it."""
        self.cluster.kubectl.run("delete", "statefulset,service", NAME, f"--namespace={CLIENTS}")
        for name in ("postgresql", "backup-user"):
            self.cluster.discard(resources.SECRETS, name, CLIENTS)
        for name in ("postgresql-claim", "postgresql-dump"):
            self.cluster.discard(BLUEPRINTS, name)
        self.cluster.delete(resources.PODS, POD, CLIENTS)
        self.cluster.delete(CLAIMS, CLAIM, CLIENTS)
        self.node.remove_volume(CLAIM)

    def wait_ready(self) -> None:
        """Wait until it answers."""
        self.cluster.kubectl.wait(
            CLIENTS, f"statefulset/{NAME}", "jsonpath={.status.readyReplicas}=1"
        )

    def sql(self, statements: str, *options: str) -> str:
        """Run statements in the pod, and return what they print."""
        ran = self.cluster.kubectl.attempt(
            "exec", "--stdin", f"--namespace={CLIENTS}", POD, "--",
            "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
            "--set=ON_ERROR_STOP=1", "--username=postgres", *options,
            stdin=statements,
        )  # fmt: skip
        assert ran.code == 0, str(ran)
        return ran.output

    def lose_files(self) -> None:
        """Delete the files of all tables, as a disk that breaks does."""
        # What is not written yet would keep it from ending.
        self.sql("CHECKPOINT;")
        self.node.shell(f"rm -rf {self.node.directory}/{CLAIM}/pgdata/base")

    def action(self, blueprint: str, name: str, artifacts: Object | None = None) -> Object:
        """Return an action for an ActionSet, as the sample has it."""
        return {
            "name": name,
            "blueprint": blueprint,
            "object": {"kind": "StatefulSet", "name": NAME, "namespace": CLIENTS},
            "preferredVersion": "v1.0.0-alpha",
            "repositoryServer": {"name": SERVER, "namespace": NAMESPACE},
            "artifacts": artifacts or {},
        }

    def _objects(self) -> list[Object]:
        found = [
            self._moved(obj)
            for name in FILES
            for obj in yaml.safe_load_all((SAMPLE / f"{name}.yaml").read_text())
        ]
        password = self.cluster.confidential.password("password of a database")
        values = {
            "postgresql": {"password": password},
            "backup-user": {
                "username": USERNAME,
                "hostname": HOST,
                "password": self.server.password_of(),
            },
        }
        for obj in found:
            if obj["kind"] == resources.SECRETS.kind:
                obj["stringData"] = values[obj["metadata"]["name"]]
        return found

    def _moved(self, node: Any) -> Any:
        """Return a copy that names the namespaces and images of the tests."""
        namespaces = {"kanister": NAMESPACE, "shop": CLIENTS}
        images = {
            "postgres:17": self.image,
            "repository-server-controller": self.cluster.controller_image,
        }
        if isinstance(node, dict):
            return {
                key: namespaces.get(value, value) if key == "namespace" else self._moved(value)
                for key, value in node.items()
            }
        if isinstance(node, list):
            return [self._moved(value) for value in node]
        return images.get(node, node) if isinstance(node, str) else node


def admit_phases(server: Server) -> None:
    """Describe a server that publishes its connection and admits the pods of phases."""
    spec = server.resource["spec"]
    spec["publish"] = {"connection": {}}
    spec["server"]["networkPolicy"] = {
        "from": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": CLIENTS}},
                "podSelector": {"matchLabels": {LABEL_CREATED_BY: CREATED_BY}},
            }
        ]
    }
