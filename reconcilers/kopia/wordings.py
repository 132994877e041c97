"""The sentences by which Kopia, its libraries and storages say what is wrong, and what they mean.

Kopia ends with code 1 whatever is wrong, and of an object store's answer it prints the message
alone, without the code; Azure's library prints both. So a fault is known by its words. Each entry
names where they come from; a sentence that no entry has is reported as it is.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

REASON_BUCKET: Final = "BucketMissing"
REASON_BUCKET_NAME: Final = "BucketNameInvalid"
REASON_DENIED: Final = "StorageAccessDenied"
REASON_UNTRUSTED: Final = "StorageCertificateUntrusted"
REASON_SCHEME: Final = "StorageSchemeWrong"
REASON_REGION: Final = "StorageRegionWrong"
REASON_CLOCK: Final = "StorageClockDiffers"
REASON_NO_VERSIONS: Final = "PointInTimeUnsupported"
REASON_CREDENTIAL_FILE: Final = "CredentialFileMissing"
REASON_CREDENTIAL: Final = "CredentialInvalid"
REASON_ADDRESS: Final = "StorageUnavailable"

BUCKET_MISSING: Final = (
    "the bucket or container of {storage} does not exist; create it, or correct key bucket of "
    "Secret {location}"
)
BUCKET_NAME: Final = (
    "key bucket of Secret {location} does not name a bucket or container: {cause}; correct it"
)
ACCESS_DENIED: Final = "{storage} denies Kopia access: {cause}; correct Secret {credential}"
IDENTITY_DENIED: Final = (
    "{storage} denies Kopia access: {cause}; name a Secret with a credential in "
    "spec.storage.credentialSecretRef, or grant access to the service account of "
    "spec.server.serviceAccountName"
)
ROLE_DENIED: Final = (
    "the service that lends roles refuses the one under key role of Secret {credential}; correct "
    "the role and the keys there, or let the role trust the owner of the keys"
)
UNTRUSTED: Final = (
    "the certificate of {storage} is signed by an authority that Kopia does not know; put the "
    "authority's certificate under key ca.crt of Secret {location}"
)
OTHER_HOST: Final = (
    "the certificate of {storage} is for another host: {cause}; correct the host in Secret "
    "{location}, or give the storage a certificate for that host"
)
OUTDATED: Final = "the certificate of {storage} is not valid now: {cause}; renew it there"
WITHOUT_TLS: Final = (
    "{storage} answers without TLS; begin key endpoint of Secret {location} with http://, or turn "
    "TLS on there"
)
WITH_TLS: Final = (
    "{storage} wants TLS; begin key endpoint of Secret {location} with https://, not with http://"
)
REGION_WRONG: Final = (
    "Kopia cannot open {storage}: {cause}; correct key region of Secret {location}"
)
OTHER_ENDPOINT: Final = (
    "Kopia cannot open {storage}: {cause}; correct key region of Secret {location}, and key "
    "endpoint if it names a region"
)
CLOCK: Final = (
    "Kopia cannot open {storage}: {cause}; set the clock of the node that pod runs on, or that of "
    "the storage"
)
NO_VERSIONS: Final = (
    "spec.repository.pointInTime needs earlier versions of objects, which {storage} does not keep; "
    "remove the field, or turn on versioning there from now on"
)
CREDENTIAL_FILE: Final = (
    "key service-account.json of Secret {credential} names the file {path}, which is not in the "
    "pod; for a token of the pod's account set spec.server.serviceAccountToken and name its file "
    "there, mount any other file by spec.server.podOverride, or put another credential into the "
    "Secret"
)
GOOGLE_CREDENTIAL: Final = (
    "Google's library refuses key service-account.json of Secret {credential}: {cause}; put a "
    "credential there as Google issued it"
)
NO_ACCOUNT: Final = (
    "there is no storage account at {host}; correct key azure_storage_account_id of Secret "
    "{credential}, or key storageDomain of Secret {location} if the account is in no cloud of "
    "Microsoft's"
)
NO_ENDPOINT: Final = (
    "there is no host {host}; correct key endpoint of Secret {location}, or its key region if the "
    "endpoint is Amazon's"
)


@frozen
class Wording:
    """One fault of an object store, in all words that are known for it.

    Args:
        words: Finds it in what Kopia says on opening. What its groups find stands for their names
            in the messages.
        reason: CamelCase word.
        message: Template of the fault and its fix.
        without_credential: Template where there is no Secret with a credential; the same if empty.
    """

    words: re.Pattern[str]
    reason: str
    message: str
    without_credential: str = ""


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


# In the order in which they are looked for.
WORDINGS: Final = (
    Wording(
        _any(
            # Of Azure, learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
            r"ContainerNotFound",
            # NoSuchBucket of minio-go, s3-error.go
            # ErrBucketNotExist of cloud.google.com/go/storage, storage.go
            r"NoSuchBucket|bucket (?:doesn't|does not) exist",
        ),
        REASON_BUCKET,
        BUCKET_MISSING,
    ),
    Wording(
        _any(
            # minio-go pkg/s3utils/utils.go, checkBucketNameCommon
            r"Bucket name (?:cannot|contains|must)",
            # minio-go s3-error.go, InvalidBucketName; Google's JSON API
            r"specified bucket is not valid|Invalid bucket name",
            # Azure, as above
            r"InvalidResourceName",
        ),
        REASON_BUCKET_NAME,
        BUCKET_NAME,
    ),
    # Go: crypto/x509 verify.go
    Wording(_any(r"certificate signed by unknown authority"), REASON_UNTRUSTED, UNTRUSTED),
    Wording(
        _any(
            r"x509: certificate is valid for .*, not ",
            r"x509: certificate is not valid for any names",
            r"x509: cannot validate certificate for .* because it doesn't contain any IP SANs",
            r"x509: certificate relies on legacy Common Name",
        ),
        REASON_UNTRUSTED,
        OTHER_HOST,
    ),
    Wording(_any(r"x509: certificate has expired or is not yet valid"), REASON_UNTRUSTED, OUTDATED),
    # Go: net/http transport.go, crypto/tls conn.go
    Wording(
        _any(
            r"server gave HTTP response to HTTPS client",
            r"first record does not look like a TLS handshake",
        ),
        REASON_SCHEME,
        WITHOUT_TLS,
    ),
    # Go: net/http server.go; nginx, in front of others
    Wording(
        _any(
            r"sent an HTTP request to an HTTPS server",
            r"plain HTTP request was sent to HTTPS port",
        ),
        REASON_SCHEME,
        WITH_TLS,
    ),
    # Kopia: repo/blob/s3/s3_pit.go, azure_pit.go, gcs_pit.go
    Wording(
        _any(r"non-versioned bucket|versioning must be enabled"), REASON_NO_VERSIONS, NO_VERSIONS
    ),
    Wording(
        _any(
            # AuthorizationHeaderMalformed of Amazon ('us-east-1' in single quotes), versitygw
            # (double), SAP and Ceph (none) and MinIO (not named); minio-go s3-error.go where there
            # is no message
            r"the region\b[^;]{0,80}? is wrong",
            # InvalidRegion: minio-go api-error-response.go
            r"Region does not match, expecting region",
            # Amazon, for a signature of another service or partition
            r"Credential should be scoped to a valid region",
        ),
        REASON_REGION,
        REGION_WRONG,
    ),
    Wording(
        _any(
            # PermanentRedirect (301) and IllegalLocationConstraintException of Amazon
            r"must be addressed using the specified endpoint",
            r"location constraint is incompatible for the region",
            r"Error response code (?:PermanentRedirect|TemporaryRedirect)",
        ),
        REASON_REGION,
        OTHER_ENDPOINT,
    ),
    Wording(
        _any(
            # RequestTimeTooSkewed: minio-go s3-error.go; Amazon; Ceph
            r"difference between the request time and the (?:server's|current) time",
            r"RequestTimeTooSkewed",
        ),
        REASON_CLOCK,
        CLOCK,
    ),
    # cloud.google.com/go/auth credentials/internal/externalaccount/file_provider.go
    Wording(
        _any(r'failed to open credential file "(?P<path>[^"]+)"'),
        REASON_CREDENTIAL_FILE,
        CREDENTIAL_FILE,
    ),
    Wording(
        _any(
            # cloud.google.com/go/auth credentials/filetypes.go, internal/externalaccount, internal
            r"unable to create GCS client: dialing: (?:credentials: unsupported|auth: )",
            r"externalaccount: ",
            r"credentials: (?:could not parse|unable to parse)",
            r"credentials: (?:improperly formatted|provided) subject",
            r"failed to parse private key",
        ),
        REASON_CREDENTIAL,
        GOOGLE_CREDENTIAL,
    ),
    # minio-go pkg/credentials/assume_role.go, of a service that leaves out Amazon's namespace
    Wording(
        _any(r"expected element type <Error> but have <ErrorResponse>"), REASON_DENIED, ROLE_DENIED
    ),
    Wording(
        _any(
            # S3 and STS of Amazon; minio-go s3-error.go; Kopia repo/blob/storage.go
            r"signature we calculated does not match|SignatureDoesNotMatch",
            r"access ?denied|All access to this (?:bucket|object) has been disabled",
            r"InvalidAccessKeyId|Access Key Id you provided does not exist",
            r"not authorized to perform|security token included in the request is",
            r"provided token (?:has expired|is malformed)|ExpiredToken|InvalidClientTokenId",
            # Azure, as above, and its login (learn.microsoft.com/entra, AADSTS error codes)
            r"AuthenticationFailed|NoAuthenticationInformation|AccountIsDisabled",
            r"Authorization(?:Permission|Resource|Service|Protocol|SourceIP)?(?:Failure|Mismatch)",
            r"KeyBasedAuthenticationNotPermitted|PublicAccessNotPermitted|AADSTS\d+",
            # Google: google.golang.org/api googleapi.go; cloud.google.com/go/auth
            r"Error 40[13]|does not have storage\.|invalid_grant|cannot fetch token",
            r"could not find default credentials",
        ),
        REASON_DENIED,
        ACCESS_DENIED,
        without_credential=IDENTITY_DENIED,
    ),
    # Go: net/net.go, DNSError; Kopia: repo/blob/azure/azure_storage.go and s3/s3_storage.go say
    # what they were about. The login of an application has another host than its account.
    Wording(
        re.compile(
            r'unable to list from the bucket: \w+ "https?://(?P<host>[^/"?]+)[^"]*":'
            r" dial tcp: lookup (?P=host)\b.*no such host"
        ),
        REASON_ADDRESS,
        NO_ACCOUNT,
    ),
    Wording(
        re.compile(
            r'error retrieving storage config from bucket "[^"]*": [^\n]*'
            r"dial tcp: lookup (?P<host>\S+)[^\n]*no such host"
        ),
        REASON_ADDRESS,
        NO_ENDPOINT,
    ),
)
