"""A client of no server, with a script in the place of Kopia."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes.clock import InstantClock
from fakes.kopiascript import Script
from reconcilers.kopia.client import runner
from reconcilers.kopia.client.model import Limits, ServerConnection
from reconcilers.kopia.client.session import KopiaClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECTION = ServerConnection("https://server:1", "u", "h", "secret-51d0", "0a" * 32)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script.made(tmp_path / "script")


@pytest.fixture
def client(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KopiaClient]:
    monkeypatch.setattr(runner, "wait_until_reached", lambda connection, *_, **__: connection)
    with KopiaClient(
        CONNECTION,
        limits=Limits(retries=2),
        clock=InstantClock(),
        executable=str(script.path),
        directory=tmp_path,
    ) as opened:
        yield opened
