"""The repositories that servers open: who has an entry in them, and who owns their maintenance."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from attrs import define, field

from fakes import objects
from reconcilers.repositoryserver.children.secrets import KEY_CONFIG, KEY_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Somebody with an entry in each repository, and its maintenance, who is no business of the
#: controller's.
STRANGER = "somebody@elsewhere"
#: Who has an entry in each repository at first. Two are of servers that there are.
ENTRIES = frozenset({"backup@app", "copy@app", STRANGER})


@define
class Repository:
    """What a server opens.

    Attributes:
        password: Opens it.
        users: Who has an entry in it.
        owner: Who maintains it.
    """

    password: str = objects.REPOSITORY_PASSWORD_VALUE
    users: set[str] = field(factory=lambda: set(ENTRIES))
    owner: str = STRANGER


class Repositories:
    """The repositories by where they are.

    Attributes:
        away: Whether their storage answers nobody.
    """

    def __init__(self) -> None:
        self.away = False
        self._by_place: dict[str, Repository] = {}

    def of(self, snapshot: Mapping[str, Any]) -> Repository:
        """Return the repository that a server is started with.

        Args:
            snapshot: The Secret that its pod mounts.
        """
        storage = json.loads(decoded(snapshot, KEY_CONFIG))["storage"]
        place = {key: storage["config"].get(key) for key in ("path", "bucket", "prefix")}
        return self._by_place.setdefault(json.dumps(place), Repository())

    def all(self) -> list[Repository]:
        return list(self._by_place.values())


def opens(snapshot: Mapping[str, Any] | None, repository: Repository | None) -> bool:
    """Return whether the password in a snapshot opens a repository."""
    if snapshot is None or repository is None:
        return False
    return decoded(snapshot, KEY_PASSWORD) == repository.password


def decoded(secret: Mapping[str, Any], key: str) -> str:
    return base64.b64decode((secret.get("data") or {}).get(key, "")).decode()
