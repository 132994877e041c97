"""The builder: puts a controller together from its informers, mappers and reconciler.

Follows controller-runtime pkg/builder/controller.go.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Self

from controller.cache.shared import SharedInformer
from controller.controller import Controller
from controller.handler import any_change, enqueue_owner, enqueue_self

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.cache.shared import Informers
    from controller.clock import Clock
    from controller.commands import Commands
    from controller.handler import Mapper, Predicate
    from controller.metrics import Metrics
    from controller.reconcile import Reconciler, Request
    from controller.resource import Resource
    from controller.workqueue.ratelimit import RateLimiter

    #: What to follow: all objects of a resource, or a shared informer.
    Followed = Resource | SharedInformer

NO_FOR: Final = (
    "controller {name}: say with for_() what it reconciles, before owns() and complete()"
)
SECOND_FOR: Final = (
    "controller {name} reconciles {resource} already: another kind is another controller"
)
COMPLETE: Final = "controller {name} is complete already"
INCOMPLETE: Final = "controller {name} is not complete: it has no queue yet"


class Builder:
    """Builds one controller: `for_`, then `owns` and `watches`, then `complete`.

    Args:
        name: Labels metrics and logs. Unique in the process.
        informers: The shared informers of the process.
        clock: The time.
        metrics: Exports the series of the controller.
        make_commands: Makes the runnable for commands in pods, from its name and the function that
            enqueues a request.
        add: Called with the controller: runs it with the process.
        make: Makes the controller. Default: `Controller`.
    """

    def __init__(
        self,
        name: str,
        *,
        informers: Informers,
        clock: Clock,
        metrics: Metrics,
        make_commands: Callable[[str, Callable[[Request], None]], Commands],
        add: Callable[[Controller], None],
        make: Callable[..., Controller] | None = None,
    ) -> None:
        self._name = name
        self._informers = informers
        self._clock = clock
        self._metrics = metrics
        self._make_commands = make_commands
        self._add = add
        self._make = make or Controller
        self._resource: Resource | None = None
        self._watches: list[tuple[SharedInformer, Mapper, Predicate]] = []
        self._workers = 1
        self._rate_limiter: RateLimiter | None = None
        self._controller: Controller | None = None

    def for_(self, followed: Followed, *, predicate: Predicate = any_change) -> Self:
        """Reconcile the objects of a resource, each when it changes.

        Args:
            followed: The resource, or its informer.
            predicate: Returns whether a change matters. Default: every change does.

        Raises:
            ValueError: `for_` was called before.
        """
        if self._resource is not None:
            message = SECOND_FOR.format(name=self._name, resource=self._resource.full_name)
            raise ValueError(message)
        informer = self._informer(followed)
        self._resource = informer.resource
        return self.watches(informer, enqueue_self, predicate=predicate)

    def owns(self, followed: Followed, *, predicate: Predicate = any_change) -> Self:
        """Reconcile an object when an object changes that it owns.

        An object is owned if it has an owner reference to the other one.

        Args:
            followed: The resource of the owned objects, or its informer.
            predicate: Returns whether a change matters. Default: every change does.

        Raises:
            ValueError: `for_` was not called before.
        """
        if self._resource is None:
            raise ValueError(NO_FOR.format(name=self._name))
        return self.watches(followed, enqueue_owner(self._resource), predicate=predicate)

    def watches(
        self, followed: Followed, mapper: Mapper, *, predicate: Predicate = any_change
    ) -> Self:
        """Reconcile the requests of a mapper when an object changes.

        Args:
            followed: The resource of the objects that change, or its informer.
            mapper: Returns the requests for an object.
            predicate: Returns whether a change matters. Default: every change does.
        """
        self._watches.append((self._informer(followed), mapper, predicate))
        return self

    def with_workers(self, workers: int) -> Self:
        """Set how many objects are reconciled at the same time. Default: 1."""
        self._workers = workers
        return self

    def with_rate_limiter(self, rate_limiter: RateLimiter) -> Self:
        """Set the rate limiter of retries. Default: exponential, from 5 ms to 1000 s."""
        self._rate_limiter = rate_limiter
        return self

    @functools.cached_property
    def commands(self) -> Commands:
        """Runs commands in pods for the controller. Each enqueues its object when it ends.

        The first use makes it and adds it to the process.
        """
        return self._make_commands(f"commands of {self._name}", self.enqueue)

    def enqueue(self, request: Request, priority: int = 0) -> None:
        """Enqueue a request. For events that come from no informer.

        Args:
            request: The object.
            priority: Higher ones come first. Default: 0.

        Raises:
            ValueError: `complete` was not called yet.
        """
        if self._controller is None:
            raise ValueError(INCOMPLETE.format(name=self._name))
        self._controller.enqueue(request, priority)

    def complete(self, reconciler: Reconciler) -> Controller:
        """Make the controller, and run it with the process.

        Args:
            reconciler: Reconciles the objects.

        Returns:
            The controller.

        Raises:
            ValueError: `for_` was not called, or `complete` was called before, or the number of
                workers is below 1, or another controller has this name.
        """
        if self._resource is None:
            raise ValueError(NO_FOR.format(name=self._name))
        if self._controller is not None:
            raise ValueError(COMPLETE.format(name=self._name))
        self._controller = self._make(
            self._name,
            reconciler,
            clock=self._clock,
            metrics=self._metrics,
            workers=self._workers,
            rate_limiter=self._rate_limiter,
        )
        for informer, mapper, predicate in self._watches:
            self._controller.watch(informer, mapper, predicate)
        self._add(self._controller)
        return self._controller

    def _informer(self, followed: Followed) -> SharedInformer:
        if isinstance(followed, SharedInformer):
            return followed
        return self._informers.informer(followed)
