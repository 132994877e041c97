"""How often a function starts Kopia: each start is a login at the server, and takes as long."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fakes.clock import InstantClock
from fakes.kopiascript import (
    CREATE,
    DELETE,
    ID,
    LIST,
    RESTORE,
    SHOW_MANIFEST,
    SUMMARY,
    VERIFY,
    Script,
    manifest,
    shown,
)
from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.function import Run
from reconcilers.kopia.client import runner
from reconcilers.kopia.client.model import ServerConnection
from reconcilers.kopia.client.session import KopiaClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CONNECTION = ServerConnection("https://server:1", "u", "h", "secret-51d0", "0a" * 32)
COUNTED = ("processedObjectCount", "processedBytes", "readFileCount", "readBytes")
INFO = json.dumps({"db-0": {"PodName": "db-0", "BackupID": ID, "BackupTag": "t"}})


@pytest.fixture
def script(tmp_path: Path) -> Script:
    made = Script.made(tmp_path / "script")
    made.answers(CREATE, manifest())
    made.answers(LIST, [manifest()])
    made.answers(SHOW_MANIFEST, shown(manifest()))
    made.answers(RESTORE, log=SUMMARY.format(files=1))
    made.answers(VERIFY, {"stats": dict.fromkeys(COUNTED, 1)})
    made.answers(DELETE)
    return made


@pytest.fixture
def client(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KopiaClient]:
    monkeypatch.setattr(runner, "wait_until_reached", lambda connection, *_, **__: connection)
    with KopiaClient(
        CONNECTION, clock=InstantClock(), executable=str(script.path), directory=tmp_path
    ) as opened:
        yield opened


@pytest.mark.parametrize(
    ("function", "arguments", "started"),
    [
        pytest.param(
            "BackupData",
            {"namespace": "shop", "pod": "db-0", "includePath": "/data"},
            [CREATE],
            id="a backup is one command",
        ),
        pytest.param(
            "RestoreData",
            {"backupIdentifier": ID, "restorePath": "/restored"},
            [SHOW_MANIFEST, RESTORE],
            id="a restore asks once what the snapshot is of, and whether it is complete",
        ),
        pytest.param(
            "RestoreData",
            {"backupTag": "t", "restorePath": "/restored"},
            [LIST, RESTORE],
            id="by a tag the list says both",
        ),
        pytest.param(
            "RestoreDataAll",
            {"backupInfo": INFO, "restorePath": "/restored"},
            [SHOW_MANIFEST, RESTORE],
            id="as a restore, for each pod",
        ),
        pytest.param(
            "RestoreDataUsingKopiaServer",
            {"backupIdentifier": ID, "restorePath": "/restored"},
            [SHOW_MANIFEST, RESTORE],
            id="the removed function asks whether it is complete",
        ),
        pytest.param("BackupDataStats", {"backupID": ID}, [SHOW_MANIFEST], id="the manifest alone"),
        pytest.param(
            "DeleteData",
            {"backupID": ID},
            [SHOW_MANIFEST, DELETE],
            id="Kopia takes an id that is no snapshot's for an object",
        ),
    ],
)
def test_a_function_asks_the_server_once(
    client: KopiaClient,
    script: Script,
    tmp_path: Path,
    *,
    function: str,
    arguments: Mapping[str, str],
    started: list[str],
) -> None:
    (tmp_path / "data").mkdir()
    found = FUNCTIONS.find(function, "v1.0.0-alpha").function

    found.run(
        Run(client, root=tmp_path), decode(found.arguments, arguments, function=function).arguments
    )

    assert script.ran == started


def test_a_snapshot_that_is_known_is_verified_by_one_command(
    client: KopiaClient, script: Script
) -> None:
    found = client.snapshot(ID)

    client.verify(found)

    assert script.ran == [SHOW_MANIFEST, VERIFY]
