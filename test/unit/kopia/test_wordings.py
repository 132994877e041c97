"""What object stores answer on opening, in each known wording."""

import attrs
import pytest

from reconcilers.kopia import failures

BUCKET = failures.Setting(
    storage="p/files/ in bucket backups of S3 endpoint s3.example",
    location="backup/files-location",
    password="backup/files-repository-password",
    user=65532,
    credential="backup/files-credential",
)

START = "Server will allow connections from users whose accounts are stored in the repository.\n"
OPENING = "unable to initialize repository: error opening repository: unable to open repository: "
S3 = OPENING + 'cannot open storage: error retrieving storage config from bucket "backups": '
AZURE = (
    OPENING
    + """cannot open storage: unable to list from the bucket: GET https://a.blob.example/backups
--------------------------------------------------------------------------------
RESPONSE {status}: {status} {words}
ERROR CODE: {code}
--------------------------------------------------------------------------------
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Error>
  <Code>{code}</Code>
</Error>
--------------------------------------------------------------------------------
"""
)
NO_CONTAINER = AZURE.format(
    status=404, words="The specified container does not exist.", code="ContainerNotFound"
)
NO_SIGNATURE = AZURE.format(
    status=403,
    words="Server failed to authenticate the request.",
    code="AuthorizationFailure",
)
# As azidentity of Azure's SDK for Go prints it (errors.go).
NO_LOGIN = (
    OPENING
    + "cannot open storage: unable to list from the bucket: "
    + """ClientSecretCredential authentication failed.
POST https://login.microsoftonline.com/tenant/oauth2/v2.0/token
--------------------------------------------------------------------------------
RESPONSE 401 Unauthorized
--------------------------------------------------------------------------------
{
  "error": "invalid_client",
  "error_description": "AADSTS7000215: Invalid client secret provided. Trace ID: 5e8d",
  "error_codes": [
    7000215
  ]
}
--------------------------------------------------------------------------------
To troubleshoot, visit https://aka.ms/azsdk/go/identity/troubleshoot#client-secret"""
)
MOVED = (
    "The bucket you are attempting to access must be addressed using the specified endpoint. "
    "Please send all future requests to this endpoint."
)
GOOGLE = (
    OPENING + "cannot open storage: unable to list from the bucket: ListBlobs: Get "
    '"https://storage.googleapis.com/storage/v1/b/backups/o?alt=json&prefix=p%2Fkopia-gcs-17": '
)
SIGNATURE = "The request signature we calculated does not match the signature you provided."


@pytest.mark.parametrize(
    ("output", "reason", "message"),
    [
        pytest.param(
            S3 + SIGNATURE,
            "StorageAccessDenied",
            f"{BUCKET.storage} denies Kopia access: {SIGNATURE.rstrip('.')}; correct Secret "
            "backup/files-credential",
            id="S3: a wrong secret key",
        ),
        pytest.param(
            NO_SIGNATURE,
            "StorageAccessDenied",
            f"{BUCKET.storage} denies Kopia access: AuthorizationFailure: Server failed to "
            "authenticate the request; correct Secret backup/files-credential",
            id="Azure: a wrong key; of its page the answer counts",
        ),
        pytest.param(
            NO_LOGIN,
            "StorageAccessDenied",
            f"{BUCKET.storage} denies Kopia access: AADSTS7000215: Invalid client secret provided; "
            "correct Secret backup/files-credential",
            id="Azure: a wrong secret of an application; of its answer what is so each time",
        ),
        pytest.param(
            NO_CONTAINER,
            "BucketMissing",
            f"the bucket or container of {BUCKET.storage} does not exist; create it, or correct "
            "key bucket of Secret backup/files-location",
            id="Azure: no such container",
        ),
        pytest.param(
            OPENING
            + "cannot open storage: unable to list from the bucket: storage: bucket doesn't exist",
            "BucketMissing",
            f"the bucket or container of {BUCKET.storage} does not exist; create it, or correct "
            "key bucket of Secret backup/files-location",
            id="Google: no such bucket",
        ),
        pytest.param(
            S3 + 'Get "https://s3.example/backups/p/files/.storageconfig": tls: failed to verify '
            "certificate: x509: certificate signed by unknown authority",
            "StorageCertificateUntrusted",
            f"the certificate of {BUCKET.storage} is signed by an authority that Kopia does not "
            "know; put the authority's certificate under key ca.crt of Secret "
            "backup/files-location",
            id="an authority of one's own that nobody has told Kopia of",
        ),
        pytest.param(
            OPENING
            + "cannot open storage: cannot create point-in-time view for non-versioned bucket 'b'",
            "PointInTimeUnsupported",
            "spec.repository.pointInTime needs earlier versions of objects, which "
            f"{BUCKET.storage} does not keep; remove the field, or turn on versioning there from "
            "now on",
            id="a former state of a bucket that keeps no versions",
        ),
        pytest.param(
            S3 + 'the region "us-west-9" is wrong; expecting "eu-west-1"',
            "StorageRegionWrong",
            f'Kopia cannot open {BUCKET.storage}: the region "us-west-9" is wrong; expecting '
            '"eu-west-1"; correct key region of Secret backup/files-location',
            id="a wrong region, with the right one",
        ),
        pytest.param(
            S3
            + "The authorization header is malformed; the region 'us-east-1' is wrong; expecting "
            "'eu-west-1'",
            "StorageRegionWrong",
            f"Kopia cannot open {BUCKET.storage}: The authorization header is malformed; the "
            "region 'us-east-1' is wrong; expecting 'eu-west-1'; correct key region of Secret "
            "backup/files-location",
            id="the same in the words of Amazon",
        ),
        pytest.param(
            S3 + "The authorization header is malformed; the region is wrong; expecting "
            "'eu-west-1'.",
            "StorageRegionWrong",
            f"Kopia cannot open {BUCKET.storage}: The authorization header is malformed; the "
            "region is wrong; expecting 'eu-west-1'; correct key region of Secret "
            "backup/files-location",
            id="the same in the words of MinIO",
        ),
        pytest.param(
            S3 + "The authorization header is malformed; the region us-east-1 is wrong; expecting "
            "eu-west-1",
            "StorageRegionWrong",
            f"Kopia cannot open {BUCKET.storage}: The authorization header is malformed; the "
            "region us-east-1 is wrong; expecting eu-west-1; correct key region of Secret "
            "backup/files-location",
            id="the same in the words of SAP",
        ),
        pytest.param(
            S3 + "Region does not match, expecting region \u2018eu-west-1\u2019.",
            "StorageRegionWrong",
            f"Kopia cannot open {BUCKET.storage}: Region does not match, expecting region "
            "\u2018eu-west-1\u2019; correct key region of Secret backup/files-location",
            id="the same in the words of Kopia's own library",
        ),
        pytest.param(
            S3 + MOVED,
            "StorageRegionWrong",
            f"Kopia cannot open {BUCKET.storage}: {MOVED.rstrip('.')}; correct key region of "
            "Secret backup/files-location, and key endpoint if it names a region",
            id="the same as a redirection",
        ),
        pytest.param(
            S3 + "The difference between the request time and the server's time is too large.",
            "StorageClockDiffers",
            f"Kopia cannot open {BUCKET.storage}: The difference between the request time and the "
            "server's time is too large; set the clock of the node that pod runs on, or that of "
            "the storage",
            id="a clock that is wrong",
        ),
        pytest.param(
            S3 + "GetObject: Bucket name cannot be shorter than 3 characters",
            "BucketNameInvalid",
            "key bucket of Secret backup/files-location does not name a bucket or container: "
            "GetObject: Bucket name cannot be shorter than 3 characters; correct it",
            id="what no bucket can be called",
        ),
        pytest.param(
            S3 + "expected element type <Error> but have <ErrorResponse>",
            "StorageAccessDenied",
            "the service that lends roles refuses the one under key role of Secret "
            "backup/files-credential; correct the role and the keys there, or let the role trust "
            "the owner of the keys",
            id="a role that is not lent, which Kopia's library cannot read",
        ),
        pytest.param(
            S3 + 'Get "https://s3.exmaple/backups/?location=": dial tcp: lookup s3.exmaple on '
            "198.18.0.53:53: no such host",
            "StorageUnavailable",
            "there is no host s3.exmaple; correct key endpoint of Secret backup/files-location, or "
            "its key region if the endpoint is Amazon's",
            id="S3: a host that does not exist",
        ),
        pytest.param(
            OPENING + 'cannot open storage: unable to list from the bucket: Get "https://mistyped.'
            'blob.core.windows.net/c?comp=list&prefix=kopia-azure-1795880956406004456": dial tcp: '
            "lookup mistyped.blob.core.windows.net on 198.18.0.53:53: no such host",
            "StorageUnavailable",
            "there is no storage account at mistyped.blob.core.windows.net; correct key "
            "azure_storage_account_id of Secret backup/files-credential, or key storageDomain of "
            "Secret backup/files-location if the account is in no cloud of Microsoft's",
            id="Azure: an account that does not exist",
        ),
        pytest.param(
            OPENING + "cannot open storage: unable to list from the bucket: "
            "WorkloadIdentityCredential: unable to resolve an endpoint: server response error:\n"
            ' Get "https://login.microsoftonline.com/t/v2.0/.well-known/openid-configuration?": '
            "dial tcp: lookup login.microsoftonline.com on 198.18.0.53:53: no such host",
            "StorageUnavailable",
            f'Kopia cannot reach {BUCKET.storage}: Get "https://login.microsoftonline.com/t/v2.0/'
            '.well-known/openid-configuration": dial tcp: lookup login.microsoftonline.com on '
            "198.18.0.53:53: no such host; fix the storage, or correct Secret "
            "backup/files-location",
            id="Azure: the login's host is not the account's",
        ),
        pytest.param(
            GOOGLE + 'credentials: failed to open credential file "/var/run/secrets/gcp/token": '
            "open /var/run/secrets/gcp/token: no such file or directory",
            "CredentialFileMissing",
            "key service-account.json of Secret backup/files-credential names the file "
            "/var/run/secrets/gcp/token, which is not in the pod; for a token of the pod's account "
            "set spec.server.serviceAccountToken and name its file there, mount any other file by "
            "spec.server.podOverride, or put another credential into the Secret",
            id="Google: a federated identity whose token is not mounted is no missing repository",
        ),
        pytest.param(
            OPENING + "cannot open storage: unable to create GCS client: dialing: credentials: "
            'unsupported filetype "whatever"',
            "CredentialInvalid",
            "Google's library refuses key service-account.json of Secret backup/files-credential: "
            'unable to create GCS client: dialing: credentials: unsupported filetype "whatever"; '
            "put a credential there as Google issued it",
            id="Google: a credential of a kind that its library does not know",
        ),
        pytest.param(
            S3 + 'Get "https://s3.example/": tls: failed to verify certificate: x509: certificate '
            "is valid for a.example, not s3.example",
            "StorageCertificateUntrusted",
            f'the certificate of {BUCKET.storage} is for another host: Get "https://s3.example/": '
            "tls: failed to verify certificate: x509: certificate is valid for a.example, not "
            "s3.example; correct the host in Secret backup/files-location, or give the storage a "
            "certificate for that host",
            id="a certificate for another host",
        ),
        pytest.param(
            S3 + 'Get "https://s3.example/": http: server gave HTTP response to HTTPS client',
            "StorageSchemeWrong",
            f"{BUCKET.storage} answers without TLS; begin key endpoint of Secret "
            "backup/files-location with http://, or turn TLS on there",
            id="a storage without TLS",
        ),
        pytest.param(
            S3 + 'Get "https://s3.example/": dial tcp 192.0.2.1:443: connect: connection refused',
            "StorageUnavailable",
            f'Kopia cannot reach {BUCKET.storage}: Get "https://s3.example/": dial tcp '
            "192.0.2.1:443: connect: connection refused; fix the storage, or correct Secret "
            "backup/files-location",
            id="nobody answers: in Kopia's words",
        ),
        pytest.param(
            OPENING + "unable to create format manager: unable to read format blob: error getting "
            "kopia.repository blob: BLOB not found",
            "RepositoryMissing",
            f"there is no Kopia repository at {BUCKET.storage}; if there was one, bring the "
            "storage back; otherwise correct spec.repository.rootPath or Secret "
            "backup/files-location, or create one with `kopia repository create`",
            id="no repository in the bucket",
        ),
    ],
)
def test_what_an_object_store_answers_is_explained(output: str, reason: str, message: str) -> None:
    assert failures.explain(START + output, 1, BUCKET) == failures.Explanation(
        opened=False, reason=reason, message=message
    )


def test_without_a_credential_it_is_the_pods_identity_that_is_not_let_in() -> None:
    setting = attrs.evolve(BUCKET, credential="")

    explanation = failures.explain(START + S3 + "Access Denied.", 1, setting)

    assert explanation.reason == "StorageAccessDenied"
    assert explanation.message == (
        f"{BUCKET.storage} denies Kopia access: Access Denied; name a Secret with a credential in "
        "spec.storage.credentialSecretRef, or grant access to the service account of "
        "spec.server.serviceAccountName"
    )


def test_of_a_page_that_is_cut_the_answer_still_counts() -> None:
    page = NO_SIGNATURE.partition("cannot open storage")[2] + "x" * 2048

    assert failures.explain(page, 1, BUCKET).reason == "StorageAccessDenied"
