"""An API server in memory whose client's process is killed at a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from controller.errors import ApiError
from fakes.apiclient import FakeClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object, Resource


class Killed(BaseException):
    """The process was killed. No handler of errors sees that."""


@define
class KillingClient(FakeClient):
    """A client whose process is killed at a request: before it is sent, or before its answer."""

    #: At which request, counted from 0; None for never.
    kill_at: int | None = None
    #: Whether that request still reaches the server.
    reaches: bool = False
    #: How many requests there were.
    count: int = 0
    #: The writes that have succeeded, each as `verb resource name`.
    effects: list[str] = field(factory=list)

    def get(self, *args: Any, **more: Any) -> Object:
        found: Object = self._killing(super().get, *args, **more)
        return found

    def create(self, resource: Resource, namespace: str, body: Any, **more: Any) -> Object:
        named = f"create {resource.plural} {body['metadata']['name']}"
        create = self._counted(named, super().create)
        made: Object = self._killing(create, resource, namespace, body, **more)
        return made

    def merge_patch(
        self, resource: Resource, namespace: str, name: str, *args: Any, **more: Any
    ) -> Object:
        patch = self._counted(f"patch {resource.plural} {name}", super().merge_patch)
        changed: Object = self._killing(patch, resource, namespace, name, *args, **more)
        return changed

    def delete(self, *args: Any, **more: Any) -> None:
        self._killing(super().delete, *args, **more)

    def _counted(self, named: str, request: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **more: Any) -> Any:
            answer = request(*args, **more)
            self.effects.append(named)
            return answer

        return counted

    def _killing(self, request: Callable[..., Any], *args: Any, **more: Any) -> Any:
        number, self.count = self.count, self.count + 1
        if number != self.kill_at:
            return request(*args, **more)
        if self.reaches:
            try:
                request(*args, **more)
            except ApiError:
                raise Killed from None
        raise Killed
