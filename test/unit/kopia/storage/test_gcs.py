"""Google Cloud Storage: a service account, another kind of credential, or the pod's identity."""

import json

import pytest

from fakes import objects
from fakes import storage as fakes
from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage.model import Storage

BUCKET: fakes.Values = {"type": "gcs", "bucket": "backups", "prefix": "kanister"}
KEY = objects.key_pair("google").key
ACCOUNT = {"type": "service_account", "client_email": "a@b", "private_key": KEY}
FEDERATED = {"type": "external_account", "audience": "//iam.googleapis.com/x"}


def key(credential: object) -> fakes.Values:
    return {"gcp_project_id": "project", "service-account.json": json.dumps(credential)}


def test_a_service_account_is_part_of_the_configuration() -> None:
    assert fakes.storage(BUCKET, key(ACCOUNT)) == Storage(
        type_="gcs",
        config={"bucket": "backups", "prefix": "kanister/files/", "credentials": ACCOUNT},
        label="kanister/files/ in bucket backups of Google Cloud Storage",
    )


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(KEY.replace("\n", "\\n"), id="line ends escaped twice"),
        pytest.param(KEY.replace("\n", " "), id="on one line"),
        pytest.param(f"  {KEY}", id="indented"),
    ],
)
def test_the_key_of_a_service_account_is_written_as_googles_library_reads_it(written: str) -> None:
    storage = fakes.storage(BUCKET, key({**ACCOUNT, "private_key": written}))

    assert storage.config["credentials"] == ACCOUNT


def test_another_kind_of_credential_goes_to_googles_library_in_a_file() -> None:
    storage = fakes.storage(BUCKET, key(FEDERATED))

    assert "credentials" not in storage.config
    assert storage.environment == {
        "GOOGLE_APPLICATION_CREDENTIALS": "/etc/kopia/storage/google-credentials.json"
    }
    assert json.loads(storage.files["google-credentials.json"]) == FEDERATED


@pytest.mark.parametrize(
    "credential",
    [
        pytest.param(None, id="no credential Secret"),
        pytest.param({}, id="one without keys"),
        pytest.param({"gcp_project_id": "project"}, id="one with the project only"),
        pytest.param({"project-id": "project"}, id="and as the design document has it"),
    ],
)
def test_without_a_credential_the_pods_own_identity_counts(
    credential: fakes.Values | None,
) -> None:
    storage = fakes.storage(BUCKET, credential)

    assert storage.config == {"bucket": "backups", "prefix": "kanister/files/"}
    assert storage.environment == {}


def test_read_only_asks_google_for_no_more_than_reading() -> None:
    assert fakes.storage(BUCKET, repository={"readOnly": True}).config["readOnly"] is True


def test_a_former_state_of_the_bucket_is_read_only() -> None:
    storage = fakes.storage(BUCKET, repository={"pointInTime": "2026-01-31T12:00:00Z"})

    assert storage.config["pointInTime"] == "2026-01-31T12:00:00Z"
    assert storage.config["readOnly"] is True


def test_authorities_of_ones_own_stand_beside_the_credential() -> None:
    authority = objects.key_pair().certificate

    storage = fakes.storage({**BUCKET, "ca.crt": authority}, key(FEDERATED))

    assert storage.files.keys() == {"ca.crt", "google-credentials.json"}
    assert storage.environment.keys() == {"SSL_CERT_DIR", "GOOGLE_APPLICATION_CREDENTIALS"}


@pytest.mark.parametrize(
    ("values", "credential", "message"),
    [
        pytest.param({"bucket": " "}, {}, "^key bucket of Secret .* is empty", id="no bucket"),
        pytest.param(
            {},
            {"gcp_project_id": "p", "key.json": "{}"},
            "^Secret backup/files-credential, .* has no key service-account.json; add it$",
            id="a credential under another name",
        ),
        pytest.param(
            {},
            {"service-account.json": "not json"},
            "^key service-account.json of Secret backup/files-credential, named by "
            "spec.storage.credentialSecretRef, is not a JSON object with a type; put the file "
            "there that Google issued for the service account$",
            id="no JSON",
        ),
        pytest.param({}, key(["a"]), "is not a JSON object", id="a list"),
        pytest.param(
            {},
            {"service-account.json": "[" * 5000 + "]" * 5000},
            "is not a JSON object",
            id="deeper than any decoder goes",
        ),
        pytest.param({}, key({"private_key": "k"}), "is not a JSON object", id="without a type"),
        pytest.param(
            {},
            {"service-account.json": '{"type": "authorized_user", "quota": NaN}'},
            "is not a JSON object",
            id="a number that only Python knows",
        ),
        pytest.param(
            {},
            key({**ACCOUNT, "private_key": "key-51d0"}),
            "^the private_key in key service-account.json of Secret backup/files-credential, named "
            "by spec.storage.credentialSecretRef, is not a private key in PEM; put the file there "
            "as Google issued it for the service account$",
            id="a service account whose key is none",
        ),
        pytest.param(
            {}, key({"type": "service_account"}), "is not a private key", id="or has none"
        ),
    ],
)
def test_what_cannot_work(values: fakes.Values, credential: fakes.Values, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        fakes.storage({**BUCKET, **values}, credential)


@pytest.mark.parametrize("credential", [ACCOUNT, {**FEDERATED, "private_key": KEY}])
def test_no_secret_is_in_a_representation(credential: object) -> None:
    assert "PRIVATE KEY" not in repr(fakes.storage(BUCKET, key(credential)))


def test_no_secret_is_in_a_refusal() -> None:
    with pytest.raises(InvalidInput) as caught:
        fakes.storage(BUCKET, {"service-account.json": "key-51d0"})

    assert "key-51d0" not in caught.value.message
    # The decoder's error would hold the document.
    assert caught.value.__context__ is None
