"""Metrics of each RepositoryServer: its status, as it stands in the cache.

They are read at each scrape. A resource that is gone leaves no series, a controller that has just
started lacks none, and a replica that stands by has the same series as the one that leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.conditions import conditions_of, get_condition, is_true, parse_time
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from controller.resource import Object

IDENTITY: Final = ("namespace", "name")


class RepositoryServerCollector(Collector):
    """Collects the metrics of RepositoryServers, for the registry of the other metrics.

    Args:
        servers: Returns the RepositoryServers in the cache.
        claims: Returns the names of the claims that hold the repository of a RepositoryServer.
    """

    def __init__(
        self, servers: Callable[[], list[Object]], *, claims: Callable[[Object], Iterable[str]]
    ) -> None:
        self._servers = servers
        self._claims = claims

    def describe(self) -> Iterable[Metric]:
        """Return the families without series, by which a second collector of them is noticed."""
        return self._families(())

    def collect(self) -> Iterable[Metric]:
        """Return the families with a series for each resource that they apply to."""
        return self._families(self._servers())

    def _families(self, servers: Iterable[Object]) -> Iterator[Metric]:
        available = GaugeMetricFamily(
            "repository_server_available",
            "Whether clients can connect to the server: 1, or 0.",
            labels=IDENTITY,
        )
        ready = GaugeMetricFamily(
            "repository_server_ready",
            "Whether the resource and its Secrets as they are now are in effect, and clients can "
            "connect: 1, or 0.",
            labels=IDENTITY,
        )
        failed = GaugeMetricFamily(
            "repository_server_failed",
            "1 for each server that a fault keeps from being Ready, by the reason of the fault.",
            labels=(*IDENTITY, "reason"),
        )
        expiry = GaugeMetricFamily(
            "repository_server_certificate_expiry_timestamp_seconds",
            "When the certificate that the server presents expires, in seconds since the epoch.",
            labels=IDENTITY,
        )
        maintenance_failed = GaugeMetricFamily(
            "repository_server_maintenance_failed",
            "1 for each repository whose last scheduled maintenance has failed, 0 if it has not.",
            labels=IDENTITY,
        )
        maintained = GaugeMetricFamily(
            "repository_server_maintenance_last_success_timestamp_seconds",
            "When the scheduled maintenance last succeeded, in seconds since the epoch.",
            labels=IDENTITY,
        )
        unmaintained = GaugeMetricFamily(
            "repository_server_unmaintained",
            "1 for each repository that nobody maintains, or whose last maintenance has failed.",
            labels=IDENTITY,
        )
        file_store = GaugeMetricFamily(
            "repository_server_file_store_info",
            "1 for each PersistentVolumeClaim that holds the repository of a server, by its name.",
            # As the kubelet calls it in the metrics of a volume's space.
            labels=(*IDENTITY, "persistentvolumeclaim"),
        )
        for server in servers:
            identity = (server["metadata"]["namespace"], server["metadata"]["name"])
            conditions = conditions_of(server)
            condition = get_condition(conditions, status.READY)
            available.add_metric(identity, float(is_true(conditions, status.AVAILABLE)))
            ready.add_metric(identity, float(is_true(conditions, status.READY)))
            if condition is not None and reasons.is_fault(condition["reason"]):
                failed.add_metric((*identity, condition["reason"]), 1.0)
            info = (server.get("status") or {}).get("serverInfo") or {}
            not_after = info.get("tlsNotAfter")
            if not_after:
                expiry.add_metric(identity, parse_time(not_after).timestamp())
            maintenance = (server.get("status") or {}).get("maintenance") or {}
            if maintenance.get("result"):
                has_failed = maintenance["result"] == api.MAINTENANCE_FAILED
                maintenance_failed.add_metric(identity, float(has_failed))
            if maintenance.get("lastSuccessTime"):
                last = parse_time(maintenance["lastSuccessTime"]).timestamp()
                maintained.add_metric(identity, last)
            if is_true(conditions, status.REPOSITORY_UNMAINTAINED):
                unmaintained.add_metric(identity, 1.0)
            for claim in self._claims(server):
                file_store.add_metric((*identity, claim), 1.0)
        yield from (available, ready, failed, expiry)
        yield from (maintenance_failed, maintained, unmaintained, file_store)
