"""The servers: how each is started, and what a location and a credential Secret say of it.

Pure: no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clusterlib.certificates import Identity
from clusterlib.processes import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import IPv4Address
    from pathlib import Path

BUCKET = "backups"
REGION = "eu-test-1"

# The stores of a cluster listen on an address of its own: the ports are the same everywhere.
PORTS = {"s3": 7001, "sts": 7002, "gcs": 7003, "azure": 7004}

# Kopia reaches a storage account at ACCOUNT.DOMAIN, so that the account is a Service's name.
ACCOUNT = "storeaccount"
NAMESPACE = "object-stores"
DOMAIN = f"{NAMESPACE}.svc"

ROLE = "arn:aws:iam::123456789012:role/backup"
CONTAINER = "repo-server-container"


@dataclass(frozen=True)
class Credentials:
    """What the stores of one cluster are entered with, made when the first of them is started.

    Attributes:
        access_key: of S3, its name.
        secret_key: of S3.
        account_key: of the storage account, in Base64.
        service_account: what Google gives for a service account, as JSON.
    """

    access_key: str
    secret_key: str = field(repr=False)
    account_key: str = field(repr=False)
    service_account: str = field(repr=False)


@dataclass(frozen=True)
class Programs:
    """Where the programs are.

    Attributes:
        versitygw: a gateway from S3 to a folder.
        fake_gcs_server: stands for Google Cloud Storage.
        moto_server: stands for Amazon's services, among them the one that roles are assumed at.
        azurite: Node.js and the script that stands for Azure Blob Storage.
    """

    versitygw: Path
    fake_gcs_server: Path
    moto_server: Path
    azurite: tuple[Path, Path]


@dataclass(frozen=True)
class Site:
    """Where the stores of one cluster are.

    Attributes:
        address: the machine's, as pods reach it.
        directory: for their data and certificates.
        certificate: of those that speak TLS.
        key: its key.
        authority: the certificate, in PEM, that signed it.
        credentials: what they are entered with.
    """

    address: IPv4Address
    directory: Path
    certificate: Path
    key: Path
    authority: str
    credentials: Credentials

    def data(self, name: str) -> Path:
        """Return the folder with a store's data."""
        return self.directory / name

    def endpoint(self, name: str) -> str:
        """Return host and port of a store."""
        return f"{self.address}:{PORTS[name]}"


@dataclass(frozen=True)
class Store:
    """What a RepositoryServer needs to be told of a store.

    Attributes:
        location: values of the location Secret.
        credential_type: type of the credential Secret.
        credential: values of the credential Secret.
        kopia: how Kopia's command line names it, for making a repository; without the prefix.
        environment: further variables for that. AUTHORITY is not Kopia's: its content is to be in
            the file that SSL_CERT_FILE names.
        variables: what Kopia's processes, the server's too, need in their environment.
        objects: what the cluster has to have besides.
    """

    location: Mapping[str, str]
    credential_type: str
    credential: Mapping[str, str] = field(repr=False)
    kopia: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    objects: tuple[Mapping[str, Any], ...] = ()

    @property
    def pod_override(self) -> dict[str, Any]:
        """Return what `spec.server.podOverride` has to be; empty if nothing."""
        env = [{"name": name, "value": value} for name, value in self.variables.items()]
        return {"containers": [{"name": CONTAINER, "env": env}]} if env else {}


@dataclass(frozen=True)
class Server:
    """A kind of store.

    Attributes:
        command: how it is started.
        store: what a RepositoryServer is told of it.
        folder: whether a bucket is a folder of its data, to be made before it is started.
    """

    command: Callable[[Site, Programs], Command]
    store: Callable[[Site], Store]
    folder: bool = False


def identity(address: IPv4Address) -> Identity:
    """Return whom the certificate of the stores speaks for."""
    hosts = (f"IP:{address}", f"DNS:{ACCOUNT}.{DOMAIN}")
    return Identity("stores", "stores", hosts=hosts)


def _s3_command(site: Site, programs: Programs) -> Command:
    arguments = [str(programs.versitygw), "--port", site.endpoint("s3"), "--region", REGION]
    arguments += ["--cert", str(site.certificate), "--key", str(site.key)]
    arguments += ["posix", "--sidecar", str(site.data("attributes"))]
    arguments += ["--versioning-dir", str(site.data("versions")), str(site.data("s3"))]
    keys = site.credentials
    environment = {"ROOT_ACCESS_KEY_ID": keys.access_key, "ROOT_SECRET_ACCESS_KEY": keys.secret_key}
    return Command("store-s3", arguments, environment)


def _s3_store(site: Site) -> Store:
    return Store(
        location={
            "type": "s3Compliant",
            "bucket": BUCKET,
            "endpoint": f"https://{site.endpoint('s3')}",
            "region": REGION,
            "ca.crt": site.authority,
        },
        credential_type="secrets.kanister.io/aws",
        credential=_keys(site.credentials),
        kopia=(
            "s3",
            f"--bucket={BUCKET}",
            f"--endpoint={site.endpoint('s3')}",
            f"--region={REGION}",
        ),
        environment={**_variables(site.credentials), "AUTHORITY": site.authority},
    )


def _sts_command(site: Site, programs: Programs) -> Command:
    host, _, port = site.endpoint("sts").partition(":")
    return Command("store-sts", [str(programs.moto_server), "--host", host, "--port", port])


def _sts_store(site: Site) -> Store:
    return Store(
        location={
            "type": "s3Compliant",
            "bucket": BUCKET,
            # Roles are assumed at the same port.
            "endpoint": f"http://{site.endpoint('sts')}/",
            "region": "us-east-1",
        },
        credential_type="secrets.kanister.io/aws",
        credential={**_keys(site.credentials), "role": ROLE},
        kopia=("s3", f"--bucket={BUCKET}", f"--endpoint={site.endpoint('sts')}", "--disable-tls"),
        environment=_variables(site.credentials),
    )


def _gcs_command(site: Site, programs: Programs) -> Command:
    host, _, port = site.endpoint("gcs").partition(":")
    arguments = [str(programs.fake_gcs_server), "-scheme", "http", "-host", host, "-port", port]
    arguments += ["-backend", "memory", "-external-url", f"http://{site.endpoint('gcs')}"]
    # Objects are read by paths that it knows under this name only.
    arguments += ["-public-host", site.endpoint("gcs")]
    return Command("store-gcs", arguments)


def _gcs_store(site: Site) -> Store:
    return Store(
        location={"type": "gcs", "bucket": BUCKET},
        credential_type="secrets.kanister.io/gcp",
        credential={
            "gcp_project_id": "project",
            "service-account.json": site.credentials.service_account,
        },
        kopia=("gcs", f"--bucket={BUCKET}"),
        environment={},
        # Google's library goes nowhere but to Google unless its environment says so.
        variables={"STORAGE_EMULATOR_HOST": site.endpoint("gcs")},
    )


def _azure_command(site: Site, programs: Programs) -> Command:
    host, _, port = site.endpoint("azure").partition(":")
    arguments = [*map(str, programs.azurite), "--blobHost", host, "--blobPort", port]
    arguments += ["--location", str(site.data("azure"))]
    arguments += ["--cert", str(site.certificate), "--key", str(site.key)]
    arguments += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    environment = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{site.credentials.account_key}"}
    return Command("store-azure", arguments, environment)


def _azure_store(site: Site) -> Store:
    return Store(
        location={
            "type": "azure",
            "bucket": BUCKET,
            "storageDomain": f"{DOMAIN}:{PORTS['azure']}",
            "ca.crt": site.authority,
        },
        credential_type="secrets.kanister.io/azure",
        credential={
            "azure_storage_account_id": ACCOUNT,
            "azure_storage_key": site.credentials.account_key,
        },
        kopia=("azure", f"--container={BUCKET}"),
        environment={
            "AZURE_STORAGE_ACCOUNT": ACCOUNT,
            "AZURE_STORAGE_KEY": site.credentials.account_key,
            "AZURE_STORAGE_DOMAIN": f"{DOMAIN}:{PORTS['azure']}",
            "AUTHORITY": site.authority,
        },
        objects=tuple(_account_objects(site)),
    )


SERVERS = {
    "s3": Server(_s3_command, _s3_store, folder=True),
    "sts": Server(_sts_command, _sts_store),
    "gcs": Server(_gcs_command, _gcs_store),
    "azure": Server(_azure_command, _azure_store),
}


def _keys(credentials: Credentials) -> dict[str, str]:
    return {
        "aws_access_key_id": credentials.access_key,
        "aws_secret_access_key": credentials.secret_key,
    }


def _variables(credentials: Credentials) -> dict[str, str]:
    return {key.upper(): value for key, value in _keys(credentials).items()}


def _account_objects(site: Site) -> list[Mapping[str, Any]]:
    """Return a Service by whose name pods reach the storage account on the machine."""
    port = {"name": "https", "port": PORTS["azure"], "protocol": "TCP"}
    metadata = {"name": ACCOUNT, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": "None", "ports": [port]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": ACCOUNT}},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [str(site.address)]}],
        },
    ]
