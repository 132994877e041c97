"""Kanister's Profiles: their definition, as far as a repository server is concerned, and a reader.

The definition is what a Kanister of today installs (pkg/customresource/profile.yaml), without the
storage that has no server: fields that it does not name are pruned here as there.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object

_TEXT: Final = {"type": "string"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


_REFERENCE: Final = _object(
    apiVersion=_TEXT, group=_TEXT, kind=_TEXT, name=_TEXT, namespace=_TEXT, resource=_TEXT
)
_SECRET_KEY: Final = _object(key=_TEXT, secret=_REFERENCE)

DEFINITION: Final[dict[str, Any]] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": resources.PROFILES.full_name},
    "spec": {
        "group": resources.PROFILES.group,
        "scope": "Namespaced",
        "names": {
            "kind": resources.PROFILES.kind,
            "listKind": "ProfileList",
            "plural": resources.PROFILES.plural,
            "singular": "profile",
        },
        "versions": [
            {
                "name": resources.PROFILES.version,
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": _object(
                        apiVersion=_TEXT,
                        kind=_TEXT,
                        metadata={"type": "object"},
                        location=_object(type=_TEXT, endpoint=_TEXT, prefix=_TEXT),
                        skipSSLVerify={"type": "boolean"},
                        credential=_object(
                            type=_TEXT,
                            kopiaServerSecret={
                                **_object(
                                    username=_TEXT,
                                    hostname=_TEXT,
                                    userPassphrase=_SECRET_KEY,
                                    tlsCert=_SECRET_KEY,
                                    connectOptions={
                                        "type": "object",
                                        "additionalProperties": {"type": "integer"},
                                    },
                                ),
                                "x-kubernetes-preserve-unknown-fields": True,
                            },
                        ),
                    )
                },
            }
        ],
    },
}


@frozen
class Access:
    """What `kando` connects with.

    Args:
        endpoint: The URL of the server.
        username: The user's name.
        hostname: The user's host.
        password: The user's password.
        certificate: The server's certificate, in PEM.
    """

    endpoint: str
    username: str
    hostname: str
    password: str = field(repr=False)
    certificate: str


def read(profile: Object, secret: Callable[[str, str], Object]) -> Access:
    """Return what Kanister hands to `kando` of a Profile (pkg/param/param.go).

    Args:
        profile: The Profile.
        secret: Returns a Secret, by namespace and name.
    """
    assert profile["location"]["type"] == "kopia"
    assert profile["credential"]["type"] == "kopia"
    known = profile["credential"]["kopiaServerSecret"]

    def value(reference: Object) -> str:
        where = reference["secret"]
        data = secret(where["namespace"], where["name"])["data"]
        return base64.b64decode(data[reference["key"]]).decode()

    return Access(
        endpoint=profile["location"]["endpoint"],
        username=known["username"],
        hostname=known["hostname"],
        password=value(known["userPassphrase"]),
        certificate=value(known["tlsCert"]),
    )
