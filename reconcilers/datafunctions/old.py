"""What becomes of arguments that meant something to restic, or to whoever makes the pod.

Some are mapped: `backupArtifactPrefix`, `dataArtifactPrefix` and `backupTag` become tags of the
snapshot (`tags`). Some cannot mean anything here, and are accepted with a warning, since every
Blueprint has them and nothing is lost without them. The rest are refused: whoever gives them counts
on what would not happen.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.datafunctions.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable


class Fate(Enum):
    """What becomes of an argument that is given."""

    WARNED = "accepted with a warning"
    REFUSED = "refused"


@frozen
class OldArgument:
    """One argument that has no effect here.

    Args:
        name: As it is written.
        fate: What becomes of it.
        reason: Why, and what to do, after the argument's name.
        pod: Whether it says how to make the pod, so that it has an effect where one is made.
    """

    name: str
    fate: Fate
    reason: str
    pod: bool = False


OLD_ARGUMENTS: Final = (
    OldArgument(
        "encryptionKey",
        Fate.WARNED,
        "has no effect: the repository is encrypted by its own password, which only its server "
        "knows; leave it out, and out of the log of whoever renders it",
    ),
    OldArgument(
        "insecureTLS",
        Fate.WARNED,
        "has no effect: a repository server is known by the fingerprint of its certificate",
    ),
    OldArgument(
        "reclaimSpace",
        Fate.WARNED,
        "has no effect: the space is freed by the repository's maintenance, see "
        "spec.repository.maintenance of the RepositoryServer; spaceFreed is 0 B",
    ),
    OldArgument(
        "image", Fate.WARNED, "has no effect in a pod that runs already, with its image", pod=True
    ),
    OldArgument(
        "podOverride",
        Fate.REFUSED,
        "cannot be applied to a pod that runs already; put it into that pod",
        pod=True,
    ),
    OldArgument(
        "podLabels",
        Fate.REFUSED,
        "cannot be put on a pod that runs already; put them on that pod",
        pod=True,
    ),
    OldArgument(
        "podAnnotations",
        Fate.REFUSED,
        "cannot be put on a pod that runs already; put them on that pod",
        pod=True,
    ),
)


def warnings(given: Iterable[str], *, phase: bool = False) -> list[str]:
    """Return what to say of arguments that have no effect.

    Args:
        given: The names of the arguments that were given, and are not empty or false.
        phase: Whether it runs as a phase, in a pod that is made for it. Default: by the program, in
            a pod that runs already.

    Raises:
        Refused: One would mislead who gave it.
    """
    names = frozenset(given)
    found = [old for old in OLD_ARGUMENTS if old.name in names and not (phase and old.pod)]
    refused = [_sentence(old) for old in found if old.fate is Fate.REFUSED]
    if refused:
        raise Refused("; ".join(refused))
    return [_sentence(old) for old in found]


def _sentence(old: OldArgument) -> str:
    return f"argument {old.name} {old.reason}"
