"""The word under `type` decides the kind of storage."""

import pytest

from fakes import storage as fakes
from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage import kinds


@pytest.mark.parametrize(
    ("type_", "kind", "credential_type"),
    [
        pytest.param("s3", "s3", "secrets.kanister.io/aws", id="Amazon S3"),
        pytest.param("s3Compliant", "s3Compliant", "secrets.kanister.io/aws", id="others' S3"),
        pytest.param("gcs", "gcs", "secrets.kanister.io/gcp", id="Google Cloud Storage"),
        pytest.param("azure", "azure", "secrets.kanister.io/azure", id="Azure Blob Storage"),
        pytest.param("filestore", "filestore", "", id="a file store needs no credential"),
        pytest.param("fileStore", "filestore", "", id="as Kanister's documentation has it"),
        pytest.param("file-store", "filestore", "", id="as the design document has it"),
        pytest.param("gcs\n", "gcs", "secrets.kanister.io/gcp", id="with the line end of echo"),
    ],
)
def test_the_kinds_and_the_type_of_their_credential(
    type_: str, kind: str, credential_type: str
) -> None:
    found = kinds.kind_of(fakes.location({"type": type_}))

    assert found == kinds.KINDS[kind]
    assert found.credential_type == credential_type


@pytest.mark.parametrize(
    "type_",
    [
        pytest.param("s4", id="a type that nobody knows"),
        pytest.param("FileStore", id="letter case counts"),
    ],
)
def test_an_unknown_type_is_refused_without_being_repeated(type_: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        kinds.kind_of(fakes.location({"type": type_}))

    assert caught.value.reason == "LocationTypeUnknown"
    assert caught.value.message == (
        "key type of Secret backup/files-location, named by spec.storage.secretRef, is not a "
        "location type; use one of azure, filestore, gcs, s3, s3Compliant"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({}, "has no key type; add it", id="no type"),
        pytest.param({"type": ""}, "is empty; give it a value", id="an empty type"),
    ],
)
def test_a_type_is_needed(values: fakes.Values, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        kinds.kind_of(fakes.location(values))
