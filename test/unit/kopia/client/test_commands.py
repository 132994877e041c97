"""What Kopia is told."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from reconcilers.kopia.client import commands
from reconcilers.kopia.client.errors import InvalidRequest
from reconcilers.kopia.client.model import Limits, ServerConnection

PASSWORD: Final = "secret-51d0"
SNAPSHOT: Final = "0123456789abcdef0123456789abcdef"
FOLDER: Final = Path("/tmp/kopia-client-x")  # noqa: S108 - only a name
BY_FINGERPRINT: Final = ServerConnection("https://server:1", "u", "h", PASSWORD, "0a" * 32)
BY_AUTHORITY: Final = ServerConnection("https://server:1", "u", "h", PASSWORD, ca="PEM")

GLOBAL: Final = [
    "--no-auto-maintenance",
    "--disable-file-logging",
    "--log-level=info",
    "--error-notifications=never",
]
SHOWING: Final = [*GLOBAL, "--progress", "--progress-update-interval=300ms"]
SILENT: Final = [*GLOBAL, "--no-progress"]
CREATE: Final = [
    *SHOWING,
    *("snapshot", "create", "--json", "--json-verbose", "--fail-fast"),
    *("--no-send-snapshot-report", "--pin=until-deleted", "--override-source=u@h:/s"),
]
LIST: Final = [
    *SILENT,
    *("snapshot", "list", "--json", "--json-verbose", "--incomplete", "--no-retention"),
]


@pytest.mark.parametrize(
    ("told", "arguments"),
    [
        pytest.param(
            commands.create("/data", source="u@h:/s", tags={}, attempt="1"),
            [*CREATE, "--tags=repository-server-attempt:1", "/data"],
            id="a backup: pinned, ended by the first error, marked as this attempt's",
        ),
        pytest.param(
            commands.create(
                "/data", source="u@h:/s", tags={"a": "b:c", "d": ""}, attempt="1", force_hash=True
            ),
            [
                *CREATE,
                *("--tags=a:b:c", "--tags=d:", "--tags=repository-server-attempt:1"),
                *("--force-hash=100", "/data"),
            ],
            id="a backup with tags that reads every file",
        ),
        pytest.param(
            commands.create_from_stdin("/dir", "-x", source="u@h:/s", tags={}, attempt="1"),
            [*CREATE, "--tags=repository-server-attempt:1", "--stdin-file=-x", "/dir"],
            id="a stream",
        ),
        pytest.param(
            commands.restore(f"{SNAPSHOT}/a b", "/to.tar"),
            [
                *(*SHOWING, "snapshot", "restore", "--mode=local"),
                *("--no-ignore-permission-errors", f"{SNAPSHOT}/a b", "/to.tar"),
            ],
            id="a restore: to a folder whatever its name, with owners and modes",
        ),
        pytest.param(
            commands.restore(SNAPSHOT, "/to", sparse=True),
            [
                *(*SHOWING, "snapshot", "restore", "--mode=local"),
                *("--no-ignore-permission-errors", "--write-sparse-files", SNAPSHOT, "/to"),
            ],
            id="a restore with holes",
        ),
        pytest.param(commands.show("k1/a"), [*SILENT, "show", "k1/a"], id="a file to a stream"),
        pytest.param(commands.list_snapshots(), LIST, id="all snapshots"),
        pytest.param(
            commands.list_snapshots("u@h:/s", {"a": "b"}),
            [*LIST, "--tags=a:b", "u@h:/s"],
            id="snapshots of a source with a tag",
        ),
        pytest.param(
            commands.show_manifest(SNAPSHOT),
            [*SILENT, "manifest", "show", SNAPSHOT],
            id="one snapshot",
        ),
        pytest.param(
            commands.delete([SNAPSHOT, "f" * 32]),
            [*SILENT, "snapshot", "delete", "--delete", SNAPSHOT, "f" * 32],
            id="a deletion",
        ),
        pytest.param(
            commands.verify(SNAPSHOT, 12.5),
            [*SILENT, "snapshot", "verify", "--json", "--verify-files-percent=12.5", SNAPSHOT],
            id="a verification of an eighth",
        ),
    ],
)
def test_arguments(told: list[str], arguments: list[str]) -> None:
    assert told == arguments


@pytest.mark.parametrize(
    "id_",
    [
        pytest.param("k" + SNAPSHOT, id="an object id: Kopia deletes all snapshots with that root"),
        pytest.param(SNAPSHOT[:8], id="the id of a snapshot of restic"),
        pytest.param(SNAPSHOT * 2, id="the long id of a snapshot of restic"),
        pytest.param(SNAPSHOT.upper(), id="capital letters"),
        pytest.param(SNAPSHOT + "\n", id="a line end"),
        pytest.param("--all-snapshots-for-source", id="a flag"),
        pytest.param("", id="nothing"),
    ],
)
def test_only_an_id_of_a_snapshot_is_one(id_: str) -> None:
    refused = pytest.raises(InvalidRequest, match="32 hexadecimal digits")
    with refused:
        commands.delete([SNAPSHOT, id_])
    with refused:
        commands.show_manifest(id_)
    with refused:
        commands.verify(id_, 1.0)


@pytest.mark.parametrize("name", ["", "a:b", "repository-server-attempt"])
def test_a_tag_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="name of a tag"):
        commands.create("/data", source="u@h:/s", tags={name: "x"}, attempt="1")


@pytest.mark.parametrize(
    ("connection", "limits", "more"),
    [
        pytest.param(
            BY_FINGERPRINT,
            Limits(),
            {"apiServer": {"url": "https://server:1", "serverCertFingerprint": "0a" * 32}},
            id="without a cache unless it is asked for",
        ),
        pytest.param(
            BY_AUTHORITY,
            Limits(cache_mb=5),
            {
                "apiServer": {"url": "https://server:1", "serverCertFingerprint": ""},
                "caching": {
                    "cacheDirectory": f"{FOLDER}/cache",
                    "maxCacheSize": 5_000_000,
                    "contentCacheSizeLimitBytes": 5_000_000,
                    "maxListCacheDuration": 30,
                },
            },
            id="with one",
        ),
    ],
)
def test_the_configuration_has_no_secret_and_no_actions(
    connection: ServerConnection, limits: Limits, more: dict[str, Any]
) -> None:
    written = commands.configuration(connection, limits, FOLDER)

    assert json.loads(written) == {
        "hostname": "h",
        "username": "u",
        "enableActions": False,
        **more,
    }
    assert PASSWORD not in written


@pytest.mark.parametrize(
    ("connection", "trusts"), [(BY_FINGERPRINT, None), (BY_AUTHORITY, f"{FOLDER}/ca.crt")]
)
def test_the_environment_is_kopias_own(
    connection: ServerConnection, trusts: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    monkeypatch.setenv("KOPIA_BYTES_STRING_BASE_2", "true")

    variables = commands.environment(connection, FOLDER)

    assert variables["KOPIA_PASSWORD"] == PASSWORD
    assert variables["KOPIA_CHECK_FOR_UPDATES"] == "false"
    # Go adds what is in the folders of the system, where it is not told others.
    assert variables.get("SSL_CERT_FILE") == trusts
    assert variables.get("SSL_CERT_DIR") == (trusts and str(FOLDER))
    assert not {"HTTPS_PROXY", "KOPIA_BYTES_STRING_BASE_2"} & variables.keys()
