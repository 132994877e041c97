"""What the targets make of an input before it is read: JSON, Secrets, objects of a CRD."""

from __future__ import annotations

import atexit
import base64
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from controller.jsonvalue import decoded, interned
from fuzzlib.target import MARKER, secret
from reconcilers.secrets.data import SecretData, SecretRef, read

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MANIFESTS: Final = Path(__file__).parents[3] / "manifests"

NAMESPACE: Final = "backup"


class Skipped(Exception):
    """An input is such as nobody can hand in: the API server refuses it."""


@functools.cache
def file() -> Path:
    """Return a file for inputs that are read from one; the process removes its folder."""
    folder = tempfile.mkdtemp(prefix="fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder) / "input"


def json_of(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of an input, as the caches keep it: cut where it is nested too deep.

    Raises:
        Skipped: It is no JSON. The API server hands out nothing else.
    """
    try:
        return interned(decoded(data))
    except (ValueError, RecursionError):
        raise Skipped from None


def map_of(data: bytes) -> dict[str, Any]:
    """Return the object of an input.

    Raises:
        Skipped: It is none.
    """
    value = json_of(data)
    if not isinstance(value, dict):
        raise Skipped
    return value


def secret_of(
    values: Mapping[str, Any], type_: str, secret_keys: Collection[str] | None
) -> SecretData:
    """Return a Secret, of which any value may be anything but for its Base64.

    Args:
        values: Texts by key.
        type_: Of the Secret.
        secret_keys: The keys whose values are confidential; None for all.
    """
    data = {
        key: base64.b64encode(_bytes(key, value, secret_keys)).decode()
        for key, value in values.items()
        if isinstance(value, str)
    }
    ref = SecretRef("spec.server.someSecretRef", NAMESPACE, "some-secret")
    return read(ref, {"type": type_, "data": data}, (type_,))


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value without the marker: what is not confidential may be shown."""
    if isinstance(value, str):
        return value.replace(MARKER, "")
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def _bytes(key: str, value: str, secret_keys: Collection[str] | None) -> bytes:
    text = plain(value)
    if secret_keys is None or key in secret_keys:
        text = _with_secret_key(text)
    return str(text).encode("utf-8", "surrogatepass")


def _with_secret_key(text: str) -> str:
    """Return a value as a secret one; of a key of Google's it is the private key that is."""
    try:
        value = json.loads(text)
        value["private_key"] = secret(value["private_key"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return secret(text)
    return json.dumps(value)


def admitted(kind: str, obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as the API server would have it: without what the CRD has no field for.

    Args:
        kind: Of the object.
        obj: The object, any JSON.

    Raises:
        Skipped: A field is missing or of another type.
    """
    metadata = {"namespace": NAMESPACE, "name": "some", "uid": "1", "generation": 1}
    fitted = _fitted(obj, _schemas()[kind])
    if kind == "RepositoryServer" and not _holds_its_rules(fitted["spec"]["server"]):
        raise Skipped
    return {**fitted, "metadata": metadata}


def _holds_its_rules(server: Mapping[str, Any]) -> bool:
    """Return whether `spec.server` names one certificate and one main list of users."""
    self_signed = "selfSigned" in server.get("tls", {})
    certificate = ("tlsSecretRef" in server) != self_signed
    return certificate and ("userAccess" in server) != ("userAccessSecretRef" in server)


@functools.cache
def _schemas() -> dict[str, dict[str, Any]]:
    found = {}
    for path in (
        "crd/repositoryservers.yaml",
        "kanister-crds/actionsets.yaml",
        "kanister-crds/blueprints.yaml",
    ):
        crd = yaml.safe_load((MANIFESTS / path).read_text())
        (version,) = crd["spec"]["versions"]
        found[crd["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found


_TYPES: Final[dict[str, Any]] = {
    "string": str,
    "object": dict,
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def _fitted(value: Any, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value as a structural schema leaves it."""
    wanted = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str):
            raise Skipped
        return value
    if wanted is None:
        return value
    if isinstance(value, bool) != (wanted == "boolean") or not isinstance(value, _TYPES[wanted]):
        raise Skipped
    if "enum" in schema and value not in schema["enum"]:
        raise Skipped
    if wanted == "array":
        return [_fitted(item, schema.get("items", {})) for item in value]
    return _object(value, schema) if wanted == "object" else value


def _object(value: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    if any(value.get(name) is None for name in schema.get("required", ())):
        raise Skipped
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    result: dict[str, Any] = {}
    for name, one in value.items():
        below = properties.get(name, others)
        if below is None or below is False:
            if schema.get("x-kubernetes-preserve-unknown-fields"):
                result[name] = one
        elif one is not None:
            # The API server drops null where nothing is nullable.
            result[name] = one if below is True else _fitted(one, below)
    return result
