"""The requests that the stores need before they are of use: a bucket each."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from storelib.servers import ACCOUNT, BUCKET

if TYPE_CHECKING:
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


def _make_moto_bucket(site: Site) -> None:
    # Moto asks nobody who he is; nor does the next one.
    _send("PUT", f"http://{site.endpoint('sts')}/{BUCKET}")


def _make_google_bucket(site: Site) -> None:
    url = f"http://{site.endpoint('gcs')}/storage/v1/b?project=project"
    _send("POST", url, json.dumps({"name": BUCKET}).encode())


MAKE_BUCKET = {
    "sts": _make_moto_bucket,
    "gcs": _make_google_bucket,
    "azure": _make_container,
}


def _send(
    method: str, url: str, body: bytes | None = None, *, context: ssl.SSLContext | None = None
) -> None:
    request = urllib.request.Request(url, body, method=method)  # noqa: S310 - a URL of ours
    with urllib.request.urlopen(  # noqa: S310 - as above
        request, context=context, timeout=TIMEOUT_SECONDS
    ):
        pass
