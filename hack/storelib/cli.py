"""The command `hack/stores`: its arguments and what it prints."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clusterlib import components, exits
from clusterlib.state import DEFAULT_NAME, State
from storelib.servers import SERVERS
from storelib.software import Software
from storelib.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION = """\
Runs servers of object stores on this machine, beside the local cluster, until that is taken down:
versitygw for S3, moto for S3 with roles, fake-gcs-server for Google Cloud Storage, azurite for
Azure Blob Storage.
"""


def main(arguments: Sequence[str]) -> int:
    """Run `hack/stores`.

    Returns:
        The exit code: 0, 1 for an error, 130 after an interruption.
    """
    parser = argparse.ArgumentParser(prog="hack/stores", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "build": "only build and fetch the programs",
        "up": "start them; print where each is",
    }.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("stores", nargs="*", metavar="STORE", help=f"{', '.join(SERVERS)}")
        if name == "up":
            command.add_argument("--name", default=DEFAULT_NAME, help="of the cluster")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.stores if name not in SERVERS]
    if unknown:
        parser.error(f"there is no store {unknown[0]!r}; there are {', '.join(SERVERS)}")
    return exits.code_of(lambda: _run(parsed, parsed.stores or list(SERVERS)))


def _run(parsed: argparse.Namespace, wanted: Sequence[str]) -> int:
    known = components.load()
    if parsed.command == "build":
        Software(known).get(wanted)
        return 0
    for name, store in Stores(State(parsed.name), known).up(wanted).items():
        where = store.location.get("endpoint") or store.location.get("storageDomain") or ""
        print(f"{name:5}  bucket {store.location['bucket']}  {where}".rstrip())
    return 0
