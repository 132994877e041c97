"""What is released is a commit, as it is, of the version that it says."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import evolve

from clusterlib.errors import ClusterError
from releaselib import changelog, commit, maker, rules
from releaselib.commit import Commit

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = "1.2.3"
MADE_OF: Final = Commit(id="abc", epoch=1)

CHANGELOG: Final = """\
# Changelog

## 1.2.4

Later.

## 1.2.3 (2026-11-29)

- One.

### More

- Two.

## 1.2.2
"""


def refusals(version: str = VERSION, made_of: Commit = MADE_OF, **others: Any) -> list[str]:
    told = {"notes": "- Something.", "versions": {"package": VERSION}, **others}
    return rules.refusals(version, made_of, **told)


@pytest.mark.parametrize(
    "made_of",
    [
        pytest.param(MADE_OF, id="without any tag it is a trial of what will be tagged"),
        pytest.param(evolve(MADE_OF, tags=("v1.2.3",), tagged="abc"), id="its own tag fits"),
        pytest.param(
            evolve(MADE_OF, tags=("v1.2.3", "v1.2"), tagged="abc"), id="others beside it do as well"
        ),
        pytest.param(evolve(MADE_OF, tags=("seen",)), id="a tag that names no version is nothing"),
    ],
)
def test_a_commit_is_released_that(made_of: Commit) -> None:
    assert refusals(made_of=made_of) == []


@pytest.mark.parametrize(
    ("told", "words"),
    [
        pytest.param({"version": "1.2"}, "1.2 is no version", id="two numbers"),
        pytest.param({"version": "v1.2.3"}, "is no version", id="a tag's name"),
        pytest.param({"version": "1.2.3+4"}, "is no version", id="what no image's tag may have"),
        pytest.param({"notes": None}, "no section `## 1.2.3`", id="no notes"),
        pytest.param({"notes": ""}, "says nothing", id="empty notes"),
        pytest.param(
            {"versions": {"package": "1.2.2"}}, "package says version 1.2.2", id="another version"
        ),
        pytest.param(
            {"made_of": evolve(MADE_OF, changes=(" M a", "?? b", " M c", " M d"))},
            "(a, b, c, ...)",
            id="changes, of which the first are named",
        ),
        pytest.param(
            {"made_of": evolve(MADE_OF, tagged="def")},
            "v1.2.3 is at commit def",
            id="a version that was released from another commit",
        ),
        pytest.param(
            {"made_of": evolve(MADE_OF, tags=("v1.2.2",))},
            "has the tag v1.2.2 of another version",
            id="a commit that is of another version",
        ),
    ],
)
def test_nothing_is_released_with(told: dict[str, Any], words: str) -> None:
    (reason,) = refusals(**told)

    assert words in reason


def test_changes_are_released_where_that_is_asked_for() -> None:
    changed = evolve(MADE_OF, changes=(" M a",))

    assert refusals(made_of=changed, allow_changes=True) == []


@pytest.mark.parametrize(
    ("version", "found"),
    [
        pytest.param("1.2.3", "- One.\n\n### More\n\n- Two.", id="up to the next version"),
        pytest.param("1.2.4", "Later.", id="the newest"),
        pytest.param("1.2.2", "", id="one of which nothing is said"),
        pytest.param("1.2", None, id="no version whose beginning it is"),
    ],
)
def test_the_notes_are_the_section_of_a_version(version: str, found: str | None) -> None:
    assert changelog.section(CHANGELOG, version) == found


def test_a_checkout_says_its_commit_tags_and_changes(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        known = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        made = ["git", "-C", str(tmp_path), *known, *arguments]
        subprocess.run(made, check=True, capture_output=True)  # noqa: S603 - a repository of ours

    git("init")
    with pytest.raises(ClusterError, match="is no checkout with a commit"):
        commit.read(tmp_path, "v1.2.3")
    (tmp_path / "a").write_text("one")
    git("add", "a")
    git("commit", "--message=one", "--date=@5 +0000")
    git("tag", "v1.2.3")
    clean = commit.read(tmp_path, "v1.2.3")
    assert clean == Commit(clean.id, clean.epoch, (), ("v1.2.3",), clean.id)
    assert clean.epoch > 0

    (tmp_path / "a").write_text("two")
    git("commit", "--all", "--message=two")
    (tmp_path / "b").write_text("new")
    later = commit.read(tmp_path, "v1.2.3")
    assert (later.changes, later.tags, later.tagged) == (("?? b",), (), clean.id)
    assert later.id != clean.id


def test_a_refusal_gives_all_reasons_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "read", lambda *_: evolve(MADE_OF, changes=(" M a",)))

    with pytest.raises(ClusterError) as refused:
        maker.make(maker.Request("99.0.0", "image"), inputs=None)  # type: ignore[arg-type]

    assert "no section `## 99.0.0`" in str(refused.value)
    assert "differs from its commit (a)" in str(refused.value)
    assert "controller/__init__.py says version" in str(refused.value)
    assert "Chart.yaml, appVersion, says version" in str(refused.value)
