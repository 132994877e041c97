"""What several functions do alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes.kopiaclient import FakeClient, FakeRepository
from reconcilers.datafunctions import places, steps
from reconcilers.datafunctions.function import Run
from reconcilers.datafunctions.sources import Source
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import Progress

if TYPE_CHECKING:
    from pathlib import Path

#: The system refuses to look at it, as it does where a user has no right to.
PATH = f"/{'x' * 300}/data"
SAID = ClientFailed(Kind.SOURCE_UNREADABLE, "as Kopia says it")


def test_what_is_done_has_no_rate_and_is_known_as_a_whole(tmp_path: Path) -> None:
    """The rest of what is done at the same time is estimated without it."""
    shown: dict[str, Progress] = {}
    run = Run(FakeClient(FakeRepository()), root=tmp_path, on_progress=shown.__setitem__)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(b"12345")

    source = Source("/x")
    backup = steps.back_up(run, "/data", argument="includePath", source=source, tags={})
    steps.restore(run, backup, places.Target("", "/restored"))

    assert shown == {
        "/data": Progress(files=1, size=5, uploaded=1000, total_size=5),
        "/restored": Progress(files=2, size=5, total_size=5),
    }


def test_kopia_says_what_is_wrong_with_a_path_that_cannot_be_looked_at(tmp_path: Path) -> None:
    repository = FakeRepository(failures={"back_up": [SAID], "restore": [SAID]})
    run = Run(FakeClient(repository), root=tmp_path)

    steps.check_mounted(run, [PATH], argument="volumes")
    with pytest.raises(ClientFailed, match="as Kopia says it"):
        steps.back_up(run, PATH, argument="includePath", source=Source("/x"), tags={})
    with pytest.raises(ClientFailed, match="as Kopia says it"):
        steps.restore(run, "0" * 32, places.Target("", PATH))
