"""A client of a Kopia server whose repository is in memory."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import define, evolve, field, frozen

from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import Progress, Restored, Snapshot, Verification
from reconcilers.kopia.client.session import KopiaClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconcilers.kopia.client.model import ServerConnection, Sink, Source

USER = "backup@client"


@frozen
class Content:
    """A file in a snapshot, with what Kopia compares before it reads it again."""

    data: bytes
    modified: float


@define
class FakeRepository:
    """What is behind the server."""

    snapshots: dict[str, Snapshot] = field(factory=dict)
    contents: dict[str, dict[str, Content]] = field(factory=dict)
    #: After which the next call of a name is tried again.
    retries: dict[str, list[ClientFailed]] = field(factory=dict)
    #: In place of the next calls of a name, in their order.
    failures: dict[str, list[ClientFailed]] = field(factory=dict)
    #: The calls whose order matters to a test, by name and what they were about.
    calls: list[tuple[str, str]] = field(factory=list)
    #: What is changed about the snapshots that are made.
    changes: dict[str, Any] = field(factory=dict)
    lock: threading.Lock = field(factory=threading.Lock)

    def add(self, source: str, tags: Mapping[str, str], files: dict[str, Content]) -> Snapshot:
        """Keep a snapshot."""
        number = len(self.contents) + 1
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        snapshot = Snapshot(
            id=f"{number:032x}",
            root=f"k{number:032x}",
            source=f"{USER}:{source}",
            start=start,
            end=start,
            size=sum(len(content.data) for content in files.values()),
            files=len(files),
            directories=1,
            symlinks=0,
            failed=0,
            ignored=0,
            tags=dict(tags),
            pins=("kanister",),
            uploaded=1000,
        )
        self.snapshots[snapshot.id] = evolve(snapshot, **self.changes)
        self.contents[snapshot.id] = files
        return self.snapshots[snapshot.id]

    def last_of(self, source: str) -> dict[str, Content]:
        """Return the files of the last snapshot of a source."""
        ids = [one.id for one in self.snapshots.values() if one.source == f"{USER}:{source}"]
        return self.contents[ids[-1]] if ids else {}


class FakeClient(KopiaClient):
    """As the client that it is derived from, without Kopia."""

    def __init__(
        self,
        repository: FakeRepository,
        connection: ServerConnection | None = None,
        *,
        on_retry: Callable[[ClientFailed], object] | None = None,
    ) -> None:
        self.repository = repository
        self.connection = connection
        self._on_retry = on_retry

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def _called(self, name: str, about: str) -> None:
        self.repository.calls.append((name, about))
        for error in self.repository.retries.pop(name, []):
            if self._on_retry is not None:
                self._on_retry(error)
        failures = self.repository.failures.get(name)
        if failures:
            raise failures.pop(0)

    def back_up(
        self,
        path: str | Path,
        *,
        source: str = "",
        tags: Mapping[str, str] | None = None,
        force_hash: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Snapshot:
        with self.repository.lock:
            self._called("back_up", str(path))
            last = {} if force_hash else self.repository.last_of(source or str(path))
            files = {}
            for file in sorted(Path(path).rglob("*")):
                name = str(file.relative_to(path))
                found = Content(file.read_bytes(), file.stat().st_mtime)
                old = last.get(name)
                # Kopia snapshot/upload/upload.go: it does not look at the content.
                same = old and (len(old.data), old.modified) == (len(found.data), found.modified)
                files[name] = old if old and same else found
            snapshot = self.repository.add(source or str(path), tags or {}, files)
        if on_progress is not None:
            on_progress(Progress(files=snapshot.files, size=snapshot.size, rate=1.0))
        return snapshot

    def back_up_stream(
        self,
        content: Source,
        *,
        directory: str,
        name: str,
        source: str = "",
        tags: Mapping[str, str] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Snapshot:
        self._called("back_up_stream", f"{directory}/{name}")
        data = b"".join(iter(lambda: content.read(65536), b""))
        files = {name: Content(data, 0)}
        return self.repository.add(source or directory, tags or {}, files)

    def restore(
        self,
        snapshot: str | Snapshot,
        target: str | Path,
        *,
        path: str = "",
        sparse: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Restored:
        with self.repository.lock:
            self._called("restore", str(target))
        files = {
            name.removeprefix(f"{path}/"): content.data
            for name, content in self.repository.contents[_id_of(snapshot)].items()
            if not path or name.startswith(f"{path}/")
        }
        for name, data in files.items():
            file = Path(target) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return Restored(len(files), 1, 0, sum(map(len, files.values())))

    def restore_stream(
        self,
        snapshot: str,
        name: str,
        to: Sink,
        *,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> int:
        self._called("restore_stream", name)
        return to.write(self.repository.contents[snapshot][name].data)

    def snapshot(self, snapshot: str) -> Snapshot:
        with self.repository.lock:
            self._called("snapshot", snapshot)
        if snapshot not in self.repository.snapshots:
            raise ClientFailed(Kind.NO_SUCH_SNAPSHOT, f"there is no snapshot {snapshot}")
        return self.repository.snapshots[snapshot]

    def snapshots(
        self, *, source: str = "", tags: Mapping[str, str] | None = None
    ) -> list[Snapshot]:
        self._called("snapshots", source)
        return [
            one
            for one in self.repository.snapshots.values()
            if source in ("", one.source) and (tags or {}).items() <= one.tags.items()
        ]

    def delete(self, snapshots: Iterable[str]) -> list[str]:
        with self.repository.lock:
            ids = list(snapshots)
            self._called("delete", " ".join(ids))
            return [one for one in ids if self.repository.snapshots.pop(one, None) is not None]

    def verify(
        self,
        snapshot: str | Snapshot,
        *,
        share: float = 1.0,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Verification:
        found = self.repository.snapshots[_id_of(snapshot)]
        self._called("verify", f"{found.id} {share:g}")
        return Verification(found.files + 1, found.size, found.files, found.size)


def _id_of(snapshot: str | Snapshot) -> str:
    return snapshot if isinstance(snapshot, str) else snapshot.id
