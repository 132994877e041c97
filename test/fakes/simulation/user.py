"""The user: three resources with their Secrets, as they should be, and as he writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from fakes import objects
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object
    from fakes.simulation.apiserver import ApiServer

#: A server on a claim that one node can mount, with a certificate of the user's; one on an object
#: store, with a certificate of the controller's; and another one on the same repository as that.
FILES, MAILS, MIRROR = "files", "mails", "mirror"
NAMES = (FILES, MAILS, MIRROR)
#: Those that the removed controller has served.
TAKEN_OVER = (FILES, MIRROR)
#: Those with a certificate of the controller's.
SELF_SIGNED = (MAILS, MIRROR)
ROOT_PATHS = {FILES: FILES, MAILS: MAILS, MIRROR: MAILS}
#: The identity that a server has in its repository, where the resource names one.
IDENTITIES = {MIRROR: "mirror@store.example"}

#: How long a pod of each drains at first.
DRAIN_SECONDS = {FILES: 120, MAILS: 0, MIRROR: 30}

USERNAMES = {FILES: "backup", MAILS: "backup", MIRROR: "copy"}
#: Further users that a server may have, of a Secret of their own.
RESTORER = "restore"
#: Who may be among the users.
HOSTS = ("app", "database", "mail", "web")

# Keys of Secrets whose values must be nowhere else.
_CONFIDENTIAL = {"repo-password", "password", "tls.key", "aws_secret_access_key", *HOSTS}

BUCKET = {"type": "s3", "bucket": "backups", "region": "eu-central-1", "prefix": "kopia"}
#: Where the second server on one repository is for a while.
OTHER_BUCKET = {**BUCKET, "bucket": "copies"}
_STORE_KEY = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "store-key-2b7c"}


@frozen
class Input:
    """What a Secret should hold."""

    type_: str
    values: Mapping[str, str]


class User:
    """Writes resources and Secrets, and remembers how they should be."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        #: Of each resource, by name.
        self.specs: dict[str, Object] = {name: _spec(name) for name in NAMES}
        #: Of each Secret, by name.
        self.inputs = {secret: held for name in NAMES for secret, held in _inputs(name).items()}
        #: All that was ever in a Secret and must be nowhere else.
        self.confidential: set[str] = set()
        api.create(resources.PERSISTENT_VOLUME_CLAIMS, _claim())

    def mend(self) -> None:
        """Write everything as it should be."""
        for name in self.inputs:
            self.write_secret(name)
        for name in NAMES:
            if (self.specs[name].get("publish") or {}).get("kanisterProfile") is not None:
                self.publish_profile(name)
            self.write_server(name)

    def publish_profile(self, name: str) -> None:
        """Ask for a Profile, of a user that the server should have."""
        profile = {"user": min(self.passwords(name))}
        self.edit(name, {"publish": {"kanisterProfile": profile}})

    def edit(self, name: str, change: Object) -> None:
        """Change a resource for good, by a merge patch of its specification."""
        self.specs[name] = objects.merged(self.specs[name], change)
        if self._api.find(api.REPOSITORY_SERVERS, objects.NAMESPACE, name) is not None:
            self.write_server(name)

    def write_server(self, name: str) -> None:
        """Create a resource, or write its specification as it should be."""
        found = self._api.find(api.REPOSITORY_SERVERS, objects.NAMESPACE, name)
        if found is not None:
            self._api.replace(api.REPOSITORY_SERVERS, {**found, "spec": self.specs[name]})
            return
        server = objects.repository_server()
        metadata = {"name": name, "namespace": objects.NAMESPACE}
        self._api.create(
            api.REPOSITORY_SERVERS,
            {**server, "metadata": metadata, "spec": self.specs[name]},
        )

    def delete_server(self, name: str) -> None:
        """Delete a resource, if it is there; it should be there all the same."""
        if self._api.find(api.REPOSITORY_SERVERS, objects.NAMESPACE, name) is not None:
            self._api.delete(api.REPOSITORY_SERVERS, objects.NAMESPACE, name)

    def change_input(self, name: str, values: Mapping[str, str]) -> None:
        """Change a Secret for good."""
        self.inputs[name] = evolve(self.inputs[name], values=dict(values))
        self.write_secret(name)

    def write_secret(self, name: str, *, values: Mapping[str, str] | None = None) -> None:
        """Write a Secret as it should be, or wrong.

        Args:
            name: Of the Secret.
            values: What it is to hold; what it should hold by default.
        """
        wanted = self.inputs[name]
        values = wanted.values if values is None else values
        self.confidential |= {value for key, value in values.items() if key in _CONFIDENTIAL}
        secret = objects.secret(name, wanted.type_, values)
        found = self._api.find(resources.SECRETS, objects.NAMESPACE, name)
        if found is None:
            metadata = {"name": name, "namespace": objects.NAMESPACE}
            self._api.create(resources.SECRETS, {**secret, "metadata": metadata})
        else:
            self._api.replace(resources.SECRETS, {**found, "data": secret["data"]})

    def delete_secret(self, name: str) -> None:
        """Delete a Secret, if it is there; it should be there all the same."""
        if self._api.find(resources.SECRETS, objects.NAMESPACE, name) is not None:
            self._api.delete(resources.SECRETS, objects.NAMESPACE, name)

    def is_right(self, name: str) -> bool:
        """Return whether a Secret is as it should be."""
        found = self._api.find(resources.SECRETS, objects.NAMESPACE, name)
        wanted = objects.secret(name, "", self.inputs[name].values)["data"]
        return found is not None and found["data"] == wanted

    def accesses(self, name: str) -> dict[str, str]:
        """Return the name of each Secret with users of a server, by the name of its users."""
        further = self.specs[name]["server"].get("additionalUserAccess") or ()
        others = {one["username"]: one["userAccessSecretRef"]["name"] for one in further}
        return {USERNAMES[name]: f"{name}-users", **others}

    def passwords(self, name: str) -> dict[str, str]:
        """Return the password of each user who should be let in by a server."""
        return {
            f"{username}@{host}": password
            for username, secret in self.accesses(name).items()
            for host, password in self.inputs[secret].values.items()
        }


def _spec(name: str) -> Object:
    def reference(suffix: str) -> Object:
        return {"name": f"{name}-{suffix}", "namespace": objects.NAMESPACE}

    credential = {} if name == FILES else {"credentialSecretRef": reference("credential")}
    self_signed = name in SELF_SIGNED
    tls = {"tls": {"selfSigned": {}}} if self_signed else {"tlsSecretRef": reference("tls")}
    username, _, hostname = IDENTITIES.get(name, "").partition("@")
    identity = {"username": username, "hostname": hostname} if username else {}
    return {
        "storage": {"secretRef": reference("location"), **credential},
        "repository": {
            "rootPath": ROOT_PATHS[name],
            "passwordSecretRef": reference("repository-password"),
            **identity,
        },
        "server": {
            # One for all: a change of it concerns several servers at once.
            "adminSecretRef": {"name": objects.ADMIN, "namespace": objects.NAMESPACE},
            **tls,
            "userAccess": {"username": USERNAMES[name], "userAccessSecretRef": reference("users")},
            "drainSeconds": DRAIN_SECONDS[name],
        },
        "publish": {"connection": {}},
    }


def _inputs(name: str) -> dict[str, Input]:
    pair = objects.key_pair()
    location = (
        {"type": "filestore", "prefix": "backups", "claimName": objects.CLAIM}
        if name == FILES
        else BUCKET
    )
    admin = {"username": "admin", "password": objects.ADMIN_PASSWORD_VALUE}
    inputs = {
        f"{name}-location": Input(secrets.TYPE_LOCATION, location),
        f"{name}-repository-password": Input(
            secrets.TYPE_PASSWORD, {"repo-password": objects.REPOSITORY_PASSWORD_VALUE}
        ),
        objects.ADMIN: Input(secrets.TYPE_ADMIN, admin),
        f"{name}-users": Input(secrets.TYPE_USERS, {"app": objects.USER_PASSWORD_VALUE}),
        f"{name}-restorers": Input(secrets.TYPE_USERS, {"web": objects.USER_PASSWORD_VALUE}),
    }
    if name == FILES:
        pem = {"tls.crt": pair.certificate, "tls.key": pair.key}
        inputs[objects.TLS] = Input(secrets.TYPE_TLS, pem)
    if name != FILES:
        inputs[f"{name}-credential"] = Input(secrets.TYPE_AWS, _STORE_KEY)
    return inputs


def _claim() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": objects.CLAIM, "namespace": objects.NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"]},
    }
