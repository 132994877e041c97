"""S3: endpoint, region, keys, token and role, from both spellings of the Secrets' keys."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fakes import objects
from fakes import storage as fakes
from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage.model import Storage

BUCKET: fakes.Values = {"type": "s3", "bucket": "backups", "prefix": "kanister"}
KEYS: fakes.Values = {"aws_access_key_id": "AKIA1", "aws_secret_access_key": "secret-7c1"}
ROLE: fakes.Values = {**KEYS, "role": "arn:aws:iam::123456789012:role/backup"}

BRAINPOOL = objects.key_pair("brainpool", key=ec.generate_private_key(ec.BrainpoolP256R1()))


def config(values: fakes.Values, credential: fakes.Values | None = None) -> dict[str, Any]:
    return dict(fakes.storage({**BUCKET, **values}, credential).config)


def test_all_that_kopia_needs() -> None:
    values: fakes.Values = {**BUCKET, "region": "eu-west-1"}

    assert fakes.storage(values, KEYS) == Storage(
        type_="s3",
        config={
            "bucket": "backups",
            "prefix": "kanister/files/",
            "endpoint": "s3.amazonaws.com",
            "region": "eu-west-1",
            "accessKeyID": "AKIA1",
            "secretAccessKey": "secret-7c1",
        },
        label="kanister/files/ in bucket backups of S3 endpoint s3.amazonaws.com",
    )


@pytest.mark.parametrize(
    ("written", "endpoint", "plain"),
    [
        pytest.param("minio.example:9000", "minio.example:9000", False, id="host and port"),
        pytest.param("https://minio.example", "minio.example", False, id="with scheme"),
        pytest.param("https://minio.example///", "minio.example", False, id="slashes at the end"),
        pytest.param("http://minio.example:9000", "minio.example:9000", True, id="without TLS"),
        pytest.param("HTTP://minio.example", "minio.example", False, id="in small letters only"),
        pytest.param("minio.example\n", "minio.example", False, id="the line end of echo"),
        pytest.param("", "s3.amazonaws.com", False, id="empty: Amazon's"),
    ],
)
def test_the_endpoint(written: str, endpoint: str, plain: bool) -> None:
    result = config({"endpoint": written}, KEYS)

    assert (result["endpoint"], result.get("doNotUseTLS", False)) == (endpoint, plain)


@pytest.mark.parametrize(
    ("written", "verified"),
    [
        pytest.param("true", False, id="true"),
        pytest.param("True", True, id="True never did"),
        pytest.param("true\n", False, id="true with the line end of echo"),
        pytest.param("1", True, id="1 never did"),
        pytest.param("", True, id="nor nothing"),
    ],
)
def test_only_the_word_true_switches_verification_off(written: str, verified: bool) -> None:
    assert ("doNotVerifyTLS" not in config({"skipSSLVerify": written}, KEYS)) is verified


@pytest.mark.parametrize(
    "credential",
    [
        pytest.param(KEYS, id="as they were read"),
        pytest.param(
            {"access-key": "AKIA1", "secret-access-key": "secret-7c1"},
            id="as the design document has them",
        ),
        pytest.param(
            {"access-key": "AKIA1", "secret-acccess-key": "secret-7c1"},
            id="as it has them in another place",
        ),
        pytest.param(
            {"aws_access_key_id": "AKIA1\n", "aws_secret_access_key": "secret-7c1\n"},
            id="with line ends",
        ),
    ],
)
def test_every_spelling_of_the_keys(credential: fakes.Values) -> None:
    result = config({}, credential)

    assert (result["accessKeyID"], result["secretAccessKey"]) == ("AKIA1", "secret-7c1")
    assert "sessionToken" not in result


def test_a_session_token_goes_with_the_keys() -> None:
    assert config({}, {**KEYS, "aws_session_token": "token-1"})["sessionToken"] == "token-1"


@pytest.mark.parametrize(
    "credential",
    [
        pytest.param(None, id="no credential Secret"),
        pytest.param({}, id="one without keys"),
        pytest.param({"role": ""}, id="one with an empty role"),
    ],
)
def test_without_keys_the_pods_own_identity_counts(credential: fakes.Values | None) -> None:
    assert config({}, credential) == {
        "bucket": "backups",
        "prefix": "kanister/files/",
        "endpoint": "s3.amazonaws.com",
    }


def test_a_role_is_assumed_by_kopia_itself_which_renews_it() -> None:
    result = config({"region": "eu-west-1"}, ROLE)

    assert {key: result[key] for key in result if key not in config({}, KEYS)} == {
        "region": "eu-west-1",
        "roleARN": "arn:aws:iam::123456789012:role/backup",
        "sessionName": "repository-server-controller",
        "duration": "1h",
        "roleEndpoint": "https://sts.eu-west-1.amazonaws.com",
        "roleRegion": "eu-west-1",
    }


@pytest.mark.parametrize(
    ("values", "url"),
    [
        pytest.param({}, "https://sts.amazonaws.com", id="no region: the global one"),
        pytest.param(
            {"region": "eu-west-1"}, "https://sts.eu-west-1.amazonaws.com", id="the region's"
        ),
        pytest.param(
            {"region": "cn-north-1"},
            "https://sts.cn-north-1.amazonaws.com.cn",
            id="China's have another domain",
        ),
        pytest.param(
            {"region": "eusc-de-east-1"},
            "https://sts.eusc-de-east-1.amazonaws.eu",
            id="those of the European Sovereign Cloud too",
        ),
        pytest.param(
            {"region": "us-isob-east-1"},
            "https://sts.us-isob-east-1.sc2s.sgov.gov",
            id="and those that the public cannot reach",
        ),
        pytest.param(
            {"endpoint": "s3.eusc-de-east-1.amazonaws.eu", "region": "eusc-de-east-1"},
            "https://sts.eusc-de-east-1.amazonaws.eu",
            id="theirs, named",
        ),
        pytest.param(
            {"endpoint": "s3.eu-west-1.amazonaws.com", "region": "eu-west-1"},
            "https://sts.eu-west-1.amazonaws.com",
            id="Amazon's, named",
        ),
        pytest.param(
            {"endpoint": "https://minio.example:9000", "region": "eu-west-1"},
            "https://minio.example:9000",
            id="another service answers where its S3 does",
        ),
        pytest.param(
            {"endpoint": "http://notamazonaws.com:5000"},
            "http://notamazonaws.com:5000",
            id="without TLS if S3 has none",
        ),
        pytest.param(
            {"endpoint": "https://minio.example", "stsEndpoint": "https://sts.example/\n"},
            "https://sts.example/",
            id="a service of its own, named",
        ),
    ],
)
def test_where_a_role_is_assumed(values: fakes.Values, url: str) -> None:
    assert config(values, ROLE)["roleEndpoint"] == url


def test_authorities_are_written_as_go_reads_them() -> None:
    bundle = objects.key_pair("a").certificate + objects.key_pair("b").certificate
    glued = bundle.replace("-----\n-----", "----------").strip()

    assert fakes.storage({**BUCKET, "ca.crt": glued}, KEYS).files == {"ca.crt": bundle}


def test_authorities_of_ones_own_are_added_to_those_of_the_system() -> None:
    authority = objects.key_pair().certificate

    storage = fakes.storage({**BUCKET, "ca.crt": f"\ufeff{authority}"}, KEYS)

    # Without the mark of the byte order, after which Go would not find them.
    assert storage.files == {"ca.crt": authority}
    assert storage.environment == {
        "SSL_CERT_DIR": "/etc/ssl/certs:/etc/pki/tls/certs:/etc/kopia/storage"
    }


def test_a_former_state_of_the_bucket() -> None:
    storage = fakes.storage(BUCKET, KEYS, repository={"pointInTime": "2026-01-31T13:00:00+01:00"})

    assert storage.config["pointInTime"] == "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("values", "credential", "message"),
    [
        pytest.param({"bucket": ""}, KEYS, "^key bucket of Secret .* is empty", id="no bucket"),
        pytest.param(
            {"endpoint": "https://minio.example/s3"},
            KEYS,
            "^key endpoint of Secret backup/files-location, named by spec.storage.secretRef, is "
            r"not just a host, as Kopia needs it; write \[http://\]HOST\[:PORT\], without a path "
            "or a user$",
            id="an endpoint with a path",
        ),
        pytest.param(
            {"endpoint": "https://user:password@minio.example"},
            KEYS,
            "^key endpoint of Secret .* is not just a host(?!.*password)",
            id="an endpoint with a password, which is not repeated",
        ),
        pytest.param(
            {"type": "s3Compliant"},
            KEYS,
            "^Secret backup/files-location, .* has no key endpoint; add it$",
            id="a compatible service without its endpoint",
        ),
        pytest.param(
            {"ca.crt": "none"},
            KEYS,
            "^key ca.crt of Secret backup/files-location, .* holds no certificates in PEM",
            id="authorities that are none",
        ),
        pytest.param(
            {"ca.crt": objects.key_pair("a").certificate + BRAINPOOL.certificate},
            KEYS,
            "^certificate 2 in key ca.crt of Secret backup/files-location, named by "
            "spec.storage.secretRef, cannot be read by Kopia and its clients: its key is on the "
            "curve brainpoolP256r1; have it issued anew, or remove it$",
            id="an authority that Go would skip in silence",
        ),
        pytest.param(
            {},
            {"aws_access_key_id": "AKIA1"},
            "^Secret backup/files-credential, named by spec.storage.credentialSecretRef, has no "
            "key aws_secret_access_key; add it$",
            id="one key of two",
        ),
        pytest.param(
            {}, {"key": "AKIA1"}, "has no key aws_access_key_id", id="keys under unknown names"
        ),
        pytest.param(
            {},
            {"aws_access_key_id": " ", "aws_secret_access_key": "s"},
            "^key aws_access_key_id of Secret .* is empty; give it a value",
            id="an empty key",
        ),
        pytest.param(
            {},
            {"role": "arn:aws:iam::123456789012:role/backup"},
            "^key role of Secret backup/files-credential, named by "
            "spec.storage.credentialSecretRef, needs keys to assume the role; add "
            "aws_access_key_id and aws_secret_access_key, or remove it and give the role to the "
            "service account of spec.server.serviceAccountName$",
            id="a role and nothing to assume it with",
        ),
        pytest.param(
            {"stsEndpoint": "sts.example"},
            ROLE,
            "^key stsEndpoint of Secret backup/files-location, .* is not a URL; write https://HOST",
            id="a service for roles that is no URL",
        ),
    ],
)
def test_what_cannot_work(values: fakes.Values, credential: fakes.Values, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        config(values, credential)


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        pytest.param("eu-west-1", "s3.amazonaws.com", id="Kopia finds the region's from it"),
        pytest.param("cn-north-1", "s3.amazonaws.com", id="that of China too"),
        pytest.param(
            "eusc-de-east-1",
            "s3.eusc-de-east-1.amazonaws.eu",
            id="that of the European Sovereign Cloud it does not know",
        ),
    ],
)
def test_amazons_endpoint_where_none_is_named(region: str, endpoint: str) -> None:
    assert config({"region": region}, KEYS)["endpoint"] == endpoint


def test_no_secret_is_in_a_representation() -> None:
    storage = fakes.storage(BUCKET, {**ROLE, "aws_session_token": "token-1"})

    assert "secret-7c1" not in repr(storage)
    assert "token-1" not in repr(storage)
