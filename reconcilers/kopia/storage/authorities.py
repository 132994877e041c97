"""Certificate authorities of one's own, which sign the certificate of an object store.

Go reads SSL_CERT_DIR and adds what it finds there to the bundle of the system, so that public
services go on being trusted: an identity service that stands beside a private store, for one.
Kopia's own option for S3 (`rootCA`) would replace the system's authorities, and does not reach the
service that a role is assumed at; for the other stores it has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from reconcilers.kopia.storage.model import FILES_DIRECTORY
from reconcilers.secrets import pem
from reconcilers.secrets.certificates import refuse_unreadable

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Storage
    from reconcilers.secrets.data import SecretData

KEY: Final = "ca.crt"
#: The file with the authorities that the settings name for all stores.
SETTINGS_FILE: Final = "settings-ca.crt"
#: Folders with certificates that Go trusts (crypto/x509, root_unix.go).
VARIABLE: Final = "SSL_CERT_DIR"

REASON_AUTHORITY: Final = "AuthorityInvalid"
AUTHORITY: Final = (
    "key {key} of Secret {ref}, named by {field}, holds no certificates in PEM; put the "
    "certificates of the authorities there that signed the storage's certificate"
)

# The folders that Go looks into by default, and ours.
DIRECTORIES: Final = ("/etc/ssl/certs", "/etc/pki/tls/certs", FILES_DIRECTORY)


def files(location: SecretData) -> dict[str, str]:
    """Return the file with the authorities that a location names; none if it names none.

    It is written anew: of a bundle that Go cannot read it skips what it does not understand, in
    silence, and the storage's certificate would then be signed by nobody known.

    Args:
        location: The location Secret.

    Raises:
        InvalidInput: They are no certificates, or none that Go reads.
    """
    if not location.has(KEY):
        return {}
    try:
        bundle = pem.certificates(location.text(KEY))
    except ValueError:
        raise location.refused(REASON_AUTHORITY, AUTHORITY, KEY) from None
    refuse_unreadable(location, KEY, bundle, reason=REASON_AUTHORITY)
    return {KEY: pem.certificates_text(bundle)}


def environment(location: SecretData) -> dict[str, str]:
    """Return the variable by which Kopia trusts the authorities that a location names.

    Raises:
        InvalidInput: As for `files`.
    """
    return {VARIABLE: ":".join(DIRECTORIES)} if files(location) else {}


def trusting(storage: Storage, bundle: str) -> Storage:
    """Return a storage that is trusted by further authorities.

    Args:
        storage: What a location makes.
        bundle: Certificates in PEM of authorities for all object stores; empty for none.
    """
    if not bundle or storage.claim:
        return storage
    return evolve(
        storage,
        files={**storage.files, SETTINGS_FILE: bundle},
        environment={**storage.environment, VARIABLE: ":".join(DIRECTORIES)},
    )
