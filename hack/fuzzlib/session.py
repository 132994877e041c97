"""The fuzzing itself, in the environment of the tests: `python -m fuzzlib.session`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from clusterlib import paths
from fuzzlib.campaign import Campaign
from fuzzlib.cli import CORPUS, HEAD, LEAST_SECONDS, parse
from fuzzlib.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_TARGET = "there is no target {names}; there are {known}"


def main(arguments: Sequence[str]) -> int:
    """Fuzz the targets that the arguments name, print what was found and the summary.

    Returns:
        0 if nothing was found, 1 if something was, 2 if there is no such target.
    """
    parsed = parse(arguments)
    names = parsed.target or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        print(NO_TARGET.format(names=", ".join(unknown), known=", ".join(TARGETS)), file=sys.stderr)
        return 2
    seconds = parsed.minutes * 60 * min(parsed.jobs, len(names)) / len(names)
    campaign = Campaign(
        python=sys.executable,
        environment=os.environ,
        corpus=CORPUS,
        grown=paths.cache() / "fuzz",
        seconds=max(LEAST_SECONDS, round(seconds)),
        jobs=parsed.jobs,
    )
    print(HEAD)
    found = tried = 0
    for outcome in campaign.run(names):
        print(outcome.line(), flush=True)
        for finding in outcome.findings:
            print(f"    {finding}", flush=True)
        found, tried = found + len(outcome.findings), tried + outcome.tried
    print(f"{'all':<24} {tried:>10}  {found:>3}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
