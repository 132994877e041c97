"""Kopia in a container, as far as its users go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from fakes.clock import FakeClock
from reconcilers.repositoryserver import servercommands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from controller.clock import Deadline

#: How each command begins: it does not hang for ever, in its container either.
TIMEOUT = ("timeout", "-k", "1", "31")


@frozen
class FakeResult:
    """As `controller.rest.podexec.ExecResult`."""

    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


def unbounded(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command without the limit that it runs under."""
    limit, inner = tuple(command[: len(TIMEOUT)]), tuple(command[len(TIMEOUT) :])
    assert limit == TIMEOUT
    return inner


def nothing() -> str:
    """Return the users of a container that has no volume with users."""
    return ""


def version_in(pod: str) -> str:
    """Return the version of the Kopia in a pod of the simulation: no other pod has that one."""
    return f"0.23.1-{pod[-20:]}"


def banner(version: str) -> bytes:
    """Return what `servercommands.VERSION` prints."""
    return f"{version} build: fake from: here\n".encode()


def ownership(owner: str) -> bytes:
    """Return what `servercommands.MAINTENANCE_INFO` prints."""
    return json.dumps({"owner": owner}).encode()


def listing(version: str, users: Iterable[str]) -> bytes:
    """Return what `servercommands.LIST_USERS` prints."""
    return f"{version}\n{json.dumps([{'username': user} for user in sorted(users)])}".encode()


@define
class FakeKopia:
    """Executes the commands of `reconcilers.repositoryserver.servercommands`."""

    #: Users with an entry in the repository.
    users: set[str] = field(factory=set)
    #: Reads the volume with the users, as the kubelet has brought it up to date.
    volume: Callable[[], str] = nothing
    #: What the running server knows, which is what it read at its last refresh.
    served: str = ""
    #: What it prints of its version.
    version: str = "0.23.1"
    #: Who owns the maintenance of the repository.
    owner: str = "admin@laptop"
    #: The commands that were run, each by a short name.
    commands: list[str] = field(factory=list)
    #: The result of the next command of a name, in place of carrying it out.
    failures: dict[str, FakeResult] = field(factory=dict)
    #: The result of the next commands in a pod, by its name, in place of carrying them out.
    on_pod: dict[str, FakeResult] = field(factory=dict)
    #: Raised in place of running a command of a name.
    errors: dict[str, Exception] = field(factory=dict)
    #: Called while a command runs.
    meanwhile: Callable[[], object] = field(default=lambda: None)
    #: Commands that are not answered, by name; they take all the time that they get.
    silent: set[str] = field(factory=set)

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> FakeResult:
        assert isinstance(stdin, bytes)
        command = unbounded(command)
        if command == servercommands.LIST_USERS:
            name, act = "list", self._list
        elif command == servercommands.VERSION:
            name, act = "version", self._version
        elif command == servercommands.PURGE_USERS:
            name, act = "forget", lambda: self._forget(stdin.decode())
        elif command == servercommands.MAINTENANCE_INFO:
            name, act = "maintenance info", self._maintenance_info
        elif command == servercommands.REFRESH:
            name, act = "refresh", FakeResult
        else:
            assert command == servercommands.load_users(command[-1])
            name, act = "load users", self._load_users
        self.commands.append(name)
        self.meanwhile()
        if name in self.errors:
            raise self.errors[name]
        if name in self.silent:
            assert isinstance(deadline.clock, FakeClock)
            deadline.clock.step(deadline.remaining())
            deadline.check()
        if pod in self.on_pod:
            return self.on_pod[pod]
        return self.failures[name] if name in self.failures else act()

    def ran(self) -> list[str]:
        """Return the commands since the last call."""
        commands, self.commands = self.commands, []
        return commands

    def _list(self) -> FakeResult:
        return FakeResult(stdout=listing(self.version, self.users))

    def _version(self) -> FakeResult:
        return FakeResult(stdout=banner(self.version))

    def _maintenance_info(self) -> FakeResult:
        return FakeResult(stdout=ownership(self.owner))

    def _forget(self, lines: str) -> FakeResult:
        *names, end = lines.splitlines()
        self.users -= set(names)
        return FakeResult(0 if end == "end" else 1)

    def _load_users(self) -> FakeResult:
        self.served = self.volume()
        return FakeResult()
