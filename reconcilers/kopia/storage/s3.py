"""Amazon S3, and what speaks its protocol."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from reconcilers.kopia.storage import authorities
from reconcilers.kopia.storage.model import Storage

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Source
    from reconcilers.secrets.data import SecretData

# Kopia's own default. It finds the endpoint of the bucket's region from it.
DEFAULT_ENDPOINT: Final = "s3.amazonaws.com"

ACCESS_KEY: Final = ("aws_access_key_id", "access-key")
# The last one is the design document's misspelling.
SECRET_KEY: Final = ("aws_secret_access_key", "secret-access-key", "secret-acccess-key")
SESSION_TOKEN: Final = "aws_session_token"  # noqa: S105 - a key's name
ROLE: Final = "role"
STS_ENDPOINT: Final = "stsEndpoint"

# Kopia assumes the role again before this is over.
ROLE_DURATION: Final = "1h"
SESSION_NAME: Final = "repository-server-controller"

REASON_ENDPOINT: Final = "EndpointInvalid"
NO_HOST: Final = (
    "key {key} of Secret {ref}, named by {field}, is not just a host, as Kopia needs it; write "
    "[http://]HOST[:PORT], without a path or a user"
)
STS_URL: Final = (
    "key {key} of Secret {ref}, named by {field}, is not a URL; write https://HOST of the service "
    "where the role is assumed"
)
REASON_ROLE: Final = "RoleWithoutKeys"
ROLE_WITHOUT_KEYS: Final = (
    "key {key} of Secret {ref}, named by {field}, needs keys to assume the role; add "
    "aws_access_key_id and aws_secret_access_key, or remove it and give the role to the service "
    "account of spec.server.serviceAccountName"
)

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# What else a URL can hold is refused: a password in one would reach messages with the endpoint.
_HOST: Final = re.compile(r"[^/?#@\s]*")
_PUBLIC: Final = "amazonaws.com"
# Amazon's partitions, by the beginning of their regions' names: the domain of their services
# (aws-sdk-go-v2 internal/endpoints/awsrulesfn/partitions.json).
_PARTITIONS: Final = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}
# Those whose endpoints Kopia's library does not find from the region (minio-go endpoints.go).
_UNKNOWN_TO_KOPIA: Final = _PARTITIONS.keys() - {"cn-"}


def storage(source: Source) -> Storage:
    """Return the storage in a bucket.

    Raises:
        InvalidInput: A key is missing or holds what cannot work, or the path climbs.
    """
    location = source.location
    bucket = location.text("bucket")
    region = location.optional("region")
    endpoint, plain = _endpoint(location, region)
    config: dict[str, Any] = {
        "bucket": bucket,
        "prefix": source.path,
        "endpoint": endpoint,
        **({"region": region} if region else {}),
        **({"doNotUseTLS": True} if plain else {}),
        # This word alone, as it was: what else is written there never switched anything off.
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


def _endpoint(location: SecretData, region: str) -> tuple[str, bool]:
    """Return host and port, and whether it speaks HTTP without TLS."""
    written = location.optional("endpoint").rstrip("/")
    host = _SCHEME.sub("", written, count=1)
    if not _HOST.fullmatch(host):
        raise location.refused(REASON_ENDPOINT, NO_HOST, "endpoint")
    # In small letters only, as it was.
    return host or _default_endpoint(region), written.startswith("http:")


def _default_endpoint(region: str) -> str:
    if not region.startswith(tuple(_UNKNOWN_TO_KOPIA)):
        return DEFAULT_ENDPOINT
    return f"s3.{region}.{_domain(region)}"


def _domain(region: str) -> str:
    """Return the domain of Amazon's services in a region."""
    domains = (domain for prefix, domain in _PARTITIONS.items() if region.startswith(prefix))
    return next(domains, _PUBLIC)


def _is_amazon(endpoint: str) -> bool:
    host = endpoint.partition(":")[0]
    domains = (_PUBLIC, *_PARTITIONS.values())
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _credential(credential: SecretData) -> dict[str, Any]:
    """Return the options with Kopia's identity; none where the pod's own is meant."""
    role = credential.optional(ROLE)
    # Other keys, under whatever names, mean that the pod's identity is not meant.
    if credential.has_only(ROLE):
        if role:
            raise credential.refused(REASON_ROLE, ROLE_WITHOUT_KEYS, ROLE)
        return {}
    token = credential.optional(SESSION_TOKEN)
    return {
        "accessKeyID": credential.text(*ACCESS_KEY),
        "secretAccessKey": credential.text(*SECRET_KEY),
        **({"sessionToken": token} if token else {}),
        **({"roleARN": role} if role else {}),
    }


def _role_endpoint(location: SecretData, endpoint: str, region: str, *, plain: bool) -> str:
    """Return the URL of the service that the role is assumed at.

    Amazon has one for each region; other services answer on the endpoint of S3.
    """
    url = location.optional(STS_ENDPOINT)
    if url:
        if not urlsplit(url).netloc:
            raise location.refused(REASON_ENDPOINT, STS_URL, STS_ENDPOINT)
        return url
    if not _is_amazon(endpoint):
        return f"http://{endpoint}" if plain else f"https://{endpoint}"
    if not region:
        return "https://sts.amazonaws.com"
    return f"https://sts.{region}.{_domain(region)}"
