"""The pods that run a server: what their ReplicaSet makes them of."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from reconcilers.kopia import cli, logfilter, repository_config
from reconcilers.kopia.storage.model import CONFIG_DIRECTORY, FILES_FOLDER
from reconcilers.pods import overrides, quantities
from reconcilers.repositoryserver import api, servercommands
from reconcilers.repositoryserver.api import PORT
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.secrets import (
    KEY_ADMIN_PASSWORD,
    KEY_ADMIN_USERNAME,
    KEY_CERTIFICATE,
    KEY_CONFIG,
    KEY_PASSWORD,
    KEY_PRIVATE_KEY,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconcilers.kopia.storage.model import Storage
    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.children.secrets import ServerInputs
    from reconcilers.settings import PodDefaults

_CACHE_SLACK_MB: Final = 1024

CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SCRATCH_MOUNTS: Final = (
    {"name": "cache", "mountPath": repository_config.CACHE_DIRECTORY},
    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
)

_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"

# What the container asks a node for where the resource does not say it.
DEFAULT_REQUESTS: Final = {"cpu": "50m", "memory": "128Mi"}

# Kopia, a Go program, frees memory before the kernel ends it; the rest is for what Go does not see.
MEMORY_LIMIT_VARIABLE: Final = "GOMEMLIMIT"
MEMORY_LIMIT_SHARE: Final = Decimal("0.9")

#: Seconds for which a pod that is deleted serves on before Kopia is told to end. Until another pod
#: is Ready kube-proxy leads clients to it (kubernetes KEP 1669, proxy terminating endpoints), and
#: then the endpoints have time to follow. See docs/decisions/serving-on.md.
SERVE_ON_SECONDS: Final = 5
# Not the hook's own `sleep`, which Kubernetes 1.29 drops from a pod without a word.
_SERVE_ON: Final = {"exec": {"command": ["sleep", str(SERVE_ON_SECONDS)]}}

#: Where a credential finds the token of `spec.server.serviceAccountToken`.
TOKEN_DIRECTORY: Final = "/var/run/secrets/cr.kanister.io/serviceaccount"  # noqa: S105 - a path
TOKEN_FILE: Final = "token"  # noqa: S105 - a file's name
_TOKEN_VOLUME: Final = "service-account-token"  # noqa: S105 - a volume's name


def template(server: RepositoryServer, inputs: ServerInputs, hash_: str) -> dict[str, Any]:
    """Return the template of the pods of a revision.

    Its labels and annotations, unlike its specification, can change while a pod runs: no hash has
    them. Nothing in it changes with what the process in a pod has loaded.

    Args:
        server: The resource.
        inputs: What the pods are made of.
        hash_: Names the revision.

    Raises:
        InvalidInput: As for `pod_spec`.
    """
    labels = {**server.pod.labels, **names.labels(server, hash_)}
    annotations = {
        name: value
        for name, value in {**inputs.defaults.annotations, **server.pod.annotations}.items()
        # What a process has loaded, and until when it drains, is not for these to say.
        if not name.startswith(names.ANNOTATION_PREFIX)
    }
    keys = {"annotations": sorted(annotations), "labels": sorted(labels)}
    text = json.dumps(keys, separators=(",", ":"))
    return {
        "metadata": {
            "labels": labels,
            "annotations": {**annotations, names.ANNOTATION_FROM_TEMPLATE: text},
        },
        "spec": pod_spec(server, inputs, names.versioned_name(server, hash_)),
    }


def metadata_patch(
    template_metadata: Mapping[str, Any], observed: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the merge patch of its metadata by which a pod is as its template says by now.

    What others have added stays. What the template said when the pod was made, and does not say any
    more, goes.

    Args:
        template_metadata: The metadata of the template.
        observed: The metadata of the pod.

    Returns:
        The patch; empty if there is nothing to change.
    """
    found = (observed.get("annotations") or {}).get(names.ANNOTATION_FROM_TEMPLATE, "")
    before = _keys(found)
    patch: dict[str, Any] = {}
    for field in ("labels", "annotations"):
        wanted, there = template_metadata.get(field) or {}, observed.get(field) or {}
        changes: dict[str, str | None] = {
            key: value for key, value in wanted.items() if there.get(key) != value
        }
        changes |= {key: None for key in before[field] if key in there and key not in wanted}
        if changes:
            patch[field] = changes
    return patch


def _keys(text: str) -> dict[str, list[str]]:
    """Return the keys of the labels and annotations that a pod has from its template."""
    try:
        content = json.loads(text)
        return {field: [str(key) for key in content[field]] for field in ("labels", "annotations")}
    except (ValueError, TypeError, KeyError, RecursionError):
        # Somebody has changed the annotation: what the template does not say any more stays.
        return {"labels": [], "annotations": []}


def pod_spec(server: RepositoryServer, inputs: ServerInputs, secret: str) -> dict[str, Any]:
    """Return the specification of the Pod.

    Args:
        server: The resource.
        inputs: What it is made of.
        secret: Name of the snapshot Secret.

    Raises:
        InvalidInput: The override of the pod changes what the server depends on.
    """
    generated = _generated_pod_spec(server, inputs, secret)
    spec = overrides.merged(generated, server.pod.override, container=names.CONTAINER)
    container = next(one for one in spec["containers"] if one["name"] == names.CONTAINER)
    container["env"].extend(memory_limit(container))
    _serve_on(container)
    return spec


def _serve_on(container: dict[str, Any]) -> None:
    """Add the hook by which a container serves on for a while once its pod is deleted.

    A hook of an override stays: a container may have one, and lists of hooks do not merge.
    """
    lifecycle = container.setdefault("lifecycle", {})
    if isinstance(lifecycle, dict):
        lifecycle.setdefault("preStop", _SERVE_ON)


def _generated_pod_spec(
    server: RepositoryServer, inputs: ServerInputs, secret: str
) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **placement(server, inputs),
        "securityContext": pod_security(server),
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
            {
                "name": "users",
                "secret": {"secretName": names.users_name(server), "defaultMode": 0o444},
            },
            *scratch(server),
            *inputs.storage.volumes,
            *token_volume(server),
        ],
    }


def scratch(server: RepositoryServer) -> list[dict[str, Any]]:
    """Return the volumes that Kopia writes to."""
    cache_mb = server.content_cache_mb + server.metadata_cache_mb + _CACHE_SLACK_MB
    return [
        {"name": "cache", "emptyDir": {"sizeLimit": f"{cache_mb}M"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]


def pod_security(server: RepositoryServer) -> dict[str, Any]:
    """Return the security context of a pod, which meets the restricted profile but for root."""
    user, group = api.run_as_user(server), api.fs_group(server)
    return {
        "runAsNonRoot": user != 0,
        "runAsUser": user,
        "runAsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
        **({} if group is None else {"fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"}),
    }


def placement(server: RepositoryServer, inputs: ServerInputs) -> dict[str, Any]:
    """Return the fields of a pod's that say where and as whom it runs, those that are given.

    Args:
        server: The resource, which counts more than the settings.
        inputs: Have the settings.
    """
    defaults = inputs.defaults
    fields = {
        # An object store may know the pod by it.
        "serviceAccountName": server.service_account_name or defaults.service_account_name,
        "imagePullSecrets": _united(server.pod.image_pull_secrets, defaults.image_pull_secrets),
        "nodeSelector": {**defaults.node_selector, **server.pod.node_selector},
        "tolerations": _united(server.pod.tolerations, defaults.tolerations),
        "priorityClassName": defaults.priority_class_name,
        "affinity": _affinity(server, inputs),
    }
    return {name: value for name, value in fields.items() if value}


def _united(
    own: Sequence[Mapping[str, Any]], defaults: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    return [*own, *(one for one in defaults if one not in own)]


def _affinity(server: RepositoryServer, inputs: ServerInputs) -> dict[str, Any]:
    """Return the default affinity, with the wish to run where the other pods of the server do.

    A claim may fit one node only.
    """
    affinity = dict(inputs.defaults.affinity)
    if not inputs.storage.claim:
        return affinity
    there = {
        "labelSelector": {"matchLabels": names.selector(server)},
        "topologyKey": "kubernetes.io/hostname",
    }
    to_pods = affinity.get("podAffinity", {})
    preferred = [*to_pods.get(_PREFERRED, ()), {"weight": 100, "podAffinityTerm": there}]
    return {**affinity, "podAffinity": {**to_pods, _PREFERRED: preferred}}


def _container(server: RepositoryServer, inputs: ServerInputs, secret: str) -> dict[str, Any]:
    return {
        "name": names.CONTAINER,
        "image": inputs.image,
        "imagePullPolicy": "IfNotPresent",
        "command": kopia_command(inputs.storage),
        "args": [
            "--no-auto-maintenance",
            "--disable-file-logging",
            "--log-level=info",
            *_metrics_address(server),
            "server",
            "start",
            f"--address=https://:{PORT}",
            f"--tls-cert-file={CONFIG_DIRECTORY}/{KEY_CERTIFICATE}",
            f"--tls-key-file={CONFIG_DIRECTORY}/{KEY_PRIVATE_KEY}",
            f"--htpasswd-file={servercommands.USERS_DIRECTORY}/{servercommands.USERS_FILE}",
            "--no-ui",
            *_refresh_interval(server),
        ],
        "env": _environment(inputs, secret),
        "ports": [
            {"name": "https", "containerPort": PORT, "protocol": "TCP"},
            *_metrics_port(server),
        ],
        "resources": container_resources(server, inputs.defaults),
        # Kopia listens once it has opened the repository, however long that takes: ten minutes are
        # what the removed controller gave it.
        "startupProbe": {**_process_probe(), "periodSeconds": 1, "failureThreshold": 600},
        # The lock is free and the repository was opened; that an object store answers it does not
        # say.
        "readinessProbe": {
            "exec": {"command": list(servercommands.ready_check(inputs.storage.directory))},
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
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "users", "mountPath": servercommands.USERS_DIRECTORY, "readOnly": True},
            *SCRATCH_MOUNTS,
            *inputs.storage.mounts,
            *token_mount(server),
        ],
    }


def kopia_command(storage: Storage) -> list[str]:
    """Return what Kopia is started with; its arguments follow."""
    return list(logfilter.command()) if storage.secret_urls else [cli.EXECUTABLE]


def token_volume(server: RepositoryServer) -> list[dict[str, Any]]:
    """Return the volume with a token of the pod's account, renewed by the kubelet."""
    token = server.token
    if token is None:
        return []
    source = {
        "path": TOKEN_FILE,
        "audience": token.audience,
        "expirationSeconds": token.expiration_seconds,
    }
    # Readable by any user id, as the rest.
    projected = {"sources": [{"serviceAccountToken": source}], "defaultMode": 0o444}
    return [{"name": _TOKEN_VOLUME, "projected": projected}]


def token_mount(server: RepositoryServer) -> list[dict[str, Any]]:
    """Return where the token is mounted; nothing where there is none."""
    if server.token is None:
        return []
    return [{"name": _TOKEN_VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": True}]


def container_resources(server: RepositoryServer, defaults: PodDefaults) -> dict[str, Any]:
    """Return requests and limits; a default never contradicts what the resource says."""
    own_limits = server.pod.resources.get("limits") or {}
    own_requests = server.pod.resources.get("requests") or {}
    limits = {
        **{
            name: limit
            for name, limit in defaults.resources.get("limits", {}).items()
            if not _is_above(own_requests.get(name), limit)
        },
        **own_limits,
    }
    requests = {
        **{
            name: request
            for name, request in {
                **DEFAULT_REQUESTS,
                **defaults.resources.get("requests", {}),
            }.items()
            # Without a request the API server takes the limit for it.
            if not _is_above(request, limits.get(name))
        },
        **own_requests,
    }
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _is_above(request: Any, limit: Any) -> bool:  # noqa: ANN401 - quantities as a user wrote them
    if request is None or limit is None:
        return False
    return quantities.amount(request) > quantities.amount(limit)


def memory_limit(container: Mapping[str, Any]) -> list[dict[str, Any]]:
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


def _metrics_address(server: RepositoryServer) -> list[str]:
    return [] if server.metrics is None else [f"--metrics-listen-addr=:{server.metrics.port}"]


def _metrics_port(server: RepositoryServer) -> list[dict[str, Any]]:
    if server.metrics is None:
        return []
    # The PodMonitor selects it by its name.
    return [{"name": "metrics", "containerPort": server.metrics.port, "protocol": "TCP"}]


def _process_probe() -> dict[str, Any]:
    # Of the paths that need no password only this one answers 200; a bare TCP probe would fill the
    # log with TLS handshake errors.
    return {"httpGet": {"path": "/metrics", "port": PORT, "scheme": "HTTPS"}}


def _environment(inputs: ServerInputs, secret: str) -> list[dict[str, Any]]:
    def from_secret(name: str, key: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}

    return [
        *({"name": name, "value": value} for name, value in cli.ENVIRONMENT.items()),
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
