"""What users get wrong: how each fault is made, what they are told, and how they mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import ec

from e2e.server import HOST, PREFIX, ROOT_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.server import Server

    Step = Callable[[Server], object]

SETUP = "ServerSetup"
CONNECTION = "RepositoryConnected"
USERS = "ClientUserInitialized"

REPOSITORY = f"{PREFIX}/{ROOT_PATH}/ on PersistentVolumeClaim {{namespace}}/{{server}}"
SERVER_ADMIN = "secrets.kanister.io/kopia-repository/serveradmin"


@frozen
class Fault:
    """One fault.

    Attributes:
        what: The fault in words, which is the test's id.
        make: Makes it, when there are the volume and the repository and nothing else yet.
        step: The condition that is then False.
        reason: Of Ready, and of the one event.
        message: Of both conditions and the event. `{namespace}` and `{server}` stand for where the
            server is and its name.
        mend: Mends it, as the message says.
    """

    what: str
    make: Step
    step: str
    reason: str
    message: str
    mend: Step


def _withhold(role: str) -> Step:
    return lambda server: server.withheld.add(role)


def _of_type(role: str, type_: str) -> Step:
    return lambda server: server.secrets[role].update(type=type_)


def _with(role: str, **values: str) -> Step:
    return lambda server: server.secrets[role]["stringData"].update(values)


def _without(role: str, key: str) -> Step:
    return lambda server: server.secrets[role]["stringData"].pop(key)


def _create(role: str) -> Step:
    return lambda server: server.replace_secret(role)


def _set(role: str, **values: str) -> Step:
    return lambda server: server.set_values(role, {**values})


def _refer_to_another_namespace(server: Server) -> None:
    server.resource["spec"]["repository"]["passwordSecretRef"]["namespace"] = "default"


def _refer_to_its_own_namespace(server: Server) -> None:
    server.patch({"spec": {"repository": {"passwordSecretRef": server.reference("password")}}})


def _name_another_claim(server: Server) -> None:
    server.secrets["location"]["stringData"]["claimName"] = "another"


def _name_its_claim(server: Server) -> None:
    server.set_values("location", {"claimName": server.name})


def _give_a_password(server: Server) -> None:
    server.set_values("users", {HOST: server.cluster.confidential.password("user's password")})


def _with_host(host: str) -> Step:
    def make(server: Server) -> None:
        server.secrets["users"]["stringData"] = {host: server.password_of()}

    return make


def _rename_host(before: str, after: str = HOST) -> Step:
    return lambda server: server.set_values(
        "users", {before: None, after: server.password_of(before)}
    )


def _with_user(key: str) -> Step:
    def make(server: Server) -> None:
        access = server.resource["spec"]["server"]
        access["userAccessSecretRef"] = access.pop("userAccess")["userAccessSecretRef"]
        _with_host(key)(server)

    return make


def _with_the_key_of_another_certificate(server: Server) -> None:
    server.secrets["tls"]["stringData"]["tls.key"] = server.certificate()["tls.key"]


def _with_a_key_that_cannot_be_served(server: Server) -> None:
    key = ec.generate_private_key(ec.SECP224R1())
    server.secrets["tls"]["stringData"] = server.certificate(key=key)


def _renew_certificate(server: Server) -> None:
    server.set_values("tls", {**server.certificate()})


def _with_a_wrong_password(server: Server) -> None:
    server.secrets["password"] = server.secret(
        "password",
        server.secrets["password"]["type"],
        {"repo-password": server.cluster.confidential.password("wrong repository password")},
    )


def _correct_password(server: Server) -> None:
    server.set_values("password", {"repo-password": server.repository_password})


def _move_repository_away(server: Server) -> None:
    server.in_volume(f"mv {PREFIX}/{ROOT_PATH} {PREFIX}/away")


def _move_repository_back(server: Server) -> None:
    server.in_volume(f"mv {PREFIX}/away {PREFIX}/{ROOT_PATH}")


def _with_files_of_root(server: Server) -> None:
    server.in_volume("chown -R 0:0 .")


def _run_as_root(server: Server) -> None:
    server.patch({"spec": {"server": {"runAsUser": 0}}})


def _correct_type(server: Server) -> None:
    _of_type("admin", SERVER_ADMIN)(server)
    server.replace_secret("admin")


FAULTS = (
    Fault(
        "a Secret that does not exist",
        _withhold("location"),
        SETUP,
        "SecretMissing",
        "Secret {namespace}/{server}-location, named by spec.storage.secretRef, does not exist; "
        "create it or correct spec.storage.secretRef",
        _create("location"),
    ),
    Fault(
        "an access Secret that does not exist",
        _withhold("users"),
        USERS,
        "SecretMissing",
        "Secret {namespace}/{server}-users, named by spec.server.userAccess.userAccessSecretRef, "
        "does not exist; create it or correct spec.server.userAccess.userAccessSecretRef",
        _create("users"),
    ),
    Fault(
        "a Secret of the wrong type",
        _of_type("admin", "kubernetes.io/basic-auth"),
        SETUP,
        "SecretTypeWrong",
        "Secret {namespace}/{server}-admin, named by spec.server.adminSecretRef, is of type "
        f"kubernetes.io/basic-auth, expected {SERVER_ADMIN}; "
        f"put its keys into one of `type: {SERVER_ADMIN}`, and name that in "
        "spec.server.adminSecretRef",
        _correct_type,
    ),
    Fault(
        "a Secret without a key",
        _without("location", "claimName"),
        SETUP,
        "SecretKeyMissing",
        "Secret {namespace}/{server}-location, named by spec.storage.secretRef, has no key "
        "claimName; add it",
        _name_its_claim,
    ),
    Fault(
        "a Secret with an empty key",
        _with("users", **{HOST: ""}),
        USERS,
        "SecretKeyMissing",
        "key client of Secret {namespace}/{server}-users, named by "
        "spec.server.userAccess.userAccessSecretRef, is empty; give it a value",
        _give_a_password,
    ),
    Fault(
        "a reference to another namespace",
        _refer_to_another_namespace,
        SETUP,
        "ReferenceInOtherNamespace",
        "spec.repository.passwordSecretRef names Secret default/{server}-password, but a "
        "RepositoryServer reads Secrets of its own namespace only; copy the Secret to namespace "
        "{namespace} and set spec.repository.passwordSecretRef.namespace to it",
        _refer_to_its_own_namespace,
    ),
    Fault(
        "an unknown type of location",
        _with("location", type="floppy"),
        SETUP,
        "LocationTypeUnknown",
        "key type of Secret {namespace}/{server}-location, named by spec.storage.secretRef, is "
        "not a location type; use one of azure, filestore, gcs, s3, s3Compliant",
        _set("location", type="filestore"),
    ),
    Fault(
        "a claim that does not exist",
        _name_another_claim,
        SETUP,
        "ClaimMissing",
        "PersistentVolumeClaim {namespace}/another, named by key claimName of Secret "
        "{namespace}/{server}-location, does not exist; create it or correct the key",
        _name_its_claim,
    ),
    Fault(
        "a host that Kopia refuses",
        _with_host("CLIENT"),
        USERS,
        "UserNameInvalid",
        "key CLIENT of Secret {namespace}/{server}-users, named by "
        "spec.server.userAccess.userAccessSecretRef, makes the user backup@CLIENT, which Kopia "
        "refuses; rename the key: user and host may hold lower-case letters, digits, `-`, `_` and "
        "`.` only",
        _rename_host("CLIENT"),
    ),
    Fault(
        "a user name that Kopia refuses",
        _with_user("Backup_at_client"),
        USERS,
        "UserNameInvalid",
        "key Backup_at_client of Secret {namespace}/{server}-users, named by "
        "spec.server.userAccessSecretRef, makes the user Backup@client, which Kopia refuses; "
        "rename the key: user and host may hold lower-case letters, digits, `-`, `_` and `.` only",
        _rename_host("Backup_at_client", "backup_at_client"),
    ),
    Fault(
        "a certificate with the key of another",
        _with_the_key_of_another_certificate,
        SETUP,
        "CertificateInvalid",
        "tls.crt and tls.key of Secret {namespace}/{server}-tls, named by "
        "spec.server.tlsSecretRef, do not belong together; put the key of the first certificate "
        "of tls.crt into tls.key",
        _renew_certificate,
    ),
    Fault(
        "a certificate that is not PEM",
        _with("tls", **{"tls.crt": "no certificate"}),
        SETUP,
        "CertificateInvalid",
        "key tls.crt of Secret {namespace}/{server}-tls, named by spec.server.tlsSecretRef, is "
        "not a certificate in PEM; replace its value",
        _renew_certificate,
    ),
    Fault(
        "a certificate with a key that Kopia cannot serve",
        _with_a_key_that_cannot_be_served,
        SETUP,
        "CertificateInvalid",
        "the certificate in key tls.crt of Secret {namespace}/{server}-tls, named by "
        "spec.server.tlsSecretRef, has a key that Kopia cannot serve, ECDSA on secp224r1; replace "
        "certificate and key, with a key of RSA of 1024 to 8192 bits, ECDSA on P-256, P-384 or "
        "P-521 with a named curve, or Ed25519",
        _renew_certificate,
    ),
    Fault(
        "a prefix that leaves the volume",
        _with("location", prefix="../other"),
        SETUP,
        "RepositoryPathInvalid",
        "key prefix of Secret {namespace}/{server}-location, named by spec.storage.secretRef, "
        "leaves the storage; remove the `..`",
        _set("location", prefix=PREFIX),
    ),
    Fault(
        "a wrong repository password",
        _with_a_wrong_password,
        CONNECTION,
        "RepositoryPasswordWrong",
        f"Kopia cannot open the repository at {REPOSITORY}: the password in key repo-password of "
        "Secret {namespace}/{server}-password is wrong; correct it",
        _correct_password,
    ),
    Fault(
        "no repository at the path",
        _move_repository_away,
        CONNECTION,
        "RepositoryMissing",
        f"there is no Kopia repository at {REPOSITORY}; if there was one, bring the storage back; "
        "otherwise correct spec.repository.rootPath or Secret {namespace}/{server}-location, or "
        "create one with `kopia repository create`",
        _move_repository_back,
    ),
    Fault(
        "files of another user",
        _with_files_of_root,
        CONNECTION,
        "StoragePermissionDenied",
        f"Kopia runs as user 65532 and may not use /mnt/data/{PREFIX}/{ROOT_PATH}/ of "
        f"{REPOSITORY}; change the owner of the files to that user, or set spec.server.runAsUser "
        "to their owner",
        _run_as_root,
    ),
)
