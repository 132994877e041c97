"""What the demo reads of Kopia's output, and when it calls a restore a failure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from clusterlib.errors import ClusterError
from demolib.backup import Client, Snapshot, parse_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from demolib.kubectl import Kubectl

SNAPSHOT = Snapshot("k1", files=4, size=2**20)
PRINTED = {"id": "k1", "rootEntry": {"summ": {"files": 4, "size": 2**20}}}


@pytest.fixture
def kubectl(scripted_kubectl: Callable[[str], Kubectl]) -> Callable[[str], Kubectl]:
    """Return a way to make a kubectl that runs a shell command."""
    return lambda command: scripted_kubectl(f"#!/bin/sh\n{command}\n")


def test_a_snapshot_is_read() -> None:
    assert parse_snapshot(json.dumps(PRINTED)) == SNAPSHOT
    assert str(SNAPSHOT) == "snapshot k1: 4 files, 1.0 MiB"


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"id": "k1"}'])
def test_anything_else_is_an_error_that_shows_it(text: str) -> None:
    with pytest.raises(ClusterError, match="kopia printed no snapshot"):
        parse_snapshot(text)


def test_all_files_restored_and_none_different_is_a_success(
    kubectl: Callable[[str], Kubectl],
) -> None:
    Client(kubectl("echo 4"), "backup-client", "client").compare(SNAPSHOT)


def test_a_difference_is_a_failure_that_names_it(kubectl: Callable[[str], Kubectl]) -> None:
    client = Client(kubectl("echo 'Files a and b differ' >&2; exit 1"), "backup-client", "client")

    with pytest.raises(ClusterError, match="Files a and b differ"):
        client.compare(SNAPSHOT)


def test_nothing_restored_is_a_failure_even_if_nothing_differs(
    kubectl: Callable[[str], Kubectl],
) -> None:
    with pytest.raises(ClusterError, match="restored 0 files of 4"):
        Client(kubectl("echo 0"), "backup-client", "client").compare(SNAPSHOT)
