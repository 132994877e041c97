"""Reports when the served CRD lacks fields that this version knows.

An operator of Kanister from before the removal writes its own CRD back when it starts. The API
server then drops the newer fields of every RepositoryServer: a NetworkPolicy loses its peers, a
published connection goes, and nobody is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import Gauge

from controller.clock import Deadline, DeadlineExceeded
from controller.errors import ClientError, NotFound
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.definition import fields

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from controller.clock import Clock
    from controller.rest.client import Client
    from controller.stop import Stop

NAME: Final = "definition"

#: Seconds between two looks. The API server has no event for it that needs no cluster-wide right.
PERIOD_SECONDS: Final = 600.0
#: Seconds that a look may take.
LIMIT_SECONDS: Final = 30.0

METRIC: Final = "repository_server_definition_missing_fields"
METRIC_HELP: Final = "Fields that the controller knows and the CRD of the cluster lacks."

EVENT_LACKS: Final = "the CRD lacks fields"
EVENT_COMPLETE: Final = "the CRD has all fields"
EVENT_UNREAD: Final = "the CRD could not be looked at, trying again"
FIX: Final = (
    "the API server drops these fields of every RepositoryServer: apply manifests/crd, or upgrade"
    " the release of the chart. An older operator of Kanister writes its own CRD back at its start"
)

_log = structlog.get_logger()


class DefinitionWatcher:
    """Looks at the CRD when it starts, and every ten minutes from then on.

    It reads the OpenAPI document of the group, which every account may.

    Args:
        client: Reads the document.
        clock: The time.
        registry: Where the number of missing fields is registered as a metric.
    """

    name = NAME

    def __init__(self, client: Client, *, clock: Clock, registry: CollectorRegistry) -> None:
        self._client = client
        self._clock = clock
        self._gauge = Gauge(METRIC, METRIC_HELP, registry=registry)
        # What was reported last, so that each change is reported once.
        self._reported: tuple[str, ...] = ()

    def run(self, stop: Stop) -> None:
        """Look until the stop is set."""
        while not stop.is_set():
            self.look(stop)
            self._clock.wait_event(stop, PERIOD_SECONDS)

    def look(self, stop: Stop) -> None:
        """Look once, and report what has changed since the last time."""
        resource = api.REPOSITORY_SERVERS
        deadline = Deadline.after(self._clock, LIMIT_SECONDS, stop=stop)
        try:
            document = self._client.openapi(resource, deadline=deadline)
        except NotFound:
            # Nothing of the group is served, which the informers report.
            return
        except (ClientError, DeadlineExceeded) as error:
            if not stop.is_set():
                _log.info(EVENT_UNREAD, error=str(error))
            return
        missing = fields.missing(document)
        if missing is None:
            # As above; others of the group are.
            return
        self._gauge.set(len(missing))
        if missing == self._reported:
            return
        self._reported = missing
        if missing:
            _log.warning(EVENT_LACKS, fields=missing, fix=FIX)
        else:
            _log.info(EVENT_COMPLETE)
