"""The part of an operator that a controller is set up with, without its threads and connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from controller.builder import Builder
from controller.cache.informer import Informer
from controller.cache.shared import Informers, SharedInformer
from controller.commands import Commands
from controller.manager import Group
from controller.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clock import Clock
    from controller.controller import Controller
    from controller.manager import Runnable
    from controller.reconcile import Request
    from controller.resource import Object, Resource


class ShownInformer(Informer):
    """The real informer, to which a test brings what the watch would."""

    def show(self, obj: Object) -> None:
        """Have it learn of an object as the watch brings it."""
        self._processor.update(obj)

    def show_deletion(self, obj: Object) -> None:
        """Have it learn of the end of an object."""
        self._processor.delete(obj)


class FakeOperator:
    """As `controller.operator.Operator`, as far as a controller is set up with it.

    Attributes:
        controllers: Those that were completed.
        runnables: What was added beside them.
    """

    def __init__(
        self,
        *,
        client: Any,
        executor: Any,
        recorder: Any,
        clock: Clock,
        namespaces: tuple[str, ...],
        spawn: Callable[[Callable[[], None]], None],
        commands_at_once: int = 1,
        make_informer: Callable[..., Informer] = ShownInformer,
        make_controller: Callable[..., Controller] | None = None,
        logs: Any = None,
        on_informer: Callable[[Informer], None] = lambda _: None,
    ) -> None:
        self.client = client
        self.logs = logs
        self.clock = clock
        self.recorder = recorder
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.informers = Informers(
            client, namespaces, clock=clock, metrics=self.metrics, make=make_informer
        )
        self.controllers: list[Controller] = []
        self.runnables: list[Any] = []
        self.executor = executor
        self._spawn = spawn
        self._commands_at_once = commands_at_once
        self._make_controller = make_controller
        self._on_informer = on_informer

    def add(self, runnable: Runnable, _group: Group = Group.OTHERS) -> None:
        """Keep a runnable, whose group says nothing where nothing runs."""
        self.runnables.append(runnable)

    def follow(self, shared: SharedInformer, namespace: str) -> None:
        informer = shared.add_namespace(namespace)
        if informer is not None:
            self._on_informer(informer)

    def informer(self, *arguments: Any, **options: Any) -> SharedInformer:
        return self.informers.informer(*arguments, **options)

    def controller(self, name: str) -> Builder:
        return Builder(
            name,
            informers=self.informers,
            clock=self.clock,
            metrics=self.metrics,
            make_commands=self._make_commands,
            add=self.controllers.append,
            make=self._make_controller,
        )

    def shown(self, resource: Resource) -> ShownInformer:
        """Return the informer of a resource, for a test to show changes to."""
        (informer,) = (
            informer
            for shared in self.informers.all()
            if shared.resource == resource
            for informer in shared.informers
        )
        assert isinstance(informer, ShownInformer)
        return informer

    def _make_commands(self, name: str, enqueue: Callable[[Request], None]) -> Commands:
        return Commands(
            name,
            self.executor,
            clock=self.clock,
            metrics=self.metrics,
            enqueue=enqueue,
            max_short=self._commands_at_once,
            spawn=self._spawn,
        )


def queued(controller: Controller) -> list[Request]:
    """Take what is in a controller's queue, and return it."""
    queue = controller._queue  # noqa: SLF001 - what was enqueued shows nowhere else
    found = []
    while len(queue):
        taken = queue.get()
        assert taken is not None
        found.append(taken[0])
        queue.done(taken[0])
    return found
