"""What is published of a server in a `World`, in short words for tests."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from fakes import objects
from fakes.apiclient import Action
from fakes.world import SERVICE, USERS_SECRET
from reconcilers import resources
from reconcilers.secrets import pem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object
    from fakes.world import World

CONNECTION = f"{SERVICE}-connection"
CERTIFICATE = f"{SERVICE}-profile"
CONDITION = "ConnectionUnpublished"
URL = f"https://{SERVICE}.{objects.NAMESPACE}.svc:51515"

WRITE_CONNECTION = Action("apply", "secrets", CONNECTION)
WRITE_CERTIFICATE = Action("apply", "secrets", CERTIFICATE)
WRITE_PROFILE = Action("apply", "profiles", SERVICE)
READ_USERS = Action("get", "secrets", USERS_SECRET)


ROOT = objects.key_pair("root")
CHAINED = objects.key_pair("chained", issuer=ROOT)


def publish(world: World, **what: Object | None) -> None:
    """Edit what is published, and reconcile."""
    world.edit({"publish": what})
    world.reconcile()


def replace(world: World) -> None:
    """Let the newest pod become Ready, and the Service and its endpoints follow."""
    for pod in world.pods():
        world.kubelet(pod, objects.serving())
    for _ in range(2):
        world.reconcile()


def read_snapshot(world: World) -> Action:
    return Action("get", "secrets", world.replica_set()["metadata"]["name"])


def content(world: World, name: str) -> dict[str, str]:
    data: Mapping[str, str] = world.secret(name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def profiles(world: World) -> list[Object]:
    return world.api.store(resources.PROFILES).list()


def profile(world: World) -> Object:
    (found,) = profiles(world)
    return found


def there(world: World, name: str) -> bool:
    return world.api.store(resources.SECRETS).get(objects.NAMESPACE, name) is not None


def info(world: World) -> Object:
    found: Object = world.server()["status"]["serverInfo"]
    return found


def tls_secret(pair: objects.KeyPair, chain: str = "", **further: str) -> Object:
    """Build the user's Secret with a certificate, and keys beside it."""
    secret = objects.tls_secret(objects.KeyPair(pair.certificate + chain, pair.key))
    data = objects.secret("x", "x", further)["data"]
    merged: Object = objects.merged(secret, {"data": data})
    return merged


def leaf(pair: objects.KeyPair) -> str:
    return pem.certificates_text(pem.certificates(pair.certificate)[:1])
