"""What is fuzzed: one function for each thing that is read, one module for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fuzzlib.targets import clients, kopia, resources, secrets, streams

if TYPE_CHECKING:
    from fuzzlib.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for module in (secrets, resources, kopia, streams, clients)
    for target in module.TARGETS
}
