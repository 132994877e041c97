"""The objects that make up a server, as they should be: pure functions of the resource.

| child         | name               | lives as long as                                     |
| Secret        | `<name>-<digest>`  | a pod uses it; immutable                             |
| Secret        | `repo-server-<name>-users` | the resource; changes with the access Secrets |
| Secret        | `repo-server-<name>-tls` | the resource asks for a certificate          |
| Pod           | `<name>-<digest>`  | it is the newest, serves until that does, or drains  |
| Service       | `repo-server-<name>` | the resource                                       |
| NetworkPolicy | `repo-server-<name>` | the resource                                       |
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from controller.conditions import timestamp
from reconcilers.repositoryserver import kopia, podoverride, quantities, repository_config
from reconcilers.repositoryserver.api import PORT
from reconcilers.repositoryserver.storage.model import CONFIG_DIRECTORY, FILES_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.certificates import ServerCertificate
    from reconcilers.repositoryserver.secrets import Admin
    from reconcilers.repositoryserver.storage.model import Storage

MANAGER = "repository-server-controller"
CONTAINER = "repo-server-container"
DEFAULT_USER = 65532

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_INSTANCE = "cr.kanister.io/repository-server"
LABEL_DIGEST = "cr.kanister.io/digest"
ANNOTATION_FINGERPRINT = "cr.kanister.io/tls-fingerprint"
ANNOTATION_NOT_AFTER = "cr.kanister.io/tls-not-after"
ANNOTATION_APPLIED = "cr.kanister.io/applied"
# The version of the users that the server in a pod has taken up.
ANNOTATION_USERS = "cr.kanister.io/users"
# What is known of the Secrets that a pod was made of, see record.py.
ANNOTATION_RECORD = "cr.kanister.io/record"
ANNOTATION_DRAIN_UNTIL = "cr.kanister.io/drain-until"

# What the server has taken up, and what was known of it: no wishes.
_TOLD = frozenset({ANNOTATION_USERS, ANNOTATION_RECORD})

# What the Service selects as long as there is no pod that clients may reach.
NO_DIGEST = "none"

# The version of a file without users: what a server starts with whose access Secret is not right.
NO_USERS = "none"

KEY_CONFIG = "repository.config"
KEY_PASSWORD = "repository-password"  # noqa: S105 - a key's name
KEY_ADMIN_USERNAME = "admin-username"
KEY_ADMIN_PASSWORD = "admin-password"  # noqa: S105 - a key's name
KEY_CERTIFICATE = "tls.crt"
KEY_PRIVATE_KEY = "tls.key"

# A Service name is a DNS label: 63 characters. Pod names may be longer, host names may not.
_LABEL_LENGTH = 63
_DIGEST_LENGTH = 10
_CACHE_SLACK_MB = 1024
# A pass asks for the names of one server again and again; a few are at work at the same time.
_NAMES_AT_WORK = 64

# What the container asks a node for where the resource does not say it.
DEFAULT_REQUESTS = {"cpu": "50m", "memory": "128Mi"}

# Kopia, a Go program, frees memory before the kernel ends it; the rest is for what Go does not see.
MEMORY_LIMIT_VARIABLE = "GOMEMLIMIT"
MEMORY_LIMIT_SHARE = Decimal("0.9")

# Fields whose value must be as written, not merely hold what was written: one selector label too
# many and a Service selects nothing, one peer too many and a stranger may connect.
_EXACT = frozenset({"selector", "podSelector", "ingress"})

# Lists that others may add to, with the field that tells their items apart: an owner of their own,
# the container of a service mesh.
_KEYED = {"ownerReferences": "uid", "containers": "name"}


@frozen
class ServerInputs:
    """All that a server process is started with: one consistent reading of the user's Secrets.

    Attributes:
        storage: Where the repository is.
        config: Kopia's repository configuration as JSON.
        password: The repository password.
        admin: The server's administrator.
        certificate: Certificate and key.
        image: Image with Kopia.
    """

    storage: Storage
    config: str = field(repr=False)
    password: str = field(repr=False)
    admin: Admin
    certificate: ServerCertificate
    image: str

    def secret_data(self) -> dict[str, str]:
        """Return the contents of the snapshot Secret."""
        return {
            KEY_CONFIG: self.config,
            KEY_PASSWORD: self.password,
            KEY_ADMIN_USERNAME: self.admin.username,
            KEY_ADMIN_PASSWORD: self.admin.password,
            KEY_CERTIFICATE: self.certificate.certificate,
            KEY_PRIVATE_KEY: self.certificate.key,
            **self.storage.files,
        }


def digest(server: RepositoryServer, inputs: ServerInputs) -> str:
    """Return the digest over all that a running server cannot take up.

    The private key is part of it, so that nothing can be learnt from it about a weak password.

    Raises:
        InvalidInput: The override of the pod changes what the server depends on.
    """
    content = {"secret": inputs.secret_data(), "pod": _pod_spec(server, inputs, "")}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_DIGEST_LENGTH]


def versioned_name(server: RepositoryServer, digest_: str) -> str:
    """Return the name of the Secret and the Pod with a digest."""
    return f"{_label(server.name, _LABEL_LENGTH - _DIGEST_LENGTH - 1)}-{digest_}"


def stable_name(server: RepositoryServer) -> str:
    """Return the name of the Service and the NetworkPolicy."""
    prefix = "repo-server-"
    return prefix + _label(server.name, _LABEL_LENGTH - len(prefix))


def users_name(server: RepositoryServer) -> str:
    """Return the name of the Secret with the users, as the server reads them."""
    return f"{stable_name(server)}-users"


def certificate_name(server: RepositoryServer) -> str:
    """Return the name of the Secret with the certificate that the controller makes."""
    return f"{stable_name(server)}-tls"


def users_of(pod_: Mapping[str, Any]) -> str:
    """Return the version of the users that an observed pod has taken up; empty if not known."""
    version: str = (pod_["metadata"].get("annotations") or {}).get(ANNOTATION_USERS, "")
    return version


def digest_of(obj: Mapping[str, Any]) -> str:
    """Return the digest of an observed Pod or Secret; empty if it is none of ours."""
    digest_: str = (obj["metadata"].get("labels") or {}).get(LABEL_DIGEST, "")
    return digest_


def is_found(server: RepositoryServer, obj: Mapping[str, Any], digest_: str) -> bool:
    """Return whether an observed Pod or Secret has the labels by which it is found.

    A pod without them is reached by no Service, and protected by no NetworkPolicy.

    Args:
        server: The resource.
        obj: The Pod or Secret.
        digest_: Its digest.
    """
    labels = obj["metadata"].get("labels") or {}
    return labels.items() >= {**selector(server), LABEL_DIGEST: digest_}.items()


def run_as_user(server: RepositoryServer) -> int:
    """Return the user id that the server process has."""
    return DEFAULT_USER if server.run_as_user is None else server.run_as_user


def snapshot_secret(server: RepositoryServer, inputs: ServerInputs, digest_: str) -> dict[str, Any]:
    """Return the immutable Secret that holds all the Pod needs but its users."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(server, versioned_name(server, digest_), digest_),
        "type": "Opaque",
        "immutable": True,
        "data": _encoded(inputs.secret_data()),
    }


def users_secret(server: RepositoryServer, users: str, version: str) -> dict[str, Any]:
    """Return the Secret with the users, which the Pod mounts in a volume of its own.

    Args:
        server: The resource.
        users: What `htpasswd.render` returned.
        version: Another one for each other content.
    """
    data = {kopia.USERS_FILE: users, kopia.USERS_VERSION_FILE: version}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(server, users_name(server)),
        "type": "Opaque",
        "data": _encoded(data),
    }


def certificate_secret(server: RepositoryServer, certificate: ServerCertificate) -> dict[str, Any]:
    """Return the Secret with a certificate that the controller has made.

    It is not what the Pod mounts, which is a copy like that of any other certificate.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(server, certificate_name(server)),
        "type": "kubernetes.io/tls",
        "data": _encoded(
            {KEY_CERTIFICATE: certificate.certificate, KEY_PRIVATE_KEY: certificate.key}
        ),
    }


def _encoded(data: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


def pod(server: RepositoryServer, inputs: ServerInputs, digest_: str, users: str) -> dict[str, Any]:
    """Return the Pod that runs the server.

    Its labels and annotations, unlike its spec, can change while it runs: no digest has them.

    Args:
        server: The resource.
        inputs: What it is made of.
        digest_: Names it.
        users: Version of the users that its server has taken up.

    Raises:
        InvalidInput: As for `digest`.
    """
    name = versioned_name(server, digest_)
    metadata = _metadata(server, name, digest_)
    metadata["labels"] = {**server.pod.labels, **metadata["labels"]}
    metadata["annotations"] = {
        **server.pod.annotations,
        ANNOTATION_FINGERPRINT: inputs.certificate.fingerprint,
        ANNOTATION_NOT_AFTER: timestamp(inputs.certificate.not_after),
        ANNOTATION_USERS: users,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": _pod_spec(server, inputs, name),
    }


def service(server: RepositoryServer, serving: str) -> dict[str, Any]:
    """Return the Service.

    Args:
        server: The resource.
        serving: Digest of the Pod that it routes to; `NO_DIGEST` where there is none.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(server, stable_name(server)),
        "spec": {
            "type": "ClusterIP",
            "selector": {**selector(server), LABEL_DIGEST: serving},
            "ports": [{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": PORT}],
        },
    }


def network_policy(server: RepositoryServer) -> dict[str, Any]:
    """Return the NetworkPolicy: the server's port, from its namespace and the named peers only."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(server, stable_name(server)),
        "spec": {
            "podSelector": {"matchLabels": selector(server)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"podSelector": {}}, *server.peers],
                    "ports": [{"port": PORT, "protocol": "TCP"}],
                }
            ],
        },
    }


def with_applied(desired: Mapping[str, Any]) -> dict[str, Any]:
    """Return a desired object with its own digest as an annotation.

    By it a field that is no longer desired is noticed, which a comparison with the observed object
    cannot see.
    """
    metadata = desired["metadata"]
    wished = {**desired, "metadata": wishes(metadata)}
    canonical = json.dumps(wished, sort_keys=True, separators=(",", ":"))
    applied = hashlib.sha256(canonical.encode()).hexdigest()[:_DIGEST_LENGTH]
    annotations = {**metadata.get("annotations", {}), ANNOTATION_APPLIED: applied}
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def wishes(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a desired object without the annotations that only tell of it."""
    annotations = metadata.get("annotations", {})
    kept = {key: value for key, value in annotations.items() if key not in _TOLD}
    return {**metadata, "annotations": kept}


def differs(desired: Any, observed: Any, key: str = "") -> bool:  # noqa: ANN401 - JSON values
    """Return whether an observed object lacks something of the desired one.

    What the API server or others add is let be, except in selectors and rules, where an addition
    changes who connects to what.

    Args:
        desired: The object as it should be.
        observed: The object as it is.
        key: The field that both are the value of.
    """
    if key in _EXACT:
        return bool(desired != observed)
    if isinstance(desired, dict):
        return not isinstance(observed, dict) or any(
            differs(value, observed.get(name), name) for name, value in desired.items()
        )
    if key in _KEYED:
        items = {item[_KEYED[key]]: item for item in observed or ()}
        return any(differs(item, items.get(item[_KEYED[key]])) for item in desired)
    if isinstance(desired, list):
        return (
            not isinstance(observed, list)
            or len(desired) != len(observed)
            or any(differs(*pair) for pair in zip(desired, observed, strict=True))
        )
    return bool(desired != observed)


def with_observed_values(desired: Any, observed: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON
    """Return the fields of a desired PodSpec, with the values that an observed one has in them.

    Args:
        desired: The PodSpec as it was desired, or a part of it.
        observed: The same of the PodSpec as it is.
        key: The field that both are the value of.
    """
    if isinstance(desired, dict) and isinstance(observed, dict):
        return {
            name: with_observed_values(value, observed[name], name)
            for name, value in desired.items()
            if name in observed
        }
    merge_key = podoverride.MERGE_KEYS.get(key)
    if merge_key is None or not isinstance(observed, list):
        return observed
    items = {item[merge_key]: item for item in observed}
    return [
        with_observed_values(item, items[item[merge_key]])
        for item in desired
        if item[merge_key] in items
    ]


@functools.lru_cache(maxsize=_NAMES_AT_WORK)
def _label(name: str, length: int) -> str:
    label = re.sub(r"[^a-z0-9-]", "-", name)
    if label == name and len(name) <= length:
        return name
    # Two names that become one when shortened or without dots stay apart by their digest.
    suffix = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{label[: length - len(suffix) - 1].rstrip('-')}-{suffix}"


def _metadata(server: RepositoryServer, name: str, digest_: str = "") -> dict[str, Any]:
    labels = {LABEL_MANAGED_BY: MANAGER, **selector(server)}
    if digest_:
        labels[LABEL_DIGEST] = digest_
    return {
        "name": name,
        "namespace": server.namespace,
        "labels": labels,
        "ownerReferences": [server.owner_reference()],
    }


def selector(server: RepositoryServer) -> dict[str, str]:
    """Return the labels that all pods of a server have, and no others."""
    return {LABEL_INSTANCE: _label(server.name, _LABEL_LENGTH)}


def _pod_spec(server: RepositoryServer, inputs: ServerInputs, secret: str) -> dict[str, Any]:
    generated = _generated_pod_spec(server, inputs, secret)
    spec = podoverride.merged(generated, server.pod.override, container=CONTAINER)
    container = next(one for one in spec["containers"] if one["name"] == CONTAINER)
    container["env"].extend(_memory_limit(container))
    return spec


def _generated_pod_spec(
    server: RepositoryServer, inputs: ServerInputs, secret: str
) -> dict[str, Any]:
    user = run_as_user(server)
    cache_mb = server.content_cache_mb + server.metadata_cache_mb + _CACHE_SLACK_MB
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **_placement(server),
        **_beside(server, inputs),
        "securityContext": {
            "runAsNonRoot": user != 0,
            "runAsUser": user,
            "runAsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
            # A file store that nobody owns in particular is made usable for the default user's
            # group. Who names the owner wants the files left as they are.
            **(
                {"fsGroup": user, "fsGroupChangePolicy": "OnRootMismatch"}
                if server.run_as_user is None
                else {}
            ),
        },
        "containers": [_container(server, inputs, secret)],
        "volumes": [
            {
                "name": "config",
                "secret": {
                    "secretName": secret,
                    # Readable by any user id: the pod has one process, and passwords are not here.
                    "defaultMode": 0o444,
                    "items": [
                        {"key": key, "path": key}
                        for key in (KEY_CONFIG, KEY_CERTIFICATE, KEY_PRIVATE_KEY)
                    ]
                    + [
                        {"key": key, "path": f"{FILES_FOLDER}/{key}"}
                        for key in inputs.storage.files
                    ],
                },
            },
            # Apart from the rest, as it changes while the pod runs.
            {"name": "users", "secret": {"secretName": users_name(server), "defaultMode": 0o444}},
            {"name": "cache", "emptyDir": {"sizeLimit": f"{cache_mb}M"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            *inputs.storage.volumes,
        ],
    }


def _placement(server: RepositoryServer) -> dict[str, Any]:
    """Return the fields of the pod's that say where and as whom it runs, those that are given."""
    fields = {
        # An object store may know the pod by it.
        "serviceAccountName": server.service_account_name,
        "imagePullSecrets": server.pod.image_pull_secrets,
        "nodeSelector": server.pod.node_selector,
        "tolerations": server.pod.tolerations,
    }
    return {name: value for name, value in fields.items() if value}


def _beside(server: RepositoryServer, inputs: ServerInputs) -> dict[str, Any]:
    """Return the wish to run where the pod before runs: its claim may fit one node only."""
    if not inputs.storage.claim:
        return {}
    there = {
        "labelSelector": {"matchLabels": selector(server)},
        "topologyKey": "kubernetes.io/hostname",
    }
    preferred = [{"weight": 100, "podAffinityTerm": there}]
    return {
        "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    }


def _container(server: RepositoryServer, inputs: ServerInputs, secret: str) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": inputs.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [kopia.EXECUTABLE],
        "args": [
            "--no-auto-maintenance",
            "--disable-file-logging",
            "--log-level=info",
            "server",
            "start",
            f"--address=https://:{PORT}",
            f"--tls-cert-file={CONFIG_DIRECTORY}/{KEY_CERTIFICATE}",
            f"--tls-key-file={CONFIG_DIRECTORY}/{KEY_PRIVATE_KEY}",
            f"--htpasswd-file={kopia.USERS_DIRECTORY}/{kopia.USERS_FILE}",
            "--no-ui",
            *_refresh_interval(server),
        ],
        "env": _environment(inputs, secret),
        "ports": [{"name": "https", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(server),
        # Kopia listens once it has opened the repository, however long that takes: ten minutes are
        # what the removed controller gave it.
        "startupProbe": {**_process_probe(), "periodSeconds": 1, "failureThreshold": 600},
        # The lock is free and the repository was opened; that an object store answers it does not
        # say.
        "readinessProbe": {
            "exec": {"command": list(kopia.ready_check(inputs.storage.directory))},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        # Answers without the server's lock, so that a storage that is away restarts nothing.
        "livenessProbe": {
            **_process_probe(),
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        # The kubelet takes the end of Kopia's log as the reason why the container ended.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "users", "mountPath": kopia.USERS_DIRECTORY, "readOnly": True},
            {"name": "cache", "mountPath": repository_config.CACHE_DIRECTORY},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
            *inputs.storage.mounts,
        ],
    }


def _resources(server: RepositoryServer) -> dict[str, Any]:
    """Return requests and limits; a request is never above its limit for being left out."""
    limits = server.pod.resources.get("limits") or {}
    defaults = {
        name: request
        for name, request in DEFAULT_REQUESTS.items()
        # Without a request the API server takes the limit for it.
        if name not in limits or quantities.amount(request) <= quantities.amount(limits[name])
    }
    requests = {**defaults, **(server.pod.resources.get("requests") or {})}
    return {"requests": requests, **({"limits": dict(limits)} if limits else {})}


def _memory_limit(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the variable that keeps Kopia below its memory limit; none if there is no limit."""
    limits = (container.get("resources") or {}).get("limits")
    limit = limits.get("memory") if isinstance(limits, dict) else None
    own = any(variable["name"] == MEMORY_LIMIT_VARIABLE for variable in container["env"])
    if limit is None or own:
        return []
    try:
        limit_bytes = int(quantities.amount(limit) * MEMORY_LIMIT_SHARE)
    except ValueError:
        # An override that the API server is about to refuse.
        return []
    return [{"name": MEMORY_LIMIT_VARIABLE, "value": str(limit_bytes)}]


def _refresh_interval(server: RepositoryServer) -> list[str]:
    # At a refresh Kopia asks the storage, with the lock that the readiness probe needs.
    seconds = server.refresh_seconds
    return [] if seconds is None else [f"--refresh-interval={seconds}s"]


def _process_probe() -> dict[str, Any]:
    # Of the paths that need no password only this one answers 200; a bare TCP probe would fill the
    # log with TLS handshake errors.
    return {"httpGet": {"path": "/metrics", "port": PORT, "scheme": "HTTPS"}}


def _environment(inputs: ServerInputs, secret: str) -> list[dict[str, Any]]:
    def from_secret(name: str, key: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}

    return [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the container's own
        {"name": "KOPIA_CHECK_FOR_UPDATES", "value": "false"},
        {"name": "KOPIA_PERSIST_CREDENTIALS_ON_CONNECT", "value": "false"},
        {"name": "KOPIA_CONFIG_PATH", "value": f"{CONFIG_DIRECTORY}/{KEY_CONFIG}"},
        from_secret("KOPIA_PASSWORD", KEY_PASSWORD),
        # The server reads the administrator from both pairs; its command-line client, which the
        # readiness probe and the refresh use, from the first.
        from_secret("KOPIA_SERVER_USERNAME", KEY_ADMIN_USERNAME),
        from_secret("KOPIA_SERVER_PASSWORD", KEY_ADMIN_PASSWORD),
        from_secret("KOPIA_SERVER_CONTROL_USER", KEY_ADMIN_USERNAME),
        from_secret("KOPIA_SERVER_CONTROL_PASSWORD", KEY_ADMIN_PASSWORD),
        {"name": "KOPIA_SERVER_ADDRESS", "value": f"https://localhost:{PORT}"},
        {
            "name": "KOPIA_SERVER_CERT_FINGERPRINT",
            "value": inputs.certificate.fingerprint,
        },
        *({"name": name, "value": value} for name, value in inputs.storage.environment.items()),
    ]
