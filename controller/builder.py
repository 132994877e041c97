"""Puts a controller together.

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

    #: What to follow: a resource, all of it and whole, or an informer with a selection of it.
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
    """One controller in the making: `for_`, `owns`, `watches`, then `complete`.

    Args:
        name: Labels metrics and logs; unique in the process.
        informers: Where the informers come from.
        clock: The time.
        metrics: Where the controller is shown.
        make_commands: Makes what runs commands in pods, from its name and the function to which the
            request of each finished one is given.
        add: Takes the finished controller, which then runs with the process.
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
        """Reconcile the objects of a kind, each when it changes.

        Args:
            followed: The kind.
            predicate: Whether a change matters.

        Raises:
            ValueError: A kind was given before.
        """
        if self._resource is not None:
            message = SECOND_FOR.format(name=self._name, resource=self._resource.full_name)
            raise ValueError(message)
        informer = self._informer(followed)
        self._resource = informer.resource
        return self.watches(informer, enqueue_self, predicate=predicate)

    def owns(self, followed: Followed, *, predicate: Predicate = any_change) -> Self:
        """Reconcile an object when another one changes that has an owner reference to it.

        Args:
            followed: The kind of the other ones.
            predicate: Whether a change matters.

        Raises:
            ValueError: `for_` was not called before.
        """
        if self._resource is None:
            raise ValueError(NO_FOR.format(name=self._name))
        return self.watches(followed, enqueue_owner(self._resource), predicate=predicate)

    def watches(
        self, followed: Followed, mapper: Mapper, *, predicate: Predicate = any_change
    ) -> Self:
        """Reconcile what a mapper names when an object changes.

        Args:
            followed: The kind of the objects that change.
            mapper: Names the requests.
            predicate: Whether a change matters.
        """
        self._watches.append((self._informer(followed), mapper, predicate))
        return self

    def with_workers(self, workers: int) -> Self:
        """Reconcile so many objects at the same time. Default: 1."""
        self._workers = workers
        return self

    def with_rate_limiter(self, rate_limiter: RateLimiter) -> Self:
        """Delay retries by this. Default: from 5 ms to 1000 s, doubled with each."""
        self._rate_limiter = rate_limiter
        return self

    @functools.cached_property
    def commands(self) -> Commands:
        """What runs commands in pods for the controller; one that has ended wakes its object."""
        return self._make_commands(f"commands of {self._name}", self.enqueue)

    def enqueue(self, request: Request, priority: int = 0) -> None:
        """Have the controller reconcile an object, for who learns of something by other ways.

        Raises:
            ValueError: The controller is not complete.
        """
        if self._controller is None:
            raise ValueError(INCOMPLETE.format(name=self._name))
        self._controller.enqueue(request, priority)

    def complete(self, reconciler: Reconciler) -> Controller:
        """Make the controller, which runs with the process.

        Raises:
            ValueError: `for_` was not called, or this was called before, or there would be no
                worker, or another controller has this name.
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
