"""A RepositoryServer under test, with all that belongs to it."""

from __future__ import annotations

import base64
import json
import shlex
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from attrs import define, field

from controller.conditions import get_condition
from e2e import certificates
from e2e.cluster import CLAIMS, NAMESPACE, Cluster
from e2e.waiting import DEFAULT_SECONDS, wait_for
from reconcilers import resources
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.resource import Object
    from e2e.node import Node
    from e2e.witness import Witness
    from storelib.servers import Store

PREFIX = "backups"
ROOT_PATH = "repository"
USERNAME = "backup"
HOST = "client"
USER = f"{USERNAME}@{HOST}"

# How the pods that may connect are named to the server.
MAY_CONNECT = {"may-connect": "yes"}


@define
class Server:
    """A RepositoryServer whose objects are made here, and can be changed before they are created.

    Attributes:
        cluster: Where it is.
        node: Keeps its volume.
        witness: Has seen all its versions.
        name: Its name and its volume's.
        repository_password: What opens its repository.
        secrets: Its Secrets by role: location, password, admin, tls, users. Values are clear text.
        resource: The RepositoryServer.
        withheld: Roles of Secrets that are not created with the others.
        prefix: Of the location.
        store: The object store that has the repository; None where a volume has it.
    """

    cluster: Cluster = field(repr=False)
    node: Node = field(repr=False)
    witness: Witness = field(repr=False)
    name: str
    secrets: dict[str, Object] = field(init=False, repr=False)
    resource: Object = field(init=False, repr=False)
    withheld: set[str] = field(init=False, factory=set)
    prefix: str = field(init=False, default=PREFIX)
    store: Store | None = field(init=False, default=None, repr=False)
    repository_password: str = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Describe what can work."""
        password = self.cluster.confidential.password
        self.repository_password = password("repository password")
        self.secrets = {
            "location": self.secret(
                "location",
                "secrets.kanister.io/storage-location",
                {"type": "filestore", "prefix": PREFIX, "claimName": self.name},
            ),
            "password": self.secret(
                "password",
                "secrets.kanister.io/kopia-repository/password",
                {"repo-password": self.repository_password},
            ),
            "admin": self.secret(
                "admin",
                "secrets.kanister.io/kopia-repository/serveradmin",
                {"username": "admin@test", "password": password("administrator's password")},
            ),
            "tls": self.secret("tls", "kubernetes.io/tls", self.certificate()),
            "users": self.secret(
                "users",
                "secrets.kanister.io/kopia-repository/serveruser",
                {HOST: password("user's password")},
            ),
        }
        self.resource = {
            "apiVersion": "cr.kanister.io/v1alpha1",
            "kind": "RepositoryServer",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "storage": {"secretRef": self.reference("location")},
                "repository": {
                    "rootPath": ROOT_PATH,
                    "passwordSecretRef": self.reference("password"),
                },
                "server": {
                    "adminSecretRef": self.reference("admin"),
                    "tlsSecretRef": self.reference("tls"),
                    "userAccess": {
                        "username": USERNAME,
                        "userAccessSecretRef": self.reference("users"),
                    },
                    "networkPolicy": {
                        "from": [
                            {
                                "namespaceSelector": {},
                                "podSelector": {"matchLabels": MAY_CONNECT},
                            }
                        ]
                    },
                },
            },
        }

    def secret(self, role: str, type_: str, values: dict[str, str]) -> Object:
        """Return a Secret of this server."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{self.name}-{role}", "namespace": NAMESPACE},
            "type": type_,
            "stringData": values,
        }

    def reference(self, role: str) -> Object:
        """Return a reference to one of the Secrets."""
        return {"name": f"{self.name}-{role}", "namespace": NAMESPACE}

    def certificate(self, **options: Any) -> dict[str, str]:
        """Make a certificate and return the values of its Secret."""
        pair = certificates.make(self.name, **options)
        key = self.cluster.confidential.remember_key("private key", pair.key)
        return {"tls.crt": pair.certificate, "tls.key": key}

    def self_sign(self) -> None:
        """Describe a server whose certificate the controller makes."""
        del self.secrets["tls"]
        spec = self.resource["spec"]["server"]
        del spec["tlsSecretRef"]
        spec["tls"] = {"selfSigned": {}}

    def password_of(self, host: str = HOST) -> str:
        """Return the password of an access user."""
        password: str = self.secrets["users"]["stringData"][host]
        return password

    def move_to(self, store: Store) -> None:
        """Describe a server whose repository is in an object store."""
        self.store = store
        # A store outlives the session; what an earlier one left there is not looked at.
        self.prefix = f"{PREFIX}/{self.name}-{token_hex(4)}"
        location = {**store.location, "prefix": self.prefix}
        self.secrets["location"]["stringData"] = location
        self.secrets["credential"] = self.secret(
            "credential", store.credential_type, dict(store.credential)
        )
        spec = self.resource["spec"]
        spec["storage"]["credentialSecretRef"] = self.reference("credential")
        if store.pod_override:
            spec["server"]["podOverride"] = store.pod_override

    def make_volume(self) -> None:
        """Make the volume that the location names, without a repository."""
        self.node.make_volume(self.name)

    def make_repository(self, **options: Any) -> None:
        """Make the repository that the resource names."""
        if self.store is not None:
            prefix = f"{self.prefix}/{ROOT_PATH}/"
            self.node.make_repository_in(self.store, prefix, self.repository_password)
            return
        path = f"{self.prefix}/{ROOT_PATH}"
        self.node.make_repository(self.name, path, self.repository_password, **options)

    def in_volume(self, script: str) -> None:
        """Run a script as root in the volume's folder."""
        self.node.shell(f"cd {self.node.directory}/{self.name}\n{script}")

    def create(self) -> None:
        """Create the Secrets, but for those withheld, and the RepositoryServer."""
        created = [self.secrets[role] for role in self.secrets if role not in self.withheld]
        self.cluster.kubectl.create([*created, self.resource])

    def start(self) -> Object:
        """Make everything, wait until it is Ready, and return it."""
        if self.store is None:
            self.make_volume()
        self.make_repository()
        self.create()
        return self.wait_ready()

    def get(self) -> Object:
        """Return the RepositoryServer as it is now."""
        return self.cluster.client.get(api.REPOSITORY_SERVERS, NAMESPACE, self.name)

    def patch(self, change: Object) -> Object:
        """Change the RepositoryServer by a merge patch."""
        return self.cluster.client.merge_patch(api.REPOSITORY_SERVERS, NAMESPACE, self.name, change)

    def set_values(self, role: str, values: dict[str, str | None]) -> None:
        """Set keys of a Secret on the cluster; None removes one."""
        secret = self.secrets[role]["stringData"]
        for key, value in values.items():
            if value is None:
                secret.pop(key, None)
            else:
                secret[key] = value
        encoded = {key: None if value is None else _encoded(value) for key, value in values.items()}
        self.cluster.client.merge_patch(
            resources.SECRETS, NAMESPACE, f"{self.name}-{role}", {"data": encoded}
        )

    def change_password(self, host: str = HOST) -> None:
        """Give an access user another password."""
        password = self.cluster.confidential.password("changed password of a user")
        self.set_values("users", {host: password})

    def replace_secret(self, role: str) -> None:
        """Delete a Secret of the cluster, if it is there, and create it as it is described here."""
        self.cluster.delete(resources.SECRETS, f"{self.name}-{role}")
        self.cluster.kubectl.create([self.secrets[role]])

    def wait(
        self, what: str, holds: Callable[[Object], object], *, seconds: float = DEFAULT_SECONDS
    ) -> Object:
        """Wait until the RepositoryServer is as told, and return it."""
        return wait_for(f"{self.name} {what}", self.get, holds, seconds=seconds)

    def wait_ready(self, *, seconds: float = DEFAULT_SECONDS) -> Object:
        """Wait until its present generation is Ready, and return it."""
        return self.wait("to be Ready", is_ready, seconds=seconds)

    def pod(self) -> Object:
        """Return the pod that serves."""
        name = self.get()["status"]["serverInfo"]["podName"]
        return self.cluster.client.get(resources.PODS, NAMESPACE, name)

    def revision(self) -> str:
        """Return the name of the ReplicaSet that keeps the pod that serves, and of its Secret."""
        return revision_of(self.pod())

    def users_in_repository(self) -> list[str]:
        """Return the users that the repository has entries of, which are confidential."""
        listed = self.kopia("server user list --json")
        users = json.loads(listed)
        for user in users:
            self.cluster.confidential.remember("hash of a password", user["passwordHash"])
        return sorted(user["username"] for user in users)

    def add_user_to_repository(self, user: str, password: str) -> None:
        """Do as the removed controller did, or as the repository's administrator may do."""
        self.kopia(f"server user add {user} --user-password={shlex.quote(password)}")
        self.kopia("server refresh")

    def kopia(self, command: str) -> str:
        """Run Kopia in the pod that serves, beside the server, and return what it prints.

        Raises:
            AssertionError: It failed; the message has what it said.
        """
        pod = self.pod()["metadata"]["name"]
        ran = self.cluster.kubectl.shell(
            NAMESPACE, pod, f"/bin/kopia --no-auto-maintenance --log-level=error {command}"
        )
        assert ran.code == 0, ran
        return ran.output

    def history(self) -> list[str]:
        """Return the statuses that Available had since it was True first, each once a stay."""
        now = self.get()
        versions = self.witness.versions(now)
        statuses: list[str] = []
        for version in versions:
            available = condition(version, "Available")
            status = available["status"] if available is not None else "Unknown"
            if statuses[-1:] != [status] and (statuses or status == "True"):
                statuses.append(status)
        return statuses

    def remove(self) -> None:
        """Delete everything that was made for it; its pods end meanwhile."""
        self.cluster.discard(api.REPOSITORY_SERVERS, self.name)
        for secret in self.secrets.values():
            self.cluster.discard(resources.SECRETS, secret["metadata"]["name"])
        if self.store is None:
            self.cluster.discard(CLAIMS, self.name)
            self.node.remove_volume(self.name)


def revision_of(pod: Object) -> str:
    """Return the name of the ReplicaSet that has made a pod, and of the Secret that it mounts."""
    (owner,) = pod["metadata"]["ownerReferences"]
    name: str = owner["name"]
    return name


def condition(server: Object, type_: str) -> dict[str, Any] | None:
    """Return a condition of a RepositoryServer."""
    return get_condition(server.get("status", {}).get("conditions", []), type_)


def is_ready(server: Object) -> bool:
    """Return whether a RepositoryServer is Ready as it stands."""
    ready = condition(server, "Ready")
    return (
        ready is not None
        and ready["status"] == "True"
        and server["status"]["progress"] == "Ready"
        and server["status"]["observedGeneration"] == server["metadata"]["generation"]
    )


def events_of(events: Iterable[Object], reason: str) -> list[Object]:
    """Return the events with a reason."""
    return [event for event in events if event["reason"] == reason]


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
