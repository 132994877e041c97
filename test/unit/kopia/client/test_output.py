"""What Kopia prints is read strictly, and what is not understood is not repeated."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from reconcilers.kopia.client import output
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import Snapshot, Verification

if TYPE_CHECKING:
    from collections.abc import Callable

ID: Final = "f1327289cc67a204554e9540b843a0e3"

#: As `snapshot create --json --json-verbose` of version 0.23.1 printed it.
PRINTED: Final[dict[str, Any]] = {
    "id": ID,
    "source": {"host": "h1", "userName": "alice", "path": "/ns/claim"},
    "description": "",
    "startTime": "2026-11-28T18:21:26.914680075Z",
    "endTime": "2026-11-28T18:21:27.065180609Z",
    "stats": {
        "totalSize": 9000006,
        "excludedTotalSize": 4,
        "fileCount": 4,
        "cachedFiles": 0,
        "nonCachedFiles": 4,
        "dirCount": 3,
        "excludedFileCount": 2,
        "excludedDirCount": 4,
        "ignoredErrorCount": 0,
        "errorCount": 0,
    },
    "rootEntry": {
        "name": "src",
        "type": "d",
        "mode": "0755",
        "mtime": "2026-11-28T18:21:19.670609735Z",
        "obj": "k749db55a2a9ec786eee6985f63567fb7",
        "summ": {
            "size": 9000006,
            "files": 4,
            "symlinks": 1,
            "dirs": 3,
            "maxTime": "2026-11-28T18:21:19.670609735Z",
            "numFailed": 0,
        },
    },
    "tags": {"tag:a": "b", "tag:repository-server-attempt": "1"},
    "pins": ["until-deleted"],
}
FOUND: Final = Snapshot(
    id=ID,
    root="k749db55a2a9ec786eee6985f63567fb7",
    source="alice@h1:/ns/claim",
    start=datetime(2026, 11, 28, 18, 21, 26, 914680, UTC),
    end=datetime(2026, 11, 28, 18, 21, 27, 65180, UTC),
    size=9000006,
    files=4,
    directories=3,
    symlinks=1,
    failed=0,
    ignored=0,
    tags={"a": "b"},
    pins=("until-deleted",),
    excluded_files=2,
    excluded_directories=4,
)
SECRET: Final = "secret-51d0"


def changed(*path: str, to: Any = None, remove: bool = False) -> bytes:
    """Return the snapshot as printed, with a field changed or removed."""
    document = copy.deepcopy(PRINTED)
    at = document
    for name in path[:-1]:
        at = at[name]
    if remove:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return json.dumps(document).encode()


def test_a_snapshot_is_read() -> None:
    assert output.snapshot(json.dumps(PRINTED).encode()) == FOUND


def test_a_snapshot_that_is_not_complete_says_why() -> None:
    # As it was printed of a folder that could not be read, with --fail-fast.
    document = copy.deepcopy(PRINTED)
    document["incomplete"] = "canceled"
    document["rootEntry"]["summ"] |= {
        "incomplete": "canceled",
        "numFailed": 1,
        "numIgnoredErrors": 2,
        "errors": [{"path": "closed", "error": "open /data/closed: permission denied"}],
    }
    text = json.dumps(document).encode()

    found = output.snapshot(text)

    assert (found.incomplete, found.failed, found.ignored) == ("canceled", 1, 2)
    assert output.failed_entries(text) == [
        output.Failed("closed", "open /data/closed: permission denied")
    ]


@pytest.mark.parametrize("printed", [b"", b"\n", json.dumps(PRINTED).encode()])
def test_where_all_was_read_nothing_has_failed(printed: bytes) -> None:
    assert output.failed_entries(printed) == []


def test_a_list_is_read_in_its_order() -> None:
    other = json.loads(changed("id", to="0" * 32))
    # Without the fields that `snapshot list` leaves out of a snapshot that has none.
    del other["tags"], other["pins"], other["stats"]
    printed = f"[\n {json.dumps(other)},\n {json.dumps(PRINTED)}\n]".encode()

    first, second = output.snapshots(printed)

    assert (first.id, first.tags, first.pins, first.excluded_files) == ("0" * 32, {}, (), 0)
    assert second == FOUND
    assert output.snapshots(b"[\n]") == []


MANIFEST: Final = f"""// id: {ID}
// length: 699
// modified: 2026-11-28 18:21:27 UTC
// label path:/ns/claim
// label tag:a:b
// label type:TYPE
{json.dumps({**PRINTED, "id": ""}, indent=2)}
"""


def test_a_manifest_is_read() -> None:
    assert output.manifest(MANIFEST.replace("TYPE", "snapshot").encode(), ID) == FOUND


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a\nb", id="an end of line, of a list of tags in YAML for example"),
        pytest.param("a\n{", id="what looks like the beginning of the content"),
        pytest.param("a\n{}", id="what is JSON by itself"),
        pytest.param("a\x0cb\x85c", id="what Python takes for ends of lines"),
    ],
)
def test_a_tag_may_have_any_value(value: str) -> None:
    printed = json.loads(changed("tags", "tag:a", to=value)) | {"id": ""}
    labels, _, _ = MANIFEST.replace("TYPE", "snapshot").partition("{")
    text = labels.replace("tag:a:b", f"tag:a:{value}") + json.dumps(
        printed, indent=2, ensure_ascii=False
    )

    assert output.manifest(text.encode(), ID).tags == {"a": value}


def test_a_manifest_of_another_kind_is_no_snapshot() -> None:
    with pytest.raises(ClientFailed, match="is not a snapshot") as caught:
        output.manifest(MANIFEST.replace("TYPE", "policy").encode(), ID)

    assert caught.value.kind is Kind.NO_SUCH_SNAPSHOT


def test_a_verification_is_read() -> None:
    printed = {
        "stats": {
            "processedObjectCount": 9,
            "processedBytes": 800000000,
            "readFileCount": 7,
            "readBytes": 700000000,
            "expectedTotalObjectCount": 9,
            "expectedTotalFileCount": 8,
            "expectedTotalBytes": 800000000,
        },
        "errorCount": 1,
        "errorStrings": ["error reading object Ix4e29: invalid checksum"],
    }

    found, faults = output.verification(json.dumps(printed).encode())

    assert found == Verification(objects=9, size=800000000, read_files=7, read_size=700000000)
    assert faults == ["error reading object Ix4e29: invalid checksum"]
    del printed["errorStrings"]
    assert output.verification(json.dumps(printed).encode()) == (found, [])


@pytest.mark.parametrize(
    ("read", "printed", "fault"),
    [
        pytest.param(output.snapshot, b"", "it is empty", id="nothing"),
        pytest.param(output.snapshot, SECRET.encode(), "it is no JSON", id="no JSON"),
        pytest.param(output.snapshot, b"\xff", "it is no JSON", id="no text"),
        pytest.param(output.snapshot, b"[" * 100_000, "it is no JSON", id="nested too deep"),
        pytest.param(output.snapshot, b"[]", "it is no object", id="a list"),
        pytest.param(output.snapshots, b"{}", "it is no list", id="an object in place of a list"),
        pytest.param(output.snapshots, b"[[]]", r"field \[0\] is no object", id="a list in a list"),
        pytest.param(
            output.snapshot, changed("id", remove=True), "there is no field id", id="no id"
        ),
        pytest.param(
            output.snapshot, changed("id", to=SECRET), "field id has another form", id="another id"
        ),
        pytest.param(
            output.snapshot,
            changed("rootEntry", "summ", "files", to=SECRET),
            "field rootEntry.summ.files is no whole number",
            id="a number that is a text",
        ),
        pytest.param(
            output.snapshot,
            changed("rootEntry", "summ", "files", to=True),
            "field rootEntry.summ.files is no whole number",
            id="a number that is a truth",
        ),
        pytest.param(
            output.snapshot,
            changed("rootEntry", to=None),
            "there is no field rootEntry",
            id="null",
        ),
        pytest.param(
            output.snapshot,
            changed("startTime", to=SECRET),
            "field startTime is no time",
            id="a time that is none",
        ),
        pytest.param(
            output.snapshot,
            changed("startTime", to="2026-11-28T18:21:26"),
            "field startTime is no time",
            id="a time of no zone",
        ),
        pytest.param(
            output.snapshot, changed("pins", to=SECRET), "field pins is no list", id="pins"
        ),
        pytest.param(
            output.verification, b"{}", "there is no field stats", id="a verification of nothing"
        ),
    ],
)
def test_what_is_not_understood_is_named_and_not_repeated(
    read: Callable[[bytes], object], printed: bytes, fault: str
) -> None:
    with pytest.raises(ClientFailed, match=f"{fault}; use Kopia 0.23.1") as caught:
        read(printed)

    assert caught.value.kind is Kind.NOT_UNDERSTOOD
    assert SECRET not in str(caught.value)
