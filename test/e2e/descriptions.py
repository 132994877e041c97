"""The servers in docs/failures.md: what `kubectl describe` printed while the tests ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from referencelib import failures

if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen
class Description:
    """A server that is an example of something.

    Attributes:
        heading: Of what.
        text: What kubectl printed.
    """

    heading: str
    text: str

    def section(self) -> str:
        """Return its section."""
        return f"## {self.heading}\n\n```\n{self.text.rstrip()}\n```\n"


def document(page: str, descriptions: Sequence[Description]) -> str:
    """Return the page with these servers in place of those that it has.

    Args:
        page: The text of docs/failures.md.
        descriptions: The servers, the healthy one first.
    """
    sections = [description.section() for description in descriptions]
    return page.removesuffix(failures.dumps_of(page)) + "\n".join(sections)
