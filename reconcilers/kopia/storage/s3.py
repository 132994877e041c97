"""Amazon S3, and what speaks its protocol."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconcilers.kopia.storage import authorities
from reconcilers.kopia.storage.model import Storage

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Source
    from reconcilers.secrets.data import SecretData

# Kopia's own default. It finds the endpoint of the bucket's region from it.
DEFAULT_ENDPOINT = "s3.amazonaws.com"

ACCESS_KEY = ("aws_access_key_id", "access-key")
# The last one is the design document's misspelling.
SECRET_KEY = ("aws_secret_access_key", "secret-access-key", "secret-acccess-key")
SESSION_TOKEN = "aws_session_token"  # noqa: S105 - a key's name
ROLE = "role"
STS_ENDPOINT = "stsEndpoint"

# Kopia assumes the role again before this is over.
ROLE_DURATION = "1h"
SESSION_NAME = "repository-server-controller"

REASON_ENDPOINT = "EndpointInvalid"
NO_HOST = (
    "key {key} of Secret {ref}, named by {field}, is not just a host, as Kopia needs it; write "
    "[http://]HOST[:PORT], without a path or a user"
)
STS_URL = (
    "key {key} of Secret {ref}, named by {field}, is not a URL; write https://HOST of the service "
    "where the role is assumed"
)
REASON_ROLE = "RoleWithoutKeys"
ROLE_WITHOUT_KEYS = (
    "key {key} of Secret {ref}, named by {field}, needs keys to assume the role; add "
    "aws_access_key_id and aws_secret_access_key, or remove it and give the role to the service "
    "account of spec.server.serviceAccountName"
)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# What else a URL can hold is refused, and a password in one must not be told with the endpoint.
_HOST = re.compile(r"[^/?#@\s]*")
_AMAZON = re.compile(r"(^|\.)amazonaws\.com(\.cn)?$")


def storage(source: Source) -> Storage:
    """Return the storage in a bucket.

    Raises:
        InvalidInput: A key is missing or holds what cannot work, or the path climbs.
    """
    location = source.location
    bucket = location.text("bucket").strip()
    endpoint, plain = _endpoint(location)
    region = location.optional("region").strip()
    config: dict[str, Any] = {
        "bucket": bucket,
        "prefix": source.path,
        "endpoint": endpoint,
        **({"region": region} if region else {}),
        **({"doNotUseTLS": True} if plain else {}),
        # Exactly this word, as it was: what else is written there never switched anything off.
        **({"doNotVerifyTLS": True} if location.optional("skipSSLVerify") == "true" else {}),
        **source.point_in_time_option(),
    }
    if source.credential is not None:
        config |= _credential(source.credential)
    if "roleARN" in config:
        config |= {
            "sessionName": SESSION_NAME,
            "duration": ROLE_DURATION,
            "roleEndpoint": _role_endpoint(location, endpoint, region, plain=plain),
            **({"roleRegion": region} if region else {}),
        }
    return Storage(
        type_="s3",
        config=config,
        label=f"{source.place} in bucket {bucket} of S3 endpoint {endpoint}",
        environment=authorities.environment(location),
        files=authorities.files(location),
    )


def compatible(source: Source) -> Storage:
    """Return the storage in a bucket of a service that is not Amazon's, which must be named.

    Raises:
        InvalidInput: As for `storage`, or there is no endpoint.
    """
    source.location.text("endpoint")
    return storage(source)


def _endpoint(location: SecretData) -> tuple[str, bool]:
    """Return host and port, and whether it speaks HTTP without TLS."""
    written = location.optional("endpoint").strip().rstrip("/")
    host = _SCHEME.sub("", written, count=1)
    if not _HOST.fullmatch(host):
        raise location.refused(REASON_ENDPOINT, NO_HOST, "endpoint")
    # In small letters only, as it was.
    return host or DEFAULT_ENDPOINT, written.startswith("http:")


def _credential(credential: SecretData) -> dict[str, Any]:
    """Return the options that say who Kopia is; none where the pod's own identity is meant."""
    role = credential.optional(ROLE).strip()
    # Whoever gives keys, under whatever names, does not mean the pod's identity.
    if credential.has_only(ROLE):
        if role:
            raise credential.refused(REASON_ROLE, ROLE_WITHOUT_KEYS, ROLE)
        return {}
    token = credential.optional(SESSION_TOKEN).strip()
    return {
        "accessKeyID": credential.text(*ACCESS_KEY).strip(),
        "secretAccessKey": credential.text(*SECRET_KEY).strip(),
        **({"sessionToken": token} if token else {}),
        **({"roleARN": role} if role else {}),
    }


def _role_endpoint(location: SecretData, endpoint: str, region: str, *, plain: bool) -> str:
    """Return the URL of the service that the role is assumed at.

    Amazon has one for each region; other services answer on the endpoint of S3.
    """
    url = location.optional(STS_ENDPOINT).strip()
    if url:
        if not urlsplit(url).netloc:
            raise location.refused(REASON_ENDPOINT, STS_URL, STS_ENDPOINT)
        return url
    if not _AMAZON.search(endpoint.partition(":")[0]):
        return f"http://{endpoint}" if plain else f"https://{endpoint}"
    if not region:
        return "https://sts.amazonaws.com"
    china = ".cn" if region.startswith("cn-") else ""
    return f"https://sts.{region}.amazonaws.com{china}"
