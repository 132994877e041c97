"""What is wrong with a server in a word and in a sentence, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import plugin
from reconcilers.plugin import advice
from reconcilers.plugin.advice import State
from reconcilers.repositoryserver import connection, verdict
from reconcilers.repositoryserver.status import conditions
from reconcilers.repositoryserver.status.conditions import Outcome
from reconcilers.repositoryserver.verdict import SERVER_SETUP, Problem, Waiting

if TYPE_CHECKING:
    from controller.resource import Object

LASTING = Problem(SERVER_SETUP, "SecretMissing", "Secret a/b does not exist; create it")
PASSING = Problem(SERVER_SETUP, "PodUnschedulable", "no node has room")
WAITING = Waiting(SERVER_SETUP, verdict.REASON_IMAGE_PULLING, "the node pulls the image")
NO_FIX = Problem(SERVER_SETUP, "SecretMissing", "it is broken")

AHEAD = {"metadata": {"generation": 2}}


def server(found: Problem | Waiting | None, *, available: bool = False) -> Object:
    found_ = () if found is None else (found,)
    return plugin.server("files", Outcome(found_, available=available, pod_name="files-1"))


@pytest.mark.parametrize(
    ("obj", "state", "wrong", "fix"),
    [
        pytest.param(server(None, available=True), State.READY, "", "", id="nothing is wrong"),
        pytest.param(
            server(LASTING),
            State.FAILED,
            "Secret a/b does not exist",
            "create it",
            id="the fix is what the message ends with",
        ),
        pytest.param(
            server(LASTING, available=True),
            State.DEGRADED,
            "Secret a/b does not exist",
            "create it (meanwhile pod files-1 still serves)",
            id="clients can connect although a change has failed",
        ),
        pytest.param(
            server(NO_FIX),
            State.FAILED,
            "it is broken",
            advice.NO_FIX,
            id="a lasting fault whose message names no fix",
        ),
        pytest.param(
            server(PASSING),
            State.FAILED,
            "no node has room",
            advice.AGAIN,
            id="a fault that may pass by itself",
        ),
        pytest.param(
            server(WAITING),
            State.STARTING,
            "the node pulls the image",
            advice.WAIT,
            id="a server that comes up",
        ),
        pytest.param(
            server(WAITING, available=True),
            State.CHANGING,
            "the node pulls the image (meanwhile pod files-1 still serves)",
            advice.WAIT,
            id="a change while the former pod serves",
        ),
        pytest.param(
            {**server(verdict.PAUSED), "spec": {"paused": True}},
            State.PAUSED,
            *verdict.PAUSED.message.split("; ", 1),
            id="somebody has paused it",
        ),
        pytest.param(
            {**server(None, available=True), **server(None), "status": {}},
            State.UNSEEN,
            advice.NOT_SEEN.format(generation=1),
            advice.LOOK_FOR_CONTROLLER.format(namespace="backup"),
            id="no controller has reported on it",
        ),
        pytest.param(
            {**server(LASTING), "metadata": {**server(None)["metadata"], "generation": 2}},
            State.UNSEEN,
            advice.NOT_SEEN.format(generation=2),
            advice.LOOK_FOR_CONTROLLER.format(namespace="backup"),
            id="what is reported is of the resource before a change",
        ),
    ],
)
def test_what_is_wrong_and_what_to_do(obj: Object, state: State, wrong: str, fix: str) -> None:
    health = connection.health(obj)

    assert advice.state(obj, health) is state
    assert advice.of(obj, health) == advice.Advice(wrong, fix)


def test_a_message_that_comes_from_elsewhere_is_made_plain() -> None:
    found = Problem(SERVER_SETUP, "PodRefused", "the webhook says \x1b[2Jno\n; ask\x07 it")
    obj = server(found)

    assert advice.of(obj, connection.health(obj)) == advice.Advice(
        "the webhook says ?[2Jno", "ask? it"
    )


def test_every_warning_is_there_while_it_is_true() -> None:
    obj = server(None, available=True)
    obj["status"]["conditions"] += [
        {"type": type_, "status": status, "reason": "Why", "message": "m"}
        for type_, status in zip(conditions.WARNINGS, ("True", "False") * 4, strict=False)
    ]

    warned = [one.type_ for one in connection.health(obj).warnings]

    assert warned == list(conditions.WARNINGS[::2])
