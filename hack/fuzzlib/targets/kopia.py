"""What Kopia prints, and what a program in a phase's pod prints."""

from __future__ import annotations

from typing import Final

from fuzzlib.target import MARKER, Target
from reconcilers.actionset.phases.outputs import Collector
from reconcilers.actionset.phases.timedlog import NoLog, TimedLog
from reconcilers.errors import InvalidInput
from reconcilers.kopia import failures
from reconcilers.kopia.client import failures as client_failures
from reconcilers.kopia.client import output, progress
from reconcilers.kopia.client.errors import ClientFailed
from reconcilers.kopia.client.model import Ended, Progress
from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.users.access import UserListError, parse_names

_ID: Final = "0" * 32
_SETTING: Final = failures.Setting("storage", "location", "password", 65532, "credential")
_CLIENT: Final = client_failures.Setting("https://s:1", "u@h", client_failures.BACK_UP, "what")
_PIECE: Final = 97


def json_output(data: bytes) -> object:
    """Read what Kopia prints as JSON, as each of what it may be."""
    found: list[object] = []
    for read in (
        output.snapshot,
        output.failed_entries,
        output.snapshots,
        output.verification,
        lambda text: output.manifest(b"// label type:snapshot\n" + text, _ID),
        parse_names,
        lambda text: servercommands.maintenance_owner(0, text),
        lambda text: servercommands.kopia_version(0, servercommands.split_listing(text)[0]),
    ):
        try:
            found.append(read(data))
        except (ClientFailed, UserListError, ValueError) as error:
            found.append(str(error))
    return found


def complaint(data: bytes) -> object:
    """Read why Kopia says that it failed, which it may say with a token of a URL."""
    text = data.decode(errors="replace").replace(MARKER, "")
    shown = [failures.explain(text, code, _SETTING) for code in (1, 137)]
    url = f'Get "https://store.example/c?sv=2026&sig={MARKER}": {text}'
    return shown, failures.explain(url, 1, _SETTING)


def client_complaint(data: bytes) -> object:
    """Read why Kopia's client says that it failed, and what it shows of its progress."""
    lines = progress.Lines()
    found: list[str] = []
    for start in range(0, len(data), _PIECE):
        found += lines.feed(data[start : start + _PIECE])
    found += lines.feed(b"")
    seen = [progress.parsed(line) for line in found]
    # Of which only what is left without the progress is a complaint.
    rest = tuple(line for _, line in seen if line)
    ended = Ended(1, b"", rest, Progress())
    return seen, client_failures.explain(ended, _CLIENT, secret=MARKER)


def phase_log(data: bytes) -> object:
    """Read the outputs in what a phase prints, in pieces and with times."""
    collector = Collector()
    for start in range(0, len(data), _PIECE):
        collector.feed(data[start : start + _PIECE])
    printed = collector.end()
    log = TimedLog()
    try:
        for _ in range(2):
            log.open()
            for start in range(0, len(data), _PIECE):
                log.feed(data[start : start + _PIECE])
        return printed, log.end()
    except NoLog:
        return printed


TARGETS: Final = (
    Target("kopia-json", json_output, (InvalidInput,), is_json=True),
    Target("kopia-complaint", complaint),
    Target("kopia-client-complaint", client_complaint),
    Target("phase-log", phase_log),
)
