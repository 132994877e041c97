"""A controller that writes all the time, for tests of who may: run as a process of its own.

It writes its name and a growing number into each ConfigMap of a namespace, again and again, so that
the history of the ConfigMaps tells who was at work when.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from attrs import define
from prometheus_client import CollectorRegistry

from controller import log
from controller.cache.informer import Informer
from controller.clock import SystemClock
from controller.controller import Controller, Request, Result
from controller.events import EventRecorder
from controller.leaderelection.elector import LeaderElector, LeaseTerms, end_process, lease_informer
from controller.leaderelection.fence import Fence
from controller.manager import Group, Manager, RunnableFailed, install_signal_handlers
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client
from controller.rest.kubeconfig import load_api_client
from controller.rest.transport import Transport

if TYPE_CHECKING:
    from controller.clock import Deadline

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
LABEL = "test/work"
LEASE = "replicas"
WORKERS = 4
PAUSE_SECONDS = 0.02
END_LATE_SECONDS = 1.0


@define
class Scribbler:
    """Writes into a ConfigMap, and again after a moment."""

    client: Client
    name: str
    number: int = 0

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        self.number += 1
        data = {"by": self.name, "number": str(self.number)}
        self.client.merge_patch(
            CONFIG_MAPS, request.namespace, request.name, {"data": data}, deadline=deadline
        )
        return Result(requeue_after=PAUSE_SECONDS)


def requests(obj: Object) -> list[Request]:
    return [Request(obj["metadata"]["namespace"], obj["metadata"]["name"])]


def never_again(old: Object | None, new: Object | None) -> bool:
    """Let only new objects matter: the reconciler comes back by itself."""
    return old is None and new is not None


def end_late(reason: str) -> NoReturn:
    """End the process when its other threads have long been running again: the worst case."""
    SystemClock().wait_event(threading.Event(), END_LATE_SECONDS)
    end_process(reason)


def build(kubeconfig: str, name: str, terms: LeaseTerms) -> Manager:
    clock, metrics = SystemClock(), Metrics(CollectorRegistry())
    transport = Transport(load_api_client(kubeconfig), clock=clock, metrics=metrics)
    fence = Fence(clock)
    unfenced = Client(transport, field_manager=name)
    client = Client(transport, field_manager=name, fence=fence.check)
    recorder = EventRecorder(unfenced, component=name, clock=clock)
    work = Informer(
        unfenced, CONFIG_MAPS, terms.namespace, clock=clock, metrics=metrics, label_selector=LABEL
    )
    leases = lease_informer(unfenced, terms, clock=clock, metrics=metrics)
    loop = Controller(
        "scribbler", Scribbler(client, name), clock=clock, metrics=metrics, workers=WORKERS
    )
    loop.watch(work, requests, predicate=never_again)
    elector = LeaderElector(
        unfenced,
        terms,
        identity=name,
        fence=fence,
        recorder=recorder,
        clock=clock,
        metrics=metrics,
        on_lost=end_late,
    )
    leases.add_handler(elector)
    manager = Manager(clock=clock)
    manager.add(recorder, Group.RECORDERS)
    manager.add_cache(work)
    manager.add_cache(leases)
    manager.set_elector(elector)
    manager.add(loop, Group.CONTROLLERS)
    return manager


def main(kubeconfig: str, namespace: str, name: str, *times: str) -> None:
    """Run until a signal comes; the times are those of the lease, in seconds."""
    duration, deadline, period = times
    log.configure("info", "console")
    stop = threading.Event()
    install_signal_handlers(stop)
    terms = LeaseTerms(namespace, LEASE, int(duration), float(deadline), float(period))
    try:
        build(kubeconfig, name, terms).run(stop)
    except RunnableFailed:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
