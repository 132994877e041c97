"""The command `hack/fuzz`: its arguments, its environment, and the summary."""

from __future__ import annotations

import argparse
import os
import subprocess
from typing import TYPE_CHECKING, Final

from clusterlib import exits, paths
from testlib.environment import Environment, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION: Final = """\
Feeds inputs to everything that reads what others write: Secrets, resources, PEM, what Kopia
prints, what the API server sends, settings, connections, kubeconfigs. atheris makes the inputs out
of those in test/fuzz/corpus, guided by which lines they reach. Nothing but a typed error may come
of one; it may take neither 5 s of CPU nor more memory than its size explains; and no secret value
may be in an error, a log or a representation. What breaks that is written to
test/fuzz/corpus/TARGET/found-HASH, where the unit tests find it until it is mended. Ends with a
table; the exit code is 1 if anything was found.
"""

REQUIREMENTS: Final = paths.CHECKOUT / "hack" / "fuzzlib" / "requirements.txt"
CORPUS: Final = paths.CHECKOUT / "test" / "fuzz" / "corpus"

DEFAULT_MINUTES: Final = 20.0
#: Less is over before the inputs of earlier runs have been read.
LEAST_SECONDS: Final = 5

HEAD: Final = f"{'target':<24} {'inputs':>10}  findings"


def main(arguments: Sequence[str]) -> int:
    """Run `hack/fuzz`.

    Returns:
        The exit code: 0; 1 if something was found, or for an error; 130 after an interruption.
    """
    parsed = parse(arguments)
    return exits.code_of(lambda: _fuzz(parsed))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser("hack/fuzz", description=DESCRIPTION)
    parser.add_argument(
        "--minutes",
        type=_minutes,
        default=DEFAULT_MINUTES,
        help="how long all of it takes; the targets share them (default: %(default)s)",
    )
    parser.add_argument(
        "--target", action="append", default=[], help="fuzz this one; may be given several times"
    )
    parser.add_argument(
        "--jobs", type=_jobs, default=os.cpu_count() or 1, help="targets at a time (default: CPUs)"
    )
    return parser.parse_args(arguments)


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < float("inf"):
        raise ValueError(text)
    return minutes


def _jobs(text: str) -> int:
    jobs = int(text)
    if jobs < 1:
        raise ValueError(text)
    return jobs


def _fuzz(parsed: argparse.Namespace) -> int:
    environment, tools = Environment(), Environment(REQUIREMENTS)
    environment.make()
    tools.make()
    told = {**variables(os.environ, environment)}
    (packages,) = (tools.directory / "lib").glob("python*/site-packages")
    # Before the rest: with the packages of the tests, and atheris beside them.
    told["PYTHONPATH"] = os.pathsep.join([told["PYTHONPATH"], str(packages)])
    arguments = [f"--minutes={parsed.minutes}", f"--jobs={parsed.jobs}"]
    arguments += [f"--target={name}" for name in parsed.target]
    command = [environment.program("python"), "-m", "fuzzlib.session", *arguments]
    return subprocess.run(command, env=told, check=False).returncode
