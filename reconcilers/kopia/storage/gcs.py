"""Google Cloud Storage."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from reconcilers.kopia.storage import authorities
from reconcilers.kopia.storage.model import FILES_DIRECTORY, Storage
from reconcilers.secrets import pem

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Source
    from reconcilers.secrets.data import SecretData

CREDENTIAL: Final = "service-account.json"
# The removed controller asked for it and made nothing of it.
PROJECT: Final = ("gcp_project_id", "project-id")

SERVICE_ACCOUNT: Final = "service_account"
CREDENTIAL_FILE: Final = "google-credentials.json"

REASON_CREDENTIAL: Final = "CredentialInvalid"
NOT_JSON: Final = (
    "key {key} of Secret {ref}, named by {field}, is not a JSON object with a type; put the file "
    "there that Google issued for the service account"
)
NO_KEY: Final = (
    "the private_key in key {key} of Secret {ref}, named by {field}, is not a private key in PEM; "
    "put the file there as Google issued it for the service account"
)


def storage(source: Source) -> Storage:
    """Return the storage in a bucket.

    Raises:
        InvalidInput: A key is missing or holds what cannot work, or the path climbs.
    """
    location = source.location
    bucket = location.text("bucket")
    config: dict[str, Any] = {
        "bucket": bucket,
        "prefix": source.path,
        **({"readOnly": True} if source.read_only else {}),
        **source.point_in_time_option(),
    }
    environment = authorities.environment(location)
    files = authorities.files(location)
    credential = _credential(source.credential)
    if credential.get("type") == SERVICE_ACCOUNT:
        config["credentials"] = credential
    elif credential:
        # Kopia takes only a service account in its configuration. Google's library takes any other
        # kind, a federated identity say, from a file.
        environment["GOOGLE_APPLICATION_CREDENTIALS"] = f"{FILES_DIRECTORY}/{CREDENTIAL_FILE}"
        files[CREDENTIAL_FILE] = json.dumps(credential)
    return Storage(
        type_="gcs",
        config=config,
        label=f"{source.place} in bucket {bucket} of Google Cloud Storage",
        environment=environment,
        files=files,
    )


def _credential(credential: SecretData | None) -> dict[str, Any]:
    """Return the credential; empty where the pod's own identity is meant."""
    if credential is None or credential.has_only(*PROJECT):
        return {}
    text = credential.text(CREDENTIAL)
    content: Any = None
    # What the decoder raises would hold the document; so it is over before anything is refused.
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(text, parse_constant=_no_constant)
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        raise credential.refused(REASON_CREDENTIAL, NOT_JSON, CREDENTIAL)
    if content["type"] != SERVICE_ACCOUNT:
        return content
    key = _private_key(content.get("private_key"))
    if not key:
        raise credential.refused(REASON_CREDENTIAL, NO_KEY, CREDENTIAL)
    return {**content, "private_key": key}


def _private_key(written: object) -> str:
    """Return a service account's key as Google's library reads it; empty if it is none."""
    with contextlib.suppress(ValueError):
        return pem.private_key_text(pem.private_key(str(written)))
    return ""


def _no_constant(name: str) -> object:
    # Python reads NaN and Infinity, which no other decoder does.
    raise ValueError(name)
