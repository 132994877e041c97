"""What becomes of each field of the resource's spec, which the CRD does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconcilers.kopia.storage import filestore, paths
from reconcilers.pods import allowed, overrides, strategicmerge
from reconcilers.repositoryserver import api, peers
from reconcilers.repositoryserver.children import pod
from reconcilers.repositoryserver.inputs import permissions
from reconcilers.repositoryserver.publish import profileuser

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Meaning:
    """What becomes of a field.

    Attributes:
        becomes: where its value ends up.
        left_out: what holds without it; not told of a required field.
        refusals: templates of what the controller says of wrong values.
    """

    becomes: str
    left_out: str = ""
    refusals: tuple[str, ...] = ()


_SERVER = "containers[repo-server-container]."
_ANY = "containers[NAME]."
_PORT = f"{_ANY}ports[PORT]."
_VOLUME = "volumes[NAME]."


def _kept(
    fields: Mapping[str, tuple[str, str]],
    item: str = "",
    prefix: str = "",
    template: str = overrides.REFUSED,
) -> tuple[str, ...]:
    """Return what is said of an override that changes what the controller keeps."""
    return tuple(
        template.format(field=overrides.FIELD, path=f"{prefix}{field}{item}", why=why, fix=fix)
        for field, (why, fix) in fields.items()
    )


def _of_account(template: str) -> str:
    """Return what is said of an account that a resource names."""
    known = {"source": permissions.FIELD, "annotation": permissions.ANNOTATION_ALLOW}
    for word, value in known.items():
        template = template.replace(f"{{{word}}}", value)
    return template


def _metadata_refusal(field: str, why: str) -> str:
    """Return what is said of a label or an annotation that is not the user's to set."""
    return permissions.METADATA_NOT_ALLOWED.format(field=field, key="KEY", why=why)


_ACCOUNT_REFUSALS = (
    permissions.NO_ACCOUNT,
    permissions.ACCOUNT_NOT_ALLOWED,
    permissions.ACCOUNT_OF_OPERATOR,
)
_USERS = Meaning(
    "lines of `--htpasswd-file`, in Secret `repo-server-NAME-users`: who may connect, with a "
    "salted hash of the password"
)
_NAMESPACE_ONLY = "nobody besides the pods of this namespace"
_PEER = "this field restricts nothing"
_NO_RESTRICTION = Meaning("a peer of the NetworkPolicy", _PEER)

MEANINGS = {
    "spec.storage.secretRef": Meaning(
        "`storage` of Kopia's configuration, by the keys of the [Secret](#storage-location)",
    ),
    "spec.storage.credentialSecretRef": Meaning(
        "`storage.config` as well, by the keys of the Secret",
        "the pod's own identity (`spec.server.serviceAccountName`) opens S3 and Google Cloud "
        "Storage; a file store needs none; Azure requires one",
    ),
    "spec.repository.rootPath": Meaning(
        "the end of `storage.config.prefix`, or of `storage.config.path` for a file store. With a "
        "`prefix` in the location the two are joined, cleaned, and end with a slash; without one "
        "the value is used as written",
        refusals=(paths.ROOT_LEAVES,),
    ),
    "spec.repository.passwordSecretRef": Meaning("the variable `KOPIA_PASSWORD` of the container"),
    "spec.repository.username": Meaning(
        "`username` of Kopia's configuration", "`repository-server`"
    ),
    "spec.repository.hostname": Meaning(
        "`hostname` of Kopia's configuration", "`NAME.NAMESPACE` of the resource"
    ),
    "spec.repository.cacheSizeSettings.metadata": Meaning(
        "`caching.maxMetadataCacheSize` and `caching.metadataCacheSizeLimitBytes`, in bytes; and "
        "the size of the volume `cache`",
        f"{api.DEFAULT_METADATA_CACHE_MB}",
    ),
    "spec.repository.cacheSizeSettings.content": Meaning(
        "`caching.maxCacheSize` and `caching.contentCacheSizeLimitBytes`, in bytes; and the size "
        "of the volume `cache`",
        f"{api.DEFAULT_CONTENT_CACHE_MB}, which caches only what was read last",
    ),
    "spec.repository.readOnly": Meaning(
        "`readonly`; also `storage.config.readOnly` or a read-only volume, if the storage has them",
        "the repository is opened for writing",
    ),
    "spec.repository.pointInTime": Meaning(
        "`storage.config.pointInTime`, in UTC",
        "the current state of the repository",
        (api.NO_TIME, filestore.POINT_IN_TIME),
    ),
    "spec.repository.maintenance.schedule": Meaning(
        "`schedule` of CronJob `repo-server-NAME-maintenance`, with `timeZone: Etc/UTC`",
    ),
    "spec.repository.maintenance.owner": Meaning(
        "`username` and `hostname` of the CronJob's configuration of Kopia",
        "`spec.repository.username` and `hostname`",
    ),
    "spec.repository.configuration.cacheDirectory": Meaning("nothing", "nothing changes"),
    "spec.repository.configuration.logDirectory": Meaning("nothing", "nothing changes"),
    "spec.repository.configuration.configFilePath": Meaning("nothing", "nothing changes"),
    "spec.server.adminSecretRef": Meaning(
        "the server's administrator, by the keys of the [Secret](#administrator)"
    ),
    "spec.server.tlsSecretRef": Meaning(
        "`--tls-cert-file` and `--tls-key-file` of `kopia server start`",
        "`spec.server.tls.selfSigned` is required",
    ),
    "spec.server.tls.selfSigned": Meaning(
        "Secret `repo-server-NAME-tls`, with a key and a certificate that is valid for a year, and "
        "Secret `repo-server-NAME-ca`, with the authority that signs it, valid for ten years",
        "`spec.server.tlsSecretRef` is required",
    ),
    "spec.server.userAccess.userAccessSecretRef": _USERS,
    "spec.server.userAccess.username": Meaning("the user name of each of the Secret's users"),
    "spec.server.userAccessSecretRef": Meaning(
        _USERS.becomes, "`spec.server.userAccess` is required"
    ),
    "spec.server.additionalUserAccess[].userAccessSecretRef": _USERS,
    "spec.server.additionalUserAccess[].username": Meaning(
        "the user name of each of the Secret's users"
    ),
    "spec.server.image": Meaning(
        f"`{_SERVER}image`, and that of the maintenance",
        "the image of `--server-image`, or of the settings file",
        (permissions.IMAGE_NOT_ALLOWED,),
    ),
    "spec.server.restart": Meaning(
        "a part of what names the revision: another text makes a new pod", "no restart is asked for"
    ),
    "spec.server.drainSeconds": Meaning(
        "the time from the Service's move to the deletion of the old pod; the annotation "
        "`cr.kanister.io/drain-until` of that pod has its end",
        f"{api.DEFAULT_DRAIN_SECONDS}",
    ),
    "spec.server.refreshSeconds": Meaning(
        "`--refresh-interval` of the server: at each refresh it asks its storage for new data, and "
        "it is not Ready while the storage does not answer",
        "4 h, Kopia's default; until then an object store that is away goes unnoticed",
    ),
    "spec.server.networkPolicy.from[].podSelector": _NO_RESTRICTION,
    "spec.server.networkPolicy.from[].namespaceSelector": Meaning(
        _NO_RESTRICTION.becomes, "pods of this namespace, or the ipBlock"
    ),
    "spec.server.networkPolicy.from[].ipBlock.cidr": Meaning("a peer of the NetworkPolicy"),
    "spec.server.networkPolicy.from[].ipBlock.except": Meaning(
        _NO_RESTRICTION.becomes, "all of `cidr` may connect"
    ),
    "spec.server.networkPolicy.podSelector": Meaning(
        "one more peer of the NetworkPolicy, together with `namespaceSelector`",
        "every pod of the namespaces of `namespaceSelector`; without that, " + _NAMESPACE_ONLY,
    ),
    "spec.server.networkPolicy.namespaceSelector": Meaning(
        "one more peer of the NetworkPolicy, together with `podSelector`",
        "the pods of `podSelector` in this namespace; without that, " + _NAMESPACE_ONLY,
    ),
    "spec.server.metrics.port": Meaning(
        "`--metrics-listen-addr` of Kopia, and the container's port `metrics`, by which the "
        "PodMonitor finds it",
        f"{peers.DEFAULT_METRICS_PORT}",
    ),
    "spec.server.metrics.from[].podSelector": _NO_RESTRICTION,
    "spec.server.metrics.from[].namespaceSelector": Meaning(
        _NO_RESTRICTION.becomes, "pods of this namespace, or the ipBlock"
    ),
    "spec.server.metrics.from[].ipBlock.cidr": Meaning("a peer of the NetworkPolicy"),
    "spec.server.metrics.from[].ipBlock.except": Meaning(
        _NO_RESTRICTION.becomes, "all of `cidr` may connect"
    ),
    "spec.server.runAsUser": Meaning(
        "`runAsUser` and `runAsGroup` of the pod's security context; `fsGroup` is not set then",
        "65532, also as the `fsGroup`, which makes a volume writable",
    ),
    "spec.server.fsGroup": Meaning(
        "`fsGroup` of the pod's security context, with `fsGroupChangePolicy: OnRootMismatch`; -1 "
        "sets neither",
        "65532, or none if `spec.server.runAsUser` is set",
    ),
    "spec.server.resources.requests": Meaning(
        "`resources.requests` of the container",
        "50m of cpu and 128Mi of memory, or the limit if that is less",
    ),
    "spec.server.resources.limits": Meaning(
        "`resources.limits` of the container; 90 % of a memory limit becomes `GOMEMLIMIT`",
        "no limit",
    ),
    "spec.server.serviceAccountName": Meaning(
        "`serviceAccountName` of the pod",
        "`default`, the namespace's own",
        tuple(map(_of_account, _ACCOUNT_REFUSALS)),
    ),
    "spec.server.serviceAccountToken.audience": Meaning(
        f"`audience` of a projected token, mounted as `{pod.TOKEN_DIRECTORY}/{pod.TOKEN_FILE}`",
        refusals=(_of_account(permissions.ACCOUNT_NOT_ALLOWED),),
    ),
    "spec.server.serviceAccountToken.expirationSeconds": Meaning(
        "`expirationSeconds` of that token", f"{api.DEFAULT_TOKEN_SECONDS}"
    ),
    "spec.server.imagePullSecrets[].name": Meaning("`imagePullSecrets` of the pod"),
    "spec.server.nodeSelector": Meaning("`nodeSelector` of the pod", "any node"),
    "spec.server.tolerations[].key": Meaning("`tolerations` of the pod", "any key"),
    "spec.server.tolerations[].operator": Meaning("`tolerations` of the pod", "`Equal`"),
    "spec.server.tolerations[].value": Meaning("`tolerations` of the pod", "the empty value"),
    "spec.server.tolerations[].effect": Meaning("`tolerations` of the pod", "any effect"),
    "spec.server.tolerations[].tolerationSeconds": Meaning("`tolerations` of the pod", "for ever"),
    "spec.server.podLabels": Meaning(
        "labels of the pod, besides the controller's",
        "none",
        (_metadata_refusal(permissions.LABELS, permissions.WHY_SELECTED),),
    ),
    "spec.server.podAnnotations": Meaning(
        "annotations of the pod, besides the controller's",
        "none",
        tuple(
            _metadata_refusal(permissions.ANNOTATIONS, why)
            for why in (permissions.WHY_SELECTED, permissions.WHY_CONFINED)
        ),
    ),
    "spec.paused": Meaning(
        "nothing is changed of the server while it is `true`; Ready is False with the reason "
        "`Paused`",
        "`false`",
    ),
    "spec.publish.connection": Meaning(
        "Secret `repo-server-NAME-connection` with `url`, `fingerprint`, `tls.crt` and `ca.crt`",
        "there is no such Secret",
    ),
    "spec.publish.kanisterProfile.user": Meaning(
        "`username`, `hostname` and `userPassphrase` of Profile `repo-server-NAME`",
        "the only user of the server",
        (profileuser.SEVERAL, profileuser.UNKNOWN, profileuser.NONE, profileuser.NONE_SUCH),
    ),
    "spec.server.podOverride": Meaning(
        "the pod's spec; applied after all other fields",
        "the pod is as generated",
        (
            *_kept(overrides.POD_FIELDS),
            *_kept(overrides.POD_ITEMS, "[NAME]"),
            *_kept(overrides.CONTAINER_FIELDS, prefix=_SERVER),
            *_kept(overrides.CONTAINER_ITEMS, "[NAME]", prefix=_SERVER),
            *_kept(overrides.POD_POWERS, template=overrides.FORBIDDEN),
            *_kept(overrides.VOLUME_POWERS, prefix=_VOLUME, template=overrides.FORBIDDEN),
            *_kept(overrides.CONTAINER_POWERS, prefix=_ANY, template=overrides.FORBIDDEN),
            *_kept(overrides.PORT_POWERS, prefix=_PORT, template=overrides.FORBIDDEN),
            *(
                allowed.NOT_ALLOWED.format(field=overrides.FIELD, path=path, why=why)
                for path, why in (
                    ("PATH", allowed.WHY_FIELD),
                    (f"{_SERVER}env[NAME]", allowed.WHY_VARIABLE),
                    (f"{_SERVER}env[NAME].value", allowed.WHY_REFERENCE),
                    (f"{_SERVER}volumeMounts[PATH].subPathExpr", allowed.WHY_REFERENCE),
                )
            ),
            allowed.SWITCHED_OFF,
            strategicmerge.WRONG_TYPE,
            strategicmerge.NO_KEY,
            strategicmerge.UNKNOWN_DIRECTIVE,
            strategicmerge.TOO_DEEP,
        ),
    ),
}
