"""docs/failures.md: what `kubectl describe` printed while the tests ran."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

INTRODUCTION = """\
# What a RepositoryServer reports

What `kubectl describe repositoryserver` prints for a healthy server, and for one with each fault
that the controller reports, as printed during the end-to-end tests. The message of the condition
`Ready` is also that of the event, and of `Stalled`, which is True because none of these faults
passes by itself. It names the object, the field or key, and the fix. Once the fault is fixed, the
server becomes Ready by itself within seconds.

`hack/describe-failures` generates this file.

| | `Ready` | Message |
|---|---|---|
"""

_READY = re.compile(
    r"^ +Message: +(?P<message>.*)\n.*\n^ +Reason: +(?P<reason>.*)\n.*\n^ +Type: +Ready$",
    re.MULTILINE,
)


@frozen
class Description:
    """A server that is an example of something.

    Attributes:
        heading: Of what.
        text: What kubectl printed.
    """

    heading: str
    text: str

    def row(self) -> str:
        """Return its row in the table: a link to its section, and what Ready says."""
        ready = _READY.search(self.text)
        assert ready is not None, self.text
        anchor = self.heading.lower().replace(" ", "-")
        return f"| [{self.heading}](#{anchor}) | {ready['reason']} | {ready['message']} |\n"

    def section(self) -> str:
        """Return its section."""
        return f"\n## {self.heading}\n\n```\n{self.text.rstrip()}\n```\n"


def document(descriptions: Sequence[Description]) -> str:
    """Return the file."""
    rows = [description.row() for description in descriptions]
    sections = [description.section() for description in descriptions]
    return "".join([INTRODUCTION, *rows, *sections])
