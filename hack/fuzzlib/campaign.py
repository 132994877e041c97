"""A run over all targets: how many inputs each was given, and what was found."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: What a line about a finding begins with.
FOUND: Final = "FINDING "

# libFuzzer's last line, and those of its progress.
_RUNS: Final = re.compile(r"^(?:Done |#)(\d+)", re.MULTILINE)

# Bytes of an input: enough to show what takes time that grows faster than its size.
_MAX_BYTES: Final = 16384
# Of the time of day, for what the worker's own limit cannot end: a match that goes on.
_HANG_SECONDS: Final = 60
_MEMORY_MB: Final = 2048
# For Python to begin, and for the inputs of earlier runs.
_GRACE_SECONDS: Final = 120.0

ENDED: Final = "the process ended with code {code}: {line}"


@frozen
class Outcome:
    """What came of one target.

    Args:
        name: Of the target.
        tried: How many inputs it was given.
        findings: What was found, with the file that reproduces it.
    """

    name: str
    tried: int
    findings: tuple[str, ...]

    def line(self) -> str:
        """Return the target's line of the summary."""
        return f"{self.name:<24} {self.tried:>10}  {len(self.findings):>3}"


@frozen
class Campaign:
    """Fuzzes one target after the other.

    Args:
        python: The command of a Python that has atheris.
        environment: Its variables.
        corpus: The folder with a folder of inputs for each target; what is found goes there too.
        grown: The folder for the inputs that reach something new, which later runs begin with.
        seconds: For each target.
        jobs: How many at a time.
    """

    python: str
    environment: Mapping[str, str]
    corpus: Path
    grown: Path
    seconds: int
    jobs: int

    def run(self, names: Sequence[str]) -> Iterator[Outcome]:
        """Yield what came of each target, in their order.

        Args:
            names: Of the targets.
        """
        with ThreadPoolExecutor(self.jobs) as pool:
            yield from pool.map(self._one, names)

    def _one(self, name: str) -> Outcome:
        corpus, grown = self.corpus / name, self.grown / name
        grown.mkdir(parents=True, exist_ok=True)
        command = [self.python, "-m", "fuzzlib.worker", name, str(corpus), str(grown), str(corpus)]
        command += [
            f"-max_total_time={self.seconds}",
            f"-max_len={_MAX_BYTES}",
            f"-timeout={_HANG_SECONDS}",
            f"-rss_limit_mb={_MEMORY_MB}",
            f"-artifact_prefix={corpus}/found-",
        ]
        try:
            ran = subprocess.run(
                command,
                env=dict(self.environment),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.seconds + _GRACE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(name, 0, ("it did not end",))
        return outcome(name, ran.returncode, f"{ran.stdout}\n{ran.stderr}")


def outcome(name: str, code: int, output: str) -> Outcome:
    """Return what a worker's output says.

    Args:
        name: Of the target.
        code: The worker's exit code.
        output: All that it printed.
    """
    lines = output.splitlines()
    findings = [line.removeprefix(FOUND) for line in lines if line.startswith(FOUND)]
    if code != 0:
        last = next((line for line in reversed(lines) if line.strip()), "")
        findings.append(ENDED.format(code=code, line=last))
    return Outcome(name, max(map(int, _RUNS.findall(output)), default=0), tuple(findings))
