"""The command, as it runs in its container, over connections that nobody answers on any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.cache.reflector import READ_TIMEOUT
from e2e.waiting import CLOCK, wait_for
from integration import running
from integration.running import create, delete_pod, wait_for_pod

if TYPE_CHECKING:
    from controller.rest.client import Client
    from fakes.tcpproxy import TcpProxy
    from integration.container import Run

SLACK_SECONDS = 15.0

FIRST, SECOND = "first", "second"


@pytest.fixture(scope="module", autouse=True)
def _definition(client: Client) -> None:
    running.install_definition(client)


def test_half_open_watches_are_noticed_by_their_silence(
    over_network: str, client: Client, namespace: str, network: TcpProxy, run: Run
) -> None:
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    replica = run(over_network)
    pod = wait_for_pod(client, namespace, FIRST)
    before = replica.metric("informer_relists_total")

    network.freeze()
    frozen = CLOCK.monotonic()
    create(client, namespace, SECOND)
    delete_pod(client, namespace, FIRST)
    wait_for(
        "the silence to show",
        lambda: replica.metric("informer_last_contact_seconds", resource="pods") > READ_TIMEOUT / 2,
    )
    assert replica.probe("/healthz") == 200

    wait_for_pod(client, namespace, SECOND)
    wait_for_pod(client, namespace, FIRST, other_than=pod)
    assert CLOCK.monotonic() - frozen < READ_TIMEOUT + SLACK_SECONDS
    # Nothing was fetched anew: the watches went on where they were.
    assert replica.metric("informer_relists_total") == before
    assert replica.ends == []
