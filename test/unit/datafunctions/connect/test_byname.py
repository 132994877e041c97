"""A RepositoryServer by its name."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from attrs import define, field

from controller.clock import Deadline
from controller.errors import Forbidden, NotFound, TransportError
from controller.stop import Stop
from fakes import objects
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER, FakeClock
from reconcilers.datafunctions.connect.byname import connection_of, read
from reconcilers.datafunctions.connect.wanted import Wanted
from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import ServerConnection

if TYPE_CHECKING:
    from pathlib import Path

    from controller.resource import Object, Resource

PASSWORD = "hunter2"
FINGERPRINT = "ab" * 32
DEADLINE = Deadline.after(FakeClock(), 60)
EXPECTED = ServerConnection(
    "https://repo-server-files.backup.svc:51515", "backup", "client", PASSWORD, FINGERPRINT
)


def reference(name: str) -> dict[str, str]:
    return {"name": name, "namespace": objects.NAMESPACE}


ACCESS = {"username": "backup", "userAccessSecretRef": reference("users")}
MORE = {"username": "restore", "userAccessSecretRef": reference("more")}


def server(**access: Any) -> Object:
    """Return a resource as the API server has it, with these accesses in place of its own."""
    status = {"serverInfo": {"serviceName": "repo-server-files", "tlsFingerprint": FINGERPRINT}}
    change = {"spec": {"server": {"userAccess": None, **(access or {"userAccess": ACCESS})}}}
    return objects.repository_server({**change, "status": status})


def secret(**values: str) -> Object:
    return {"data": {key: base64.b64encode(one.encode()).decode() for key, one in values.items()}}


@define
class Server:
    """An API server with a few objects, and refusals in place of some."""

    objects: dict[tuple[str, str], Object | Exception]
    asked: list[tuple[str, str, str]] = field(factory=list)

    def get(self, resource: Resource, namespace: str, name: str, *, deadline: Deadline) -> Object:
        assert deadline is DEADLINE
        self.asked.append((resource.kind, namespace, name))
        found = self.objects.get((resource.kind, name), NotFound(404, "NotFound", "not found"))
        if isinstance(found, Exception):
            raise found
        return found


def api(
    resource: Object | Exception, users: Object | Exception, more: Object | None = None
) -> Server:
    objects: dict[tuple[str, str], Object | Exception] = {
        ("RepositoryServer", "files"): resource,
        ("Secret", "users"): users,
    }
    return Server(objects | ({("Secret", "more"): more} if more else {}))


def test_it_reads_the_resource_and_the_secret_with_its_users_and_nothing_else() -> None:
    asked = api(server(), secret(client=f"{PASSWORD}\n"))

    assert read(asked, Wanted(repository_server="backup/files"), "shop", DEADLINE) == EXPECTED
    assert asked.asked == [
        ("RepositoryServer", objects.NAMESPACE, "files"),
        ("Secret", objects.NAMESPACE, "users"),
    ]


def test_with_a_password_of_its_own_it_reads_the_resource_alone() -> None:
    asked = api(server(), Forbidden(403, "Forbidden", "forbidden"))
    wanted = Wanted(
        repository_server="backup/files",
        username="backup",
        hostname="client",
        password=PASSWORD,
    )

    assert read(asked, wanted, "shop", DEADLINE) == EXPECTED
    assert asked.asked == [("RepositoryServer", objects.NAMESPACE, "files")]


def test_a_user_that_is_mounted_counts_more_than_the_resource_s(tmp_path: Path) -> None:
    (tmp_path / "client").write_text(PASSWORD)
    asked = api(server(), Forbidden(403, "Forbidden", "forbidden"))
    wanted = Wanted(repository_server="backup/files", username="backup", user=tmp_path)

    assert read(asked, wanted, "shop", DEADLINE) == EXPECTED


def test_without_a_namespace_it_is_in_that_of_the_pod() -> None:
    asked = api(server(), secret(client=PASSWORD))

    read(asked, Wanted(repository_server="files"), "own", DEADLINE)

    assert asked.asked[0] == ("RepositoryServer", "own", "files")


@pytest.mark.parametrize(
    ("spec", "users", "wanted"),
    [
        pytest.param(
            {"userAccessSecretRef": reference("users")},
            secret(backup_at_client=PASSWORD),
            {},
            id="the design document's spelling",
        ),
        pytest.param(
            {"userAccess": ACCESS, "additionalUserAccess": [MORE]},
            secret(client=PASSWORD),
            {"username": "backup"},
            id="the user of one of several accesses",
        ),
        pytest.param(
            {"userAccess": ACCESS},
            secret(client=PASSWORD, other="other-password"),
            {"hostname": "client"},
            id="one of several hosts",
        ),
    ],
)
def test_which_user(spec: dict[str, Any], users: Object, wanted: dict[str, Any]) -> None:
    asked = api(server(**spec), users, secret(client="other-password"))

    assert (
        read(asked, Wanted(repository_server="backup/files", **wanted), "own", DEADLINE) == EXPECTED
    )


@pytest.mark.parametrize(
    ("resource", "users", "message"),
    [
        pytest.param(
            NotFound(404, "NotFound", "not found"),
            secret(client=PASSWORD),
            "there is no RepositoryServer backup/files",
            id="no resource",
        ),
        pytest.param(
            server(),
            NotFound(404, "NotFound", "not found"),
            "there is no Secret backup/users",
            id="no Secret",
        ),
        pytest.param(
            server(),
            Forbidden(403, "Forbidden", "forbidden"),
            "may not get Secret backup/users; apply a Role as in manifests/samples/functions",
            id="no right",
        ),
        pytest.param(
            server(),
            secret(CLIENT=PASSWORD),
            "key CLIENT of Secret backup/users, .* makes the user backup@CLIENT",
            id="a user that no server takes",
        ),
        pytest.param(
            server(),
            secret(client=PASSWORD, other="x"),
            "RepositoryServer backup/files has several users",
            id="several users",
        ),
    ],
)
def test_what_is_missing_is_named(
    resource: Object | Exception, users: Object | Exception, message: str
) -> None:
    with pytest.raises(Refused, match=message):
        read(api(resource, users), Wanted(repository_server="backup/files"), "own", DEADLINE)


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        pytest.param(
            server() | {"status": {}},
            "has no server yet: no controller has reported on it yet",
            id="no server yet",
        ),
        pytest.param(TransportError("refused"), "has not answered: refused", id="no answer"),
    ],
)
def test_what_may_be_better_later_is_another_exit_code(
    resource: Object | Exception, message: str
) -> None:
    with pytest.raises(ClientFailed, match=message) as failed:
        read(api(resource, secret()), Wanted(repository_server="backup/files"), "own", DEADLINE)

    assert failed.value.kind is Kind.CANNOT_CONNECT


def test_what_the_client_of_the_api_server_logs_is_none_of_the_outputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By itself structlog prints to standard output, into what `pull` restores."""
    structlog.reset_defaults()
    kubeconfig = str(tmp_path / "none")

    with pytest.raises(Refused, match=r"--repository-server: .*none"):
        connection_of(Wanted(repository_server="files", kubeconfig=kubeconfig))
    structlog.get_logger().warning("retrying")

    assert capsys.readouterr().out == ""


def test_a_stop_cuts_a_request_that_hangs(tmp_path: Path) -> None:
    kubeconfig, stop = tmp_path / "kubeconfig", Stop()
    wanted = Wanted(repository_server="files", kubeconfig=str(kubeconfig))
    with FakeApiServer() as silent, ThreadPoolExecutor(1) as pool:
        kubeconfig.write_text(
            f"clusters: [{{name: a, cluster: {{server: '{silent.url}'}}}}]\n"
            "contexts: [{name: a, context: {cluster: a}}]\n"
            "current-context: a\n"
        )
        asking = pool.submit(connection_of, wanted, stop=stop)
        silent.wait_for_requests(1)
        stop.set()

        with pytest.raises(ClientFailed) as failed:
            asking.result(STUCK_AFTER)

    assert failed.value.kind is Kind.CANCELLED
