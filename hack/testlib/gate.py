"""The checks that need no test: style, types, layers, docstrings, shell scripts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterlib import debian, paths
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from testlib.environment import left_behind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Where shell scripts are looked for, and what makes a file one.
SCRIPT_FOLDERS = (".ci", "hack", "manifests", "test")
SHEBANG = re.compile(rb"#!.*[/ ](ba)?sh\b")

# Of Debian: there is no package of it for Python that holds the program.
SHELLCHECK = "shellcheck"
SHELLCHECK_MISSING = "without shellcheck, which is not installed; as root: apt-get install it"


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        what: what it does, in the progressive form.
        command: the program and its arguments; it succeeds if nothing is to be said.
    """

    what: str
    command: list[str]


def checks() -> list[Check]:
    """Return the checks, the quickest first."""
    layers_cache = f"--cache-dir={left_behind() / 'import-linter'}"
    return [
        Check("checking style (ruff)", ["ruff", "check", "--output-format=concise", "."]),
        Check("checking the format (ruff)", ["ruff", "format", "--check", "--quiet", "."]),
        Check("checking docstrings (interrogate)", ["interrogate", "controller", "reconcilers"]),
        Check("checking layers (import-linter)", ["lint-imports", layers_cache]),
        Check("checking shell scripts (shellcheck)", [SHELLCHECK, *shell_scripts(paths.CHECKOUT)]),
        Check(
            "checking docs/reference.md and failures.md", ["python", "hack/reference", "--check"]
        ),
        Check("checking the chart", ["python", "hack/chart", "--check"]),
        Check("checking types (mypy)", ["mypy"]),
    ]


def run(environment: Mapping[str, str]) -> bool:
    """Run all checks, and print what those say that fail.

    Args:
        environment: the variables for the tools.

    Returns:
        Whether none has failed.
    """
    skipped = _skipped()
    wanted = [check for check in checks() if check.command[0] not in skipped]
    progress = Progress(len(wanted))
    complaints = [_complaint(check, environment, progress) for check in wanted]
    for complaint in filter(None, complaints):
        print(complaint, flush=True)
    return not any(complaints)


def shell_scripts(root: Path) -> Sequence[str]:
    """Return the shell scripts below a checkout, relative to it, known by their first line."""
    files = [file for folder in SCRIPT_FOLDERS for file in (root / folder).rglob("*")]
    return sorted(str(file.relative_to(root)) for file in files if _is_script(file))


def _is_script(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return SHEBANG.match(content.readline()) is not None


def _skipped() -> set[str]:
    """Install shellcheck; where that cannot be, say so and go on with the other checks."""
    if shutil.which(SHELLCHECK) is not None:
        return set()
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(SHELLCHECK_MISSING)
        return {SHELLCHECK}
    debian.install_missing([SHELLCHECK], Progress(1))
    return set()


def _complaint(check: Check, environment: Mapping[str, str], progress: Progress) -> str:
    """Run a check and return what it says if it fails, else nothing."""
    try:
        with progress.step(check.what):
            _run(check, environment)
    except ClusterError as error:
        return f"$ {' '.join(check.command)}\n{error}\n"
    return ""


def _run(check: Check, environment: Mapping[str, str]) -> None:
    result = subprocess.run(
        check.command,
        cwd=paths.CHECKOUT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ClusterError(result.stdout.strip())
