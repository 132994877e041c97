"""Reads the annotations of an ActionSet that are for what Kanister's schema has no field for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from reconcilers import durations
from reconcilers.actionset.api import (
    ANNOTATION_KEEP_FAILED_POD,
    ANNOTATION_PLAIN_EXEC,
    ANNOTATION_REPEATABLE,
    ANNOTATION_TIMEOUT,
    ANNOTATION_TTL,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

#: In the annotation of repeatable phases: all of them.
ALL: Final = "*"

BAD_DURATION: Final = "annotation {name}: {text!r} is not a duration such as 90s, 30m, 2h30m or 7d"
BAD_TIMEOUTS: Final = (
    "annotation {name}: {text!r} is neither a duration such as 30m nor several as"
    " backup=2h,verify=10m"
)
BAD_FLAG: Final = "annotation {name}: {text!r} is neither true nor false"


@frozen
class Settings:
    """What the annotations say.

    Args:
        timeout: Seconds for which a phase may run that `timeouts` does not name; None for ever.
        timeouts: Seconds by the name of the phase.
        repeatable: Names of the phases that may run twice, or `ALL`.
        keep_failed_pod: Whether to keep the pod of a phase that has failed.
        ttl: Seconds for which the ActionSet is kept after its end; None for ever.
        problems: What is wrong with the annotations, each named with the fix. A wrong one counts
            as one that is not there.
    """

    timeout: float | None = None
    timeouts: Mapping[str, float] = field(factory=dict)
    repeatable: frozenset[str] = frozenset()
    keep_failed_pod: bool = False
    ttl: float | None = None
    problems: tuple[str, ...] = ()

    @property
    def named_phases(self) -> frozenset[str]:
        """The phases that they name."""
        return (self.repeatable | frozenset(self.timeouts)) - {ALL}

    def timeout_of(self, phase: str) -> float | None:
        """Return the seconds for which a phase may run; None for ever."""
        return self.timeouts.get(phase, self.timeout)

    def is_repeatable(self, phase: str) -> bool:
        """Return whether a phase may run twice."""
        return ALL in self.repeatable or phase in self.repeatable


def read_settings(annotations: Mapping[str, str], repeatable_of_blueprint: str = "") -> Settings:
    """Return what the annotations say.

    Args:
        annotations: Of the ActionSet.
        repeatable_of_blueprint: The annotation `ANNOTATION_REPEATABLE` of the Blueprint. Its
            phases count beside those of the ActionSet. Default: none.
    """
    problems: list[str] = []
    timeout, timeouts = _timeouts(annotations.get(ANNOTATION_TIMEOUT, ""), problems)
    # What it says is for KubeExec alone.
    _flag(annotations, ANNOTATION_PLAIN_EXEC, problems)
    repeatable = f"{annotations.get(ANNOTATION_REPEATABLE, '')},{repeatable_of_blueprint}"
    return Settings(
        timeout=timeout,
        timeouts=timeouts,
        repeatable=frozenset(filter(None, map(str.strip, repeatable.split(",")))),
        keep_failed_pod=_flag(annotations, ANNOTATION_KEEP_FAILED_POD, problems),
        ttl=_ttl(annotations.get(ANNOTATION_TTL, ""), problems),
        problems=tuple(problems),
    )


def _timeouts(text: str, problems: list[str]) -> tuple[float | None, dict[str, float]]:
    default: float | None = None
    named: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = part.rpartition("=")
        try:
            seconds = durations.parse(value)
        except ValueError:
            problems.append(BAD_TIMEOUTS.format(name=ANNOTATION_TIMEOUT, text=part))
            continue
        if equals:
            named[name.strip()] = seconds
        else:
            default = seconds
    return default, named


def _ttl(text: str, problems: list[str]) -> float | None:
    if not text:
        return None
    try:
        return durations.parse(text)
    except ValueError:
        problems.append(BAD_DURATION.format(name=ANNOTATION_TTL, text=text))
        return None


def _flag(annotations: Mapping[str, str], name: str, problems: list[str]) -> bool:
    text = annotations.get(name, "false")
    if text not in ("true", "false"):
        problems.append(BAD_FLAG.format(name=name, text=text))
    return text == "true"
