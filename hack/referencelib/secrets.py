"""The keys of the Secrets: what becomes of each, and what is said of a wrong value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconcilers.kopia.storage import authorities, azure, filestore, gcs, kinds, paths, s3
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.inputs import permissions
from reconcilers.repositoryserver.users import access
from reconcilers.secrets import certificates
from reconcilers.secrets import data as secrets


@dataclass(frozen=True)
class Key:
    """A key of a Secret.

    Attributes:
        names: its spellings, that of messages first.
        needed: `yes`, or when.
        becomes: where its value ends up.
        left_out: what holds without it.
        refusals: templates of what the controller says of wrong values.
    """

    names: tuple[str, ...]
    needed: str
    becomes: str
    left_out: str = ""
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Secret:
    """A kind of Secret.

    Attributes:
        title: what it holds.
        type: its type.
        named_by: the fields of the resource that refer to one.
        about: a sentence or two.
        keys: in the order in which they are told.
    """

    title: str
    type: str
    named_by: tuple[str, ...]
    about: str
    keys: tuple[Key, ...]


# What is said of a Secret of whatever kind.
OF_ANY = (
    api.FOREIGN_NAMESPACE,
    secrets.MISSING,
    secrets.WRONG_TYPE,
    secrets.KEY_MISSING,
    secrets.KEY_EMPTY,
    secrets.KEY_PLACEHOLDER,
    secrets.NOT_TEXT,
)

_LOCATION = ("spec.storage.secretRef",)
_CREDENTIAL = ("spec.storage.credentialSecretRef",)


def _prefix(becomes: str) -> Key:
    return Key(
        ("prefix", "path"),
        "no",
        f"the beginning of `{becomes}`, before `spec.repository.rootPath`",
        "the root path alone",
        (paths.PREFIX_LEAVES,),
    )


_BUCKET = Key(("bucket",), "yes", "`storage.config.bucket`")
_AUTHORITIES = Key(
    (authorities.KEY,),
    "no",
    "a file in `SSL_CERT_DIR`: certificates of authorities that Kopia trusts in addition to those "
    "of its image",
    "the authorities of the image",
    (authorities.AUTHORITY, certificates.UNREADABLE),
)

SECRETS = (
    Secret(
        "Storage location",
        secrets.TYPE_LOCATION,
        _LOCATION,
        "The key `type` decides which of the tables below applies to the other keys.",
        (
            Key(
                ("type",),
                "yes",
                "`storage.type`: `filesystem` for `filestore`, `s3` for `s3` and `s3Compliant`, "
                "`gcs`, `azureBlob` for `azure`",
                refusals=(kinds.UNKNOWN_LOCATION,),
            ),
        ),
    ),
    Secret(
        "Location of type filestore",
        secrets.TYPE_LOCATION,
        _LOCATION,
        "Other spellings of the type: "
        f"{', '.join(f'`{name}`' for name in sorted(kinds.OTHER_SPELLINGS))}.",
        (
            Key(
                ("claimName",),
                "yes",
                f"the PersistentVolumeClaim mounted at `{filestore.DATA_DIRECTORY}`",
                refusals=(filestore.CLAIM_NAME,),
            ),
            _prefix("storage.config.path"),
        ),
    ),
    Secret(
        "Location of type s3 or s3Compliant",
        secrets.TYPE_LOCATION,
        _LOCATION,
        "The two differ in one thing: `s3Compliant` needs an `endpoint`.",
        (
            _BUCKET,
            _prefix("storage.config.prefix"),
            Key(
                ("endpoint",),
                "with `s3Compliant`",
                "`storage.config.endpoint`, without its scheme; `http:` before it also becomes "
                "`storage.config.doNotUseTLS`",
                f"`{s3.DEFAULT_ENDPOINT}`, or that of the region in another partition of Amazon's",
                (s3.NO_HOST,),
            ),
            Key(
                ("region",),
                "no",
                "`storage.config.region`, and `storage.config.roleRegion` where a role is assumed",
                "Kopia asks the endpoint",
            ),
            Key(
                ("skipSSLVerify",),
                "no",
                "`storage.config.doNotVerifyTLS`, if it is `true`",
                "the certificate is verified",
            ),
            _AUTHORITIES,
            Key(
                (s3.STS_ENDPOINT,),
                "no",
                "`storage.config.roleEndpoint`: the URL that a role is assumed at",
                "Amazon's for the region, or the endpoint itself if it is not Amazon's",
                (s3.STS_URL,),
            ),
        ),
    ),
    Secret(
        "Location of type gcs",
        secrets.TYPE_LOCATION,
        _LOCATION,
        "Google Cloud Storage.",
        (_BUCKET, _prefix("storage.config.prefix"), _AUTHORITIES),
    ),
    Secret(
        "Location of type azure",
        secrets.TYPE_LOCATION,
        _LOCATION,
        "Azure Blob Storage.",
        (
            Key(("bucket",), "yes", "`storage.config.container`"),
            _prefix("storage.config.prefix"),
            Key(
                (azure.STORAGE_DOMAIN,),
                "no",
                "`storage.config.storageDomain`, for a cloud of one's own",
                "that of the cloud in the credential",
                (azure.DOMAIN,),
            ),
            _AUTHORITIES,
        ),
    ),
    Secret(
        "Credential for S3",
        secrets.TYPE_AWS,
        _CREDENTIAL,
        "Without any key, or without the Secret, Kopia takes the pod's own identity.",
        (
            Key(
                s3.ACCESS_KEY,
                "with any other key of the Secret",
                "`storage.config.accessKeyID`",
                "the pod's own identity opens the bucket",
            ),
            Key(
                s3.SECRET_KEY,
                "with any other key of the Secret",
                "`storage.config.secretAccessKey`",
                "the pod's own identity opens the bucket",
            ),
            Key((s3.SESSION_TOKEN,), "no", "`storage.config.sessionToken`", "no session"),
            Key(
                (s3.ROLE,),
                "no",
                "`storage.config.roleARN`: Kopia assumes the role with the keys, and again before "
                f"{s3.ROLE_DURATION} is over",
                "the keys themselves open the bucket",
                (s3.ROLE_WITHOUT_KEYS,),
            ),
        ),
    ),
    Secret(
        "Credential for Google Cloud Storage",
        secrets.TYPE_GCP,
        _CREDENTIAL,
        f"Without the Secret, or with no key but {gcs.PROJECT[0]}, Kopia takes the pod's own "
        "identity.",
        (
            Key(
                (gcs.CREDENTIAL,),
                "no",
                "`storage.config.credentials` if it is a service account; any other kind of "
                "credential becomes a file that `GOOGLE_APPLICATION_CREDENTIALS` names",
                "the pod's own identity opens the bucket",
                refusals=(gcs.NOT_JSON, gcs.NO_KEY),
            ),
            Key(gcs.PROJECT, "no", "nothing; accepted from existing Secrets", "nothing changes"),
        ),
    ),
    Secret(
        "Credential for Azure",
        secrets.TYPE_AZURE,
        _CREDENTIAL,
        "Kopia uses the first of these that is set: SAS token, storage key, client secret, "
        "federated identity.",
        (
            Key(
                (azure.ACCOUNT,),
                "yes",
                "`storage.config.storageAccount`",
                refusals=(azure.NO_CREDENTIAL, azure.NO_WAY_IN, azure.ACCOUNT_NAME),
            ),
            Key(
                (azure.SAS_TOKEN,),
                "one of the four",
                "`storage.config.sasToken`; of a URL its query",
                refusals=(azure.NO_SIGNATURE,),
            ),
            Key(
                (azure.STORAGE_KEY,),
                "one of the four",
                "`storage.config.storageKey`",
                refusals=(azure.NOT_BASE64,),
            ),
            Key((azure.CLIENT_SECRET,), "one of the four", "`storage.config.ClientSecret`"),
            Key(
                (azure.FEDERATED,),
                "one of the four",
                "`storage.config.azureFederatedTokenFile`, if it is `true`: a token of the pod's "
                "service account, renewed by the kubelet; the account has to be allowed as for "
                "`spec.server.serviceAccountToken`",
                refusals=(permissions.NOT_ALLOWED_FOR_STORAGE,),
            ),
            Key(
                (azure.TENANT,),
                "with a client secret or a federated identity",
                "`storage.config.TenantID`",
            ),
            Key(
                (azure.CLIENT,),
                "with a client secret or a federated identity",
                "`storage.config.ClientID`",
            ),
            Key(
                (azure.ENVIRONMENT,),
                "no",
                "`storage.config.storageDomain`, and the service that knows the cloud's identities",
                "`AzureCloud`",
                (azure.CLOUD_UNKNOWN, azure.CLOUD_GONE),
            ),
        ),
    ),
    Secret(
        "Repository password",
        secrets.TYPE_PASSWORD,
        ("spec.repository.passwordSecretRef",),
        "It must be the password of the repository.",
        (Key(("repo-password",), "yes", "the variable `KOPIA_PASSWORD`"),),
    ),
    Secret(
        "Administrator",
        secrets.TYPE_ADMIN,
        ("spec.server.adminSecretRef",),
        "A change replaces the pod.",
        (
            Key(
                ("username",),
                "yes",
                "`KOPIA_SERVER_USERNAME` and `KOPIA_SERVER_CONTROL_USER`",
                refusals=(secrets.ADMIN_COLON,),
            ),
            Key(
                ("password",),
                "yes",
                "`KOPIA_SERVER_PASSWORD` and `KOPIA_SERVER_CONTROL_PASSWORD`",
            ),
        ),
    ),
    Secret(
        "Certificate",
        secrets.TYPE_TLS,
        ("spec.server.tlsSecretRef",),
        "A change replaces the pod; `status.serverInfo.tlsFingerprint` moves with the Service.",
        (
            Key(
                ("tls.crt",),
                "yes",
                "`--tls-cert-file`: the server's certificate, then those that sign it, in PEM",
                refusals=(certificates.NOT_PEM, certificates.KIND, certificates.UNREADABLE),
            ),
            Key(
                ("tls.key",),
                "yes",
                "`--tls-key-file`: the private key of the first certificate, in PEM",
                refusals=(certificates.NOT_PEM, certificates.MISMATCH),
            ),
            Key(
                ("ca.crt",),
                "no",
                "`ca.crt` of the Secret that `spec.publish.connection` makes, in PEM",
                "that Secret has no such key",
                (certificates.NOT_PEM,),
            ),
        ),
    ),
    Secret(
        "Users",
        secrets.TYPE_USERS,
        (
            "spec.server.userAccess.userAccessSecretRef",
            "spec.server.userAccessSecretRef",
            "spec.server.additionalUserAccess[].userAccessSecretRef",
        ),
        "Each key is a user, and its value the password. White space at both ends of the value is "
        "ignored, as it is by Kopia's client. A change restarts nothing.",
        (
            Key(
                ("HOST",),
                "one or more, with a user name in the resource",
                "the user `USERNAME@HOST` of the server",
                refusals=(access.BAD_NAME, access.NAMED_TWICE, access.TOO_MANY),
            ),
            Key(
                (f"USER{access.AT}HOST",),
                "one or more, with `spec.server.userAccessSecretRef`",
                "the user `USER@HOST` of the server",
                refusals=(access.NOT_A_USER, access.AMBIGUOUS),
            ),
        ),
    ),
)


# A place in a template: `{key}`, `{username!r}`.
_PLACE = re.compile(r"\{(\w+)(?:![rs])?\}")


def filled(template: str, field: str = "FIELD", key: str = "KEY") -> str:
    """Return a message as a user sees it, with words in capitals for what is his.

    Args:
        template: one of the constants of the code.
        field: the field of the resource that it is about.
        key: the key of the Secret that it is about.
    """
    named = "NAMESPACE/NAME"
    known = ", ".join(sorted(kinds.KINDS))
    words = {"ref": named, "reference": named, "field": field, "key": key, "known": known}
    return _PLACE.sub(lambda place: words.get(place[1], place[1].upper()), template)
