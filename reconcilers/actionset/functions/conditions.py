"""The argument `conditions` of Wait and WaitV2, and when it is met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.actionset.functions import references
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.functions.references import Reference

REASON_INVALID: Final = "InvalidConditions"
NO_CONDITIONS: Final = "argument conditions has neither anyOf nor allOf with an entry; add one"
UNKNOWN_FIELD: Final = "argument conditions has a field that is neither anyOf nor allOf; remove it"
NO_LIST: Final = "argument conditions.{group} must be a list of objectReference and condition"
NO_CONDITION: Final = "argument {at}.condition is missing or no text; set it to a template"

ANY: Final = "anyOf"
ALL: Final = "allOf"
REFERENCE: Final = "objectReference"
CONDITION: Final = "condition"

#: Keys whose values are templates of the object that they are about.
UNRENDERED: Final = frozenset({CONDITION, CONDITION.capitalize()})


@frozen
class Condition:
    """One condition.

    Args:
        at: Where it stands, such as `conditions.anyOf[0]`.
        reference: The object that it is about.
        template: What must be `true` of it.
    """

    at: str
    reference: Reference
    template: str = field(repr=False)


@frozen
class Conditions:
    """What is waited for: one of `any_of`, or all of `all_of` if there are some.

    Args:
        any_of: Any of them is enough.
        all_of: All of them together are.
    """

    any_of: tuple[Condition, ...]
    all_of: tuple[Condition, ...]

    def __iter__(self) -> Iterator[Condition]:
        """Return all conditions."""
        return iter((*self.any_of, *self.all_of))


def parse(run: PhaseRun, tree: Mapping[str, Any]) -> Conditions:
    """Return the conditions of the argument. Names of fields are read in any case, as Kanister's.

    Args:
        run: The phase.
        tree: The argument, whose references are rendered.

    Raises:
        InvalidInput: It is not as it must be, or is about an object somewhere else.
    """
    groups = {name.lower(): name for name in (ANY, ALL)}
    if any(str(key).lower() not in groups for key in tree):
        raise InvalidInput(REASON_INVALID, UNKNOWN_FIELD)
    found = {groups[str(key).lower()]: value for key, value in tree.items()}
    conditions = Conditions(
        _parse_group(run, ANY, found.get(ANY)), _parse_group(run, ALL, found.get(ALL))
    )
    if not conditions.any_of and not conditions.all_of:
        raise InvalidInput(REASON_INVALID, NO_CONDITIONS)
    return conditions


def are_met(conditions: Conditions, met: Mapping[str, bool]) -> bool:
    """Return whether nothing is left to wait for.

    The rule is Kanister's (pkg/function/wait.go, waitForCondition), but for a condition that cannot
    be evaluated: it counts as not met, and does not keep the others of `anyOf` from being looked
    at.

    Args:
        conditions: The conditions.
        met: Whether each is met, by its place.
    """
    any_of = any(met[one.at] for one in conditions.any_of)
    all_of = all(met[one.at] for one in conditions.all_of)
    return any_of or (bool(conditions.all_of) and all_of)


def _parse_group(run: PhaseRun, group: str, entries: object) -> tuple[Condition, ...]:
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise InvalidInput(REASON_INVALID, NO_LIST.format(group=group))
    return tuple(
        _parse_one(run, f"conditions.{group}[{index}]", {str(k).lower(): v for k, v in one.items()})
        for index, one in enumerate(entries)
    )


def _parse_one(run: PhaseRun, at: str, entry: Mapping[str, Any]) -> Condition:
    template = entry.get(CONDITION)
    if not isinstance(template, str) or not template.strip():
        raise InvalidInput(REASON_INVALID, NO_CONDITION.format(at=at))
    reference = references.read(
        run, entry.get(REFERENCE.lower()), argument=f"argument {at}.{REFERENCE}"
    )
    return Condition(at, reference, template)
