"""Informers whose watch brings what happens a moment later, or much later."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from controller.cache.informer import Informer
from controller.cache.trim import default_trim
from fakes.simulation.apiserver import over_the_wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from controller.resource import Object
    from fakes.simulation.agenda import Agenda
    from fakes.simulation.apiserver import ApiServer, Change

#: Seconds by which a watch is behind where nothing is wrong.
LAG_SECONDS = (0.001, 0.05)


class SteppedInformer(Informer):
    """The real store and the real handlers, with a simulated watch in place of the reflector.

    A watch shows all changes of a resource in their order.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._metadata_only = options.get("metadata_only", False)
        self._label_selector = options.get("label_selector", "")
        self._trim: Callable[[Object], Object] = options.get("trim", default_trim)
        # Changes that the watch has not shown yet.
        self._coming: deque[Change] = deque()
        self._api: ApiServer | None = None
        # Until when the watch shows nothing, in monotonic seconds.
        self._stalled_until = 0.0

    def follow(self, api: ApiServer, agenda: Agenda, random: Random) -> None:
        """List, and watch from then on."""
        self._api, self._agenda, self._random = api, agenda, random
        self.relist()
        api.listen(self._on_change)

    def give_up(self) -> None:
        """Hear nothing more, as the process ends."""
        if self._api is not None:
            self._api.ignore(self._on_change)
        self._coming.clear()

    def stall(self, seconds: float) -> None:
        """Let the watch show nothing for a while."""
        self._stalled_until = max(self._stalled_until, self._clock.monotonic() + seconds)

    @property
    def is_stalled(self) -> bool:
        """Whether the watch shows nothing at the moment."""
        return self._clock.monotonic() < self._stalled_until

    def relist(self) -> None:
        """Lose what the watch was about to show, and list: the connection was cut."""
        if self._api is None:
            return
        self._coming.clear()
        objects = [
            self._received(obj) for obj in self._api.list(self.resource) if self._selects(obj)
        ]
        self._processor.replace(objects, str(self._api.version))

    def _on_change(self, change: Change) -> None:
        if change.resource == self.resource:
            self._coming.append(change)
            self._agenda.after(self._random.uniform(*LAG_SECONDS), self._show)

    def _show(self) -> None:
        """Show the next change; of which one an entry of the agenda came is no matter."""
        left = self._stalled_until - self._clock.monotonic()
        if left > 0:
            self._agenda.after(left, self._show)
        elif self._coming:
            self._tell(self._coming.popleft())

    def _tell(self, change: Change) -> None:
        if change.new is not None and self._selects(change.new):
            self._processor.update(self._received(change.new))
        elif change.old is not None and self._selects(change.old):
            obj = self._received(change.old)
            # As a watch shows it: the last state, at the version of the deletion.
            obj["metadata"]["resourceVersion"] = str(change.version)
            self._processor.delete(obj)

    def _received(self, obj: Object) -> Object:
        """Return what the informer keeps of an object."""
        asked = {"metadata": obj["metadata"]} if self._metadata_only else obj
        return self._trim(over_the_wire(asked))

    def _selects(self, obj: Object) -> bool:
        if self.namespace not in ("", obj["metadata"]["namespace"]):
            return False
        label, _, value = self._label_selector.partition("=")
        return not label or (obj["metadata"].get("labels") or {}).get(label) == value
