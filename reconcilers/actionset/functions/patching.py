"""A patch of an object of any kind."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from controller.errors import ApiError

if TYPE_CHECKING:
    from controller.clock import Deadline
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.functions.references import Reference


def patched(client: Client, reference: Reference, body: Object, deadline: Deadline) -> Object:
    """Patch an object, and return it as it is then.

    Kinds of Kubernetes take a strategic merge patch, as Kanister sends it. Custom resources know
    only a JSON merge patch, and refuse the other by the type of its content.

    Args:
        client: Sends it.
        reference: The object.
        body: The patch.
        deadline: For the requests.
    """
    try:
        return client.strategic_merge_patch(
            reference.api, reference.namespace, reference.name, body, deadline=deadline
        )
    except ApiError as error:
        if error.status != HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            raise
    return client.merge_patch(
        reference.api, reference.namespace, reference.name, body, deadline=deadline
    )
