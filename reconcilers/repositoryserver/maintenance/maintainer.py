"""Acting on the maintenance of a repository: the CronJob, or a look at who owns the maintenance.

Storage of deleted snapshots is freed by maintenance alone, which Kopia lets one identity run. A
server never runs it (see `children.maintenance`). Without `spec.repository.maintenance` nothing is
run; where the server's own identity is the owner, nobody else is likely to, which is worth a
warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import evolve, frozen

from controller.conditions import conditions_of, is_true
from controller.errors import BadRequest, Forbidden, Invalid, WebhookFailed
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import servercommands, serverexec
from reconcilers.repositoryserver.caches import INDEX_OWNER, owner_uids
from reconcilers.repositoryserver.children import generation, names
from reconcilers.repositoryserver.children import maintenance as desired
from reconcilers.repositoryserver.maintenance import runs
from reconcilers.repositoryserver.serverexec import CommandError
from reconcilers.repositoryserver.status.conditions import REPOSITORY_UNMAINTAINED
from reconcilers.repositoryserver.verdict import RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from controller.clock import Clock
    from controller.resource import Object, Resource
    from reconcilers.kopia import failures
    from reconcilers.repositoryserver.api import Maintenance, RepositoryServer
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier
    from reconcilers.repositoryserver.children.recordkeeper import RecordKeeper
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.inputs.reader import InputReader
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.serverexec import ServerCommands

#: Seconds from the time when a server is first seen to serve until it is asked for the owner.
#: Servers that come up at the same time go first.
ASK_AFTER_SECONDS: Final = 30.0
#: Seconds until the owner is asked for again: it may be changed with Kopia at any time.
ASK_AGAIN_SECONDS: Final = 86400.0
#: The same while a warning stands, or after a try that has failed.
ASK_AGAIN_SOON_SECONDS: Final = 600.0
#: Seconds until a CronJob that was refused is applied again.
REFUSED_SECONDS: Final = 60.0

UNMAINTAINED: Final = (
    "nobody maintains the repository, so that the space of deleted snapshots is never freed: the "
    "owner of its maintenance is {owner}, which is this server, and a server runs none; set "
    "spec.repository.maintenance.schedule, or make the owner somebody who runs it with `kopia "
    "maintenance set --owner`"
)
REFUSED: Final = "CronJob {name}, which maintains the repository, is not in place: {message}"
NO_LONGER_WANTED: Final = "spec.repository.maintenance was removed"

_log = structlog.get_logger()


@frozen
class Maintained:
    """What is known of the maintenance of a repository.

    Args:
        warning: What is wrong with it; empty if nothing is, None while that is not known.
        status: `status.maintenance`; empty without a schedule.
    """

    warning: str | None
    status: Mapping[str, Any]


@frozen
class _Known:
    """What a server has said of the owner.

    Args:
        owner: Who owns the maintenance; None while that is not known.
        ask_at: When to ask, in monotonic seconds; None before a pod has served.
    """

    owner: str | None = None
    ask_at: float | None = None


class Maintainer:
    """Keeps the CronJob as the resource wants it, and finds out who owns the maintenance.

    Args:
        applier: Writes the children.
        reader: Reads what they are made of.
        records: Knows which Secrets are as they were written.
        commands: Runs Kopia in the server's container.
        caches: What is there.
        states: Holds who owns the maintenance of each repository.
        clock: The time.
    """

    def __init__(
        self,
        *,
        applier: ChildApplier,
        reader: InputReader,
        records: RecordKeeper,
        commands: ServerCommands,
        caches: Caches[Cache],
        states: States,
        clock: Clock,
    ) -> None:
        self._applier = applier
        self._reader = reader
        self._records = records
        self._commands = commands
        self._caches = caches
        self._clock = clock
        self._known = states.per_object(lambda _: _Known())

    def ensure(
        self,
        current: ReconcileContext,
        hash_: str,
        pod: Mapping[str, Any] | None,
        setting: failures.Setting,
    ) -> Maintained:
        """Bring the CronJob about, and return what is known of the maintenance.

        A fault of the maintenance keeps nobody from connecting: it becomes a warning.

        Args:
            current: The reconcile.
            hash_: Of the revision that this reconcile wants; empty if its inputs are refused. What
                is refused to the server is not given to the CronJob either.
            pod: The pod that clients reach; None if there is none.
            setting: What messages about Kopia name.

        Raises:
            ClientError: The API server could not be reached.
        """
        wanted = current.server.maintenance
        if wanted is None:
            self._prune(current)
            return Maintained(self._who_maintains(current, pod), {})
        status = self._last_result(current, setting)
        try:
            if hash_:
                self._ensure_children(current, wanted, hash_)
        except RetryLater:
            current.look_again(REFUSED_SECONDS)
        except (InvalidInput, Invalid, BadRequest, Forbidden, WebhookFailed) as error:
            current.look_again(REFUSED_SECONDS)
            name = names.maintenance_name(current.server)
            return Maintained(REFUSED.format(name=name, message=error.message), status)
        return Maintained(runs.warning(status), status)

    def _ensure_children(self, current: ReconcileContext, wanted: Maintenance, hash_: str) -> None:
        server, key = current.server, desired.key(wanted, hash_)
        children = dict(self._children(current))
        secret = children.get(resources.SECRETS)
        # Its content is not in the cache.
        touched = secret is not None and not self._records.is_as_written(current, secret)
        right = [one for one in children.values() if _is_right(server, one, key)]
        if len(right) == len(_KINDS) and not touched:
            return
        full = self._reader.read(current)
        written = desired.secret(server, wanted, full, key)
        applied = self._applier.ensure(current, resources.SECRETS, written, changed=touched)
        self._records.note_written(current, applied)
        job = desired.cron_job(server, wanted, full, key)
        self._applier.ensure(current, resources.CRON_JOBS, job)

    def _children(self, current: ReconcileContext) -> Iterator[tuple[Resource, Object]]:
        """Yield the children that are there; one of the same name may be somebody else's."""
        server = current.server
        for resource, cache, name in (
            (resources.SECRETS, self._caches.secrets, names.maintenance_secret_name(server)),
            (resources.CRON_JOBS, self._caches.cron_jobs, names.maintenance_name(server)),
        ):
            child = cache.get(server.namespace, name)
            if child is not None and server.uid in owner_uids(child):
                yield resource, child

    def _prune(self, current: ReconcileContext) -> None:
        for resource, child in self._children(current):
            if not child["metadata"].get("deletionTimestamp"):
                self._applier.delete(current, resource, child, NO_LONGER_WANTED)

    def _last_result(self, current: ReconcileContext, setting: failures.Setting) -> dict[str, Any]:
        known = (current.obj.get("status") or {}).get("maintenance") or {}
        server = current.server
        job = self._caches.cron_jobs.get(server.namespace, names.maintenance_name(server))
        if job is None or server.uid not in owner_uids(job):
            return dict(known)
        run = runs.last(self._caches.jobs.by_index(INDEX_OWNER, job["metadata"]["uid"]))
        pods = [] if run is None else self._caches.pods.by_index(INDEX_OWNER, run.uid)
        return runs.status_of(known, run, "" if run is None else runs.message(run, pods, setting))

    def _who_maintains(
        self, current: ReconcileContext, pod: Mapping[str, Any] | None
    ) -> str | None:
        """Return a warning if nobody maintains the repository; None while that is not known."""
        server = current.server
        if server.read_only or not self._may_be_the_owner(current):
            return ""
        if pod is None:
            return None
        now = self._clock.monotonic()
        known = self._known.of(current)
        ask_at = now + ASK_AFTER_SECONDS if known.ask_at is None else known.ask_at
        known = evolve(known, ask_at=ask_at)
        if ask_at <= now:
            known = self._ask(current, pod, known)
        self._known.set(current, known)
        if known.ask_at is not None and known.ask_at > now:
            current.look_again(known.ask_at - now)
        if known.owner is None:
            return None
        return UNMAINTAINED.format(owner=known.owner) if known.owner == server.identity else ""

    def _may_be_the_owner(self, current: ReconcileContext) -> bool:
        """Return whether the server's own identity may own the maintenance.

        Who makes a repository has another identity unless the resource was given that one. Who had
        a schedule has made the server the owner.
        """
        server, status = current.server, current.obj.get("status") or {}
        if not server.has_default_identity or status.get("maintenance"):
            return True
        was_asked = self._known.of(current).ask_at is not None
        return was_asked or is_true(conditions_of(current.obj), REPOSITORY_UNMAINTAINED)

    def _ask(self, current: ReconcileContext, pod: Mapping[str, Any], known: _Known) -> _Known:
        """Ask the server in a pod for the owner; return what is known, with when to ask again."""
        now = self._clock.monotonic()
        try:
            result = self._commands.ensure(
                current, pod, serverexec.MAINTENANCE_OWNER, servercommands.MAINTENANCE_INFO
            )
            if result is None:
                return known
            owner = servercommands.maintenance_owner(result.exit_code, result.stdout)
        except (CommandError, ValueError) as error:
            _log.warning("the owner of the maintenance is not known", cause=str(error))
            return _Known(known.owner, now + ASK_AGAIN_SOON_SECONDS)
        again = ASK_AGAIN_SECONDS
        if owner == current.server.identity:
            again = ASK_AGAIN_SOON_SECONDS
        return _Known(owner, now + again)


_KINDS: Final = (resources.SECRETS, resources.CRON_JOBS)


def _is_right(server: RepositoryServer, child: Mapping[str, Any], key: str) -> bool:
    """Return whether a child is of the inputs with a key, as written, and has its label."""
    metadata = child["metadata"]
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    is_found = names.selector(server).items() <= labels.items()
    is_right = is_found and generation.is_as_written(child)
    return is_right and annotations.get(names.ANNOTATION_MAINTENANCE) == key
