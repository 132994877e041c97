"""The command `hack/reference`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from clusterlib import paths

# The commands of hack/ run from anywhere; the packages that the messages come from are above it.
sys.path.insert(0, str(paths.CHECKOUT))

from referencelib import failures, page, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

CRD = paths.CHECKOUT / "manifests" / "crd" / "repositoryservers.yaml"
PAGE = paths.CHECKOUT / "docs" / "reference.md"
FAILURES = paths.CHECKOUT / "docs" / "failures.md"

DESCRIPTION = """\
Writes docs/reference.md: every field of the resource and every key of every Secret. Descriptions
and limits are those of the CRD, refusals those of the CRD and of the code; what becomes of a field
stands in hack/referencelib. Writes the tables of docs/failures.md: every reason of the condition
Ready, with the message of the code.
"""
STALE = "{page} is not what the CRD and the code say; run hack/reference"


def main(arguments: Sequence[str]) -> int:
    """Run `hack/reference`.

    Returns:
        The exit code: 0, or 1 if --check finds another text.
    """
    parser = argparse.ArgumentParser(prog="hack/reference", description=DESCRIPTION)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it would")
    parsed = parser.parse_args(arguments)
    stale = False
    for file, text in (
        (PAGE, page.render(schema.load(CRD))),
        (FAILURES, failures.render(failures.dumps_of(FAILURES.read_text()))),
    ):
        if not parsed.check:
            file.write_text(text)
        elif file.read_text() != text:
            print(STALE.format(page=f"docs/{file.name}"), file=sys.stderr)
            stale = True
    return 1 if stale else 0
