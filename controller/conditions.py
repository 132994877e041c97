"""Conditions of a status, as pure functions on their list.

Follows apimachinery pkg/api/meta/conditions.go: the time of transition changes with the status
only, so that "since when" can be read from it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from controller.resource import Object

TRUE = "True"


def conditions_of(obj: Mapping[str, Any]) -> list[Object]:
    """Return the conditions of an object's status; none if it has no status yet."""
    found: list[Object] = (obj.get("status") or {}).get("conditions") or []
    return found


def timestamp(when: datetime) -> str:
    """Write a time as Kubernetes reads it, to the second."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Return the time that Kubernetes has written as text."""
    return datetime.fromisoformat(text)


def get_condition(conditions: Iterable[Object], condition_type: str) -> Object | None:
    """Return the condition of a type, None if there is none."""
    return next((found for found in conditions if found["type"] == condition_type), None)


def is_true(conditions: Iterable[Object], condition_type: str) -> bool:
    """Return whether there is a condition of a type and its status is True."""
    found = get_condition(conditions, condition_type)
    return found is not None and found["status"] == TRUE


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
    """Return the conditions with one of them set; the others keep their place and content.

    Args:
        conditions: The conditions as they are.
        condition_type: Which to set; it is added at the end if there is none.
        status: `True`, `False` or `Unknown`.
        reason: CamelCase word.
        message: For people.
        generation: Generation of the object that the condition was derived from.
        now: Time of the transition, if it is one.
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
