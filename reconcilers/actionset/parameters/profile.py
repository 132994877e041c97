"""What templates see of a Profile. Pure functions."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from reconcilers.errors import InvalidInput
from reconcilers.secrets import data, pem
from reconcilers.secrets.data import SecretData, SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.resource import Object

#: `location.type` and `credential.type` (Kanister pkg/apis/cr/v1alpha1/types.go).
KOPIA: Final = "kopia"
LOCATION_TYPES: Final = ("s3Compliant", "gcs", "azure", KOPIA)
KEY_PAIR: Final = "keyPair"
SECRET: Final = "secret"  # noqa: S105 - a type
CREDENTIAL_TYPES: Final = (KEY_PAIR, SECRET, KOPIA)

REASON: Final = "ProfileInvalid"
UNKNOWN_TYPE: Final = "{field} of Profile {profile} is {type_!r}; use one of {known}"
NO_FIELD: Final = "Profile {profile} has no {field}; set it"
NO_CERTIFICATE: Final = "key {key} of Secret {ref}, named by {field}, is no PEM certificate"

_LOCATION: Final = ("type", "bucket", "endpoint", "prefix", "region")


def parameter(profile: Object, secret: Callable[[SecretRef], Object]) -> dict[str, Any]:
    """Return a Profile as templates see it, with its credentials.

    Args:
        profile: The Profile.
        secret: Returns a Secret that it refers to.

    Raises:
        InvalidInput: A type is not known, or a field or a key of a Secret is not there.
    """
    location = profile.get("location") or {}
    _check_type(profile, "location.type", location.get("type"), LOCATION_TYPES)
    return {
        "Location": {key: location.get(key) or "" for key in _LOCATION},
        "Credential": _credential(profile, secret),
        "SkipSSLVerify": bool(profile.get("skipSSLVerify")),
    }


def endpoint(profile: Object) -> str:
    """Return the URL of the server that a Profile of type kopia is for; empty for other types."""
    location = profile.get("location") or {}
    return location.get("endpoint") or "" if location.get("type") == KOPIA else ""


def _credential(profile: Object, secret: Callable[[SecretRef], Object]) -> dict[str, Any]:
    type_ = (profile.get("credential") or {}).get("type")
    _check_type(profile, "credential.type", type_, CREDENTIAL_TYPES)
    if type_ == KEY_PAIR:
        return {"Type": KEY_PAIR, "KeyPair": _key_pair(profile, secret)}
    if type_ == SECRET:
        return {"Type": SECRET, "Secret": secret(_reference(profile, "credential.secret"))}
    return {"Type": KOPIA, "KopiaServerSecret": _server_secret(profile, secret)}


def _key_pair(profile: Object, secret: Callable[[SecretRef], Object]) -> dict[str, str]:
    path = "credential.keyPair"
    pair = _section(profile, path)
    found = _data(_reference(profile, f"{path}.secret"), secret)
    return {
        "ID": found.text(_text(profile, pair, f"{path}.idField")),
        "Secret": found.text(_text(profile, pair, f"{path}.secretField")),
    }


def _server_secret(profile: Object, secret: Callable[[SecretRef], Object]) -> dict[str, Any]:
    path = "credential.kopiaServerSecret"
    server = _section(profile, path)
    password = _keyed(profile, f"{path}.userPassphrase", secret)
    certificate = _keyed(profile, f"{path}.tlsCert", secret)
    return {
        "Username": server.get("username") or "",
        "Hostname": server.get("hostname") or "",
        # The server trims its users' passwords as well.
        "Password": password[0].text(password[1]),
        "Cert": leaf(*certificate),
        "ConnectOptions": server.get("connectOptions") or {},
    }


def leaf(secret: SecretData, key: str) -> str:
    """Return the first certificate under a key of a Secret, alone, as PEM.

    Kanister takes no block after it, and no text (pkg/kopia/utils.go,
    ExtractFingerprintFromCertificate).

    Args:
        secret: The Secret.
        key: The key.

    Raises:
        InvalidInput: There is none.
    """
    try:
        return pem.certificates_text(pem.certificates(secret.text(key))[:1])
    except ValueError:
        raise secret.refused(data.REASON_KEY_ENCODING, NO_CERTIFICATE, key) from None


def secret_data(ref: SecretRef, obj: Object) -> SecretData:
    """Return a Secret of any type with its values decoded.

    Args:
        ref: What refers to it.
        obj: The Secret, as the API server returns it.
    """
    values = {key: base64.b64decode(value or "") for key, value in (obj.get("data") or {}).items()}
    return SecretData(ref, obj.get("type") or data.TYPE_OPAQUE, values)


def _keyed(
    profile: Object, path: str, secret: Callable[[SecretRef], Object]
) -> tuple[SecretData, str]:
    """Return the Secret and the key of it that a field names."""
    found = _data(_reference(profile, f"{path}.secret"), secret)
    return found, _text(profile, _section(profile, path), f"{path}.key")


def _data(ref: SecretRef, secret: Callable[[SecretRef], Object]) -> SecretData:
    return secret_data(ref, secret(ref))


def _reference(profile: Object, path: str) -> SecretRef:
    reference = _section(profile, path)
    name = _text(profile, reference, f"{path}.name")
    namespace = reference.get("namespace") or profile["metadata"]["namespace"]
    return SecretRef(f"{path} of Profile {_name(profile)}", namespace, name)


def _section(profile: Object, path: str) -> Mapping[str, Any]:
    node: Any = profile
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    if not node:
        raise InvalidInput(REASON, NO_FIELD.format(profile=_name(profile), field=path))
    section: Mapping[str, Any] = node
    return section


def _text(profile: Object, section: Mapping[str, Any], path: str) -> str:
    value: str = section.get(path.rpartition(".")[2]) or ""
    if not value:
        raise InvalidInput(REASON, NO_FIELD.format(profile=_name(profile), field=path))
    return value


def _check_type(profile: Object, path: str, type_: str | None, known: tuple[str, ...]) -> None:
    if type_ not in known:
        message = UNKNOWN_TYPE.format(
            field=path, profile=_name(profile), type_=type_ or "", known=", ".join(known)
        )
        raise InvalidInput(REASON, message)


def _name(profile: Object) -> str:
    return f"{profile['metadata']['namespace']}/{profile['metadata']['name']}"
