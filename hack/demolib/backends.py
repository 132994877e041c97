"""The kinds of storage that the demo knows, each a sample of manifests/samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterlib import paths

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS = paths.CHECKOUT / "manifests"


@dataclass(frozen=True)
class Backend:
    """A kind of storage.

    Attributes:
        sample: the folder of manifests/samples, after which its objects are named.
        words: what it is.
        store: the store of hack/stores that has the repository; empty for a volume.
        pod_override: what the controller takes of an override; "any" where the client of the store
            has to be told of it by a variable that no server gets otherwise.
    """

    sample: str
    words: str
    store: str = ""
    pod_override: str = "restricted"

    @property
    def folder(self) -> Path:
        """Where the sample is."""
        return MANIFESTS / "samples" / self.sample

    @property
    def server(self) -> str:
        """The sample's RepositoryServer, as kubectl names it."""
        return f"repositoryserver/{self.sample}"

    @property
    def job(self) -> str:
        """The Job that makes the repository, as kubectl names it."""
        return f"job/{self.sample}-repository"

    @property
    def tls_secret(self) -> str:
        """The Secret with the server's certificate."""
        return f"{self.sample}-tls"


FILE_STORE = Backend("file-store", "on a volume")

# By what `--backend` takes.
BACKENDS = {
    "filestore": FILE_STORE,
    "s3": Backend("s3", "in S3 (versitygw)", "s3"),
    "gcs": Backend("gcs", "in Google Cloud Storage (fake-gcs-server)", "gcs", "any"),
    "azure": Backend("azure", "in Azure Blob Storage (azurite)", "azure"),
}
