"""What the next process has to know of the pod of a phase: the memo of its function. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Parts of a phase at most: the memos of more would not fit into the annotation.
MOST_PARTS: Final = 200
#: In the memo of a phase with several pods (`functions.parts`).
NAMES: Final = "names"
PARTS: Final = "parts"
MEMO: Final = "memo"


@frozen
class Memo:
    """The memo of a phase with one pod.

    Args:
        namespace: Of its pod; empty before that was made.
        pod: Its name.
        uid: Its uid.
        attempt: Counts the pods of the phase.
        first_line: The time of the first line of its log, once that has become long.
    """

    namespace: str = ""
    pod: str = ""
    uid: str = ""
    attempt: int = 0
    first_line: int | None = None

    @classmethod
    def read(cls, memo: Mapping[str, Any]) -> Self:
        """Return a memo as it was stored; somebody may have changed it by hand."""
        attempt, first_line = memo.get("attempt"), memo.get("firstLine")
        namespace, pod, uid = (memo.get(name) for name in ("namespace", "pod", "uid"))
        whole = all(isinstance(one, str) and one for one in (namespace, pod, uid))
        return cls(
            # Without one of them the pod is found by its name, as if there were no memo.
            namespace=str(namespace) if whole else "",
            pod=str(pod) if whole else "",
            uid=str(uid) if whole else "",
            attempt=attempt if isinstance(attempt, int) else 0,
            first_line=first_line if isinstance(first_line, int) else None,
        )

    def json(self) -> dict[str, Any]:
        """Return it as it is stored."""
        stored = {
            "namespace": self.namespace,
            "pod": self.pod,
            "uid": self.uid,
            "attempt": self.attempt,
            "firstLine": self.first_line,
        }
        return {name: value for name, value in stored.items() if value}


def of_parts(memo: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the parts of a phase with several pods, each with the memo of its pod.

    That of one that has ended is empty, as that of one that has not begun. Nothing is yielded for a
    phase with one pod, or where somebody has changed the memo by hand.
    """
    names, parts = memo.get(NAMES), memo.get(PARTS)
    if not isinstance(names, list) or not isinstance(parts, dict):
        return
    for name in names[:MOST_PARTS]:
        part = parts.get(name) if isinstance(name, str) else None
        found = part.get(MEMO) if isinstance(part, dict) else None
        yield str(name), found if isinstance(found, dict) else {}
