"""Each command: what it asks for, what it prints, how it fails."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from controller.errors import Conflict, Forbidden, NotFound, TransportError, Unauthorized
from fakes import objects, plugin
from reconcilers import resources
from reconcilers.plugin import exits
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.plugin import World

FORBIDDEN = Forbidden(403, "Forbidden", "no")


@pytest.fixture
def world() -> World:
    return plugin.world()


def test_servers_of_all_pages_are_listed(world: World) -> None:
    printed = world.run("list", "-o", "json")

    assert [one["name"] for one in json.loads(printed.stdout)] == ["archive", "files"]
    assert [one["clientsCanConnect"] for one in json.loads(printed.stdout)] == [False, True]
    assert (printed.code, printed.stderr) == (exits.DONE, "")


def test_no_server_is_said_beside_so_that_a_program_reads_nothing() -> None:
    printed = plugin.World().run("list")

    assert (printed.code, printed.stdout) == (exits.DONE, "")
    assert "no RepositoryServers in namespace backup" in printed.stderr


@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("files", exits.DONE, id="clients can connect"),
        pytest.param("archive", exits.BAD_NEWS, id="clients cannot connect"),
    ],
)
def test_the_status_is_an_exit_code_as_well(world: World, name: str, code: int) -> None:
    assert world.run("status", name).code == code


@pytest.mark.parametrize(
    ("refused", "right", "part"),
    [
        pytest.param(("list", "pods"), "list pods in namespace backup", "pods", id="pods"),
        pytest.param(("list", "events"), "list events in namespace backup", "events", id="events"),
        pytest.param(
            ("get", "secrets"), "get secrets files-users in namespace backup", "users", id="users"
        ),
    ],
)
def test_what_may_not_be_read_is_named_and_the_rest_is_shown(
    world: World, refused: tuple[str, str], right: str, part: str
) -> None:
    world.client.failures[refused] = FORBIDDEN

    shown = world.run("status", "files")
    document = json.loads(world.run("status", "files", "-o", "json").stdout)

    assert (shown.code, document["state"]) == (exits.DONE, "Ready")
    assert f"you may not {right}" in " ".join(shown.stdout.split())
    assert list(document["notShown"]) == [part]


def test_no_password_is_printed(world: World) -> None:
    printed = [
        world.run(*command, "files", "-o", output)
        for command in (["status"], ["connect"])
        for output in ("text", "json")
    ]

    assert "backup@web" in printed[0].stdout
    assert all("password-of-web" not in one.stdout + one.stderr for one in printed)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        pytest.param(
            NotFound(404, "NotFound", "x"),
            "there is no RepositoryServer files in namespace backup",
            id="no such server",
        ),
        pytest.param(
            NotFound(404, "", "404 page not found"),
            "the API server knows no RepositoryServer: install its CRD first "
            "(repositoryservers.cr.kanister.io)",
            id="no CRD",
        ),
        pytest.param(
            FORBIDDEN,
            "you may not get repositoryservers.cr.kanister.io files in namespace backup; ask for "
            "that right, docs/plugin.md has a Role for each command",
            id="no right",
        ),
        pytest.param(
            Unauthorized(401, "Unauthorized", "x"),
            "the API server does not accept your credentials; log in again",
            id="outdated credentials",
        ),
        pytest.param(
            TransportError("connection refused"),
            "the API server has not answered: connection refused",
            id="no answer",
        ),
    ],
)
def test_a_failure_is_one_line(world: World, failure: Exception, sentence: str) -> None:
    world.client.failures["get", "repositoryservers"] = failure

    printed = world.run("status", "files")

    assert printed == plugin.Printed(exits.FAILED, "", f"kubectl-reposerver: {sentence}\n")


def test_the_log_of_the_newest_pod_is_printed_and_the_others_are_named(world: World) -> None:
    older = plugin.pod("files", "older")
    older["metadata"]["creationTimestamp"] = "2025-12-01T00:00:00Z"
    world.client.put(resources.PODS, older)

    printed = world.run("logs", "files", "-f")

    assert world.logs.opened == [("files-0123456789-hh4zl", connection.CONTAINER, True)]
    assert printed.stdout.encode() == plugin.LOG
    assert "choose another by --pod: files-older" in printed.stderr


def test_the_log_of_a_pod_that_is_named(world: World) -> None:
    assert world.run("logs", "files", "--pod=files-older").stderr == ""
    assert world.logs.opened == [("files-older", connection.CONTAINER, False)]


def test_an_empty_log_is_told(world: World) -> None:
    world.logs.pieces.clear()

    printed = world.run("logs", "files")

    assert (printed.code, printed.stdout) == (exits.DONE, "")
    assert "files-0123456789-hh4zl has written nothing" in printed.stderr


def test_a_server_without_a_pod_has_no_log(world: World) -> None:
    printed = world.run("logs", "archive")

    assert printed.code == exits.FAILED
    assert "has no pod; see kubectl reposerver status archive" in printed.stderr


def test_a_restart_writes_another_text_each_time(world: World) -> None:
    texts = []
    for _ in range(2):
        assert world.run("restart", "files").code == exits.DONE
        server = world.client.get(connection.RESOURCE, objects.NAMESPACE, "files")
        texts.append(server["spec"]["server"]["restart"])
        world.clock.step(1)

    assert texts == ["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00"]


def test_a_restart_that_would_do_nothing_is_refused(world: World) -> None:
    world.client.put(connection.RESOURCE, plugin.healthy("still", {"spec": {"paused": True}}))
    assert "is paused" in world.run("restart", "still").stderr

    world.client.prunes.add("restart")
    printed = world.run("restart", "files")
    assert (printed.code, printed.stdout) == (exits.FAILED, "")
    assert "has no field spec.server.restart" in printed.stderr


class TestConnect:
    """The command of a client."""

    def test_it_runs_in_a_shell_and_has_the_password_by_the_environment(
        self, world: World, tmp_path: Path
    ) -> None:
        """Programs of these names stand in for kubectl and kopia, and write what they are given."""
        for name, line in (
            ("kubectl", 'echo "$@" >"$0.arguments"; echo made-up'),
            ("kopia", 'printf "%s\\n" "$@" >"$0.arguments"; echo "$KOPIA_PASSWORD" >"$0.password"'),
        ):
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{line}\n")
            program.chmod(0o755)
        shell = shutil.which("sh")
        assert shell is not None

        printed = world.run("connect", "files", "--context=it's mine")
        subprocess.run(  # noqa: S603 - what this project prints
            [shell, "-ec", printed.stdout], env={"PATH": str(tmp_path)}, check=True
        )

        asked = (tmp_path / "kubectl.arguments").read_text()
        given = (tmp_path / "kopia.arguments").read_text()
        assert asked == (
            "--context=it's mine get secret --namespace=backup files-users "
            '--output=go-template={{index .data "web" | base64decode}}\n'
        )
        assert (tmp_path / "kopia.password").read_text() == "made-up\n"
        assert given.split() == [
            *("repository", "connect", "server"),
            "--url=https://repo-server-files.backup.svc:51515",
            f"--server-cert-fingerprint={plugin.FINGERPRINT}",
            *("--override-username=backup", "--override-hostname=web"),
            "--no-persist-credentials",
        ]

    @pytest.mark.parametrize(
        ("value", "lines"),
        [
            pytest.param("made-up", 0, id="a password"),
            pytest.param("made-up\r\n", 0, id="a line end, which Kopia drops"),
            pytest.param("\ufeffmade-up\r\n", 1, id="a byte order mark, which Kopia keeps"),
        ],
    )
    def test_the_password_is_what_the_server_takes_for_it(
        self, world: World, tmp_path: Path, value: str, lines: int
    ) -> None:
        world.client.put(resources.SECRETS, objects.users_secret({"web": value}))
        octal = "".join(f"\\{byte:03o}" for byte in value.encode())
        for name, line in (
            ("kubectl", f"printf '{octal}'"),
            ("kopia", 'echo "$KOPIA_PASSWORD" >"$0.password"'),
        ):
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{line}\n")
            program.chmod(0o755)
        shell = shutil.which("sh")
        assert shell is not None

        printed = world.run("connect", "files").stdout
        subprocess.run(  # noqa: S603 - what this project prints
            [shell, "-ec", printed], env={"PATH": str(tmp_path)}, check=True
        )

        assert (tmp_path / "kopia.password").read_bytes().strip() == b"made-up"
        assert printed.count("byte order mark") == lines

    def test_of_several_users_one_must_be_chosen(self, world: World) -> None:
        passwords = {"web": "password-of-web", "db.shop": "password-of-db"}
        world.client.put(resources.SECRETS, objects.users_secret(passwords))

        several = world.run("connect", "files")
        chosen = world.run("connect", "files", "--user=backup@db.shop")
        wrong = world.run("connect", "files", "--user=backup@nobody")

        assert several.code == exits.USAGE
        assert "choose one by --user: backup@db.shop, backup@web" in several.stderr
        assert '{{index .data "db.shop" | base64decode}}' in chosen.stdout
        assert "has no user backup@nobody; it has backup@db.shop, backup@web" in wrong.stderr

    def test_who_may_not_read_the_secret_names_the_user(self, world: World) -> None:
        world.client.failures["get", "secrets"] = FORBIDDEN

        unnamed = world.run("connect", "files")
        named = world.run("connect", "files", "--user=backup@web")
        other = world.run("connect", "files", "--user=somebody@web")

        assert "you may not get secrets files-users" in unnamed.stderr
        assert "files-users" in named.stdout
        assert other.code == exits.FAILED

    def test_a_user_of_another_form_is_refused(self, world: World) -> None:
        printed = world.run("connect", "files", "--user=backup")

        assert printed.code == exits.USAGE
        assert "is not of the form USER@HOST" in printed.stderr

    def test_a_server_that_has_not_served_yet_is_nothing_to_connect_to(self, world: World) -> None:
        printed = world.run("connect", "archive")

        assert printed.code == exits.FAILED
        assert "has no server to connect to yet: Secret backup/archive-location" in printed.stderr

    def test_from_outside_the_cluster(self, world: World) -> None:
        first, *_ = world.run("connect", "files", "--local-port=5555").stdout.splitlines()

        assert shlex.split(first.partition(": ")[2]) == [
            *("kubectl", "port-forward", "--namespace=backup"),
            *("service/repo-server-files", "5555:51515"),
        ]
        assert (
            "--url=https://127.0.0.1:5555"
            in world.run("connect", "files", "--local-port=5555").stdout
        )

    def test_what_a_shell_does_is_not_in_the_hands_of_who_writes_a_status(
        self, world: World, tmp_path: Path
    ) -> None:
        made = tmp_path / "made"
        status = {"status": {"serverInfo": {"serviceName": f"x\n: >{made} #"}}}
        world.client.put(connection.RESOURCE, objects.merged(plugin.healthy(), status))
        shell = shutil.which("sh")
        assert shell is not None

        printed = world.run("connect", "files", "--local-port=5555")
        subprocess.run(  # noqa: S603 - what this project prints
            [shell, "-c", printed.stdout], env={"PATH": str(tmp_path)}, check=False
        )

        assert not made.exists()


def test_a_conflict_is_told(world: World) -> None:
    world.client.failures["patch", "repositoryservers"] = Conflict(409, "Conflict", "changed")

    printed = world.run("restart", "files")

    assert "has refused to patch RepositoryServer files: changed (409 Conflict)" in printed.stderr
