"""hack/components.toml against the Go modules that it speaks of."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from clusterlib import components, paths

if TYPE_CHECKING:
    from pathlib import Path

COMPONENTS = components.load()
OURS = "repository-server-controller/"
PINNED = [group for group in COMPONENTS.groups.values() if not group.module.startswith(OURS)]


@pytest.mark.parametrize("group", PINNED, ids=lambda group: group.name)
def test_a_group_builds_the_version_that_the_list_names(group: components.GoGroup) -> None:
    required = re.findall(r"^\s*(?:require )?(\S+) (v\S+)", _go_mod(group), re.MULTILINE)

    assert (group.module, group.version) in required


@pytest.mark.parametrize("group", PINNED, ids=lambda group: group.name)
def test_every_program_is_pinned_as_a_tool(group: components.GoGroup) -> None:
    # Without the directive, go.sum lacks what the program alone needs.
    tools = set(re.findall(r"^(?:tool |\t)(\S+)$", _go_mod(group), re.MULTILINE))

    assert set(group.programs.values()) <= tools


@pytest.mark.parametrize(
    ("kind", "name", "pinned"),
    [
        ("python", "stores", "tools/stores/requirements.txt"),
        ("npm", "azurite", "tools/azurite/package.json"),
    ],
)
def test_what_is_fetched_has_the_version_that_the_list_names(
    kind: str, name: str, pinned: str
) -> None:
    named = tomllib.loads(paths.COMPONENTS.read_text())[kind][name]
    text = (paths.HACK / pinned).read_text()
    found = dict(re.findall(r'^\s*"?([\w.-]+)"?(?:==|: ")([\w.]+)(?:"| \\)?$', text, re.MULTILINE))

    assert named
    assert found.items() >= named.items()


def test_the_staging_modules_of_kubernetes_have_its_version() -> None:
    group = COMPONENTS.groups["kubernetes"]
    replaced = re.findall(
        r"^\t(k8s\.io/\S+) => (k8s\.io/\S+) (v\S+)$", _go_mod(group), re.MULTILINE
    )

    assert replaced
    for module, by, version in replaced:
        assert module == by
        assert version == group.version.replace("v1.", "v0.", 1)


def test_no_program_is_in_two_groups() -> None:
    programs = [name for group in COMPONENTS.groups.values() for name in group.programs]

    assert len(set(programs)) == len(programs)


def test_linker_settings_are_filled_in() -> None:
    flags = COMPONENTS.groups["kubernetes"].ldflags

    assert flags.startswith("-s -w ")
    assert "gitVersion=v1." in flags
    assert "{" not in flags


def test_another_build_has_another_place_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "TOOLS", tmp_path)
    group = components.GoGroup("tool", "v1.2.3", "example.org/tool", {}, "-s -w")
    group.folder.mkdir()
    (group.folder / "go.sum").write_text("one")
    first = group.directory

    assert dataclasses.replace(group, ldflags="-s").directory != first
    (group.folder / "go.sum").write_text("another")
    assert group.directory != first


def test_a_program_of_the_image_is_built_from_its_folder_of_the_checkout() -> None:
    group = COMPONENTS.groups["template-renderer"]

    assert group.folder == paths.CHECKOUT / "reconcilers" / "actionset" / "renderer"
    assert _go_mod(group).splitlines()[0] == f"module {group.module}"


def _go_mod(group: components.GoGroup) -> str:
    return (group.folder / "go.mod").read_text()
