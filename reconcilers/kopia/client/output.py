"""What Kopia prints on standard output, read strictly.

An error names the field that is not as expected, and never repeats what is there.
"""

from __future__ import annotations

import contextlib
import json
import re
from datetime import datetime
from typing import Any, Final

from attrs import evolve, frozen

from reconcilers.kopia.client.commands import ATTEMPT_TAG
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import SNAPSHOT_ID, Snapshot, Verification

NOT_UNDERSTOOD: Final = (
    "Kopia printed something else than expected of {what}: {fault}; use Kopia 0.23.1, which this "
    "program was made for"
)

# Kopia puts it before the names of tags (cli/command_snapshot_create.go).
_TAG_PREFIX: Final = "tag:"

# The comment of a manifest that says of which kind it is.
_IS_SNAPSHOT: Final = b"// label type:snapshot"
_OBJECT: Final = re.compile(rb"^\{", re.MULTILINE)


@frozen
class Failed:
    """A file or folder that could not be read.

    Args:
        path: Relative to what was backed up.
        error: Why, in Kopia's words.
    """

    path: str
    error: str


def snapshot(text: bytes) -> Snapshot:
    """Return the snapshot that `snapshot create --json` has printed.

    Raises:
        ClientFailed: The text is something else.
    """
    return _snapshot(_Value("a snapshot", _decoded("a snapshot", text)))


def failed_entries(text: bytes) -> list[Failed]:
    """Return what could not be read, as `snapshot create --json` has printed it.

    Kopia lists ten at most. Where it printed no snapshot, the list is empty.

    Raises:
        ClientFailed: The text is something else.
    """
    if not text.strip():
        return []
    entries = _Value("a snapshot", _decoded("a snapshot", text)).at("rootEntry").at("summ")
    return [
        Failed(entry.at("path").text(), entry.at("error").text())
        for entry in entries.at("errors", default=[]).items()
    ]


def snapshots(text: bytes) -> list[Snapshot]:
    """Return the snapshots that `snapshot list --json` has printed, in its order.

    Raises:
        ClientFailed: The text is something else.
    """
    what = "a list of snapshots"
    return [_snapshot(item) for item in _Value(what, _decoded(what, text)).items()]


def manifest(text: bytes, id_: str) -> Snapshot:
    """Return the snapshot whose manifest `manifest show` has printed.

    Args:
        text: Lines of comments, then the manifest, which does not have its own id.
        id_: Of the snapshot.

    Raises:
        ClientFailed: The text is something else, or of another kind of manifest.
    """
    what = "a manifest"
    comments, content = _parts_of_manifest(text)
    if _IS_SNAPSHOT not in comments.split(b"\n"):
        raise ClientFailed(
            Kind.NO_SUCH_SNAPSHOT,
            f"{id_} is in the repository, but is not a snapshot; give the id that the backup "
            "returned",
        )
    decoded = _decoded(what, content)
    if isinstance(decoded, dict):
        decoded["id"] = id_
    return _snapshot(_Value(what, decoded))


def verification(text: bytes) -> tuple[Verification, list[str]]:
    """Return what `snapshot verify --json` has read, and the faults that it found.

    Raises:
        ClientFailed: The text is something else.
    """
    what = "a verification"
    result = _Value(what, _decoded(what, text))
    stats = result.at("stats")
    found = Verification(
        objects=stats.at("processedObjectCount").number(),
        size=stats.at("processedBytes").number(),
        read_files=stats.at("readFileCount").number(),
        read_size=stats.at("readBytes").number(),
    )
    return found, [fault.text() for fault in result.at("errorStrings", default=[]).items()]


def made_by(found: Snapshot, uploaded: int) -> Snapshot:
    """Return a snapshot with the bytes that were sent for it."""
    return evolve(found, uploaded=uploaded)


def _parts_of_manifest(text: bytes) -> tuple[bytes, bytes]:
    """Return the comments of a manifest and its content.

    A comment may have several lines, since Kopia prints tags as they are
    (cli/command_manifest_show.go): the content is what is JSON up to the end.
    """
    for found in _OBJECT.finditer(text):
        content = text[found.start() :]
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(content)
            return text[: found.start()], content
    return text, text


def _snapshot(value: _Value) -> Snapshot:
    root = value.at("rootEntry")
    summary, source = root.at("summ"), value.at("source")
    stats = value.at("stats", default={})
    tags = {
        name.removeprefix(_TAG_PREFIX): tag.text()
        for name, tag in value.at("tags", default={}).pairs()
    }
    names = [source.at(part).text() for part in ("userName", "host", "path")]
    return Snapshot(
        id=value.at("id").matching(SNAPSHOT_ID),
        root=root.at("obj").text(),
        source="{}@{}:{}".format(*names),
        start=value.at("startTime").time(),
        end=value.at("endTime").time(),
        size=summary.at("size").number(),
        files=summary.at("files").number(),
        directories=summary.at("dirs").number(),
        symlinks=summary.at("symlinks").number(),
        failed=summary.at("numFailed").number(),
        ignored=summary.at("numIgnoredErrors", default=0).number(),
        tags={name: tag for name, tag in tags.items() if name != ATTEMPT_TAG},
        pins=tuple(pin.text() for pin in value.at("pins", default=[]).items()),
        incomplete=value.at("incomplete", default="").text(),
        excluded_files=stats.at("excludedFileCount", default=0).number(),
        excluded_directories=stats.at("excludedDirCount", default=0).number(),
    )


def _decoded(what: str, text: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        fault = "it is no JSON" if text.strip() else "it is empty"
        raise _not_understood(what, fault) from None


def _not_understood(what: str, fault: str) -> ClientFailed:
    return ClientFailed(Kind.NOT_UNDERSTOOD, NOT_UNDERSTOOD.format(what=what, fault=fault))


@frozen
class _Value:
    """A JSON value, and where it was found."""

    what: str
    value: Any
    path: str = ""

    def at(self, name: str, *, default: Any = None) -> _Value:  # noqa: ANN401 - any JSON value
        """Return the value of a field; one that is missing must have a default."""
        found = self._of(dict).get(name, default)
        path = f"{self.path}.{name}".lstrip(".")
        if found is None:
            raise _not_understood(self.what, f"there is no field {path}")
        return _Value(self.what, found, path)

    def items(self) -> list[_Value]:
        return [
            _Value(self.what, item, f"{self.path}[{index}]")
            for index, item in enumerate(self._of(list))
        ]

    def pairs(self) -> list[tuple[str, _Value]]:
        return [(name, self.at(name)) for name in self._of(dict)]

    def text(self) -> str:
        return str(self._of(str))

    def matching(self, pattern: Any) -> str:  # noqa: ANN401 - a compiled pattern
        text = self.text()
        if not pattern.fullmatch(text):
            raise _not_understood(self.what, f"field {self.path} has another form")
        return text

    def number(self) -> int:
        return int(self._of(int))

    def time(self) -> datetime:
        try:
            found = datetime.fromisoformat(self.text())
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            raise _not_understood(self.what, f"field {self.path} is no time") from None
        return found

    def _of(self, kind: type) -> Any:  # noqa: ANN401 - as the kind says
        # bool is an int to isinstance.
        if not isinstance(self.value, kind) or isinstance(self.value, bool):
            where = f"field {self.path}" if self.path else "it"
            raise _not_understood(self.what, f"{where} is no {_NAMES[kind]}")
        return self.value


_NAMES: Final = {dict: "object", list: "list", str: "text", int: "whole number"}
