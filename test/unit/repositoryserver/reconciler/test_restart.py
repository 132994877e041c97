"""What a controller knows of a server when it starts anew, and what it reads and records."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import objects
from fakes.apiclient import Action
from fakes.world import READ_INPUTS, READ_USERS, USERS_SECRET, WRITE_STATUS, World
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.recordkeeper import PAUSE_SECONDS
from reconcilers.repositoryserver.status import patience
from reconcilers.repositoryserver.users.purge import FIRST_SEARCH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object


def test_a_steady_server_costs_no_request(settled: World) -> None:
    settled.reconcile()

    assert settled.api.taken() == []
    assert settled.kopia.ran() == []
    assert settled.recorder.lines() == []


def test_a_restarted_controller_sends_no_request(settled: World) -> None:
    settled.restart()

    settled.reconcile()

    assert settled.api.taken() == []
    assert settled.kopia.ran() == []
    assert settled.recorder.lines() == []


def _label(secret: Object) -> Callable[[World], None]:
    return lambda world: world.change_secret(objects.labelled(secret))


def _touch_users(world: World) -> None:
    world.change_secret(world.secret(USERS_SECRET))


@pytest.mark.parametrize(
    ("change", "read"),
    [
        pytest.param(_label(objects.tls_secret()), READ_INPUTS, id="an input was written"),
        pytest.param(_label(objects.users_secret()), READ_USERS, id="an access Secret was written"),
        pytest.param(_touch_users, READ_USERS, id="the users were written by another hand"),
        pytest.param(
            lambda world: world.record("{}"), [*READ_USERS, *READ_INPUTS], id="there is no record"
        ),
        pytest.param(
            lambda world: world.record(world.recorded(program="another")),
            [*READ_USERS, *READ_INPUTS],
            id="another program wrote the record",
        ),
    ],
)
def test_what_changed_while_no_controller_ran_is_read_and_recorded_once(
    settled: World, change: Callable[[World], None], read: list[Action]
) -> None:
    """Where nothing comes of it, no pod is replaced; the restart after that is free again."""
    change(settled)
    settled.restart()

    settled.reconcile()
    settled.reconcile()

    assert settled.api.taken() == [*read, settled.write_record]
    assert settled.progress() == "Ready"
    settled.restart()
    settled.reconcile()
    assert settled.api.taken() == []
    assert settled.recorder.lines() == []


def test_a_resource_that_was_edited_while_no_controller_ran_is_acted_on(settled: World) -> None:
    settled.edit({"server": {"podLabels": {"team": "a"}}})
    settled.restart()

    settled.reconcile()

    pod = settled.pod()["metadata"]
    revision = settled.replica_set()["metadata"]["name"]
    label = [Action("apply", "replicasets", revision), Action("patch", "pods", pod["name"])]
    assert settled.api.taken() == [*READ_INPUTS, *label, WRITE_STATUS]
    assert pod["labels"]["team"] == "a"
    settled.restart()
    settled.reconcile()
    assert settled.api.taken() == []


def _delete_pods(world: World) -> None:
    for pod in world.pods():
        world.drop_pod(pod)
    world.replica_sets.sync()


CHANGES: dict[str, Callable[[World], object]] = {
    "label an input": _label(objects.tls_secret()),
    "label an access Secret": _label(objects.users_secret()),
    "change a password": lambda world: world.change_secret(objects.users_secret({"app": "other"})),
    "add a user": lambda world: world.change_secret(objects.users_secret({"app": "n", "b": "p"})),
    "touch the users": _touch_users,
    "renew the certificate": lambda world: world.change_secret(
        objects.tls_secret(objects.key_pair("renewed"))
    ),
    "take the renewal back": lambda world: world.change_secret(objects.tls_secret()),
    "label the pod": lambda world: world.edit({"server": {"podLabels": {"team": "a"}}}),
    "drain at once": lambda world: world.edit({"server": {"drainSeconds": 0}}),
    "break an input": lambda world: world.change_secret(
        objects.secret(objects.ADMIN, "Opaque", {"username": "a"})
    ),
    "mend it": lambda world: world.change_secret(objects.admin_secret()),
    "delete the users": lambda world: world.drop_secret(USERS_SECRET),
    "delete the pods": _delete_pods,
}


def _outcome(world: World) -> dict[str, Any]:
    """Return what users see of a server, in the end."""
    return {
        "pods": {names.hash_of(pod): pod["metadata"]["labels"] for pod in world.pods()},
        "serves": world.selected(),
        "users": world.may_connect(),
        "in repository": world.server()["status"].get("repositoryUsers"),
        "conditions": [
            (one["type"], one["status"], one["reason"], one["message"])
            for one in world.server()["status"]["conditions"]
        ],
    }


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.booleans()), max_size=6))
def test_a_restart_at_any_time_makes_no_difference(steps: list[tuple[str, bool]]) -> None:
    """Two servers see the same changes; the controller of one starts anew after some of them."""
    steady, restarted = World(), World()
    for world in (steady, restarted):
        world.settle()
        for change, restart in steps:
            CHANGES[change](world)
            if restart and world is restarted:
                world.restart()
            world.settle()
        # One that is started anew counts from there.
        for _ in range(3):
            world.clock.step(FIRST_SEARCH_SECONDS)
            world.settle()

    assert _outcome(restarted) == _outcome(steady)


def test_a_secret_that_is_written_often_is_recorded_seldom(settled: World) -> None:
    settled.clock.step(FIRST_SEARCH_SECONDS)
    settled.reconcile()
    settled.api.taken()
    for _ in range(3):
        _touch_users(settled)
        settled.reconcile()
    assert settled.api.taken() == [*READ_USERS, settled.write_record, *READ_USERS * 2]

    settled.clock.step(PAUSE_SECONDS)
    settled.reconcile()

    assert settled.api.taken() == [settled.write_record]


def test_a_secret_that_went_while_no_controller_ran_is_missed(settled: World) -> None:
    settled.drop_secret(objects.ADMIN)
    settled.restart()

    settled.reconcile()
    settled.clock.step(patience.SECONDS)
    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "SecretMissing")


@pytest.mark.parametrize("lacking", [objects.ADMIN, objects.USERS])
def test_what_was_known_while_the_cache_lacked_a_secret_is_not_recorded(
    world: World, lacking: str
) -> None:
    """Who relied on its lack would not miss it when it is gone."""
    secrets = objects.all_secrets()
    world.restart(cached_secrets=[one for one in secrets if one["metadata"]["name"] != lacking])

    world.reconcile()

    assert names.ANNOTATION_RECORD not in world.replica_set()["metadata"]["annotations"]


def test_a_certificate_that_expired_while_no_controller_ran_is_told(settled: World) -> None:
    settled.clock.step(timedelta(days=366).total_seconds())
    settled.restart()

    settled.reconcile()

    assert settled.condition("CertificateExpiring")[0] == "True"
    assert "expired at" in settled.condition("CertificateExpiring")[2]
    assert settled.condition("Ready")[0] == "True"


def test_changed_users_are_recorded_with_what_tells_that_they_were_taken_up(
    settled: World,
) -> None:
    settled.change_secret(objects.users_secret({"app": "other"}))
    settled.reconcile()
    settled.api.taken()
    settled.restart()

    settled.reconcile()

    assert settled.api.taken() == []
