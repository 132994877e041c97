#!/usr/bin/env python3
"""Stands in for every tool of the containers of public Blueprints, by the name that it is called.

It records what it is asked, and what it took in and gave out, and behaves as far as the scripts
around it look: what a dump puts out is stored, and what is restored is what was stored.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import socket
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

#: test/e2e/standins.py makes the Service.
RECORDER: Final = "recorder.repository-server-test-recorder.svc.cluster.local."
PORT: Final = 8080
SECONDS: Final = 30.0

MARKER: Final = "###Phase-output###:"
#: Flags with a value, of those that are looked at.
WITH_VALUE: Final = ("--profile", "--path", "--output-name", "--kopia-snapshot")
SNAPSHOT: Final = {"id": "6f1d", "status": "completed", "finishedAt": "2026-01-01", "failed": False}
#: Where mongodb-consistent-backup leaves what it has made.
CONSISTENT: Final = "/var/lib/mongodb-consistent-backup/mongo-backup/latest/rs0.tar"


class Call:
    """One call of a tool.

    Args:
        name: Of the tool.
        words: Its arguments.
    """

    def __init__(self, name: str, words: list[str]) -> None:
        self.name = name
        self.words = words
        self.namespace = _namespace()

    def begin(self) -> None:
        """Record that it was called."""
        self._record(words=self.words)

    def take(self, path: str = "-") -> bytes:
        """Return what a file or the standard input holds, and record its digest."""
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        self._record(took=_digest(data))
        return data

    def give(self, path: str = "-") -> None:
        """Put out a dump to a file or the standard output, and record its digest."""
        data = f"{self.name} of {self.namespace}\n".encode() * 1000
        self._record(gave=_digest(data))
        if path == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        else:
            Path(path).write_bytes(data)

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)

    def flag(self, name: str) -> str:
        """Return the value of a flag, "" without it."""
        if name in self.words:
            return self.words[self.words.index(name) + 1]
        values = [word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")]
        return values[0] if values else ""

    def store(self, key: str, data: bytes) -> None:
        """Store something as an object store does."""
        _request("PUT", f"/stored/{quote(f'{self.namespace}/{key}', safe='')}", data)

    def stored(self, key: str) -> bytes:
        """Return what is stored."""
        return _request("GET", f"/stored/{quote(f'{self.namespace}/{key}', safe='')}")

    def remove(self, key: str) -> None:
        """Delete what is stored."""
        _request("DELETE", f"/stored/{quote(f'{self.namespace}/{key}', safe='')}")

    def _record(self, **what: object) -> None:
        line = {"pod": socket.gethostname(), "namespace": self.namespace, "tool": self.name, **what}
        _request("POST", "/asked", json.dumps(line).encode())


def nothing(_: Call) -> None:
    """Do nothing more."""


def kando(call: Call) -> None:
    """Put out what a phase says, and move data to the store and back."""
    if call.words[0] == "output":
        _output(call, *call.words[1:3])
        return
    action, target = call.words[1], _positional(call.words[2:])
    snapshot, path = call.flag("--kopia-snapshot"), call.flag("--path")
    key = json.loads(snapshot)["id"] if snapshot else path
    if action == "push":
        data = sys.stdin.buffer.read() if target == "-" else Path(target).read_bytes()
        name = call.flag("--output-name")
        key = _digest(data)[:32] if name else path
        call.store(key, data)
        if name:
            snap = {"id": key, "logicalSize": len(data), "physicalSize": 0}
            _output(call, name, json.dumps(snap))
    elif action == "pull":
        sys.stdout.buffer.write(call.stored(key))
    else:
        call.remove(key)


def aws(call: Call) -> None:
    """Move data to the store and back; for databases of the cloud, print a name."""
    if "s3" not in call.words:
        call.say("named-by-the-cloud")
        return
    action, *rest = call.words[call.words.index("s3") + 1 :]
    names = [word for word in rest if word == "-" or not word.startswith("-")]
    if action != "cp":
        # Below a folder of wal-e's nothing is stored: that is recorded, and nothing more.
        return
    source, target = names
    if source == "-":
        call.store(target, sys.stdin.buffer.read())
    elif Path(source).is_file():
        call.store(target, Path(source).read_bytes())
    elif target == "-":
        sys.stdout.buffer.write(call.stored(source))
    else:
        file = Path(target) / Path(source).name if Path(target).is_dir() else Path(target)
        file.write_bytes(call.stored(source))


def dump(call: Call) -> None:
    """Dump to the standard output, or to the file that is named."""
    call.give(call.flag("-f") or "-")


def restore(call: Call) -> None:
    """Read a dump: a folder, the file that is named, or the standard input."""
    if not call.flag("--dir"):
        call.take(call.flag("-f") or "-")


def mysql(call: Call) -> None:
    """Answer a query with the name of a database, or read a dump."""
    if any(word.startswith("-") and word.endswith("e") for word in call.words):
        call.say("shop")
    else:
        call.take()


def psql(call: Call) -> None:
    """Read a dump; of a session, answer what it waits for."""
    if call.flag("-f") or "-q" in call.words or "-d" in call.words:
        restore(call)
        return
    taken = hashlib.sha256()
    for line in sys.stdin.buffer:
        taken.update(line)
        for answer in ("pg_backup_start", "pg_backup_stop"):
            if answer in line.decode():
                call.say(f"{answer}\nLABEL: kanister_backup")
    call._record(took=taken.hexdigest())  # noqa: SLF001 - of a stream that answers line by line


def elasticdump(call: Call) -> None:
    """Dump to a file, or read a dump."""
    target = call.flag("--output")
    if target.startswith("https:"):
        call.take()
    else:
        call.give(target if target.startswith("/") else "-")


def mongodb_consistent_backup(call: Call) -> None:
    """Leave an archive with a compressed dump."""
    Path(CONSISTENT).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(CONSISTENT, "w") as archive:
        data = gzip.compress(f"dump of {call.namespace}".encode())
        member = tarfile.TarInfo("rs0/dump/shop.bson.gz")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def kubectl(call: Call) -> None:
    """Print a field of an object."""
    path = call.flag("-o")
    if path:
        call.say("1" if path.endswith("count}") else "default")


def jq(call: Call) -> None:
    """Print a field of a file."""
    *_, path, file = call.words
    value = json.loads(Path(file).read_text()).get(path.removeprefix("."))
    call.say(value if isinstance(value, str) else json.dumps(value))


def envdir(call: Call) -> None:
    """Run the command behind the folder's name."""
    os.execvp(call.words[1], call.words[1:])  # noqa: S606 - another of these


def wal_e(call: Call) -> None:
    """List one backup, or fetch it into a folder."""
    if "backup-list" in call.words:
        call.say("name\tlast_modified\nbase_000000010000000000000002\t2026-01-01T00:00:00Z")
    if "backup-fetch" in call.words:
        folder = call.words[call.words.index("backup-fetch") + 1]
        Path(folder, "PG_VERSION").write_text("15\n")


TOOLS: Final[dict[str, Callable[[Call], None]]] = {
    "atlas": lambda call: call.say(json.dumps(SNAPSHOT)),
    "aws": aws,
    "curl": lambda call: call.say('{"state" : "SUCCESS", "size_in_bytes" : 1}'),
    "elasticdump": elasticdump,
    "envdir": envdir,
    "jq": jq,
    "kando": kando,
    "kubectl": kubectl,
    "mongo": lambda call: call.say("db-0:27017"),
    "mongodb-consistent-backup": mongodb_consistent_backup,
    "mongodump": dump,
    "mongorestore": restore,
    "mysql": mysql,
    "mysqldump": dump,
    "pg_dumpall": dump,
    "psql": psql,
    "wal-e": wal_e,
}


def _output(call: Call, key: str, value: str) -> None:
    call.say(f"{MARKER} {json.dumps({'key': key, 'value': value})}")


def _positional(words: list[str]) -> str:
    """Return the one word that belongs to no flag, "" without one."""
    before = ["", *words]
    found = [
        word
        for flag, word in zip(before, words, strict=False)
        if flag not in WITH_VALUE and (word == "-" or not word.startswith("-"))
    ]
    return found[0] if found else ""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _namespace() -> str:
    """Return the namespace of the pod: the first domain in which names are looked for."""
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        if line.startswith("search "):
            return line.split()[1].partition(".")[0]
    return ""


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    connection = http.client.HTTPConnection(RECORDER, PORT, timeout=SECONDS)
    connection.request(method, path, body)
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != http.client.OK:
        # Without the path: it may be a store's that has a name from a Secret.
        sys.exit(f"{Path(sys.argv[0]).name}: the store answers {answer.status} to {method}")
    return data


if __name__ == "__main__":
    asked = Call(Path(sys.argv[0]).name, sys.argv[1:])
    asked.begin()
    TOOLS.get(asked.name, nothing)(asked)
