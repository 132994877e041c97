"""The custom resource RepositoryServer, read into attrs classes.

The API server has checked types and required fields against the CRD before an object gets here;
what a schema cannot say is checked where it is used.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from controller.resource import Resource
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.peers import KopiaMetrics, metrics_of, peers_of_policy
from reconcilers.secrets.data import SecretRef, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GROUP: Final = "cr.kanister.io"
VERSION: Final = "v1alpha1"
KIND: Final = "RepositoryServer"
REPOSITORY_SERVERS: Final = Resource(GROUP, VERSION, "repositoryservers", KIND)

PORT: Final = 51515

# The removed controller's cache limits where the resource names none (MB).
DEFAULT_CONTENT_CACHE_MB: Final = 0
DEFAULT_METADATA_CACHE_MB: Final = 500

#: Values of `status.maintenance.result`.
MAINTENANCE_SUCCEEDED: Final = "Succeeded"
MAINTENANCE_FAILED: Final = "Failed"

DEFAULT_USERNAME: Final = "repository-server"
DEFAULT_DRAIN_SECONDS: Final = 300
DEFAULT_USER: Final = 65532
#: Value of `spec.server.fsGroup` that leaves the groups of files as they are. No group has it.
NO_FS_GROUP: Final = -1
DEFAULT_TOKEN_SECONDS: Final = 3600
#: The account that a pod has which names none.
DEFAULT_ACCOUNT: Final = "default"

REASON_FOREIGN_NAMESPACE: Final = "ReferenceInOtherNamespace"
FOREIGN_NAMESPACE: Final = (
    "{field} names Secret {reference}, but a RepositoryServer reads Secrets of its own namespace "
    "only; copy the Secret to namespace {namespace} and set {field}.namespace to it"
)
REASON_NO_TIME: Final = "InvalidPointInTime"
NO_TIME: Final = (
    "spec.repository.pointInTime is {value}, which is not a time; write one with its zone, as "
    "2026-01-31T12:00:00Z"
)


@frozen
class UserAccess:
    """Where the access users stand.

    Args:
        secret: The Secret that lists them.
        username: The user name before each key, which is then a host (`spec.server.userAccess`);
            empty where the keys are whole users written `user_at_host`
            (`spec.server.userAccessSecretRef`).
        wrong: Why the Secret must not be read; None if it may.
    """

    secret: SecretRef
    username: str
    wrong: InvalidInput | None = None


@frozen
class PodSettings:
    """What the resource says of the pod, in the words of the Kubernetes API.

    Args:
        resources: Requests and limits of the container; empty for the default.
        node_selector: Labels that a node must have.
        tolerations: Taints of a node that do not keep the pod away.
        image_pull_secrets: References to Secrets that open the image's registry.
        labels: Further labels of the pod.
        annotations: Further annotations of the pod.
        override: A partial PodSpec, merged into the pod's last of all.
    """

    resources: Mapping[str, Any] = field(factory=dict)
    node_selector: Mapping[str, str] = field(factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    image_pull_secrets: Sequence[Mapping[str, Any]] = ()
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)
    override: Mapping[str, Any] = field(factory=dict)


@frozen
class Maintenance:
    """Who maintains the repository, and when.

    Args:
        schedule: When, as a CronJob has it, in UTC.
        owner: As whom, `user@host`: the owner of the repository's maintenance.
    """

    schedule: str
    owner: str


@frozen
class TokenSettings:
    """A token of the pod's account that Kopia may show to somebody else than the API server.

    Args:
        audience: Whom the token is for.
        expiration_seconds: How long one is valid; the kubelet renews it before.
    """

    audience: str
    expiration_seconds: int = DEFAULT_TOKEN_SECONDS


@frozen
class Publish:
    """What is published of a server for those who connect to it.

    Args:
        connection: Whether there is a Secret with what a client needs, but a user.
        profile: Whether there is a Profile of Kanister's.
        profile_user: As whom the Profile connects, `user@host`; empty for the only user.
    """

    connection: bool = False
    profile: bool = False
    profile_user: str = ""

    def __bool__(self) -> bool:
        """Return whether anything is published."""
        return self.connection or self.profile


@frozen
class RepositoryServer:
    """The desired state of one repository server.

    A reference to a Secret never leaves the namespace, whatever the resource says: see `wrong`.

    Args:
        location: Secret with the storage location.
        credential: Secret with the storage credential; None where the store needs none.
        root_path: Path of the repository below the location's prefix.
        username: User name that the server's own session has in the repository.
        hostname: Host name that the server's own session has in the repository.
        content_cache_mb: Limit of Kopia's content cache in MB; 0 switches it off.
        metadata_cache_mb: Limit of Kopia's metadata cache in MB.
        password: Secret with the repository password.
        admin: Secret with the server's administrator.
        tls: Secret with certificate and key; None where the controller makes them.
        accesses: The users that may connect, those of the main access Secret first.
        run_as_user: User id of the server process; None for the default.
        fs_group: Group that the files of a volume are given to, `NO_FS_GROUP` for none; None for
            the default.
        peers: NetworkPolicy peers that may connect besides the namespace's own pods.
        metrics: Kopia's own metrics; None for none.
        read_only: Whether the repository is opened without the right to write.
        point_in_time: The time (UTC) as of which the repository is shown; None for the present.
        service_account_name: Service account of the pod; empty for the namespace's default.
        maintenance: When the repository is maintained, and as whom; None if never.
        token: The token of that account that the pod gets; None for none.
        drain_seconds: Seconds that a replaced pod goes on serving its sessions.
        refresh_seconds: Seconds between two looks at the storage; None for Kopia's own.
        pod: What is said of the pod.
        publish: What is published for clients.
        image: Image with Kopia; empty for that of the settings.
        restart: Any text. A change of it makes a new revision, and so another pod.
        own_secrets: Names of the Secrets that the controller has made for it, as far as they are
            known: of these the names stay whatever the resource refers to since.
        wrong: Why nothing can be started from what is said here; None if something can. The
            accesses are judged by themselves.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    location: SecretRef
    credential: SecretRef | None
    root_path: str
    username: str
    hostname: str
    content_cache_mb: int
    metadata_cache_mb: int
    password: SecretRef
    admin: SecretRef
    tls: SecretRef | None
    accesses: tuple[UserAccess, ...]
    run_as_user: int | None = None
    fs_group: int | None = None
    peers: tuple[Mapping[str, Any], ...] = ()
    metrics: KopiaMetrics | None = None
    read_only: bool = False
    point_in_time: datetime | None = None
    service_account_name: str = ""
    maintenance: Maintenance | None = None
    token: TokenSettings | None = None
    drain_seconds: int = DEFAULT_DRAIN_SECONDS
    refresh_seconds: int | None = None
    pod: PodSettings = field(factory=PodSettings)
    publish: Publish = field(factory=Publish)
    image: str = ""
    restart: str = ""
    own_secrets: frozenset[str] = frozenset()
    wrong: InvalidInput | None = None

    @property
    def self_signed(self) -> bool:
        """Return whether the controller makes the certificate."""
        return self.tls is None

    @property
    def access(self) -> UserAccess:
        """Return the main access Secret's users."""
        return self.accesses[0]

    @property
    def inputs(self) -> tuple[SecretRef, ...]:
        """Return the Secrets that the server process is started with."""
        refs = (self.location, self.credential, self.password, self.admin, self.tls)
        return tuple(ref for ref in refs if ref is not None)

    @property
    def identity(self) -> str:
        """Return who the server's own session is in the repository, as `user@host`."""
        return f"{self.username}@{self.hostname}"

    @property
    def has_default_identity(self) -> bool:
        """Return whether the resource leaves it open who the server's own session is."""
        return self.identity == f"{DEFAULT_USERNAME}@{self.name}.{self.namespace}"

    def owner_reference(self) -> dict[str, Any]:
        """Return the owner reference by which deleting the resource deletes its children."""
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def parse(obj: Mapping[str, Any]) -> RepositoryServer:
    """Read a RepositoryServer as the API server returns it.

    Raises:
        InvalidInput: A reference leaves the resource's namespace, or a time is none.
    """
    server = read(obj)
    for wrong in (server.wrong, *(access.wrong for access in server.accesses)):
        if wrong is not None:
            raise InvalidInput(wrong.reason, wrong.message)
    return server


def read(obj: Mapping[str, Any]) -> RepositoryServer:
    """Read what is right of a RepositoryServer, and note what is wrong of it.

    A user who is removed must not come in because another field is wrong.
    """
    namespace = obj["metadata"]["namespace"]
    name = obj["metadata"]["name"]
    storage = obj["spec"]["storage"]
    repository = obj["spec"]["repository"]
    server = obj["spec"]["server"]
    cache = repository.get("cacheSizeSettings") or {}
    point_in_time, no_time = _point_in_time(repository.get("pointInTime"))
    problems = [] if no_time is None else [no_time]
    # A YAML block ends in a line end.
    username = trimmed(repository.get("username") or "") or DEFAULT_USERNAME
    hostname = trimmed(repository.get("hostname") or "") or f"{name}.{namespace}"

    def reference(parent: Mapping[str, Any], path: str) -> SecretRef:
        ref, wrong = _reference(parent, path, namespace)
        problems.extend([] if wrong is None else [wrong])
        return ref

    def access(parent: Mapping[str, Any], path: str, username: str) -> UserAccess:
        ref, wrong = _reference(parent, path, namespace)
        return UserAccess(ref, username, wrong)

    def accesses() -> Iterator[UserAccess]:
        named = {
            f"spec.server.additionalUserAccess[{number}]": one
            for number, one in enumerate(server.get("additionalUserAccess") or ())
        }
        if "userAccess" in server:
            named = {"spec.server.userAccess": server["userAccess"], **named}
        else:
            yield access(server, "spec.server.userAccessSecretRef", username="")
        for path, one in named.items():
            yield access(one, f"{path}.userAccessSecretRef", one["username"])

    found = RepositoryServer(
        namespace=namespace,
        name=name,
        uid=obj["metadata"]["uid"],
        generation=obj["metadata"].get("generation", 0),
        location=reference(storage, "spec.storage.secretRef"),
        credential=reference(storage, "spec.storage.credentialSecretRef")
        if (storage.get("credentialSecretRef") or {}).get("name")
        else None,
        root_path=repository["rootPath"],
        username=username,
        hostname=hostname,
        content_cache_mb=_or_default(cache.get("content"), DEFAULT_CONTENT_CACHE_MB),
        metadata_cache_mb=_or_default(cache.get("metadata"), DEFAULT_METADATA_CACHE_MB),
        password=reference(repository, "spec.repository.passwordSecretRef"),
        admin=reference(server, "spec.server.adminSecretRef"),
        tls=reference(server, "spec.server.tlsSecretRef") if "tlsSecretRef" in server else None,
        accesses=tuple(accesses()),
        run_as_user=server.get("runAsUser"),
        fs_group=server.get("fsGroup"),
        peers=peers_of_policy(server.get("networkPolicy") or {}),
        metrics=metrics_of(server.get("metrics")),
        # Kopia cannot write to what is past.
        read_only=bool(repository.get("readOnly")) or bool(repository.get("pointInTime")),
        point_in_time=point_in_time,
        service_account_name=server.get("serviceAccountName", ""),
        maintenance=_maintenance(repository.get("maintenance"), f"{username}@{hostname}"),
        token=_token(server.get("serviceAccountToken")),
        drain_seconds=_or_default(server.get("drainSeconds"), DEFAULT_DRAIN_SECONDS),
        refresh_seconds=server.get("refreshSeconds"),
        pod=_pod_settings(server),
        publish=_publish(obj["spec"].get("publish") or {}),
        image=server.get("image", ""),
        restart=server.get("restart", ""),
    )
    return evolve(found, wrong=next(iter(problems), None))


def is_paused(obj: Mapping[str, Any]) -> bool:
    """Return whether nothing is to be changed of a server. It never fails."""
    return bool(obj["spec"].get("paused"))


def run_as_user(server: RepositoryServer) -> int:
    """Return the user id that the server process has."""
    return DEFAULT_USER if server.run_as_user is None else server.run_as_user


def fs_group(server: RepositoryServer) -> int | None:
    """Return the group that the kubelet gives the files of a volume to; None for no change.

    By default a file store that nobody owns in particular is made usable for the server's group.
    Who names the owner wants the files left as they are.
    """
    if server.fs_group is not None:
        return None if server.fs_group == NO_FS_GROUP else server.fs_group
    return DEFAULT_USER if server.run_as_user is None else None


def _or_default(value: int | None, default: int) -> int:
    return default if value is None else value


def _reference(
    parent: Mapping[str, Any], path: str, namespace: str
) -> tuple[SecretRef, InvalidInput | None]:
    """Return a reference as one to the resource's own namespace, and what is wrong with it."""
    value = parent[path.rpartition(".")[2]]
    ref = SecretRef(path, namespace, value["name"])
    named = SecretRef(path, value.get("namespace") or namespace, value["name"])
    if named == ref:
        return ref, None
    message = FOREIGN_NAMESPACE.format(field=path, reference=named, namespace=namespace)
    return ref, InvalidInput(REASON_FOREIGN_NAMESPACE, message)


def _point_in_time(value: str | None) -> tuple[datetime | None, InvalidInput | None]:
    """Return a time, and what is wrong with it."""
    if value is None:
        return None, None
    # The schema asks for a date-time; it lets small letters pass, which are right, a 25th hour, and
    # a zone in which it is the year 0 or 10000.
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC), None
    except (ValueError, OverflowError):
        return None, InvalidInput(REASON_NO_TIME, NO_TIME.format(value=value))


def _maintenance(value: Mapping[str, Any] | None, identity: str) -> Maintenance | None:
    if value is None:
        return None
    return Maintenance(trimmed(value["schedule"]), trimmed(value.get("owner") or "") or identity)


def _publish(settings: Mapping[str, Any]) -> Publish:
    # An empty object asks for it: what is left out, or null, does not.
    profile = settings.get("kanisterProfile")
    return Publish(
        connection=settings.get("connection") is not None,
        profile=profile is not None,
        profile_user=(profile or {}).get("user", ""),
    )


def _token(settings: Mapping[str, Any] | None) -> TokenSettings | None:
    if settings is None:
        return None
    seconds = _or_default(settings.get("expirationSeconds"), DEFAULT_TOKEN_SECONDS)
    return TokenSettings(settings["audience"], seconds)


def _pod_settings(server: Mapping[str, Any]) -> PodSettings:
    return PodSettings(
        resources=server.get("resources", {}),
        node_selector=server.get("nodeSelector", {}),
        tolerations=server.get("tolerations", ()),
        image_pull_secrets=server.get("imagePullSecrets", ()),
        labels=server.get("podLabels", {}),
        annotations=server.get("podAnnotations", {}),
        override=server.get("podOverride", {}),
    )
