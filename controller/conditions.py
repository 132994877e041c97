"""Conditions of a status, as pure functions on their list.

Follows apimachinery pkg/api/meta/conditions.go: `lastTransitionTime` changes only if the status
does.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from controller.resource import Object

TRUE: Final = "True"


def conditions_of(obj: Mapping[str, Any]) -> list[Object]:
    """Return the conditions of an object's status, an empty list if it has no status yet."""
    found: list[Object] = (obj.get("status") or {}).get("conditions") or []
    return found


def timestamp(when: datetime) -> str:
    """Return a time in the format of the API type Time, to the second."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Return the time that Kubernetes has written as text."""
    return datetime.fromisoformat(text)


def get_condition(conditions: Iterable[Object], condition_type: str) -> Object | None:
    """Return the condition of a type (`FindStatusCondition`), None if there is none."""
    return next((found for found in conditions if found["type"] == condition_type), None)


def is_true(conditions: Iterable[Object], condition_type: str) -> bool:
    """Return whether a condition of a type exists and is True (`IsStatusConditionTrue`)."""
    found = get_condition(conditions, condition_type)
    # Others may have written it, without what the API's conventions ask for.
    return found is not None and found.get("status") == TRUE


def set_condition(
    conditions: Iterable[Object],
    condition_type: str,
    status: str,
    reason: str,
    message: str,
    *,
    generation: int,
    now: datetime,
) -> list[Object]:
    """Return the conditions with one of them set (`SetStatusCondition`).

    The others keep their place and content.

    Args:
        conditions: The conditions so far. Not changed.
        condition_type: Which one to set. It is added at the end if there is none.
        status: `True`, `False` or `Unknown`.
        reason: A CamelCase word.
        message: For people.
        generation: The generation of the object that the condition was derived from.
        now: The time of the transition, if the status changes.
    """
    before = list(conditions)
    old = get_condition(before, condition_type)
    unchanged = old is not None and old["status"] == status and old.get("lastTransitionTime")
    new = {
        "type": condition_type,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": unchanged or timestamp(now),
    }
    if old is None:
        return [*before, new]
    return [new if found is old else found for found in before]


def remove_condition(conditions: Iterable[Object], condition_type: str) -> list[Object]:
    """Return the conditions without one of them, as apimachinery's RemoveStatusCondition.

    Args:
        conditions: The conditions as they are.
        condition_type: Which to leave out; there need not be one.
    """
    return [found for found in conditions if found["type"] != condition_type]
