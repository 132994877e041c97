"""The CronJob that maintains a repository, and the Secret that it is started with.

Kopia takes a lock in a file beside its configuration before it maintains a repository, so that the
folder of the configuration must be writable. That of a server is not: two of its pods overlap, and
a repository may be maintained by one process at a time. The CronJob has one run at a time, under
the identity that owns the maintenance.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from reconcilers.kopia import cli
from reconcilers.kopia.storage.model import CONFIG_DIRECTORY, FILES_DIRECTORY
from reconcilers.pods import overrides
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.pod import (
    CONTAINER_SECURITY,
    SCRATCH_MOUNTS,
    container_resources,
    kopia_command,
    memory_limit,
    placement,
    pod_security,
    scratch,
    token_mount,
    token_volume,
)
from reconcilers.repositoryserver.children.secrets import KEY_CONFIG, KEY_PASSWORD, encoded

if TYPE_CHECKING:
    from reconcilers.repositoryserver.api import Maintenance, RepositoryServer
    from reconcilers.repositoryserver.children.secrets import ServerInputs

#: Seconds after which a run is ended. One that hangs would keep the next ones from starting.
RUN_SECONDS: Final = 86400
#: Seconds by which a run may start late, after a time without a control plane for instance.
LATE_SECONDS: Final = 3600

#: Fields of a container that a process which ends by itself cannot have.
_OF_SERVERS: Final = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle")

_KEY_LENGTH: Final = 16


def key(maintenance: Maintenance, hash_: str) -> str:
    """Return what tells the children made of these inputs from those made of others.

    Args:
        maintenance: Schedule and owner.
        hash_: Of the server's revision.
    """
    parts = json.dumps([maintenance.schedule, maintenance.owner, hash_])
    return hashlib.sha256(parts.encode()).hexdigest()[:_KEY_LENGTH]


def secret(
    server: RepositoryServer, maintenance: Maintenance, inputs: ServerInputs, key_: str
) -> dict[str, Any]:
    """Return the Secret: Kopia's configuration with the owner's identity, password and files."""
    username, _, hostname = maintenance.owner.partition("@")
    config = {**json.loads(inputs.config), "username": username, "hostname": hostname}
    data = {
        KEY_CONFIG: json.dumps(config, indent=1, sort_keys=True),
        KEY_PASSWORD: inputs.password,
        **inputs.storage.files,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(server, names.maintenance_secret_name(server), key_),
        "type": "Opaque",
        "data": encoded(data),
    }


def cron_job(
    server: RepositoryServer, maintenance: Maintenance, inputs: ServerInputs, key_: str
) -> dict[str, Any]:
    """Return the CronJob.

    Raises:
        InvalidInput: The override of the pod changes what Kopia is started with.
    """
    labels = names.maintenance_labels(server)
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(server, names.maintenance_name(server), key_),
        "spec": {
            "schedule": maintenance.schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": LATE_SECONDS,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "metadata": {"labels": labels},
                "spec": {
                    "backoffLimit": 1,
                    "activeDeadlineSeconds": RUN_SECONDS,
                    "template": {
                        "metadata": {
                            # A webhook may know by them which identity the pod is to have.
                            "labels": {**server.pod.labels, **labels},
                            "annotations": {
                                **inputs.defaults.annotations,
                                **server.pod.annotations,
                            },
                        },
                        "spec": _pod_spec(server, inputs),
                    },
                },
            },
        },
    }


def _metadata(server: RepositoryServer, name: str, key_: str) -> dict[str, Any]:
    metadata = names.metadata(server, name)
    return {**metadata, "annotations": {names.ANNOTATION_MAINTENANCE: key_}}


def _pod_spec(server: RepositoryServer, inputs: ServerInputs) -> dict[str, Any]:
    generated = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **placement(server, inputs),
        "securityContext": pod_security(server),
        "containers": [_container(server, inputs)],
        "volumes": [
            {
                "name": "config",
                "secret": {
                    "secretName": names.maintenance_secret_name(server),
                    "defaultMode": 0o444,
                    "items": [{"key": name, "path": name} for name in _files(inputs)],
                },
            },
            # Kopia's lock is here, beside its configuration.
            {"name": "work", "emptyDir": {"sizeLimit": "16Mi"}},
            *scratch(server),
            *inputs.storage.volumes,
            *token_volume(server),
        ],
    }
    # With a proxy of the override, for one.
    spec = overrides.merged(generated, server.pod.override, container=names.CONTAINER)
    container = next(one for one in spec["containers"] if one["name"] == names.CONTAINER)
    container["env"].extend(memory_limit(container))
    own = {name: value for name, value in container.items() if name not in _OF_SERVERS}
    # A container beside Kopia would not end with it, nor would the Job.
    return {**spec, "containers": [own]}


def _container(server: RepositoryServer, inputs: ServerInputs) -> dict[str, Any]:
    password = {"name": names.maintenance_secret_name(server), "key": KEY_PASSWORD}
    return {
        "name": names.CONTAINER,
        "image": inputs.image,
        "imagePullPolicy": "IfNotPresent",
        "command": kopia_command(inputs.storage),
        "args": list(cli.RUN_MAINTENANCE),
        "env": [
            *({"name": name, "value": value} for name, value in cli.ENVIRONMENT.items()),
            {"name": "KOPIA_CONFIG_PATH", "value": f"{CONFIG_DIRECTORY}/{KEY_CONFIG}"},
            {"name": "KOPIA_PASSWORD", "valueFrom": {"secretKeyRef": password}},
            *({"name": name, "value": value} for name, value in inputs.storage.environment.items()),
        ],
        "resources": container_resources(server, inputs.defaults),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "work", "mountPath": CONFIG_DIRECTORY},
            *(
                {"name": "config", "mountPath": path, "subPath": name, "readOnly": True}
                for name, path in _files(inputs).items()
            ),
            *SCRATCH_MOUNTS,
            *inputs.storage.mounts,
            *token_mount(server),
        ],
    }


def _files(inputs: ServerInputs) -> dict[str, str]:
    """Return where Kopia finds each file, by its key in the Secret."""
    return {
        KEY_CONFIG: f"{CONFIG_DIRECTORY}/{KEY_CONFIG}",
        **{name: f"{FILES_DIRECTORY}/{name}" for name in inputs.storage.files},
    }
