"""What Kopia's words mean to the user."""

import attrs
import pytest

from reconcilers.kopia import failures

SETTING = failures.Setting(
    storage="backups/files/ on PersistentVolumeClaim backup/files-data",
    location="backup/files-location",
    password="backup/files-repository-password",
    user=65532,
)

NO_REPOSITORY = (
    "there is no Kopia repository at backups/files/ on PersistentVolumeClaim backup/files-data; "
    "if there was one, bring the storage back; otherwise correct spec.repository.rootPath or "
    "Secret backup/files-location, or create one with `kopia repository create`"
)


# What Kopia 0.23.1 printed when it was tried.
START = "Server will allow connections from users whose accounts are stored in the repository.\n"
WRONG_PASSWORD = START + (
    "failed to open repository: unable to create format manager: invalid repository password\n"
    "unable to initialize repository: error opening repository: unable to open repository: unable "
    "to create format manager: invalid repository password\n"
)
PATH_MISSING = START + (
    "failed to open repository: cannot open storage: cannot access storage path: stat "
    "/mnt/data/backups/files: no such file or directory\n"
)
PATH_EMPTY = START + (
    "failed to open repository: unable to create format manager: unable to read format blob: error "
    "getting kopia.repository blob: BLOB not found\n"
)
FOLDER_OF_ROOT = START + (
    "failed to open repository: unable to create format manager: unable to read format blob: error "
    "getting kopia.repository blob: error determining sharded path: error getting sharding "
    "parameters for storage: unable to complete GetBlobFromPath:/mnt/data/backups/files/.shards "
    "despite 10 retries: open /mnt/data/backups/files/.shards: permission denied\n"
)


@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        pytest.param(
            "kopia: error: unknown long flag '--htpasswd-file', try --help\n",
            1,
            failures.Explanation(
                opened=False,
                reason="KopiaVersionUnsupported",
                message="Kopia in the server's image does not accept the command line of the "
                "controller: unknown long flag '--htpasswd-file'; use an image with "
                "Kopia 0.23.1 in --server-image of the controller, or in "
                "spec.server.podOverride if that names one",
            ),
            id="another version of Kopia, which does not know a flag",
        ),
        pytest.param(
            "ERROR open /cache/x: permission denied",
            1,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 1: ERROR open /cache/x: permission denied; see "
                "the log of the pod",
            ),
            id="a cache that cannot be written is no fault of the storage",
        ),
        pytest.param(
            "panic: nil map\n\ngoroutine 1 [running]:\nmain.go:119 +0x2c7",
            2,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 2: panic: nil map; see the log of the pod",
            ),
            id="of a panic the first line counts, not the trace",
        ),
        pytest.param(
            WRONG_PASSWORD,
            1,
            failures.Explanation(
                opened=False,
                reason="RepositoryPasswordWrong",
                message="Kopia cannot open the repository at backups/files/ on "
                "PersistentVolumeClaim backup/files-data: the password in key "
                "repo-password of Secret backup/files-repository-password is wrong; "
                "correct it",
            ),
            id="the repository password is wrong",
        ),
        pytest.param(
            PATH_MISSING,
            1,
            failures.Explanation(opened=False, reason="RepositoryMissing", message=NO_REPOSITORY),
            id="the path does not exist",
        ),
        pytest.param(
            PATH_EMPTY,
            1,
            failures.Explanation(opened=False, reason="RepositoryMissing", message=NO_REPOSITORY),
            id="the path exists and holds no repository",
        ),
        pytest.param(
            "repository not initialized in the provided storage",
            1,
            failures.Explanation(opened=False, reason="RepositoryMissing", message=NO_REPOSITORY),
            id="the same in the words of other commands",
        ),
        pytest.param(
            FOLDER_OF_ROOT,
            1,
            failures.Explanation(
                opened=False,
                reason="StoragePermissionDenied",
                message="Kopia runs as user 65532 and may not use "
                "/mnt/data/backups/files/.shards of backups/files/ on PersistentVolumeClaim "
                "backup/files-data; set spec.server.runAsUser to the owner of the files, or change "
                "their owner",
            ),
            id="the files belong to another user",
        ),
        pytest.param(
            "cannot open storage: mkdir /mnt/data/x: operation not permitted",
            1,
            failures.Explanation(
                opened=False,
                reason="StoragePermissionDenied",
                message="Kopia runs as user 65532 and may not use /mnt/data/x of backups/files/ on "
                "PersistentVolumeClaim backup/files-data; set spec.server.runAsUser to the owner "
                "of the files, or change their owner",
            ),
            id="the kernel's other words for it",
        ),
        pytest.param(
            "can't connect to storage: stat /mnt/data: stale NFS file handle",
            1,
            failures.Explanation(
                opened=False,
                reason="StorageUnavailable",
                message="Kopia cannot reach backups/files/ on PersistentVolumeClaim "
                "backup/files-data: can't connect to storage: stat /mnt/data: stale NFS "
                "file handle; fix the storage, or correct Secret backup/files-location",
            ),
            id="the storage cannot be reached: in Kopia's words",
        ),
        pytest.param(
            "SERVER ADDRESS: https://[::]:51515\ntls: private key does not match public key\n",
            1,
            failures.Explanation(
                opened=True,
                reason="KopiaExited",
                message="Kopia exited with code 1: tls: private key does not match public key; "
                "see the log of the pod",
            ),
            id="anything else: its last line; the repository had been opened, as the address shows",
        ),
        pytest.param(
            "tls: private key does not match public key\n",
            1,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 1: tls: private key does not match public key; "
                "see the log of the pod",
            ),
            id="anything else: that it had been opened is not claimed where nothing shows it",
        ),
        pytest.param(
            START + "failed to open repository: unable to create format manager: unsupported "
            "format version 9\n",
            1,
            failures.Explanation(
                opened=False,
                reason="RepositoryNotOpened",
                message="Kopia cannot open the repository at backups/files/ on "
                "PersistentVolumeClaim backup/files-data: unable to "
                "create format manager: unsupported format version 9; see the log of the pod",
            ),
            id="a sentence about the opening that no table has",
        ),
        pytest.param(
            "open /etc/kopia-users/htpasswd: no such file or directory\n",
            1,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 1: open /etc/kopia-users/htpasswd: no such file or "
                "directory; see the log of the pod",
            ),
            id="a file that is missing is not always the repository",
        ),
        pytest.param(
            "",
            137,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 137: it printed nothing; see the log of the pod",
            ),
            id="killed without a word",
        ),
    ],
)
def test_what_kopia_says_is_explained(
    output: str, code: int, expected: failures.Explanation
) -> None:
    assert failures.explain(output, code, SETTING) == expected


BUCKET = failures.Setting(
    storage="p/files/ in bucket backups of S3 endpoint s3.example",
    location="backup/files-location",
    password="backup/files-repository-password",
    user=65532,
    credential="backup/files-credential",
)

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
            "/var/run/secrets/gcp/token, which is not in the pod; mount it there by "
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


def test_what_clients_were_refused_before_explains_nothing() -> None:
    output = "access denied for alice@h1\nAccess Denied.\ntls: private key does not match\n"

    assert failures.explain(output, 1, BUCKET).reason == "KopiaExited"


def test_a_long_way_through_kopia_does_not_crowd_the_cause_out() -> None:
    output = OPENING + "in between: " * 30 + "cannot open storage: connection refused"

    assert ": connection refused; " in failures.explain(output, 1, BUCKET).message


def test_a_token_in_a_url_is_not_repeated() -> None:
    output = OPENING + (
        'cannot open storage: Get "https://a.blob.example/backups?comp=list&sig=signature%3D": '
        "dial tcp: connection refused"
    )

    message = failures.explain(output, 1, BUCKET).message

    assert "signature" not in message
    assert 'Get "https://a.blob.example/backups": dial tcp: connection refused; ' in message


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(
            OPENING + 'cannot open storage: unable to list from the bucket: parse "https://a.blob.'
            'example/c?sv=2020&sig=one two-51d0": invalid character in URL',
            id="white space in it, by which the URL is none",
        ),
        pytest.param(
            ("x" * 2048 + '&sig=token-51d0%3D&sv=2020": dial tcp: connection refused')[-2048:],
            id="the beginning of the URL is lost",
        ),
        pytest.param(
            f'token-51d0%3D&sv=2020": dial tcp: {"x" * 2048}',
            id="the beginning of the token is lost",
        ),
    ],
)
def test_a_token_is_not_repeated_in_whatever_state_its_url_is(output: str) -> None:
    assert "51d0" not in failures.explain(output, 1, BUCKET).message


def test_of_a_page_that_is_cut_the_answer_still_counts() -> None:
    page = NO_SIGNATURE.partition("cannot open storage")[2] + "x" * 2048

    assert failures.explain(page, 1, BUCKET).reason == "StorageAccessDenied"


def test_what_clients_were_refused_explains_nothing_where_the_beginning_is_lost() -> None:
    output = "access denied for alice@h1\n" * 80

    assert failures.explain(output, 1, BUCKET).reason == "KopiaExited"


def test_want_of_memory_explains_more_than_what_was_printed_before() -> None:
    explanation = failures.explain(WRONG_PASSWORD, 137, SETTING, out_of_memory=True)

    assert explanation == failures.Explanation(
        opened=False,
        reason="OutOfMemory",
        message="Kopia ran out of memory and was killed (exit code 137); raise "
        "spec.server.resources.limits.memory, or the limit that a LimitRange of the "
        "namespace sets",
    )


@pytest.mark.parametrize(
    ("output", "line"),
    [
        pytest.param("first\nlast\n", "last", id="the last line"),
        pytest.param("last\n\n  \n", "last", id="that is not empty"),
        pytest.param("  indented  ", "indented", id="without white space around"),
        pytest.param("\x1b[31mERROR\x1b[0m no", "ERROR no", id="without colours"),
        pytest.param("\x1b[0m\n", "it printed nothing", id="colours alone are nothing"),
        pytest.param(
            "read tcp 10.1.0.5:40312->192.0.2.1:443: read: connection reset by peer",
            "read tcp 192.0.2.1:443: read: connection reset by peer",
            id="without the port that is another one each time",
        ),
        pytest.param(
            "write tcp [fd00::5]:40312->[2001:db8::1]:443: write: broken pipe",
            "write tcp [2001:db8::1]:443: write: broken pipe",
            id="nor that of an IPv6 address",
        ),
        pytest.param("x" * 301, "x" * 300, id="cut to fit a condition"),
        pytest.param("", "it printed nothing", id="nothing"),
    ],
)
def test_the_last_line_that_says_something(output: str, line: str) -> None:
    assert failures.last_line(output) == line
