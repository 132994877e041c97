"""What a session has seen, kept for the one that looks at what all of them have seen in the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from attrs import asdict, field, frozen

from e2e.cluster import NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.witness import Witness

#: Names a folder. It is the test run's own and goes with it: what is kept there is confidential.
FOLDER: Final = "RSC_TEST_EVIDENCE"


@frozen
class Evidence:
    """What one session has seen of its namespace.

    Attributes:
        namespace: Its name.
        objects: Every version of every object as text, by what it is.
        logs: The log of each container, by pod and container id.
        metrics: What the controller told Prometheus in the end.
        confidential: The passwords and keys that were used, by what they are.
    """

    namespace: str
    objects: dict[str, str] = field(repr=False)
    logs: dict[str, str] = field(repr=False)
    metrics: str = field(repr=False)
    confidential: dict[str, str] = field(repr=False)


def gather(cluster: Cluster, witness: Witness, controller: Controller) -> Evidence:
    """Return what this session has seen up to now."""
    return Evidence(
        NAMESPACE,
        dict(witness.objects()),
        witness.logs(),
        controller.metrics(),
        cluster.confidential.values(),
    )


def keep(seen: Evidence, folder: Path) -> None:
    """Write it to a file of its own."""
    file = folder / f"{seen.namespace}.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(asdict(seen)))


def kept(folder: Path) -> list[Evidence]:
    """Return what the sessions before this one have kept."""
    return [Evidence(**json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))]
