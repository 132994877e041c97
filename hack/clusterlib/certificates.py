"""The cluster's certificate authority, certificates and kubeconfig files, by way of openssl."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterlib.processes import run

if TYPE_CHECKING:
    from pathlib import Path

DAYS = "3650"
_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Identity:
    """Whom a certificate speaks for.

    Attributes:
        name: the file names are NAME.crt and NAME.key.
        user: the common name: Kubernetes takes it as the user.
        groups: the organisations: Kubernetes takes them as the groups.
        hosts: for a server's certificate, "DNS:NAME" and "IP:ADDRESS".
    """

    name: str
    user: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Authority:
    """A certificate authority whose files lie in one directory.

    Args:
        directory: where its own and all issued certificates go.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "ca.crt"
        self.key = directory / "ca.key"

    def create(self) -> None:
        """Make the authority's key and certificate."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        constraints = ["-addext", "basicConstraints=critical,CA:TRUE"]
        constraints += ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
        run(
            [
                *("openssl", "req", "-x509", *_CURVE, "-subj", "/CN=cluster-ca", "-days", DAYS),
                *(*constraints, "-keyout", str(self.key), "-out", str(self.certificate)),
            ],
            what="making the certificate authority",
        )

    def issue(self, identity: Identity) -> None:
        """Make a key and a certificate, good for clients and, if it names hosts, for servers."""
        organisations = "".join(f"/O={group}" for group in identity.groups)
        # A critical basicConstraints and no subject key identifier are Go's defaults as well.
        command = ["openssl", "req", "-x509", *_CURVE, "-days", DAYS]
        command += ["-CA", str(self.certificate), "-CAkey", str(self.key)]
        command += ["-subj", f"{organisations}/CN={identity.user}"]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
        command += ["-addext", "keyUsage=critical,digitalSignature"]
        command += ["-addext", "extendedKeyUsage=clientAuth,serverAuth"]
        if identity.hosts:
            command += ["-addext", f"subjectAltName={','.join(identity.hosts)}"]
        command += ["-keyout", str(self.key_of(identity.name))]
        command += ["-out", str(self.certificate_of(identity.name))]
        run(command, what=f"making the certificate {identity.name}")

    def certificate_of(self, name: str) -> Path:
        """Return where the certificate of an identity is."""
        return self.directory / f"{name}.crt"

    def key_of(self, name: str) -> Path:
        """Return where the key of an identity is."""
        return self.directory / f"{name}.key"


def make_signing_key(key: Path, public: Path) -> None:
    """Make the key pair that service account tokens are signed with."""
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    what = "making the service account key"
    run(["openssl", "genpkey", *curve, "-out", str(key)], what=what)
    run(["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)], what=what)


def write_kubeconfig(path: Path, *, server: str, authority: Authority, name: str) -> None:
    """Write a kubeconfig for an issued identity, complete in itself, readable by its owner."""

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": data(authority.certificate)}
    user = {
        "client-certificate-data": data(authority.certificate_of(name)),
        "client-key-data": data(authority.key_of(name)),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": "cluster", "user": name}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    # JSON is YAML, and needs no library to be written.
    path.write_text(json.dumps(document, indent=2))
