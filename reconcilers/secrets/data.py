"""The user's Secrets, checked and read.

Types and keys are those of the removed controller; the spellings of Kanister's design document are
accepted beside them. Every refusal names the Secret, the key, the field that refers to it, and the
fix. Nothing here logs, and no message ever holds a value.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping


TYPE_LOCATION: Final = "secrets.kanister.io/storage-location"
TYPE_AWS: Final = "secrets.kanister.io/aws"
TYPE_GCP: Final = "secrets.kanister.io/gcp"
TYPE_AZURE: Final = "secrets.kanister.io/azure"
TYPE_PASSWORD: Final = "secrets.kanister.io/kopia-repository/password"  # noqa: S105 - a Secret's type
TYPE_ADMIN: Final = "secrets.kanister.io/kopia-repository/serveradmin"
TYPE_USERS: Final = "secrets.kanister.io/kopia-repository/serveruser"
TYPE_TLS: Final = "kubernetes.io/tls"
# The removed controller looked at no type, so its users' untyped Secrets have to go on working.
TYPE_OPAQUE: Final = "Opaque"

REASON_MISSING: Final = "SecretMissing"
REASON_TYPE: Final = "SecretTypeWrong"
REASON_KEY: Final = "SecretKeyMissing"
REASON_KEY_ENCODING: Final = "SecretValueInvalid"

MISSING: Final = "Secret {ref}, named by {field}, does not exist; create it or correct {field}"
WRONG_TYPE: Final = (
    "Secret {ref}, named by {field}, is of type {actual}, expected {expected}; put its keys into "
    "one of `type: {expected}`, and name that in {field}"
)
KEY_MISSING: Final = "Secret {ref}, named by {field}, has no key {key}; add it"
#: How the placeholders of manifests/samples begin: everybody knows these passwords.
PLACEHOLDER: Final = "placeholder-"
REASON_PLACEHOLDER: Final = "SecretPlaceholder"
KEY_PLACEHOLDER: Final = (
    "key {key} of Secret {ref}, named by {field}, still has the placeholder of a sample, which "
    "everybody knows; put a value of your own there"
)
KEY_EMPTY: Final = "key {key} of Secret {ref}, named by {field}, is empty; give it a value"
NOT_TEXT: Final = (
    "key {key} of Secret {ref}, named by {field}, is not UTF-8 text; correct its value"
)
ADMIN_COLON: Final = (
    "key {key} of Secret {ref}, named by {field}, contains a colon, where HTTP ends a user name; "
    "choose a name without one"
)


@frozen
class SecretRef:
    """A reference from a field of the resource to a Secret.

    Args:
        field: Path of the field, for messages, such as `spec.server.adminSecretRef`.
        namespace: Namespace of the Secret.
        name: Name of the Secret.
    """

    field: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `namespace/name`."""
        return f"{self.namespace}/{self.name}"


@frozen
class SecretData:
    """A Secret as it was read, with the field that refers to it for messages.

    Args:
        ref: The reference by which it was found.
        type_: The Secret's type.
        values: Decoded values by key; never shown in a representation.
    """

    ref: SecretRef
    type_: str
    values: Mapping[str, bytes] = field(repr=False)

    def text(self, *keys: str) -> str:
        """Return the text under the first of the keys that is there, without white space around it.

        That is the rule for every value that cannot begin or end with any: `echo value | base64`
        adds a line end, some editors a byte order mark.

        Args:
            keys: Spellings of one key; messages name the first.

        Raises:
            InvalidInput: None is there, or the value is empty or not UTF-8.
        """
        return trimmed(self.verbatim(*keys))

    def verbatim(self, *keys: str) -> str:
        """Return the text under the first of the keys that is there, byte for byte.

        Args:
            keys: Spellings of one key; messages name the first.

        Raises:
            InvalidInput: None is there, or the value is empty, not UTF-8, or the placeholder of
                a sample.
        """
        value = self._find(keys)
        if value is None:
            raise self.refused(REASON_KEY, KEY_MISSING, keys[0])
        text = self._decode(value, keys[0])
        if not trimmed(text):
            raise self.refused(REASON_KEY, KEY_EMPTY, keys[0])
        if trimmed(text).startswith(PLACEHOLDER):
            raise self.refused(REASON_PLACEHOLDER, KEY_PLACEHOLDER, keys[0])
        return text

    def optional(self, *keys: str) -> str:
        """Return what `text` does, or an empty string if none of the keys is there.

        Args:
            keys: Spellings of one key; messages name the first.

        Raises:
            InvalidInput: The value is not UTF-8.
        """
        value = self._find(keys)
        return "" if value is None else trimmed(self._decode(value, keys[0]))

    def has(self, key: str) -> bool:
        """Return whether there is a value under the key, other than white space."""
        return bool(self.values.get(key, b"").strip())

    def has_only(self, *keys: str) -> bool:
        """Return whether there is no key but these, whichever of them there are."""
        return self.values.keys() <= set(keys)

    def refused(self, reason: str, message: str, key: str = "", **words: str) -> InvalidInput:
        """Return the refusal of the Secret or of one of its keys, to be raised.

        Args:
            reason: CamelCase word.
            message: A template with `{ref}`, `{field}` and, where there is one, `{key}`.
            key: The key.
            words: What else the template names; never a value.
        """
        text = message.format(ref=self.ref, field=self.ref.field, key=key, **words)
        return InvalidInput(reason, text)

    def _find(self, keys: tuple[str, ...]) -> bytes | None:
        return next((self.values[key] for key in keys if key in self.values), None)

    def _decode(self, value: bytes, key: str) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise self.refused(REASON_KEY_ENCODING, NOT_TEXT, key) from None


def trimmed(text: str) -> str:
    """Return a text without white space and byte order marks around it."""
    return text.strip().strip("\ufeff").strip()


def read(ref: SecretRef, obj: Mapping[str, Any] | None, types: tuple[str, ...]) -> SecretData:
    """Return a Secret as the API server has returned it, checked.

    Args:
        ref: The reference by which it was looked up.
        obj: The Secret; None if there is none.
        types: Types that fit, the recommended one first; `Opaque` always fits.

    Raises:
        InvalidInput: It does not exist or is of another type.
    """
    if obj is None:
        raise InvalidInput(REASON_MISSING, MISSING.format(ref=ref, field=ref.field))
    type_ = obj.get("type") or TYPE_OPAQUE
    if type_ not in (*types, TYPE_OPAQUE):
        raise InvalidInput(
            REASON_TYPE,
            WRONG_TYPE.format(ref=ref, field=ref.field, actual=type_, expected=types[0]),
        )
    values = {key: base64.b64decode(value or "") for key, value in (obj.get("data") or {}).items()}
    return SecretData(ref, type_, values)


def decoded(value: str | None) -> str:
    """Return the text of a value that this controller wrote; empty for one that it did not."""
    try:
        return base64.b64decode(value or "").decode()
    except ValueError:
        return ""


@frozen
class Admin:
    """The server's administrator, who also controls it."""

    username: str
    password: str = field(repr=False)


def admin(secret: SecretData) -> Admin:
    """Return the administrator's name and password.

    A password may end in white space, but nobody can type one that ends in a line end.

    Args:
        secret: The Secret with the keys `username` and `password`.

    Raises:
        InvalidInput: A key is missing or empty, or no client could log in by the name.
    """
    username = secret.text("username")
    if ":" in username:
        raise secret.refused(REASON_KEY_ENCODING, ADMIN_COLON, "username")
    return Admin(username, secret.verbatim("password").rstrip("\r\n"))


def repository_password(secret: SecretData) -> str:
    """Return the repository password, byte for byte; Kopia itself trims white space around it.

    Args:
        secret: The Secret with the key `repo-password`.

    Raises:
        InvalidInput: The key is missing or empty.
    """
    return secret.verbatim("repo-password")
