"""The process that fuzzes one target, by atheris: guided by which lines an input reaches.

Used as `python -m fuzzlib.worker TARGET FINDINGS FOLDER... OPTION...`; the options are libFuzzer's.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import traceback
from pathlib import Path
from random import Random
from typing import Final

import atheris

with atheris.instrument_imports(include=["controller", "reconcilers"]):
    from fuzzlib import mutation
    from fuzzlib.campaign import FOUND
    from fuzzlib.target import Finding, judge, silence
    from fuzzlib.targets import TARGETS

# Of so many inputs the memory of one is measured.
_MEASURED: Final = 16
# A fault is found again and again: each is kept once, by where it comes from.
_KEPT: Final = 5
# How often an input that is JSON is changed as if it were none; by how much a text in it grows.
_IN_BYTES: Final = 0.3
_GROWS: Final = 64


def main() -> None:
    """Fuzz until the time is over; libFuzzer ends the process."""
    target, findings = TARGETS[sys.argv[1]], Path(sys.argv[2])
    silence()
    seen: set[str] = set()

    def one(data: bytes) -> None:
        measured = hashlib.blake2b(data, digest_size=1).digest()[0] % _MEASURED == 0
        try:
            judge(target, data, measured=measured)
        except Finding as finding:
            place = _place(finding)
            if place not in seen and len(seen) < _KEPT:
                seen.add(place)
                findings.mkdir(parents=True, exist_ok=True)
                name = f"found-{hashlib.sha256(data).hexdigest()[:8]}"
                (findings / name).write_bytes(data)
                print(f"{FOUND}{name}: {finding.what}: {place}", flush=True)

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)  # noqa: S311 - no secret
        if random.random() >= _IN_BYTES:
            with contextlib.suppress(ValueError, RecursionError):
                text = mutation.changed(
                    data, lambda text: bytes(atheris.Mutate(text, len(text) + _GROWS)), random
                )
                if len(text) <= max_size:
                    return text
        return bytes(atheris.Mutate(data, max_size))

    arguments = [sys.argv[0], *sys.argv[3:]]
    if target.is_json:
        atheris.Setup(arguments, one, custom_mutator=change)
    else:
        atheris.Setup(arguments, one)
    atheris.Fuzz()


def _place(finding: Finding) -> str:
    """Return where a finding comes from: its words, and the last line of ours that had part."""
    error = finding.__cause__
    if error is None:
        return finding.what
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame
        for frame in frames
        if "/reconcilers/" in frame.filename or "/controller/" in frame.filename
    ]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"


if __name__ == "__main__":
    main()
