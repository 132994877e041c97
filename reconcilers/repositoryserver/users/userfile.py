"""The file with the users of a server: which there are, and which access Secret names each.

The lines are those of `kopia.htpasswd`, grouped by the access that names them. The comments between
them have no colon: Kopia's reader passes over such lines (github.com/tg123/go-htpasswd,
addHtpasswdUser). The file is the only place that remembers where a user comes from, so that the
users of a wrong access Secret can stay as they are while those of the others change. No I/O.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from reconcilers.kopia import htpasswd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from reconcilers.repositoryserver.api import UserAccess

#: The line before the users of one access.
SECTION: Final = "# Secret {origin}"
#: A line for each entry in the repository that the removed controller has made.
LEGACY: Final = "# delete from the repository {user}"

_SECTION_LINE: Final = re.compile(re.escape(SECTION).replace(r"\{origin\}", "(.+)"))
_LEGACY_LINE: Final = re.compile(re.escape(LEGACY).replace(r"\{user\}", "(.+)"))


def origin_of(access: UserAccess) -> str:
    """Return what tells one access of a resource from the others, in the words of a section."""
    name = access.secret.name
    return f"{name}, user {access.username}" if access.username else name


@frozen
class UserFile:
    """The users of a server, as they were written for it last.

    Args:
        sections: By `origin_of` each access the hashes of its users, by `user@host`.
        legacy: Users whose entries in the repository the removed controller has made, and that
            are still to be deleted.
    """

    sections: Mapping[str, Mapping[str, str]] = field(factory=dict, repr=False)
    legacy: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> UserFile:
        """Return the users of a file. A user before the first section belongs to no access."""
        sections: dict[str, dict[str, str]] = {}
        legacy: set[str] = set()
        section: dict[str, str] = {}
        for line in text.splitlines():
            if found := _SECTION_LINE.fullmatch(line):
                section = sections.setdefault(found[1], {})
            elif found := _LEGACY_LINE.fullmatch(line):
                legacy.add(found[1])
            else:
                section.update(htpasswd.entries(line))
        return cls(sections, frozenset(legacy))

    def text(self) -> str:
        """Return the file. The same users of the same accesses make the same file."""
        parts = [
            f"{SECTION.format(origin=origin)}\n{htpasswd.render(users)}"
            for origin, users in self.sections.items()
            if users
        ]
        parts += (f"{LEGACY.format(user=user)}\n" for user in sorted(self.legacy))
        return "".join(parts)

    def entries(self) -> dict[str, str]:
        """Return the hash of each user, whoever names it."""
        return {user: hash_ for users in self.sections.values() for user, hash_ in users.items()}


def size(sections: Iterable[tuple[str, Collection[str]]]) -> int:
    """Return how many bytes a file takes at most, whatever the passwords.

    Args:
        sections: The origin and the users of each access.
    """
    return sum(
        len(SECTION.format(origin=origin)) + 1 + htpasswd.size(users) for origin, users in sections
    )


def kopia_reads_the_same(one: str, other: str) -> bool:
    """Return whether two files differ in nothing but comments."""
    return _read_by_kopia(one) == _read_by_kopia(other)


def _read_by_kopia(text: str) -> list[str]:
    # Not by `htpasswd.entries`: what somebody else has written may mean more to Kopia.
    return [line for line in text.split("\n") if ":" in line]
