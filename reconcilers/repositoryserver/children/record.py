"""The record: what is known of a server's Secrets, kept on the ReplicaSet made of them.

By it a controller that is started anew knows that nothing has changed, and reads no Secret. Nothing
in it is secret. Pure functions but for `program`, which reads the modules once at the start; see
docs/decisions/restarts.md.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict, field, fields, frozen

import reconcilers
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.known import Known, KnownInputs, KnownUsers
from reconcilers.repositoryserver.verdict import PodContext
from reconcilers.secrets.reader import Versions, versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconcilers.repositoryserver.api import RepositoryServer

# What the names may take of an object's annotations, which the API server limits to 256 KiB.
MAX_LENGTH: Final = 8192

_PROGRAM_LENGTH: Final = 16


@frozen
class Record:
    """What was known of the Secrets of a server.

    Args:
        program: Which program knew it, see `program`; another one may make something else of them.
        inputs: State of what the server is started with, see `versions`.
        not_after: When the certificate expires.
        storage: Where the repository is, in words.
        claim: The PersistentVolumeClaim that the pod mounts; empty if none.
        repository: What tells the repository from all others.
        sources: State of what the users were made of, see `versions`.
        stored: Tells the Secret with the users that was written from any other.
        users: Version of the users, as a pod that has loaded them is marked with it.
        names: The users whose entries in the repository are to be deleted, in order.
        written: By name of a Secret with content of the controller's its version as it was written.
    """

    program: str
    inputs: str
    not_after: datetime
    storage: str
    claim: str
    repository: str
    sources: str
    stored: str
    users: str
    names: tuple[str, ...]
    written: Mapping[str, str] = field(factory=dict)


@frozen
class Records:
    """From what a process knows to the record on a ReplicaSet, and back.

    Args:
        program: This program.
    """

    program: str

    def annotations(self, known: Known, replica_set: Mapping[str, Any]) -> dict[str, str]:
        """Return the annotation that a ReplicaSet is to have, none if it cannot have a record now.

        Args:
            known: What is known. It makes a record only if another process can rely on it, and
                only for the ReplicaSet that it is about.
            replica_set: A ReplicaSet, made or to be made.
        """
        inputs, users = known.inputs, known.users
        if inputs is None or users is None or users.problem is not None or users.warning:
            return {}
        if not (inputs.versions.complete and users.sources.complete):
            return {}
        if inputs.hash != names.hash_of(replica_set):
            return {}
        text = render(
            Record(
                program=self.program,
                inputs=inputs.versions.digest,
                not_after=inputs.not_after,
                storage=inputs.pod.setting.storage,
                claim=inputs.pod.claim,
                repository=inputs.repository,
                sources=users.sources.digest,
                stored=users.stored,
                users=users.version,
                names=tuple(sorted(users.legacy)),
                written=dict(sorted(known.written.items())),
            )
        )
        return {names.ANNOTATION_RECORD: text} if text else {}

    def recall(self, server: RepositoryServer, replica_sets: Iterable[Mapping[str, Any]]) -> Known:
        """Return what a process that is new to a server can know of it.

        Whether the Secrets are still those of then is for who uses it to see, as ever.

        Args:
            server: The resource.
            replica_sets: Its ReplicaSets.
        """
        for replica_set in sorted(replica_sets, key=_created, reverse=True):
            annotations = replica_set["metadata"].get("annotations") or {}
            found = parse(annotations.get(names.ANNOTATION_RECORD, ""))
            if found is not None and found.program == self.program:
                return _known(server, replica_set, found)
        return Known()


def _created(replica_set: Mapping[str, Any]) -> str:
    created: str = replica_set["metadata"].get("creationTimestamp", "")
    return created


def _known(server: RepositoryServer, replica_set: Mapping[str, Any], found: Record) -> Known:
    return Known(
        inputs=KnownInputs(
            versions=Versions(found.inputs, complete=True),
            hash=names.hash_of(replica_set),
            not_after=found.not_after,
            pod=PodContext.of(server, storage=found.storage, claim=found.claim),
            repository=found.repository,
        ),
        users=KnownUsers(
            sources=Versions(found.sources, complete=True),
            stored=found.stored,
            version=found.users,
            legacy=frozenset(found.names),
        ),
        written=found.written,
    )


def render(record: Record) -> str:
    """Return a record as an annotation holds it; empty if it is too long for one."""
    content = {**asdict(record), "not_after": record.not_after.isoformat()}
    text = json.dumps(content, separators=(",", ":"))
    return text if len(text) <= MAX_LENGTH else ""


def parse(text: str) -> Record | None:
    """Read what `render` wrote; None for anything else."""
    try:
        content = json.loads(text)
        return _record(content)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _record(content: Mapping[str, Any]) -> Record:
    names, written = content["names"], content["written"]
    not_after = datetime.fromisoformat(content["not_after"])
    values = {one.name: content[one.name] for one in fields(Record)}
    if not isinstance(names, list) or not isinstance(written, dict):
        raise TypeError
    texts = (value for name, value in values.items() if name not in ("names", "written"))
    if not all(isinstance(word, str) for word in (*names, *written.values(), *texts)):
        raise TypeError
    if not_after.tzinfo is None:
        raise ValueError
    return Record(**{**values, "names": tuple(names), "not_after": not_after})


def program(settings: str, *, sources: Path = Path(reconcilers.__file__).parent) -> str:
    """Return what tells this program from others that may make something else of the same Secrets.

    Args:
        settings: Digest of the settings.
        sources: The folder of the modules.

    Raises:
        FileNotFoundError: The modules are not there as source files.
    """
    digests = [
        f"{path.relative_to(sources)}:{_digest(path.read_bytes())}"
        for path in sorted(sources.rglob("*.py"))
    ]
    if not digests:
        message = f"no modules in {sources}: without them no program can be told from another"
        raise FileNotFoundError(message)
    return versions([settings, *digests])[:_PROGRAM_LENGTH]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
