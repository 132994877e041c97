"""The command `hack/test`: its arguments, its stages and what it prints."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterlib import paths, waiting
from clusterlib.errors import ClusterError
from clusterlib.exits import EXIT_INTERRUPTED
from clusterlib.processes import without_proxies
from testlib import cluster, gate, templates
from testlib.environment import Environment, left_behind, variables
from testlib.interruption import Foreground, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# In the order in which they run: what takes longer tells nothing new about a tree that fails early.
STAGES = {
    "gate": "style, types, layers, docstrings, shell scripts",
    "unit": "no cluster, no root, under a minute",
    "integration": "against a real kube-apiserver and etcd",
    "e2e": "against a real node with real Kopia, as root",
}
ENVIRONMENT = "environment"

# Options of the runs of pytest that make a stage, one after the other. Tests against a cluster
# mostly wait, so more of them run side by side than there are cores; those marked `alone` do not.
_SIDE_BY_SIDE = "--dist=loadscope"
RUNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "unit": (("--numprocesses=2", _SIDE_BY_SIDE),),
    "integration": (("--numprocesses=3", _SIDE_BY_SIDE),),
    "e2e": (("--numprocesses=4", _SIDE_BY_SIDE, "-m", "not alone"), ("-m", "alone")),
}
# On a control plane of each process. On the one of a user they would take policies away from each
# other.
ON_A_GIVEN_CLUSTER = {**RUNS, "integration": ((),)}
NO_TESTS = 5

DESCRIPTION = "Checks the code and runs the tests. Without a stage: all of them, until one fails."
EPILOG = f"""\
stages:
{chr(10).join(f"  {name:<12} {text}" for name, text in STAGES.items())}

What follows -- goes to pytest:
  hack/test unit -- -k workqueue -x
  hack/test unit -- test/unit/hack

{cluster.KUBECONFIG} names the kubeconfig of a cluster for integration and e2e, in place of those
that are made for the run. {cluster.CONTROLLER_IMAGE} and {cluster.SERVER_IMAGE}
then name images that it can pull.
"""

PASSED, FAILED, NOT_RUN = "passed", "FAILED", "not run"

LAST_LINE = "hack/test: {words} after {seconds:.1f} s"
STAGE_FAILED = "{stage} FAILED ({advice})"
INTERRUPTED = "interrupted in {stage}"
ADVICE = {
    ENVIRONMENT: "the message above tells more",
    "gate": "`ruff format` and `ruff check --fix` mend what they can",
}
ADVICE_TESTS = "`hack/test {stage} -- -x -vv --showlocals` shows the first failure in full"


@dataclass
class Timing:
    """One line of what is printed in the end.

    Attributes:
        stage: its name.
        outcome: passed, FAILED or not run.
        seconds: how long it took.
    """

    stage: str
    outcome: str = NOT_RUN
    seconds: float = 0.0


def main(arguments: Sequence[str]) -> int:
    """Run `hack/test`.

    Returns:
        The exit code: 0; 1 if a stage failed; 130 after an interruption.
    """
    parsed = parse(arguments)
    timings = [Timing(name) for name in (ENVIRONMENT, *parsed.stages)]
    started = waiting.seconds()
    code, words = run_stages(timings, Stages(parsed.pytest).run)
    print(summary(timings))
    print(LAST_LINE.format(words=words, seconds=waiting.seconds() - started), flush=True)
    return code


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments.

    Returns:
        `stages`: which to run, in their order; `pytest`: arguments for it.
    """
    parser = argparse.ArgumentParser(
        prog="hack/test",
        description=DESCRIPTION,
        epilog=EPILOG,
        usage="hack/test [STAGE...] [-- PYTEST ARGUMENT...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ours, theirs = split(arguments)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=argparse.SUPPRESS)
    parsed = parser.parse_args(ours)
    unknown = [name for name in parsed.stages if name not in STAGES]
    if unknown:
        parser.error(f"there is no stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    parsed.stages = [name for name in STAGES if not parsed.stages or name in parsed.stages]
    parsed.pytest = theirs
    return parsed


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before the first `--` and those after it."""
    listed = list(arguments)
    if "--" not in listed:
        return listed, []
    at = listed.index("--")
    return listed[:at], listed[at + 1 :]


def summary(timings: Sequence[Timing]) -> str:
    """Return a table of the stages with their times."""
    width = max(len(timing.stage) for timing in timings)
    lines = [""]
    for timing in timings:
        seconds = "" if timing.outcome == NOT_RUN else f"{timing.seconds:.1f} s"
        lines.append(f"  {timing.stage:<{width}}  {seconds:>8}  {timing.outcome}")
    return "\n".join(lines)


def run_stages(timings: Sequence[Timing], run: Callable[[str], bool]) -> tuple[int, str]:
    """Run stages until one fails, and note the outcome and the time of each.

    Args:
        timings: the stages; filled in.
        run: runs a stage and tells whether it passed.

    Returns:
        The exit code, and how it ended in words.
    """
    for timing in timings:
        started = waiting.seconds()
        # What is noted if the stage does not come to its end.
        timing.outcome = FAILED
        try:
            if run(timing.stage):
                timing.outcome = PASSED
        except ClusterError as error:
            print(error.report(), file=sys.stderr)
        except (Interrupted, KeyboardInterrupt):
            return EXIT_INTERRUPTED, INTERRUPTED.format(stage=timing.stage)
        finally:
            timing.seconds = waiting.seconds() - started
        if timing.outcome == FAILED:
            advice = ADVICE.get(timing.stage, ADVICE_TESTS).format(stage=timing.stage)
            return 1, STAGE_FAILED.format(stage=timing.stage, advice=advice)
    return 0, PASSED


class Stages:
    """The stages, by name.

    Args:
        pytest: further arguments for pytest.
    """

    def __init__(self, pytest: Sequence[str]) -> None:
        self._pytest = pytest
        self._environment = Environment()
        base = {**templates.blueprints(), **os.environ}
        self._variables: Mapping[str, str] = variables(base, self._environment)
        self._foreground = Foreground()

    def run(self, stage: str) -> bool:
        """Run one stage.

        Returns:
            Whether it passed.

        Raises:
            ClusterError: it could not be run.
            Interrupted: the user wants an end.
        """
        if stage == ENVIRONMENT:
            self._environment.make()
            return True
        print(f"\n{stage}: {STAGES[stage]}", flush=True)
        if stage == "gate":
            return gate.run(self._variables)
        templates.build()
        if stage == "integration":
            with cluster.control_planes_built(self._variables, self._foreground):
                return self._test(stage, self._variables)
        if stage == "e2e":
            with cluster.for_tests(self._variables, self._foreground) as told:
                return self._test(stage, told)
        return self._test(stage, self._variables)

    def _test(self, stage: str, told: Mapping[str, str]) -> bool:
        """Run the tests of a stage, the later runs of pytest also if an earlier one has failed.

        Returns:
            Whether there were tests and none has failed.
        """
        codes = set()
        runs = ON_A_GIVEN_CLUSTER if cluster.KUBECONFIG in self._variables else RUNS
        for options in runs[stage]:
            codes.add(self._run_pytest(stage, options, told))
            if codes - {0, 1, NO_TESTS}:
                break
        return 0 in codes and codes <= {0, NO_TESTS}

    def _run_pytest(self, stage: str, options: Sequence[str], told: Mapping[str, str]) -> int:
        cache = f"cache_dir={left_behind() / 'pytest'}"
        named = [argument for argument in self._pytest if argument.startswith(f"test/{stage}")]
        folder = [] if named else [f"test/{stage}"]
        command = ["pytest", *folder, "--override-ini", cache, *options, *self._pytest]
        # Tests talk to this machine only.
        return self._foreground.run(command, without_proxies(told), paths.CHECKOUT)
