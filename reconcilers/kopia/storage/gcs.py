"""Google Cloud Storage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconcilers.kopia.storage import authorities
from reconcilers.kopia.storage.model import FILES_DIRECTORY, Storage

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Source
    from reconcilers.secrets.data import SecretData

CREDENTIAL = "service-account.json"
# The removed controller asked for it and made nothing of it.
PROJECT = ("gcp_project_id", "project-id")

CREDENTIAL_FILE = "google-credentials.json"

REASON_CREDENTIAL = "CredentialInvalid"
NOT_JSON = (
    "key {key} of Secret {ref}, named by {field}, is not a JSON object with a type; put the file "
    "there that Google issued for the service account"
)


def storage(source: Source) -> Storage:
    """Return the storage in a bucket.

    Raises:
        InvalidInput: A key is missing or holds what cannot work, or the path climbs.
    """
    location = source.location
    bucket = location.text("bucket").strip()
    config: dict[str, Any] = {
        "bucket": bucket,
        "prefix": source.path,
        **({"readOnly": True} if source.read_only else {}),
        **source.point_in_time_option(),
    }
    environment = authorities.environment(location)
    files = authorities.files(location)
    text, credential = _credential(source.credential)
    if credential.get("type") == "service_account":
        config["credentials"] = credential
    elif credential:
        # Kopia takes only a service account in its configuration. Google's library takes any other
        # kind, a federated identity say, from a file.
        environment["GOOGLE_APPLICATION_CREDENTIALS"] = f"{FILES_DIRECTORY}/{CREDENTIAL_FILE}"
        files[CREDENTIAL_FILE] = text
    return Storage(
        type_="gcs",
        config=config,
        label=f"{source.place} in bucket {bucket} of Google Cloud Storage",
        environment=environment,
        files=files,
    )


def _credential(credential: SecretData | None) -> tuple[str, dict[str, Any]]:
    """Return the credential as written and read; empty where the pod's own identity is meant."""
    if credential is None or credential.has_only(*PROJECT):
        return "", {}
    text = credential.text(CREDENTIAL)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not content.get("type"):
        raise credential.refused(REASON_CREDENTIAL, NOT_JSON, CREDENTIAL)
    return text, content
