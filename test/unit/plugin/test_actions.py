"""ActionSets as kanctl makes them, and the wait for their end."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from controller.errors import NotFound
from fakes import objects, plugin
from reconcilers.actionset.api import ACTION_SETS, ANNOTATION_WAITS_FOR
from reconcilers.plugin import actionsets, exits, waiting

if TYPE_CHECKING:
    from fakes.plugin import Printed, World

DB = {"kind": "statefulset", "name": "db", "namespace": "shop"}
OTHER = {"kind": "pvc", "name": "data", "namespace": "shop"}
ARTIFACTS = {"dump": {"keyValue": {"backupID": "0123"}}}
SERVER = {"repositoryServer": "backup/files"}
NEW = ("backup", "--blueprint=postgres", "--statefulset=shop/db")
CHILD = ("restore", "--from=backup-x7k2p")


@pytest.fixture
def world() -> World:
    return plugin.world()


def actions(printed: Printed) -> Any:
    return json.loads(printed.stdout)["spec"]["actions"]


def action(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "blueprint": "postgres", "object": DB, **fields}


KEPT = {"artifacts": ARTIFACTS, "preferredVersion": "v1.0.0-alpha"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(NEW, [action("backup")], id="a new one"),
        pytest.param(
            (*NEW, "--pvc=shop/data"),
            [action("backup", object=OTHER), action("backup")],
            id="an action for each target",
        ),
        pytest.param(
            (*NEW, "--server=files", "--options=a=1", "--profile=p", "--secrets=db=shop/login"),
            [
                action(
                    "backup",
                    options={"a": "1", **SERVER},
                    profile={"name": "p", "namespace": "backup"},
                    secrets={"db": {"name": "login", "namespace": "shop"}},
                )
            ],
            id="with all that templates need; the server as the option that no CRD prunes",
        ),
        pytest.param(
            CHILD,
            [action("restore", options=SERVER, **KEPT)],
            id="a child has the artifacts of its parent's status, and its version and options",
        ),
        pytest.param(
            (*CHILD, "--options=a=1", "--server=other/one", "--skip-validation"),
            [action("restore", options={"a": "1", "repositoryServer": "other/one"}, **KEPT)],
            id="what is said counts more than what the parent says",
        ),
        pytest.param(
            (*CHILD, "--statefulset=shop/db", "--pvc=shop/data"),
            [
                action("restore", object=OTHER, options=SERVER, **KEPT),
                action("restore", options=SERVER, **KEPT),
            ],
            id="each action of the parent for each target",
        ),
        pytest.param(
            ("delete", "--from=backup-x7k2p", "--namespacetargets=shop"),
            [
                action(
                    "delete",
                    object={"kind": "namespace", "name": "shop", "namespace": "shop"},
                    options=SERVER,
                    **KEPT,
                )
            ],
            id="a backup whose workload is gone is deleted by the namespace",
        ),
    ],
)  # fmt: skip
def test_what_is_made(world: World, arguments: tuple[str, ...], expected: list[Any]) -> None:
    found = actions(world.run(*arguments, "--dry-run"))

    def order(one: dict[str, Any]) -> str:
        return str(one["object"])

    assert sorted(found, key=order) == sorted(expected, key=order)
    assert not [one for one in world.client.asked if one[0] == "create"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        pytest.param(NEW, f"backup-{plugin.SUFFIX}", id="by the action"),
        pytest.param(CHILD, f"restore-backup-x7k2p-{plugin.SUFFIX}", id="by action and parent"),
        pytest.param((*NEW, "--name=mine"), "mine", id="as it is said"),
    ],
)
def test_names_are_those_of_kanctl(world: World, arguments: tuple[str, ...], name: str) -> None:
    printed = world.run(*arguments, "--labels=team=shop")

    assert printed == plugin.Printed(exits.DONE, f"ActionSet backup/{name} created\n", "")
    made = world.client.get(ACTION_SETS, objects.NAMESPACE, name)
    assert made["metadata"]["labels"] == {"team": "shop"}


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        pytest.param(
            NotFound(404, "NotFound", 'namespaces "backup" not found'),
            "there is no namespace backup",
            id="no namespace",
        ),
        pytest.param(
            NotFound(404, "", "404 page not found"),
            "the API server knows no ActionSet: install its CRD first (actionsets.cr.kanister.io)",
            id="no CRD",
        ),
    ],
)
def test_why_one_cannot_be_made(world: World, failure: Exception, sentence: str) -> None:
    world.client.failures["create", "actionsets"] = failure

    printed = world.run(*NEW, "--skip-validation")

    assert printed == plugin.Printed(exits.FAILED, "", f"kubectl-reposerver: {sentence}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        pytest.param(
            ("backup", "--blueprint=postgres"),
            exits.USAGE,
            "name what it is about by --statefulset",
            id="without a target",
        ),
        pytest.param(
            ("backup", "--blueprint=none", "--pvc=a/b"),
            exits.FAILED,
            "there is no Blueprint none in namespace backup",
            id="a Blueprint that is missing",
        ),
        pytest.param(
            (*NEW, "--action=snapshot"),
            exits.FAILED,
            "Blueprint backup/postgres has no action snapshot; name one of backup, delete, restore",
            id="an action that the Blueprint lacks",
        ),
        pytest.param(
            (*NEW, "--server=archive"),
            exits.FAILED,
            "clients cannot connect to RepositoryServer backup/archive: Secret",
            id="a server that nobody can connect to",
        ),
        pytest.param(
            ("restore", "--from=running"),
            exits.FAILED,
            "ActionSet backup/running is running, not complete",
            id="a parent that has not ended",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_it_is_made(
    world: World, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    world.client.put(ACTION_SETS, plugin.action_set("running", "running"))

    printed = world.run(*arguments)

    assert printed.code == code
    assert sentence in printed.stderr
    assert not [one for one in world.client.asked if one[0] == "create"]


def test_nothing_is_looked_at_before_if_so_wished(world: World) -> None:
    world.run(*NEW, "--server=archive", "--skip-validation")

    assert [plural for verb, plural, _ in world.client.asked] == [ACTION_SETS.plural]


ENGINE_SAYS = {"status": {"error": {"message": "phase dump: exit code 1\x1b[2J"}}}


@pytest.mark.parametrize(
    ("state", "change", "code", "said"),
    [
        pytest.param("complete", {}, exits.DONE, "", id="it is complete"),
        pytest.param(
            "failed",
            ENGINE_SAYS,
            exits.BAD_NEWS,
            "ActionSet backup/one has failed: phase dump: exit code 1?[2J",
            id="it has failed, and its error is told",
        ),
        pytest.param(
            "failed", {}, exits.BAD_NEWS, actionsets.NO_REASON, id="it has failed without a reason"
        ),
        pytest.param(
            "running",
            {},
            exits.NOT_IN_TIME,
            "has not ended within 0 s: backup/dump",
            id="it runs on, and what runs is told",
        ),
        pytest.param(
            "pending", {}, exits.NOT_IN_TIME, "within 0 s: pending", id="it has not begun"
        ),
        pytest.param(
            "", {}, exits.NOT_IN_TIME, "no controller has taken it up", id="nobody has seen it"
        ),
    ],
)
def test_what_a_wait_ends_with(
    world: World, state: str, change: dict[str, Any], code: int, said: str
) -> None:
    world.client.put(ACTION_SETS, plugin.action_set("one", state, change))

    printed = world.run("wait", "one", "--timeout=0")

    assert printed.code == code
    assert said in printed.stderr
    assert printed.stdout == ("ActionSet backup/one is complete\n" if code == exits.DONE else "")


def test_it_is_looked_at_until_it_ends(world: World) -> None:
    """Each thing that runs is told once."""
    world.client.put(ACTION_SETS, plugin.action_set("one", "running"))
    printed: list[Printed] = []
    waiter = threading.Thread(target=lambda: printed.append(world.run("wait", "one")), daemon=True)
    waiter.start()
    for _ in range(2):
        world.clock.block_until_waiters(1)
        world.clock.step(waiting.INTERVAL)
    world.clock.block_until_waiters(1)

    world.client.put(ACTION_SETS, plugin.action_set("one", "complete"))
    world.clock.step(waiting.INTERVAL)
    waiter.join(60)

    assert printed == [
        plugin.Printed(
            exits.DONE,
            "ActionSet backup/one is complete\n",
            "kubectl-reposerver: one: backup/dump\n",
        )
    ]


def test_phases_of_the_same_name_are_told_apart() -> None:
    running = {"name": "dump", "state": "running"}
    status = {
        "state": "running",
        "progress": {"percentCompleted": "40"},
        "actions": [
            {"name": "backup", "phases": [{"name": "quiesce", "state": "complete"}, running]},
            {"name": "copy", "phases": [], "deferPhase": running},
        ],
    }

    assert actionsets.outcome({"status": status}).running == "backup/dump, copy/dump (40%)"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        pytest.param("running", "backup/dump: no node has room", id="of what runs"),
        pytest.param("pending", "no node has room", id="of what has not begun"),
    ],
)
def test_what_it_waits_for_is_told(state: str, said: str) -> None:
    obj = plugin.action_set("one", state)
    obj["metadata"]["annotations"] = {ANNOTATION_WAITS_FOR: "no node has room"}

    assert actionsets.outcome(obj).running == said


def test_the_wait_can_follow_at_once(world: World) -> None:
    printed = world.run(*NEW, "--wait", "--timeout=0")

    assert printed.code == exits.NOT_IN_TIME
    assert "created" in printed.stdout


def test_a_program_reads_one_document(world: World) -> None:
    """It is printed as it was made, whatever it comes to; what is said of it goes beside."""
    world.client.put(ACTION_SETS, plugin.action_set("mine", "complete"))
    printed = world.run(*NEW, "--name=mine", "-o", "json", "--wait", "--timeout=0")

    assert json.loads(printed.stdout)["metadata"]["name"] == "mine"
    assert "mine" in printed.stderr
