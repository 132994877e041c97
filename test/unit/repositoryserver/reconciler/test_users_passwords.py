"""Short passwords of users: warned of, and accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.conditions import conditions_of, get_condition
from fakes import objects
from fakes.world import USER
from reconcilers.repositoryserver.status.conditions import PASSWORD_SHORT

if TYPE_CHECKING:
    from fakes.world import World

SHORT = "other"


@pytest.fixture
def warned(settled: World) -> World:
    """Give a world with a server that is Ready, whose user has got a short password."""
    settled.change_secret(objects.users_secret({"app": SHORT}))
    settled.reconcile()
    settled.reconcile()
    return settled


def test_a_short_password_is_warned_of_and_stops_nothing(warned: World) -> None:
    value, reason, message = warned.condition(PASSWORD_SHORT)

    assert (value, reason) == ("True", PASSWORD_SHORT)
    ref = f"{objects.NAMESPACE}/{objects.USERS}"
    assert f"that of user {USER} (key app of Secret {ref}); choose longer ones" in message
    assert SHORT not in message
    assert warned.recorder.lines().count(f"Warning {PASSWORD_SHORT}: {message}") == 1
    assert warned.may_connect() == {USER: SHORT}
    assert warned.condition("Ready")[0] == "True"


def test_it_is_over_with_a_longer_one(warned: World) -> None:
    warned.change_secret(objects.users_secret({"app": SHORT * 4}))

    warned.reconcile()

    assert warned.condition(PASSWORD_SHORT)[:2] == ("False", "UserPasswordsLong")


def test_it_stays_after_a_restart_that_reads_no_secret(warned: World) -> None:
    """The next process does not know of the password, and leaves the condition as it is."""
    before = warned.condition(PASSWORD_SHORT)
    warned.clock.step(3600)
    warned.reconcile()
    warned.api.taken()
    warned.restart()

    warned.reconcile()

    assert warned.api.taken() == []
    assert warned.condition(PASSWORD_SHORT) == before


def test_nothing_is_said_of_passwords_that_were_never_short(settled: World) -> None:
    assert get_condition(conditions_of(settled.server()), PASSWORD_SHORT) is None
