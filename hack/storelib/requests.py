"""The requests that the stores need before they are of use: a bucket each, and former versions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from storelib.servers import ACCOUNT, BUCKET, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storelib.servers import Site

# Of the service's protocol, by which the token is signed as well.
AZURE_VERSION = "2020-08-04"
# Longer than any cluster lives.
SAS_EXPIRY = "2099-01-01T00:00:00Z"
TIMEOUT_SECONDS = 30


def sas_token(account_key: str) -> str:
    """Return a token that may do everything with the storage account's blobs.

    Args:
        account_key: the account's, in Base64.
    """
    fields = {
        "sv": AZURE_VERSION,
        "ss": "b",
        "srt": "sco",
        "sp": "rwdlac",
        "se": SAS_EXPIRY,
        "spr": "https",
    }
    # In this order: permissions, services, resource types, start, expiry, addresses, protocol,
    # version.
    signed = [ACCOUNT, fields["sp"], fields["ss"], fields["srt"], "", fields["se"], ""]
    signed += [fields["spr"], fields["sv"], ""]
    key = base64.b64decode(account_key)
    digest = hmac.new(key, "\n".join(signed).encode(), hashlib.sha256).digest()
    return urlencode({**fields, "sig": base64.b64encode(digest).decode()})


def _make_container(site: Site) -> None:
    url = f"https://{site.endpoint('azure')}/{ACCOUNT}/{BUCKET}?restype=container"
    token = sas_token(site.credentials.account_key)
    _send("PUT", f"{url}&{token}", context=ssl.create_default_context(cadata=site.authority))


def _keep_versions(site: Site) -> None:
    body = (
        b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<Status>Enabled</Status></VersioningConfiguration>"
    )
    query = "versioning="
    url = f"https://{site.endpoint('s3')}/{BUCKET}?{query}"
    context = ssl.create_default_context(cadata=site.authority)
    _send("PUT", url, body, _signature(site, query, body), context=context)


def _signature(site: Site, query: str, body: bytes) -> dict[str, str]:
    """Return the headers of a PUT of the bucket of S3, signed as Amazon's version 4 has it."""
    now = datetime.now(UTC)  # noqa: TID251 - the store compares it with its own clock
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    content = hashlib.sha256(body).hexdigest()
    headers = {
        "host": site.endpoint("s3"),
        "x-amz-content-sha256": content,
        "x-amz-date": moment,
    }
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    request = "\n".join(["PUT", f"/{BUCKET}", query, *lines, "", names, content])
    scope = f"{day}/{REGION}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{site.credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={site.credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return {**headers, "Authorization": authorization}


def _make_moto_bucket(site: Site) -> None:
    # Moto asks nobody who he is; nor does the next one.
    _send("PUT", f"http://{site.endpoint('sts')}/{BUCKET}")


def _make_google_bucket(site: Site) -> None:
    url = f"http://{site.endpoint('gcs')}/storage/v1/b?project=project"
    _send("POST", url, json.dumps({"name": BUCKET}).encode())


MAKE_BUCKET = {
    # A folder that is there; former states of it are looked at as well.
    "s3": _keep_versions,
    "sts": _make_moto_bucket,
    "gcs": _make_google_bucket,
    "azure": _make_container,
}


def _send(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    context: ssl.SSLContext | None = None,
) -> None:
    request = urllib.request.Request(  # noqa: S310 - a URL of ours
        url, body, dict(headers or {}), method=method
    )
    with urllib.request.urlopen(  # noqa: S310 - as above
        request, context=context, timeout=TIMEOUT_SECONDS
    ):
        pass
