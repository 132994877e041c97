"""The objects that are published of a server, as they should be. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers import resources
from reconcilers.repositoryserver import connection
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.secrets import encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.publish.profileuser import ProfileUser
    from reconcilers.secrets.certificates import ServerCertificate

KEY_URL: Final = "url"
KEY_FINGERPRINT: Final = "fingerprint"
KEY_CERTIFICATE: Final = "tls.crt"
KEY_AUTHORITY: Final = "ca.crt"

#: Part of `mark`. Another one for each other content that is made of the same.
FORMAT: Final = "1"

#: The value of a Profile's `location.type` and `credential.type` (Kanister's apis/cr/v1alpha1,
#: types.go).
PROFILE_TYPE: Final = "kopia"


def mark(hash_: str, source: str = "") -> str:
    """Return the mark of a Secret that is published: what it was made of.

    Args:
        hash_: Of the revision whose pod shows the certificate.
        source: State of the Secret that the certificate comes from. Default: what all marks with
            the hash begin with.
    """
    return f"{hash_}.{FORMAT}.{source}"


def connection_data(
    server: RepositoryServer, certificate: ServerCertificate, authority: str
) -> dict[str, str]:
    """Return what a client needs to connect, but a user.

    Args:
        server: The resource.
        certificate: The certificate that clients see.
        authority: Who has signed it, in PEM; empty if that is not known.
    """
    return {
        KEY_URL: connection.url(server.namespace, names.stable_name(server)),
        KEY_FINGERPRINT: certificate.fingerprint,
        **profile_data(certificate),
        **({KEY_AUTHORITY: authority} if authority else {}),
    }


def profile_data(certificate: ServerCertificate) -> dict[str, str]:
    """Return what a Profile needs beside a user's password.

    Kanister takes one block of PEM, with nothing after it (pkg/kopia/utils.go), so that it is the
    leaf alone.

    Args:
        certificate: The certificate that clients see.
    """
    return {KEY_CERTIFICATE: certificate.leaf}


def secret(
    server: RepositoryServer, name: str, data: Mapping[str, str], mark_: str
) -> dict[str, Any]:
    """Return a Secret that is published.

    Args:
        server: The resource.
        name: Its name.
        data: Its content.
        mark_: What `mark` returned.
    """
    metadata = names.metadata(server, name)
    metadata["annotations"] = {names.ANNOTATION_PUBLISHED: mark_}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": encoded(data),
    }


def profile(server: RepositoryServer, user: ProfileUser) -> dict[str, Any]:
    """Return the Profile by which Kanister's `kando` connects.

    Args:
        server: The resource.
        user: As whom.
    """
    certificate = names.profile_certificate_name(server)
    return {
        "apiVersion": resources.PROFILES.api_version,
        "kind": resources.PROFILES.kind,
        "metadata": names.metadata(server, names.stable_name(server)),
        "location": {
            "type": PROFILE_TYPE,
            "endpoint": connection.url(server.namespace, names.stable_name(server)),
        },
        "credential": {
            "type": PROFILE_TYPE,
            "kopiaServerSecret": {
                "username": user.username,
                "hostname": user.hostname,
                "userPassphrase": _reference(server, user.secret, user.key),
                "tlsCert": _reference(server, certificate, KEY_CERTIFICATE),
            },
        },
    }


def _reference(server: RepositoryServer, name: str, key_: str) -> dict[str, Any]:
    return {"key": key_, "secret": {"name": name, "namespace": server.namespace}}
