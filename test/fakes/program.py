"""The program of the data functions over a repository in memory."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from attrs import define, field

from controller.stop import Stop
from fakes.clock import FakeClock
from fakes.kopiaclient import FakeClient, FakeRepository
from reconcilers.datafunctions.outputs import MARKER
from reconcilers.datafunctions.program.main import Program, Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcilers.kopia.client.errors import ClientFailed
    from reconcilers.kopia.client.model import ServerConnection

PASSWORD = "hunter2"
ENVIRONMENT = {
    "RSF_URL": "https://repo-server-files.kanister.svc:51515",
    "RSF_FINGERPRINT": "ab" * 32,
    "RSF_USERNAME": "backup",
    "RSF_HOSTNAME": "client",
    "KOPIA_PASSWORD": PASSWORD,
}
#: How each line for people begins.
PROGRAM = "repository-server-functions: "


@define
class Console:
    """Runs the program, and keeps what it printed."""

    repository: FakeRepository = field(factory=FakeRepository)
    stdin: bytes = b""
    code: int = -1
    stdout: bytes = b""
    said: str = ""
    connections: list[ServerConnection] = field(factory=list)
    stop: Stop = field(factory=Stop)

    def run(self, *arguments: str, **environment: str) -> int:
        stdout, stderr = io.BytesIO(), io.StringIO()
        streams = Streams(io.BytesIO(self.stdin), stdout, stderr)
        program = Program(streams, self.stop, clock=FakeClock(), make_client=self._client)
        try:
            self.code = program.run(arguments, ENVIRONMENT | environment)
        finally:
            self.stdout, self.said = stdout.getvalue(), stderr.getvalue()
        return self.code

    def _client(
        self,
        connection: ServerConnection,
        *,
        on_retry: Callable[[ClientFailed], object],
        **_: Any,
    ) -> FakeClient:
        self.connections.append(connection)
        return FakeClient(self.repository, on_retry=on_retry)

    @property
    def outputs(self) -> dict[str, str]:
        lines = [
            json.loads(line.removeprefix(MARKER)) for line in self.stdout.decode().splitlines()
        ]
        return {line["key"]: line["value"] for line in lines}

    @property
    def last_line(self) -> str:
        return self.said.splitlines()[-1]
