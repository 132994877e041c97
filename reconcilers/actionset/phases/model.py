"""What a function asks of the pod of a phase, and what it is told of one that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.actionset.function import Complete, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.actionset.function import Step

LAST_LINES: Final = "{cause}; the last lines of its log:\n{lines}"

#: In a specification, in place of the name of the Secret that the pod owns.
OWN_SECRET: Final = "own-secret.actionset.cr.kanister.io"  # noqa: S105 - a name


@frozen(kw_only=True)
class PhasePod:
    """The pod of a phase, as a function wants it, before any override.

    Args:
        namespace: Its namespace: that of the ActionSet or of the action's object.
        spec: Its specification. Labels, annotations, owner, restart policy and the requests that a
            quota asks for are added.
        main: The container whose log has the outputs.
        others: Further containers that must succeed as well. Default: none.
        aliases: What the name `container` in the ActionSet's override stands for: names of
            containers and init containers of `spec`. Default: none, there is one of that name.
        override: The argument `podOverride` of the Blueprint. Default: none.
        labels: Its argument `podLabels`. Default: none.
        annotations: Its argument `podAnnotations`. Default: none.
        secret: The data of a Secret that the pod owns, which `spec` calls `OWN_SECRET`; None for
            none. Default: None.
    """

    namespace: str
    spec: Mapping[str, Any]
    main: str
    others: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    override: Mapping[str, Any] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)
    secret: Mapping[str, bytes] | None = field(default=None, repr=False)

    @property
    def containers(self) -> tuple[str, ...]:
        """The containers whose end is the end of the phase, the main one first."""
        return (self.main, *self.others)


@frozen
class PodResult:
    """What came of a pod.

    Args:
        outputs: What its main container has put out, whether or not the pod has succeeded.
        cause: Why the pod has failed; empty if it has succeeded.
        tail: The last lines of the log of the container that has failed.
        problem: Why the outputs cannot be relied on although it may have succeeded; empty if they
            can.
        exit_code: Of the container that decided; None if it is not known.
    """

    outputs: Mapping[str, str]
    cause: str = ""
    tail: tuple[str, ...] = ()
    problem: str = ""
    exit_code: int | None = None

    @property
    def failure(self) -> str:
        """Why the pod has failed, the cause first, with the last lines; empty if it has not."""
        if not self.cause or not self.tail:
            return self.cause
        return LAST_LINES.format(cause=self.cause, lines="\n".join(self.tail))


def outputs_of_log(result: PodResult) -> Step:
    """Return the outputs of a pod that has succeeded: what most functions make of it."""
    if result.failure or result.problem:
        return Failed("; ".join(filter(None, (result.problem, result.failure))))
    return Complete(dict(result.outputs))
