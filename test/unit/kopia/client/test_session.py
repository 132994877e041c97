"""What a client makes of what Kopia prints; a script stands for Kopia, and no server is asked."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from fakes.kopiascript import (
    DELETE,
    GONE,
    ID,
    LIST,
    RESTORE,
    SHOW,
    SHOW_MANIFEST,
    SUMMARY,
    Script,
    manifest,
    shown,
)
from reconcilers.kopia.client.errors import ClientFailed, InvalidRequest, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconcilers.kopia.client.session import KopiaClient


@pytest.mark.parametrize(
    ("printed", "log", "code", "there"),
    [
        pytest.param(shown(manifest()), "", 0, [ID], id="it is there"),
        pytest.param("", f'error getting metadata for "{ID}": not found', 1, [], id="it is gone"),
    ],
)
def test_a_deletion_says_what_was_there(
    client: KopiaClient, script: Script, *, printed: str, log: str, code: int, there: list[str]
) -> None:
    script.answers(SHOW_MANIFEST, printed, log=log, code=code)
    # Somebody else was quicker.
    script.answers(DELETE, log=f"no snapshots matched {ID}", code=1)

    assert client.delete([ID]) == there
    assert script.ran == [SHOW_MANIFEST, *([DELETE] if there else [])]


@pytest.mark.parametrize(
    ("of", "log", "kind", "says"),
    [
        pytest.param(
            manifest(),
            SUMMARY.format(files=0),
            Kind.DAMAGED,
            "0 files of snapshot",
            id="less than the snapshot has",
        ),
        pytest.param(manifest(), "", Kind.NOT_UNDERSTOOD, "how much", id="nobody knows what"),
        pytest.param(
            manifest(incomplete="checkpoint"),
            None,
            Kind.NO_SUCH_SNAPSHOT,
            "is not complete (checkpoint)",
            id="a snapshot that is not complete",
        ),
    ],
)
def test_a_restore_that_is_not_whole_fails(
    client: KopiaClient,
    script: Script,
    tmp_path: Path,
    *,
    of: dict[str, Any],
    log: str | None,
    kind: Kind,
    says: str,
) -> None:
    script.answers(SHOW_MANIFEST, shown(of))
    script.answers(RESTORE, log=log or "")

    with pytest.raises(ClientFailed) as caught:
        client.restore(ID, tmp_path / "target")

    assert caught.value.kind is kind
    assert says in caught.value.message
    assert (RESTORE in script.ran) is (log is not None)


def test_a_stream_that_comes_short_fails(client: KopiaClient, script: Script) -> None:
    script.answers(SHOW_MANIFEST, shown(manifest()))
    script.answers(SHOW, "four")

    with pytest.raises(ClientFailed, match="has 5 bytes, but 4 came") as caught:
        client.restore_stream(ID, "f", io.BytesIO())

    assert caught.value.kind is Kind.DAMAGED


@pytest.mark.parametrize(
    ("log", "code", "tries"),
    [
        pytest.param(GONE, 1, 2, id="nothing was written: it begins anew"),
        pytest.param(f"partial\n{GONE}", 1, 1, id="something was: it cannot"),
    ],
)
def test_a_stream_is_written_once(
    client: KopiaClient, script: Script, log: str, code: int, tries: int
) -> None:
    script.answers(SHOW_MANIFEST, shown(manifest()))
    script.answers(SHOW, "par" if "partial" in log else "", log=log, code=code, once=True)
    script.answers(SHOW, "whole")
    to = io.BytesIO()

    if tries == 2:
        assert client.restore_stream(ID, "f", to) == 5
    else:
        with pytest.raises(ClientFailed, match=r"not tried again .*: a part of the") as caught:
            client.restore_stream(ID, "f", to)
        assert caught.value.kind is Kind.SERVER_GONE

    assert script.ran.count(SHOW) == tries


def test_a_list_is_whole_or_fails(client: KopiaClient, script: Script) -> None:
    # Kopia goes on, and ends with code 0.
    script.answers(LIST, [], log=f"unable to parse snapshot manifest {ID}: {GONE}", once=True)
    gone = f"unable to parse snapshot manifest {ID}: snapshot not found"
    script.answers(LIST, [manifest(), manifest(id="f" * 32, incomplete="x")], log=gone)

    assert [one.id for one in client.snapshots()] == [ID]
    assert script.ran == [LIST, LIST]


def test_a_client_works_inside_of_with_only(
    client: KopiaClient, script: Script, tmp_path: Path
) -> None:
    script.answers(LIST, [])
    assert client.snapshots() == []
    (folder,) = tmp_path.glob("kopia-client-*")
    assert folder.stat().st_mode & 0o777 == 0o700

    client.__exit__()

    assert not folder.exists()
    with pytest.raises(InvalidRequest, match="inside of `with`"):
        client.snapshots()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        pytest.param(
            lambda client: client.back_up("/data", source="data"),
            "begin it with /",
            id="a source that is no path",
        ),
        pytest.param(
            lambda client: client.back_up_stream(io.BytesIO(), directory="d", name="f"),
            "begin it with /",
            id="a folder of a stream that is no path",
        ),
        pytest.param(
            lambda client: client.back_up_stream(io.BytesIO(), directory="/d", name="a/f"),
            "without /",
            id="a file of a stream in another folder",
        ),
        pytest.param(
            lambda client: client.restore(ID, "/target", path="a/../../b"),
            r"without \.\.",
            id="a path that leads out of the snapshot",
        ),
        pytest.param(
            lambda client: client.restore("k" + ID[:8], "/target"),
            "32 hexadecimal digits",
            id="an id that is none",
        ),
        pytest.param(
            lambda client: client.restore_stream(ID, "/", io.BytesIO()),
            "no file of the snapshot is named",
            id="a stream of no file",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(
    client: KopiaClient, script: Script, ask: Callable[[KopiaClient], object], says: str
) -> None:
    script.answers(SHOW_MANIFEST, shown(manifest()))

    with pytest.raises(InvalidRequest, match=says):
        ask(client)

    assert set(script.ran) <= {SHOW_MANIFEST}
