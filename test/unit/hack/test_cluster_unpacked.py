"""Programs of Debian are unpacked into the cache once; scripts stand for apt-get and dpkg-deb."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from clusterlib import builds, components
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_directories")

PROGRAMS = ("prometheus", "promtool")

# Has the package once its lists were renewed as often as the file `needed` says.
APT_GET = """\
#!/bin/sh
echo "$1" >> "$HERE/asked"
[ "$1" = download ] || exit 0
[ "$(grep -c update "$HERE/asked")" -ge "$(cat "$HERE/needed")" ] || exit 100
touch "$3_1.0_amd64.deb"
"""
DPKG_DEB = """\
#!/bin/sh
mkdir -p "$3/usr/bin" && touch "$3/usr/bin/prometheus" "$3/usr/bin/promtool"
"""


@pytest.fixture
def unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Return a way to unpack the programs, which returns what apt-get was asked for."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, script in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    monkeypatch.setenv("HERE", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def run(updates_needed: int) -> list[str]:
        (folder / "needed").write_text(str(updates_needed))
        (folder / "asked").write_text("")
        known = components.load()
        progress = Progress(builds.steps(known, PROGRAMS))
        builds.build_missing(known, PROGRAMS, progress)
        return (folder / "asked").read_text().split()

    return run


@pytest.mark.parametrize(
    ("updates_needed", "asked"),
    [
        pytest.param(0, ["download"], id="lists of now: it is fetched"),
        pytest.param(
            1, ["download", "update", "download"], id="old lists, or none: they are renewed"
        ),
    ],
)
def test_a_package_is_fetched_once_for_all_its_programs(
    unpack: Callable[[int], list[str]], updates_needed: int, asked: list[str]
) -> None:
    known = components.load()

    assert builds.steps(known, PROGRAMS) == 1
    assert unpack(updates_needed) == asked
    assert builds.missing(known, PROGRAMS) == []
    assert unpack(updates_needed) == []


def test_a_package_that_is_nowhere_says_what_to_try(unpack: Callable[[int], list[str]]) -> None:
    with pytest.raises(ClusterError, match="Debian package prometheus; try `apt-get update`"):
        unpack(9)

    assert builds.missing(components.load(), PROGRAMS) == list(PROGRAMS)
