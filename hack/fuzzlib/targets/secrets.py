"""The Secrets of each kind, and the PEM in them."""

from __future__ import annotations

from typing import Any, Final

from fuzzlib.target import Target
from fuzzlib.targets.shapes import NAMESPACE, Skipped, map_of, plain, secret_of
from reconcilers.errors import InvalidInput
from reconcilers.kopia import repository_config
from reconcilers.kopia.storage import authorities, kinds
from reconcilers.kopia.storage.identity import identity
from reconcilers.kopia.storage.model import Source
from reconcilers.repositoryserver import connection
from reconcilers.repositoryserver.api import UserAccess
from reconcilers.repositoryserver.inputs import authority
from reconcilers.repositoryserver.users import userfile
from reconcilers.repositoryserver.users.access import users_of
from reconcilers.secrets import certificates, data, pem
from reconcilers.secrets.data import SecretRef

# The keys of a location that are shown in messages and labels; the others may be as well.
_LOCATION_SECRETS: Final = frozenset({"ca.crt"})
# Those of a credential that are confidential; the others name an account or a cloud.
_CREDENTIAL_SECRETS: Final = frozenset(
    {
        "aws_secret_access_key",
        "aws_session_token",
        "azure_storage_key",
        "azure_storage_sas_token",
        "azure_client_secret",
        "service-account.json",
    }
)


def _part(value: dict[str, Any], key: str) -> dict[str, Any]:
    part = value.get(key)
    return part if isinstance(part, dict) else {}


def storage(data_: bytes) -> object:
    """Read a location and its credential: `{"location": {...}, "credential": {...}, "root": ""}`.

    What Kopia is told is not shown; the label and the identity are.
    """
    value = map_of(data_)
    location = secret_of(_part(value, "location"), data.TYPE_LOCATION, _LOCATION_SECRETS)
    kind = kinds.kind_of(location)
    credential = None
    if "credential" in value and kind.credential_type:
        credential = secret_of(
            _part(value, "credential"), kind.credential_type, _CREDENTIAL_SECRETS
        )
    root = plain(value.get("root", ""))
    if not isinstance(root, str):
        raise Skipped
    source = Source(location, credential, namespace=NAMESPACE, root_path=root)
    found = authorities.trusting(kind.storage(source), "")
    repository_config.repository_config(
        found,
        username="u",
        hostname="h",
        content_cache_mb=1,
        metadata_cache_mb=1,
        read_only=False,
    )
    return found, found.label, identity(found, NAMESPACE), found.environment


def passwords(data_: bytes) -> object:
    """Read the Secret of a repository password, and that of an administrator."""
    values = map_of(data_)
    data.repository_password(secret_of(values, data.TYPE_PASSWORD, None))
    return data.admin(secret_of(values, data.TYPE_ADMIN, {"password"}))


def tls(data_: bytes) -> object:
    """Read the Secret of a certificate, and what would be one of an authority of a server's."""
    read = secret_of(map_of(data_), data.TYPE_TLS, {"tls.key"})
    found = [authority.parse(read)]
    certificates.authority(read)
    return found, certificates.server_certificate(read)


def users(data_: bytes) -> object:
    """Read an access Secret in both its forms."""
    read = secret_of(map_of(data_), data.TYPE_USERS, None)
    ref = SecretRef("spec.server.userAccess.userAccessSecretRef", NAMESPACE, "users")
    found: list[object] = []
    for username in ("backup", ""):
        access = UserAccess(ref, username)
        try:
            users_of(access, read)
            found += connection.users(access, read)
        except InvalidInput as error:
            found += [error.message]
    return found


def user_file(data_: bytes) -> object:
    """Read the file with the users, which somebody may have changed."""
    text = data_.decode(errors="replace")
    return userfile.UserFile.parse(text), userfile.kopia_reads_the_same(text, f"{text}\n")


def pem_text(data_: bytes) -> object:
    """Read certificates and keys in any PEM."""
    text = data_.decode(errors="replace")
    found: list[object] = []
    for read in (
        pem.blocks,
        # What cryptography shows of a certificate reads its names, which nobody does here.
        lambda text: pem.certificates_text(pem.certificates(text)),
        lambda text: len(pem.private_key_text(pem.private_key(text))),
    ):
        try:
            found += [read(text)]
        except ValueError as error:
            found += [str(error)]
    return found


TARGETS: Final = (
    Target("secret-storage", storage, (InvalidInput, Skipped), is_json=True),
    Target("secret-passwords", passwords, (InvalidInput, Skipped), is_json=True),
    Target("secret-tls", tls, (InvalidInput, Skipped), is_json=True),
    Target("secret-users", users, (Skipped,), is_json=True),
    Target("user-file", user_file),
    Target("pem", pem_text),
)
