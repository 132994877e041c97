"""Two locations are one repository, or they are not, however they are written."""

from __future__ import annotations

import pytest

from fakes import storage as fakes
from reconcilers.kopia.storage.identity import identity
from reconcilers.kopia.storage.model import Storage

NAMESPACE = "backup"
KEYS: fakes.Values = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
S3: fakes.Values = {"type": "s3", "bucket": "b", "prefix": "p"}
COMPLIANT: fakes.Values = {**S3, "type": "s3Compliant", "endpoint": "minio.example"}
FILES: fakes.Values = {"type": "filestore", "claimName": "data"}
AZURE: fakes.Values = {"type": "azure", "bucket": "b", "prefix": "p"}
ACCOUNT: fakes.Values = {"azure_storage_account_id": "acc", "azure_storage_key": "a2V5"}
GCS: fakes.Values = {"type": "gcs", "bucket": "b", "prefix": "p"}


def of(
    values: fakes.Values, *, root_path: str = "r", credential: fakes.Values | None = None
) -> str:
    made = fakes.storage(values, credential, repository={"rootPath": root_path})
    return identity(made, NAMESPACE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            of({**S3, "endpoint": "s3.amazonaws.com"}, credential=KEYS),
            of({**S3, "endpoint": "s3.eu-west-1.amazonaws.com"}, credential=KEYS),
            id="Amazon, with the region's endpoint: names of buckets are global",
        ),
        pytest.param(
            of(S3, credential=KEYS),
            of({**COMPLIANT, "endpoint": "s3.dualstack.eu-west-1.amazonaws.com"}, credential=KEYS),
            id="Amazon, as if it were another's",
        ),
        pytest.param(
            of(COMPLIANT, credential=KEYS),
            of({**COMPLIANT, "endpoint": "https://MinIO.example:443/"}, credential=KEYS),
            id="an endpoint with scheme, capital letters and the port that it has anyway",
        ),
        pytest.param(
            of({**COMPLIANT, "endpoint": "http://minio:9000"}, credential=KEYS),
            of(
                {**COMPLIANT, "endpoint": "http://minio.backup.svc.cluster.local:9000"},
                credential=KEYS,
            ),
            id="a Service of this namespace by its short and its full name",
        ),
        pytest.param(
            of({**COMPLIANT, "endpoint": "minio.stores"}, credential=KEYS),
            of({**COMPLIANT, "endpoint": "minio.stores.svc"}, credential=KEYS),
            id="a Service of another namespace",
        ),
        pytest.param(
            of({**S3, "region": "eu-west-1"}, credential=KEYS),
            of(S3, credential={**KEYS, "aws_session_token": "t"}),
            id="another region and another credential",
        ),
        pytest.param(
            of(FILES, root_path="repo"), of(FILES, root_path="/repo/"), id="slashes around a folder"
        ),
        pytest.param(
            of({**FILES, "prefix": "a"}, root_path="b"),
            of(FILES, root_path="a//./b"),
            id="a folder with a prefix and without",
        ),
        pytest.param(
            of(AZURE, credential=ACCOUNT),
            of({**AZURE, "storageDomain": "Blob.core.windows.net"}, credential=ACCOUNT),
            id="Azure's own domain, written out",
        ),
    ],
)
def test_are_one(one: str, other: str) -> None:
    assert one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            of({"type": "s3", "bucket": "b"}, root_path="repo", credential=KEYS),
            of({"type": "s3", "bucket": "b"}, root_path="/repo", credential=KEYS),
            id="in an object store a slash is a character like any other",
        ),
        pytest.param(
            of({"type": "s3", "bucket": "b"}, root_path="repo", credential=KEYS),
            of({"type": "s3", "bucket": "b"}, root_path="repo/", credential=KEYS),
            id="at the end as well",
        ),
        pytest.param(
            of(S3, credential=KEYS),
            of({**S3, "endpoint": "s3.cn-north-1.amazonaws.com.cn"}, credential=KEYS),
            id="Amazon in China has other buckets of the same name",
        ),
        pytest.param(of(S3, credential=KEYS), of(COMPLIANT, credential=KEYS), id="two endpoints"),
        pytest.param(
            of({**COMPLIANT, "endpoint": "minio.example:9000"}, credential=KEYS),
            of({**COMPLIANT, "endpoint": "minio.example:9001"}, credential=KEYS),
            id="two ports",
        ),
        pytest.param(of(S3, credential=KEYS), of(GCS), id="two kinds of storage"),
        pytest.param(of(FILES), of({**FILES, "claimName": "other"}), id="two claims"),
        pytest.param(
            of(AZURE, credential=ACCOUNT),
            of(AZURE, credential={**ACCOUNT, "azure_storage_account_id": "other"}),
            id="two accounts",
        ),
        pytest.param(
            of(S3, credential=KEYS), of({**S3, "bucket": "c"}, credential=KEYS), id="two buckets"
        ),
    ],
)
def test_are_two(one: str, other: str) -> None:
    assert one != other


def test_a_claim_of_another_namespace_is_another_one() -> None:
    made = fakes.storage(FILES)

    assert identity(made, "backup") != identity(made, "other")


def test_it_holds_no_secret() -> None:
    found = of(AZURE, credential={**ACCOUNT, "azure_storage_key": "c2VjcmV0"})

    assert "c2VjcmV0" not in found


def test_words_with_separators_are_not_confused() -> None:
    def made(bucket: str, prefix: str) -> Storage:
        return Storage(type_="gcs", config={"bucket": bucket, "prefix": prefix}, label="")

    assert identity(made("a", "b c"), "n") != identity(made("a b", "c"), "n")
