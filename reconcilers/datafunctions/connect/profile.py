"""A Profile of type kopia, as Kanister renders it for kando: `{{ toJson .Profile }}`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.model import ServerConnection
from reconcilers.secrets import pem

KOPIA: Final = "kopia"

NOT_JSON: Final = "--profile is not the JSON of a Profile; pass {{ toJson .Profile }} as it is"
UNREADABLE: Final = "--profile: file {file} cannot be read: {reason}"
OTHER_TYPE: Final = (
    "--profile: its location is of type {type_!r}; it takes one of type kopia, which the "
    "controller makes for spec.publish.kanisterProfile of a RepositoryServer"
)
NO_VALUE: Final = "--profile has no {path}; pass a Profile of type kopia, whole"
BAD_CERTIFICATE: Final = "--profile: its Credential.KopiaServerSecret.Cert is no PEM certificate"


def connection_of(text: str) -> ServerConnection:
    """Return the connection of a Profile.

    Names are looked for in any letters, as Go does. The names are those of Kanister's
    pkg/param/param.go, Profile, and within the location of its apis/cr/v1alpha1/types.go.

    Args:
        text: The JSON, or `@` and the path of a file with it.

    Raises:
        Refused: It cannot be read, or is of another type. The message has no value of it.
        InvalidRequest: A value cannot work.
    """
    profile = _parsed(_read(text))
    type_ = _optional(profile, "Location", "Type")
    if type_.lower() != KOPIA:
        raise Refused(OTHER_TYPE.format(type_=type_))
    secret = ("Credential", "KopiaServerSecret")
    return ServerConnection(
        url=_value(profile, "Location", "Endpoint"),
        username=_value(profile, *secret, "Username"),
        hostname=_value(profile, *secret, "Hostname"),
        password=_value(profile, *secret, "Password"),
        fingerprint=_fingerprint(_value(profile, *secret, "Cert")),
    )


def _read(text: str) -> str:
    if not text.startswith("@"):
        return text
    file = Path(text.removeprefix("@"))
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Refused(UNREADABLE.format(file=file, reason=reason)) from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        profile = json.loads(text)
    except (ValueError, RecursionError):
        # Not chained: the error of the parser has the text.
        raise Refused(NOT_JSON) from None
    if not isinstance(profile, dict):
        raise Refused(NOT_JSON)
    return profile


def _value(profile: dict[str, Any], *path: str) -> str:
    value = _optional(profile, *path)
    if not value:
        raise Refused(NO_VALUE.format(path=".".join(path)))
    return value


def _optional(profile: dict[str, Any], *path: str) -> str:
    node: Any = profile
    for name in path:
        names = {key.lower(): key for key in node} if isinstance(node, dict) else {}
        node = node[names[name.lower()]] if name.lower() in names else None
    return node if isinstance(node, str) else ""


def _fingerprint(certificate: str) -> str:
    try:
        leaf = pem.certificates(certificate)[0]
    except ValueError:
        raise Refused(BAD_CERTIFICATE) from None
    return hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()
