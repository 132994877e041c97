"""The command `hack/release`: its arguments and what it prints."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from clusterlib import exits
from releaselib import inputs, maker, sums, trial

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION: Final = """\
Makes what a release is, in dist/: the image, install.yaml, the chart, the wheel, what is in the
image, checksums and notes. The same commit gives the same files. As root.
"""
MADE: Final = "dist/ has version {version}"
WITHOUT: Final = "without {reason}"
TRIED: Final = "dist/install.yaml was applied to an empty cluster: {words}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="hack/release", description=DESCRIPTION)
    parser.add_argument("version", metavar="VERSION", nargs="?", help="such as 1.2.3")
    parser.add_argument(
        "--image",
        metavar="NAME",
        help="by which people pull the image, without a tag; default: that of hack/release.toml",
    )
    parser.add_argument(
        "--pinned",
        action="store_true",
        help="take base and Kopia from their registry, by the digests of hack/release.toml; "
        "default: make them on this machine",
    )
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        dest="platforms",
        metavar="PLATFORM",
        help="such as linux/arm64, more than once; default: all that this machine can build",
    )
    parser.add_argument(
        "--allow-changes",
        action="store_true",
        help="release what differs from the commit, for a trial",
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--sources",
        action="store_true",
        help="make nothing: print the images of hack/release.toml, a name and a digest a line",
    )
    other.add_argument(
        "--try",
        action="store_true",
        dest="trial",
        help="make nothing: apply dist/install.yaml to an empty cluster of this machine",
    )
    parsed = parser.parse_args(arguments)
    if not (parsed.version or parsed.sources or parsed.trial):
        parser.error("which VERSION?")
    return parsed


def main(arguments: Sequence[str]) -> int:
    """Run `hack/release`.

    Returns:
        The exit code: 0, or 1 for an error.
    """
    parsed = parse(arguments)
    return exits.code_of(lambda: _run(parsed))


def _run(parsed: argparse.Namespace) -> int:
    known = inputs.load()
    if parsed.sources:
        for source in known.sources:
            print(f"{source.name} {source.digest}".rstrip())
        return 0
    if parsed.trial:
        print(TRIED.format(words=trial.run(maker.DIST)))
        return 0
    request = maker.Request(
        version=parsed.version,
        image=parsed.image or known.image,
        pinned=parsed.pinned,
        platforms=parsed.platforms,
        allow_changes=parsed.allow_changes,
    )
    left_out = maker.make(request, known)
    print((maker.DIST / sums.FILE).read_text(), end="")
    print(MADE.format(version=parsed.version), file=sys.stderr)
    for reason in left_out:
        print(WITHOUT.format(reason=reason), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
