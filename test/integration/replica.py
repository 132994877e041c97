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
from controller.cache.shared import Informers, Selection
from controller.clock import SystemClock
from controller.controller import Controller
from controller.events import EventRecorder
from controller.handler import Change, enqueue_self
from controller.leaderelection.elector import LeaderElector, end_process
from controller.leaderelection.fence import Fence
from controller.leaderelection.lease import LeaseTerms
from controller.manager import Group, Manager, RunnableFailed, stop_on_signals
from controller.metrics import Metrics
from controller.reconcile import Request, Result
from controller.resource import Resource
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


def never_again(change: Change) -> bool:
    """Return True for new objects only: the reconciler comes back by itself."""
    return change.old is None and change.new is not None


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
    informers = Informers(unfenced, [terms.namespace], clock=clock, metrics=metrics)
    work = informers.informer(CONFIG_MAPS, Selection(labels=LABEL))
    loop = Controller(
        "scribbler", Scribbler(client, name), clock=clock, metrics=metrics, workers=WORKERS
    )
    loop.watch(work, enqueue_self, never_again)
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
    manager = Manager(clock=clock)
    manager.add(recorder, Group.RECORDERS)
    for informer in work.informers:
        manager.add(informer, Group.CACHES)
    manager.set_elector(elector)
    manager.add(elector.informer, Group.ELECTION)
    manager.add(loop, Group.CONTROLLERS)
    return manager


def main(kubeconfig: str, namespace: str, name: str, *times: str) -> None:
    """Run until a signal comes; the times are those of the lease, in seconds."""
    duration, deadline, period = times
    log.configure("info", "console")
    stop = stop_on_signals()
    terms = LeaseTerms(namespace, LEASE, int(duration), float(deadline), float(period))
    try:
        build(kubeconfig, name, terms).run(stop)
    except RunnableFailed:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
