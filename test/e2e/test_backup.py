"""A client backs up and restores through a server, and only clients that may reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.backup_client import login
from e2e.waiting import CLOCK, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.backup_client import Client
    from e2e.server import Server


def test_files_are_restored_as_they_were(
    server: Server,
    client: Client,
    describe: Callable[[Server, str], None],
    record_seconds: Callable[[str, float], None],
) -> None:
    """By a client in another namespace, which knows only its password and what the status says."""
    server.make_volume()
    server.make_repository()
    began = CLOCK.monotonic()
    server.create()
    ready = server.wait_ready()
    record_seconds("Ready after", CLOCK.monotonic() - began)
    describe(server, "a healthy server")

    me = login(ready, server.password_of())
    assert client.connect(server.name, me).code == 0
    written = client.write_files(server.name)
    snapshot = client.back_up(server.name, me)
    restored = client.restore(server.name, me, snapshot)

    assert len(written) == 6
    assert restored == written


def test_a_pod_that_the_network_policy_does_not_name_cannot_connect(
    server: Server, client: Client, stranger: Client
) -> None:
    me = login(server.start(), server.password_of())

    refused = wait_for(
        "the node to keep the stranger out",
        lambda: stranger.connect(server.name, me),
        lambda ran: ran.code != 0,
    )
    allowed = client.connect(server.name, me)

    assert allowed.code == 0, allowed
    # Kept out before Kopia could say anything: refused, or dropped until `timeout` ended it.
    assert "connection refused" in refused.complaint or refused.code in (124, 143), refused


def test_a_pod_that_a_changed_network_policy_names_can_connect(
    server: Server, stranger: Client
) -> None:
    me = login(server.start(), server.password_of())
    wait_for("the stranger to be kept out", lambda: stranger.connect(server.name, me).code != 0)

    server.patch({"spec": {"server": {"networkPolicy": {"from": [{"namespaceSelector": {}}]}}}})

    wait_for("the stranger to connect", lambda: stranger.connect(server.name, me).code == 0)
