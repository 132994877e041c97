"""Kopia in a container, as far as its users go."""

import base64
import json
from collections.abc import Sequence

from attrs import define, field, frozen

from controller.clock import Deadline
from reconcilers.repositoryserver import kopia
from reconcilers.repositoryserver.users import RegisteredUser


@frozen
class FakeResult:
    """As `controller.podexec.ExecResult`."""

    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


class PlainHasher:
    """Hashes that can be read, in no time."""

    def encode(self, password: str) -> str:
        document = {"passwordHashVersion": 1, "passwordHash": f"hash-of-{password}"}
        return base64.b64encode(json.dumps(document).encode()).decode()

    def verify(self, password: str, user: RegisteredUser) -> bool:
        return user.hash_ == f"hash-of-{password}"


@define
class FakeKopia:
    """Executes the commands of `reconcilers.repositoryserver.kopia` on a repository in memory."""

    #: Hashes by user, as `server user list` shows them.
    users: dict[str, str] = field(factory=dict)
    #: What the running server knows, which is what it read at its last refresh.
    served: dict[str, str] = field(factory=dict)
    #: The commands that were run, each by a short name.
    commands: list[str] = field(factory=list)
    #: The result of the next command of a name, in place of carrying it out.
    failures: dict[str, FakeResult] = field(factory=dict)

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline: Deadline,
    ) -> FakeResult:
        name = {kopia.LIST_USERS: "list", kopia.CHANGE_USERS: "change"}[tuple(command)]
        self.commands.append(name)
        if name in self.failures:
            return self.failures[name]
        return self._list() if name == "list" else self._change(stdin.decode())

    def ran(self) -> list[str]:
        """Return the commands since the last call."""
        commands, self.commands = self.commands, []
        return commands

    def _list(self) -> FakeResult:
        listed = [
            {"username": user, "passwordHashVersion": 1, "passwordHash": hash_}
            for user, hash_ in self.users.items()
        ]
        return FakeResult(stdout=json.dumps(listed).encode())

    def _change(self, lines: str) -> FakeResult:
        for line in lines.splitlines():
            verb, user, encoded = line.split()
            if verb == "end":
                self.served = dict(self.users)
                return FakeResult(stdout=kopia.USERS_CHANGED)
            if verb == "delete":
                self.users.pop(user, None)
            elif verb != "put" and (verb == "add") == (user in self.users):
                return FakeResult(1, stderr=b"user already exists or not found")
            else:
                self.users[user] = json.loads(base64.b64decode(encoded))["passwordHash"]
        return FakeResult(1)
