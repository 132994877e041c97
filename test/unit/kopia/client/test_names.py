"""Names that Kopia would not keep are found."""

import os
from pathlib import Path

import pytest

from controller.stop import Stop
from reconcilers.kopia.client import names
from reconcilers.kopia.client.errors import ClientFailed, Kind


@pytest.mark.parametrize("name", ["plain", "\u00fc", "u\u0308", "\U0001f600", "new\nline", "\x01"])
def test_a_name_in_utf_8_is_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    names.check(str(tmp_path), None)


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
def test_a_name_in_other_bytes_is_named(tmp_path: Path, *, folder: bool) -> None:
    path = tmp_path / "a" / os.fsdecode(b"caf\xe9")
    path.parent.mkdir()
    path.mkdir() if folder else path.touch()

    with pytest.raises(ClientFailed, match=r"the name of 'a/caf\\xe9' is not UTF-8") as caught:
        names.check(str(tmp_path), None)

    assert caught.value.kind is Kind.SOURCE_UNREADABLE


def test_what_a_link_leads_to_and_what_is_not_there_is_not_looked_at(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / os.fsdecode(b"\xff")).touch()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to(outside)

    names.check(str(tmp_path / "source"), None)
    names.check(str(tmp_path / "nowhere"), None)


def test_the_stop_ends_it(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).touch()
    stop = Stop()
    stop.set()

    names.check(str(tmp_path), stop)
