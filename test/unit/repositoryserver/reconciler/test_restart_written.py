"""Secrets of the controller's that somebody changes, while it runs and while it does not.

Their content is not in the caches. What is known is the version of the last write: in memory, and
in the record for the next process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import objects
from fakes.apiclient import Action
from fakes.world import USERS_SECRET
from reconcilers.repositoryserver.children.recordkeeper import PAUSE_SECONDS

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World

SERVICE = f"repo-server-{objects.NAME}"
#: Each with a key that somebody changes.
SECRETS = {
    f"{SERVICE}-connection": "fingerprint",
    f"{SERVICE}-profile": "tls.crt",
    f"{SERVICE}-maintenance": "repository.config",
}


@pytest.fixture
def written(settled: World) -> World:
    """Give a world whose server has each of the Secrets, with a record that is up to date."""
    maintenance = {"schedule": "0 3 * * *", "owner": "admin@laptop"}
    publish: Object = {"connection": {}, "kanisterProfile": {}}
    settled.edit({"publish": publish, "repository": {"maintenance": maintenance}})
    settled.reconcile()
    settled.clock.step(PAUSE_SECONDS)
    settled.reconcile()
    settled.api.taken()
    settled.recorder.events.clear()
    return settled


def change(world: World, name: str) -> Object:
    """Change a Secret as somebody else does; return it as it was."""
    before = world.secret(name)
    data = {SECRETS[name]: "eA=="}
    world.change_secret(objects.merged(before, {"data": data}))
    return before


def applied(world: World) -> list[str]:
    """Return the names of the Secrets that were applied since it was last asked."""
    found = world.api.taken()
    return [one.name for one in found if (one.verb, one.resource) == ("apply", "secrets")]


def restored(world: World) -> list[str]:
    """Return the events that say that something was put back."""
    return [line for line in world.recorder.lines() if "ChildRestored" in line]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(True, id="while the controller runs"),
        pytest.param(False, id="while none runs, by the record"),
    ],
)
def test_what_somebody_has_changed_is_put_back(written: World, name: str, *, runs: bool) -> None:
    before = change(written, name)
    if not runs:
        written.restart()

    written.reconcile()

    assert written.secret(name)["data"] == before["data"]
    assert applied(written) == [name]
    (event,) = restored(written)
    assert f"Secret {name} was not as it should be" in event
    written.reconcile()
    assert written.api.taken() in ([], [written.write_record])


@pytest.mark.parametrize("name", SECRETS)
def test_it_is_put_back_where_no_record_says_how_it_was_written(written: World, name: str) -> None:
    """As after an upgrade: what another program has recorded does not count."""
    before = change(written, name)
    written.record("")
    written.restart()

    written.reconcile()

    assert written.secret(name)["data"] == before["data"]
    assert sorted(applied(written)) == sorted(SECRETS)
    (event,) = restored(written)
    assert f"Secret {name} was not as it should be" in event


def test_one_that_is_as_it_was_written_is_not_written_after_a_restart(written: World) -> None:
    written.restart()

    written.reconcile()

    # For the user of the Profile.
    assert written.api.taken() == [Action("get", "secrets", USERS_SECRET)]
