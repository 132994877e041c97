"""The command `hack/chart`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Final

import yaml

from chartlib import copies, page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DESCRIPTION: Final = """\
Writes what of charts/ comes from elsewhere: the files that are those of manifests/, and README.md,
from values.yaml and values.schema.json.
"""
STALE: Final = "{path} is not what manifests/ and the values say; run hack/chart"
UNKNOWN: Final = (
    "{path} has no source in manifests/; delete it, or name its source in hack/chartlib"
)

README: Final = copies.CHART / "README.md"


def main(arguments: Sequence[str]) -> int:
    """Run `hack/chart`.

    Returns:
        The exit code: 0, or 1 if --check finds another text.
    """
    parser = argparse.ArgumentParser(prog="hack/chart", description=DESCRIPTION)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it would")
    parsed = parser.parse_args(arguments)
    schema = json.loads((copies.CHART / "values.schema.json").read_text())
    values = yaml.safe_load((copies.CHART / "values.yaml").read_text())
    wanted = {**copies.wanted(), README: page.render(schema, values)}
    if parsed.check:
        return _check(wanted)
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


def _check(wanted: dict[Path, str]) -> int:
    there = {path for path in (copies.CHART / "files").rglob("*") if path.is_file()}
    complaints = [
        STALE.format(path=path.relative_to(copies.CHART))
        for path, text in wanted.items()
        if not path.exists() or path.read_text() != text
    ]
    complaints += [
        UNKNOWN.format(path=path.relative_to(copies.CHART)) for path in sorted(there - set(wanted))
    ]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0
