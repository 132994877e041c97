"""What tells one repository from all others, however its storage is written. Pure functions."""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Storage

#: The names of buckets are global within a partition of Amazon's, whatever the endpoint.
_AMAZON: Final = re.compile(r"(?:^|\.)(amazonaws\.(?:com|com\.cn|eu))$")
#: The ports of HTTP and HTTPS, which need not be written.
_DEFAULT_PORT: Final = re.compile(r":(?:80|443)$")
#: What may follow the name and the namespace of a Service.
_SERVICE: Final = re.compile(r"^([^.]+\.[^.]+)\.svc(?:\..*)?$")


def identity(storage: Storage, namespace: str) -> str:
    """Return one word for a repository; the same for all ways to write where it is.

    In an object store the path is compared as it is: a slash is a character like any other there.
    Who opens the storage, and in which region it is looked for, does not count.

    Args:
        storage: Where the repository is.
        namespace: Of the server, for the claim, and for a Service that is named without one.
    """
    config = storage.config
    if storage.claim:
        place = [namespace, storage.claim, posixpath.normpath(config["path"])]
    else:
        place = [
            _host(config.get("endpoint", ""), namespace),
            _host(config.get("storageDomain", ""), namespace),
            config.get("storageAccount", "").lower(),
            config.get("bucket") or config.get("container", ""),
            config["prefix"],
        ]
    return json.dumps([storage.type_, *place])


def _host(written: str, namespace: str) -> str:
    """Return host and port in one spelling."""
    host, colon, port = _DEFAULT_PORT.sub("", written.lower()).partition(":")
    host = host.rstrip(".")
    if amazon := _AMAZON.search(host):
        return amazon[1]
    if service := _SERVICE.match(host):
        host = service[1]
    elif host and "." not in host:
        host = f"{host}.{namespace}"
    return f"{host}{colon}{port}"
