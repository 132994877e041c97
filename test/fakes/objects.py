"""Objects as an API server returns them: a RepositoryServer, its Secrets, and pods in their states.

Every builder returns a new object, free to be changed. The times fit a `FakeClock` at its start.
"""

from __future__ import annotations

import base64
import copy
import functools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.x509.oid import NameOID

from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

Object = dict[str, Any]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = "2025-12-31T23:50:00Z"
STARTED = "2025-12-31T23:51:00Z"
ENDED = "2025-12-31T23:59:50Z"

NAMESPACE = "backup"
NAME = "files"
UID = "7f6f1b0e-0000-4000-8000-000000000001"
POD_UID = "7f6f1b0e-0000-4000-8000-000000000002"
IMAGE = "kopia/kopia:0.23.1"
DIGEST = "0123456789"
POD = f"{NAME}-{DIGEST}"
CLAIM = "files-data"

LOCATION = "files-location"
CREDENTIAL = "files-credential"
REPOSITORY_PASSWORD = "files-repository-password"
ADMIN = "files-admin"
TLS = "files-tls"
USERS = "files-users"

# What must never be seen anywhere but in a Secret.
REPOSITORY_PASSWORD_VALUE = "repository-pass-5d0c"
ADMIN_PASSWORD_VALUE = "admin-pass-81fe"
USER_PASSWORD_VALUE = "user-pass-c3a7-66d1"
#: Another one, and that of another user: no warning is due for their length.
OTHER_PASSWORD_VALUE = "other-pass-5b1e-77f0"
NEW_PASSWORD_VALUE = "new-pass-90aa-41c2"


def merged(base: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386) to a copy: None removes a field, a list replaces one."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    before = base if isinstance(base, dict) else {}
    kept = {key: copy.deepcopy(value) for key, value in before.items() if key not in patch}
    changed = {
        key: merged(before.get(key), value) for key, value in patch.items() if value is not None
    }
    return kept | changed


#: The status of a server that the removed controller has brought up, as far as it is read.
REMOVED_STATUS: Object = {
    "progress": "Ready",
    "conditions": [
        {
            "type": "ClientUserInitialized",
            "status": "True",
            "reason": "ClientInitializationSucceeded",
            "message": "",
            "lastTransitionTime": CREATED,
        }
    ],
    "serverInfo": {
        "podName": "repo-server-pod-x7k2p",
        "serviceName": "repo-server-service-b9d4f",
    },
}


def repository_server(change: Object | None = None) -> Object:
    """Build a RepositoryServer on a file store, as a user of the removed controller wrote it.

    Args:
        change: A merge patch, such as `{"spec": {"server": {"runAsUser": 1000}}}`.
    """

    def reference(name: str) -> Object:
        return {"name": name, "namespace": NAMESPACE}

    server = {
        "apiVersion": f"{api.GROUP}/{api.VERSION}",
        "kind": api.KIND,
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": UID,
            "generation": 1,
            "resourceVersion": "100",
            "creationTimestamp": CREATED,
        },
        "spec": {
            "storage": {"secretRef": reference(LOCATION)},
            "repository": {
                "rootPath": "files",
                "passwordSecretRef": reference(REPOSITORY_PASSWORD),
            },
            "server": {
                "adminSecretRef": reference(ADMIN),
                "tlsSecretRef": reference(TLS),
                "userAccess": {"username": "backup", "userAccessSecretRef": reference(USERS)},
            },
        },
    }
    result: Object = merged(server, change or {})
    return result


def secret(name: str, type_: str, values: Mapping[str, str | bytes]) -> Object:
    """Build a Secret from clear values."""
    data = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in values.items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-of-{name}",
            "resourceVersion": "50",
            "creationTimestamp": CREATED,
        },
        "type": type_,
        "data": data,
    }


def location_secret(values: Mapping[str, str | bytes] | None = None) -> Object:
    """Build the location Secret; a file store below the prefix `backups` unless told."""
    file_store = {"type": "filestore", "prefix": "backups", "claimName": CLAIM}
    return secret(LOCATION, secrets.TYPE_LOCATION, file_store if values is None else values)


def password_secret(value: str | bytes = REPOSITORY_PASSWORD_VALUE) -> Object:
    """Build the Secret with the repository password."""
    return secret(REPOSITORY_PASSWORD, secrets.TYPE_PASSWORD, {"repo-password": value})


def admin_secret(password: str = ADMIN_PASSWORD_VALUE) -> Object:
    """Build the Secret with the server's administrator."""
    values = {"username": "admin@files", "password": password}
    return secret(ADMIN, secrets.TYPE_ADMIN, values)


def tls_secret(pair: KeyPair | None = None) -> Object:
    """Build the Secret with certificate and key."""
    pair = pair or key_pair()
    return secret(TLS, secrets.TYPE_TLS, {"tls.crt": pair.certificate, "tls.key": pair.key})


def users_secret(passwords: Mapping[str, str | bytes] | None = None) -> Object:
    """Build the access Secret; the host `app` unless told."""
    users = {"app": USER_PASSWORD_VALUE} if passwords is None else passwords
    return secret(USERS, secrets.TYPE_USERS, users)


def all_secrets() -> list[Object]:
    """Build the Secrets that `repository_server` refers to."""
    return [location_secret(), password_secret(), admin_secret(), tls_secret(), users_secret()]


def claim(mode: str) -> Object:
    """Build the PersistentVolumeClaim of the file store.

    Args:
        mode: Who may mount it, such as `ReadWriteOnce`.
    """
    metadata = {"name": CLAIM, "namespace": NAMESPACE}
    return {"metadata": metadata, "spec": {"accessModes": [mode]}}


# Kinds of keys that hash what they sign themselves.
_WITHOUT_HASH = (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)


@frozen
class KeyPair:
    """A certificate and its private key, both in PEM."""

    certificate: str
    key: str


@functools.cache
def key_pair(
    name: str = "files",
    *,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    issuer: KeyPair | None = None,
    not_after: datetime = NOW + timedelta(days=365),
    hosts: tuple[str, ...] = (),
) -> KeyPair:
    """Make a certificate and key, once for the same arguments.

    Args:
        name: Common name.
        key: The private key; a new one on an elliptic curve by default.
        issuer: Who signs; the certificate itself by default.
        not_after: When it expires.
        hosts: Whose it is, by their DNS names; nobody's by default.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issued_by, signer = subject, key
    if issuer is not None:
        issued_by = x509.load_pem_x509_certificate(issuer.certificate.encode()).subject
        signer = cast(
            "CertificateIssuerPrivateKeyTypes",
            serialization.load_pem_private_key(issuer.key.encode(), password=None),
        )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_after - timedelta(days=400))
        .not_valid_after(not_after)
    )
    if hosts:
        names = x509.SubjectAlternativeName(map(x509.DNSName, hosts))
        builder = builder.add_extension(names, critical=False)
    algorithm = None if isinstance(signer, _WITHOUT_HASH) else hashes.SHA256()
    certificate = builder.sign(signer, algorithm)
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


# What the API server fills in under `spec`, by kind.
_DEFAULTS: dict[str, Object] = {
    "Pod": {
        "dnsPolicy": "ClusterFirst",
        "nodeName": "node",
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "serviceAccount": "default",
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 30,
        "tolerations": [
            {
                "key": "node.kubernetes.io/not-ready",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
        ],
    },
    "Service": {
        "clusterIP": "198.18.0.10",
        "clusterIPs": ["198.18.0.10"],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "sessionAffinity": "None",
    },
}
_CONTAINER_DEFAULTS: Object = {
    "terminationMessagePath": "/dev/termination-log",
    "readinessProbe": {"successThreshold": 1},
    "livenessProbe": {"successThreshold": 1},
    "startupProbe": {"timeoutSeconds": 1, "successThreshold": 1},
}


def stored(desired: Object, *, uid: str = POD_UID, status: Object | None = None) -> Object:
    """Return an applied object as the API server stores it: with metadata and defaults filled in.

    Args:
        desired: What was applied.
        uid: The uid it gets.
        status: Its status, such as `serving()`.
    """
    obj: Object = merged(
        desired,
        {"metadata": {"uid": uid, "resourceVersion": "200", "creationTimestamp": CREATED}},
    )
    obj["spec"] = merged(_DEFAULTS.get(obj["kind"], {}), obj.get("spec", {}))
    if obj["kind"] == "Pod":
        obj["spec"]["containers"] = [
            merged(_CONTAINER_DEFAULTS, container) for container in obj["spec"]["containers"]
        ]
    if not obj["spec"]:
        del obj["spec"]
    if status is not None:
        obj["status"] = status
    return obj


def pod(status: Object | None = None, *, name: str = POD, digest: str = DIGEST) -> Object:
    """Build a server's pod with only what decisions about a pod look at.

    Args:
        status: Such as `serving()`; none before the scheduler has seen the pod.
        name: Its name.
        digest: Its digest.
    """
    return stored(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {names.LABEL_HASH: digest},
                "ownerReferences": [api.parse(repository_server()).owner_reference()],
            },
            "spec": {"containers": [{"name": names.CONTAINER, "image": IMAGE}]},
        },
        status=status,
    )


def labelled(obj: Object) -> Object:
    """Return an object with a label that means nothing."""
    result: Object = merged(obj, {"metadata": {"labels": {"a": "b"}}})
    return result


def terminating(obj: Object) -> Object:
    """Return an object that is being deleted."""
    deletion = {"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30}
    result: Object = merged(obj, {"metadata": deletion})
    return result


# The statuses of pods, in the order in which a pod that comes up, and then fails, has them.


def unscheduled(cause: str = "0/1 nodes are available: 1 Insufficient memory.") -> Object:
    """A pod that the scheduler finds no node for."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": cause,
        "lastTransitionTime": CREATED,
    }
    return {"phase": "Pending", "conditions": [condition]}


def claim_missing(claim: str = CLAIM) -> Object:
    """A pod whose PersistentVolumeClaim does not exist, in the words of the scheduler."""
    return unscheduled(
        f'0/1 nodes are available: persistentvolumeclaim "{claim}" not found. preemption: '
        "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )


def scheduled() -> Object:
    """A pod with a node whose kubelet has not written about it yet."""
    return {"phase": "Pending", "conditions": [_condition("PodScheduled", "True")]}


def image_pull_failed(reason: str = "ImagePullBackOff", message: str | None = None) -> Object:
    """A pod whose image the node cannot get."""
    words = f'Back-off pulling image "{IMAGE}"' if message is None else message
    return _status({"waiting": {"reason": reason, "message": words}})


def creating(reason: str = "ContainerCreating", message: str = "") -> Object:
    """A pod whose container is being created, or cannot be for the reason given."""
    waiting = {"reason": reason, **({"message": message} if message else {})}
    return _status({"waiting": waiting})


def running() -> Object:
    """A pod whose container runs and has not passed its startup probe."""
    return _status(_RUNNING, phase="Running", started=False)


def started(*, ended_before: str | None = None) -> Object:
    """A pod that has passed its startup probe and does not pass its readiness probe.

    Args:
        ended_before: What Kopia printed when it once ended, if it ever did.
    """
    last = None if ended_before is None else _ended(1, ended_before)
    return _status(_RUNNING, phase="Running", started=True, last_state=last)


def serving(*, since: str = STARTED) -> Object:
    """A pod that is Ready.

    Args:
        since: When it became so.
    """
    status = _status(_RUNNING, phase="Running", started=True, container_ready=True)
    _ready(status)["lastTransitionTime"] = since
    return status


def node_lost() -> Object:
    """A pod of whose node nothing is heard any more: it was Ready when it was last heard of."""
    status = serving()
    _ready(status)["status"] = "False"
    return status


def not_ready(reason: str, message: str) -> Object:
    """A pod whose server answers, and that something else keeps from being Ready.

    Args:
        reason: `ContainersNotReady`, or `ReadinessGatesNotReady`.
        message: Of its condition Ready.
    """
    status = serving()
    _ready(status).update(status="False", reason=reason, message=message)
    if reason == "ContainersNotReady":
        (containers,) = (one for one in status["conditions"] if one["type"] == "ContainersReady")
        containers.update(status="False", reason=reason, message=message)
    return status


def killed(code: int = 137, *, message: str = "") -> Object:
    """A pod whose container has just ended and is not started again yet."""
    return _status(_ended(code, message), phase="Running")


def restarted(code: int = 137, *, message: str = "", reason: str = "Error") -> Object:
    """A pod whose container runs again after an end, and is not started."""
    last = _ended(code, message, reason)
    return _status(_RUNNING, phase="Running", started=False, last_state=last)


def crash_looping(
    message: str = "", code: int = 1, *, reason: str = "Error", ended: str = ENDED
) -> Object:
    """A pod whose container ends again and again; the kubelet waits before the next start.

    Args:
        message: The end of what Kopia printed.
        code: Its exit code.
        reason: `Error`, or `OOMKilled`.
        ended: When it last ended.
    """
    words = f"back-off 10s restarting failed container={names.CONTAINER} pod={POD}"
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": words}}
    last = _ended(code, message, reason, finished=ended)
    return _status(waiting, phase="Running", last_state=last)


def out_of_memory() -> Object:
    """A pod whose container the kernel killed for want of memory."""
    return crash_looping(code=137, reason="OOMKilled")


def evicted() -> Object:
    """A pod that the kubelet has put off its node for good."""
    return {
        **_status(_ended(137, ""), phase="Failed"),
        "reason": "Evicted",
        "message": "The node was low on resource: memory.",
    }


_RUNNING: Object = {"running": {"startedAt": STARTED}}


def _ended(code: int, message: str, reason: str = "Error", *, finished: str = ENDED) -> Object:
    ended = {"exitCode": code, "reason": reason, "startedAt": STARTED, "finishedAt": finished}
    return {"terminated": {**ended, **({"message": message} if message else {})}}


def _ready(status: Object) -> Object:
    return next(one for one in status["conditions"] if one["type"] == "Ready")


def _condition(type_: str, status: str, reason: str = "") -> Object:
    condition = {"type": type_, "status": status, "lastTransitionTime": STARTED}
    return {**condition, **({"reason": reason} if reason else {})}


def _status(
    state: Object,
    *,
    phase: str = "Pending",
    started: bool = False,
    container_ready: bool = False,
    last_state: Object | None = None,
) -> Object:
    ready = "True" if container_ready else "False"
    reason = "" if container_ready else "ContainersNotReady"
    conditions = [
        _condition("PodScheduled", "True"),
        _condition("Initialized", "True"),
        _condition("ContainersReady", ready, reason),
        _condition("Ready", ready, reason),
    ]
    return {
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": [
            {
                "name": names.CONTAINER,
                "image": IMAGE,
                "state": copy.deepcopy(state),
                "lastState": last_state or {},
                "restartCount": 1 if last_state else 0,
                "started": started,
                "ready": container_ready,
            }
        ],
    }
