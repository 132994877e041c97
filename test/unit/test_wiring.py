"""What the process is put together of: who wakes whom, and how often what fails is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.controller import Controller, Request
from fakes.apiserver import FakeApiServer
from fakes.clock import FakeClock
from reconcilers import wiring
from reconcilers.options import parse_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.manager import Manager

NO_PORTS = ["--metrics-bind-address=0", "--health-probe-bind-address=0"]


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        yield made


def build(server: FakeApiServer) -> Manager:
    return wiring.build(parse_options(NO_PORTS, {}), "backup", server.api_client(), FakeClock())


def test_what_is_refused_is_tried_again_within_a_minute(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}

    class Recorded(Controller):
        def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
            made.update(options)
            super().__init__(name, *arguments, **options)

    monkeypatch.setattr(wiring, "Controller", Recorded)
    build(server)

    delays = [made["rate_limiter"].when(Request("backup", "files")) for _ in range(30)]

    assert delays[:3] == [0.005, 0.01, 0.02]
    assert max(delays) == delays[-1] == 60.0
