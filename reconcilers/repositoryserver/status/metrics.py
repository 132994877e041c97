"""Metrics of each RepositoryServer: its status, as it stands in the cache.

They are read at each scrape. A resource that is gone leaves no series, a controller that has just
started lacks none, and a replica that stands by has the same series as the one that leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.conditions import conditions_of, get_condition, is_true, parse_time
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from controller.resource import Object

IDENTITY = ("namespace", "name")


class RepositoryServerCollector(Collector):
    """Collects the metrics of RepositoryServers, for the registry of the other metrics.

    Args:
        servers: Returns the RepositoryServers in the cache.
    """

    def __init__(self, servers: Callable[[], list[Object]]) -> None:
        self._servers = servers

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
        yield from (available, ready, failed, expiry)
