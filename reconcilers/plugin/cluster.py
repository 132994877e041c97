"""The API server, as the plugin asks it: what is refused becomes one sentence with the fix."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from attrs import frozen

from controller.clock import DeadlineExceeded
from controller.errors import (
    ApiError,
    ClientError,
    ConfigError,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
)
from reconcilers.plugin.exits import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.clock import Clock
    from controller.resource import Object, Resource
    from controller.rest.client import Client
    from controller.rest.podlogs import PodLogs

#: Objects of one page of a list.
PAGE: Final = 500

MISSING: Final = "there is no {kind} {name} in namespace {namespace}"
NO_NAMESPACE: Final = "there is no namespace {namespace}"
NOT_SERVED: Final = "the API server knows no {kind}: install its CRD first ({plural}.{group})"
MAY_NOT: Final = (
    "you may not {verb} {resource}{where}; ask for that right, docs/plugin.md has a Role for each "
    "command"
)
LOGIN: Final = "the API server does not accept your credentials; log in again"
NO_ANSWER: Final = "the API server has not answered: {reason}"
REFUSED: Final = "the API server has refused to {verb} {kind} {name}: {reason}"


class NotAllowed(PluginError):
    """A right is missing."""


class Missing(PluginError):
    """An object does not exist."""


@frozen
class Cluster:
    """The API server and the namespace that is meant.

    Args:
        client: Reads and writes objects.
        logs: Reads logs.
        namespace: Where nothing else is said.
        clock: The time.
    """

    client: Client
    logs: PodLogs
    namespace: str
    clock: Clock

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return an object.

        Raises:
            PluginError: It does not exist, may not be read, or the API server has not answered.
        """
        with explained("get", resource, namespace, name):
            return self.client.get(resource, namespace, name)

    def list(
        self, resource: Resource, namespace: str, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Return the objects of a namespace, page by page.

        Args:
            resource: Of which kind.
            namespace: Empty for all.
            labels: A label selector.
            fields: A field selector.

        Raises:
            PluginError: As for `get`.
        """
        found: list[Object] = []
        token = ""
        while True:
            with explained("list", resource, namespace):
                page = self.client.list(
                    resource,
                    namespace,
                    label_selector=labels,
                    field_selector=fields,
                    limit=PAGE,
                    continue_token=token,
                )
            found += page.get("items") or []
            token = page["metadata"].get("continue") or ""
            if not token:
                return found

    def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Create an object.

        Raises:
            PluginError: As for `get`, or it is refused.
        """
        with explained("create", resource, namespace):
            return self.client.create(resource, namespace, body)

    def patch(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """Change an object by a merge patch.

        Raises:
            PluginError: As for `get`, or it is refused.
        """
        with explained("patch", resource, namespace, name):
            return self.client.merge_patch(resource, namespace, name, body)


@contextlib.contextmanager
def explained(
    verb: str, resource: Resource, namespace: str, name: str = "", subresource: str = ""
) -> Iterator[None]:
    """Raise what a request fails with as one sentence with the fix.

    Args:
        verb: Of the request.
        resource: Of which kind.
        namespace: Of the object; empty for all.
        name: Of the object; empty for several.
        subresource: Such as `log`; empty for the object itself.

    Raises:
        PluginError: In place of a `ClientError`.
    """
    try:
        yield
    except NotFound as error:
        # A path that is not served is answered with a text, not with a Status.
        template = MISSING if error.reason and name else NOT_SERVED
        if error.reason and verb == "create":
            template = NO_NAMESPACE
        words = {"plural": resource.plural, "group": resource.group or "core"}
        words |= {"kind": resource.kind, "namespace": namespace, "name": name}
        raise Missing(template.format(**words)) from None
    except Forbidden:
        asked = f"{resource.full_name}/{subresource}" if subresource else resource.full_name
        named = f" {name}" if name else ""
        where = f" in namespace {namespace}" if namespace else " in all namespaces"
        raise NotAllowed(
            MAY_NOT.format(verb=verb, resource=f"{asked}{named}", where=where)
        ) from None
    except Unauthorized:
        raise PluginError(LOGIN) from None
    except Invalid as error:
        raise PluginError(_refused(verb, resource, name, error.message)) from None
    except ApiError as error:
        raise PluginError(_refused(verb, resource, name, str(error))) from None
    except (ClientError, DeadlineExceeded, ConfigError, OSError) as error:
        raise PluginError(NO_ANSWER.format(reason=error)) from None


def _refused(verb: str, resource: Resource, name: str, reason: str) -> str:
    return REFUSED.format(verb=verb, kind=resource.kind, name=name, reason=reason).replace(
        "  ", " "
    )


def connect(kubeconfig: str, context: str, namespace: str, clock: Clock) -> Cluster:
    """Return the cluster that is meant. Nothing is asked yet.

    Args:
        kubeconfig: File; empty to look around as `controller.rest.kubeconfig` says.
        context: Of that file; empty for the current one.
        namespace: Empty for that of the context.
        clock: The time.

    Raises:
        PluginError: There is no usable configuration.
    """
    # Not above: to import what speaks to the API server takes longer than all the rest together,
    # and whoever asks for help or has mistyped an option need not wait for it.
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    from controller import log  # noqa: PLC0415
    from controller.metrics import Metrics  # noqa: PLC0415
    from controller.rest import kubeconfig as configuration  # noqa: PLC0415
    from controller.rest.client import Client  # noqa: PLC0415
    from controller.rest.podlogs import PodLogs  # noqa: PLC0415
    from controller.rest.transport import Transport  # noqa: PLC0415

    # By itself structlog prints to standard output.
    log.configure("error", log.FORMAT_CONSOLE)
    try:
        api_client = configuration.load_api_client(
            kubeconfig, context=context, user_agent=FIELD_MANAGER
        )
        transport = Transport(api_client, clock=clock, metrics=Metrics(CollectorRegistry()))
        home = namespace or configuration.current_namespace(kubeconfig, context=context)
    except (ConfigError, OSError) as error:
        raise PluginError(str(error)) from None
    return Cluster(Client(transport, field_manager=FIELD_MANAGER), PodLogs(transport), home, clock)


#: Whose fields these are that the plugin writes.
FIELD_MANAGER: Final = "kubectl-reposerver"
