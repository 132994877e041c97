"""PostgreSQL backed up, destroyed and restored by ActionSets, with the controller killed each time.

The controller, the database and the Blueprints are those of manifests/, in the tests' namespaces.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from e2e import postgres, stories
from e2e.actionsets import error_in, outputs_of, phase_states
from e2e.cluster import CLIENTS, NAMESPACE, Cluster
from e2e.postgres import Postgres
from e2e.server import Server
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, BLUEPRINTS
from reconcilers.actionset.phases.names import ANNOTATION_PHASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.actionsetcontroller import InstalledEngine
    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.witness import Witness

ROWS = "SELECT name FROM rows ORDER BY name;"


@pytest.fixture(scope="module")
def server(
    cluster: Cluster,
    node: Node,
    witness: Witness,
    controller: Controller,  # noqa: ARG001 - it makes the server
) -> Iterator[Server]:
    """Yield the server that the Blueprints name."""
    described = Server(cluster, node, witness, postgres.SERVER)
    postgres.admit_phases(described)
    described.start()
    yield described
    described.remove()


@pytest.fixture(scope="module")
def database(
    cluster: Cluster,
    node: Node,
    server: Server,
    engine: InstalledEngine,  # noqa: ARG001 - its Blueprints need the CRDs
) -> Iterator[Postgres]:
    """Yield the database."""
    made = Postgres(cluster, node, server)
    made.start()
    yield made
    made.remove()


def run_and_kill(engine: InstalledEngine, name: str, action: Object, phase: str) -> Object:
    """Run an action, and kill the controller while one of its phases has a pod.

    Returns:
        The ActionSet once it is complete.
    """

    def read() -> Object:
        return engine.cluster.client.get(ACTION_SETS, NAMESPACE, name)

    engine.begin(name, action)
    uid = read()["metadata"]["uid"]
    begun = wait_for(
        f"phase {phase} to run",
        read,
        lambda obj: phase_states(obj).get(phase) == "running" or error_in(obj),
    )
    assert error_in(begun) == ""
    pods = wait_for(
        f"the pod of phase {phase}",
        lambda: [pod for pod in engine.pods(uid) if phase_of(pod) == phase],
    )
    engine.kill_leader()

    # Whatever the pod does now is not seen: the lease of the dead one holds off the other.
    assert phase_states(read())[phase] == "running"
    ended = engine.ended(name)
    outputs_of(ended)
    assert len(pods) == 1
    return ended


def phase_of(pod: Object) -> str:
    value: str = pod["metadata"]["annotations"][ANNOTATION_PHASE]
    return value.partition("/")[2]


def snapshots(server: Server) -> int:
    return len(json.loads(server.kopia("snapshot list --all --json")))


def artifacts_of(obj: Object) -> Object:
    found: Object = obj["status"]["actions"][0]["artifacts"]
    return found


def test_its_claim_is_backed_up_and_restored_by_data_functions(
    engine: InstalledEngine, database: Postgres, server: Server
) -> None:
    """The database is down meanwhile, and its files are lost afterwards."""
    database.sql("CREATE TABLE rows (name text); INSERT INTO rows VALUES ('before');")

    action = database.action("postgresql-claim", "backup")
    backup = run_and_kill(engine, "claim-backup", action, "copyClaim")
    database.wait_ready()
    assert snapshots(server) == 1

    database.sql("INSERT INTO rows VALUES ('after');")
    database.lose_files()

    action = database.action("postgresql-claim", "restore", artifacts_of(backup))
    run_and_kill(engine, "claim-restore", action, "restoreClaim")
    database.wait_ready()
    assert database.sql(ROWS) == "before\n"

    action = database.action("postgresql-claim", "delete", artifacts_of(backup))
    outputs_of(engine.run("claim-delete", action))
    assert snapshots(server) == 0


def test_a_dump_is_backed_up_and_restored_as_a_stream(
    engine: InstalledEngine, database: Postgres, server: Server
) -> None:
    """The database runs meanwhile, and loses its tables afterwards."""
    database.sql(
        "DROP TABLE IF EXISTS rows; CREATE TABLE rows (name text);"
        " INSERT INTO rows VALUES ('before');"
    )

    action = database.action("postgresql-dump", "backup")
    backup = run_and_kill(engine, "dump-backup", action, "dump")
    assert snapshots(server) == 1
    story = [
        "State: complete",
        "Percent Completed: 100",
        "Started Action",
        "Executing action backup",
        "Executing phase dump",
        "Completed phase dump",
        "Updated ActionSet 'dump-backup' Status->complete",
    ]
    stories.wait_told(engine.cluster, "dump-backup", story)

    database.sql("INSERT INTO rows VALUES ('after'); DROP TABLE filling;")

    action = database.action("postgresql-dump", "restore", artifacts_of(backup))
    run_and_kill(engine, "dump-restore", action, "load")
    assert database.sql(ROWS) == "before\n"
    assert database.sql("SELECT count(*) FROM filling;") == "100000\n"

    action = database.action("postgresql-dump", "delete", artifacts_of(backup))
    outputs_of(engine.run("dump-delete", action))
    assert snapshots(server) == 0


@pytest.fixture(scope="module")
def blueprint(engine: InstalledEngine) -> Iterator[str]:
    """Yield the Blueprint of the stories."""
    engine.make_blueprint(stories.BLUEPRINT, stories.actions(engine.cluster))
    yield stories.BLUEPRINT
    engine.cluster.delete(BLUEPRINTS, stories.BLUEPRINT)


@pytest.mark.usefixtures("blueprint")
def test_kubectl_describe_tells_why_one_has_failed(engine: InstalledEngine) -> None:
    engine.run("story-fail", stories.action("fail"))

    story = [
        "State: failed",
        "Executing phase dump",
        "ActionSetFailed Action: fail",
        "has ended with exit code 3; the last lines of its log: connecting FATAL: no such database",
        "Executing deferPhase tidy",
        "Completed deferPhase tidy",
        "Updated ActionSet 'story-fail' Status->failed",
    ]
    stories.wait_told(engine.cluster, "story-fail", story)


@pytest.mark.usefixtures("blueprint")
def test_kubectl_describe_tells_how_one_is_cancelled(engine: InstalledEngine) -> None:
    cluster, name = engine.cluster, "story-wait"
    engine.begin(name, stories.action("wait"))
    uid = cluster.client.get(ACTION_SETS, NAMESPACE, name)["metadata"]["uid"]
    wait_for("the phase to run", lambda: engine.pods(uid))
    cluster.client.delete(ACTION_SETS, NAMESPACE, name)

    story = [
        "Deletion Timestamp:",
        "Running Phase: tidy",
        "action wait, phase dump: the ActionSet was deleted before the phase had ended",
        "Executing phase dump",
        "Executing deferPhase tidy",
        "container container of pod",
        stories.GATE,
    ]
    stories.wait_told(cluster, name, story)
    stories.open_gate(cluster)
    wait_for("it to be gone", lambda: cluster.get(ACTION_SETS, name) is None)
    its = f"--field-selector=involvedObject.name={name}"
    wait_for(
        "its last event",
        lambda: cluster.kubectl.run("get", "events", f"--namespace={NAMESPACE}", its),
        lambda events: "Completed deferPhase tidy" in events,
    )
    cluster.delete(resources.SECRETS, stories.GATE, CLIENTS)
