"""Secrets mounted into the pod, as the kubelet mounts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconcilers.datafunctions.connect.choice import connection_of
from reconcilers.datafunctions.connect.wanted import Wanted
from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.errors import InvalidRequest
from reconcilers.kopia.client.model import ServerConnection

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://repo-server-files.kanister.svc:51515"
FINGERPRINT = "ab" * 32
PASSWORD = "hunter2"
EXPECTED = ServerConnection(URL, "backup", "client", PASSWORD, FINGERPRINT)

CONNECTION = {"url": URL, "fingerprint": FINGERPRINT, "tls.crt": "a certificate"}


def mount(folder: Path, values: dict[str, str]) -> Path:
    """Make a folder as the kubelet does: the files are links into one that it replaces."""
    data = folder / "..2026_01_01"
    data.mkdir(parents=True)
    (folder / "..data").symlink_to(data.name)
    for key, value in values.items():
        (data / key).write_text(value)
        (folder / key).symlink_to(f"..data/{key}")
    return folder


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted(
        connection=mount(tmp_path / "connection", CONNECTION),
        user=mount(tmp_path / "user", {"client": PASSWORD}),
        username="backup",
    )


def changed(wanted: Wanted, **changes: Any) -> Wanted:
    return wanted.__class__(
        **{
            name: changes.get(name, getattr(wanted, name))
            for name in ("connection", "user", "url", "fingerprint", "username", "hostname")
        },
        password=changes.get("password", ""),
    )


def test_two_mounted_secrets_and_a_name_are_enough(wanted: Wanted) -> None:
    assert connection_of(wanted) == EXPECTED


def test_a_line_end_is_no_part_of_a_password(wanted: Wanted, tmp_path: Path) -> None:
    user = mount(tmp_path / "other", {"client": f"{PASSWORD}\n"})

    assert connection_of(changed(wanted, user=user)) == EXPECTED


def test_a_renewed_secret_is_read_again(wanted: Wanted, tmp_path: Path) -> None:
    connection_of(wanted)
    (tmp_path / "connection/..2026_01_01/fingerprint").write_text("cd" * 32)

    assert connection_of(wanted).fingerprint == "cd" * 32


@pytest.mark.parametrize(
    ("held", "option", "trusted"),
    [
        pytest.param(
            CONNECTION, "", (FINGERPRINT, "an authority"), id="the Secret's fingerprint, and its CA"
        ),
        pytest.param({"url": URL}, "", ("", "an authority"), id="an authority alone is enough"),
        pytest.param(
            CONNECTION,
            "cd" * 32,
            ("cd" * 32, ""),
            id="a fingerprint that was given is the only one",
        ),
    ],
)
def test_an_authority_is_trusted_as_well(
    wanted: Wanted,
    tmp_path: Path,
    held: dict[str, str],
    option: str,
    trusted: tuple[str, str],
) -> None:
    folder = mount(tmp_path / "signed", {**held, "ca.crt": "an authority\n"})

    found = connection_of(changed(wanted, connection=folder, fingerprint=option))

    assert (found.fingerprint, found.ca) == trusted


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"password": PASSWORD, "hostname": "client"}, id="a password in the environment"
        ),
        pytest.param(
            {"password": f"{PASSWORD}\n", "username": "backup\n", "hostname": "client\r\n"},
            id="values of a Secret by the environment, with the ends of their lines",
        ),
        pytest.param({"url": URL}, id="an address over the folder's"),
    ],
)
def test_options_and_the_environment_count_more(wanted: Wanted, changes: dict[str, str]) -> None:
    assert connection_of(changed(wanted, **changes)) == EXPECTED


def test_options_and_the_environment_alone_are_enough(tmp_path: Path) -> None:
    none = tmp_path / "none"
    given = Wanted(
        connection=none,
        user=none,
        url=URL,
        fingerprint=FINGERPRINT,
        username="backup",
        hostname="client",
        password=PASSWORD,
    )

    assert connection_of(given) == EXPECTED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"connection": "none"},
            r"nothing says which server: mount the Secret repo-server-NAME-connection at .*none",
            id="no connection",
        ),
        pytest.param(
            {"connection": "none", "url": URL}, "nothing says which server", id="no fingerprint"
        ),
        pytest.param(
            {"connection": "user"}, "has no url; mount the Secret", id="another Secret's folder"
        ),
        pytest.param({"user": "none"}, "nothing says as whom to connect", id="no user"),
        pytest.param(
            {"password": PASSWORD},
            "variable KOPIA_PASSWORD has a password; give --username and --hostname",
            id="a password in the environment and no host",
        ),
    ],
)
def test_what_is_missing_is_named(
    wanted: Wanted, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    given = {
        name: tmp_path / value if name in ("connection", "user") else value
        for name, value in changes.items()
    }
    with pytest.raises(Refused, match=message) as refused:
        connection_of(changed(wanted, **given))

    assert PASSWORD not in str(refused.value)


def test_what_cannot_be_read_is_named(wanted: Wanted, tmp_path: Path) -> None:
    (tmp_path / "user/..2026_01_01/client").write_bytes(b"\xff\xfe")

    with pytest.raises(Refused, match=r"user/client cannot be read: it is not UTF-8 text"):
        connection_of(wanted)


def test_a_value_that_cannot_work_is_refused(wanted: Wanted) -> None:
    with pytest.raises(InvalidRequest, match="the fingerprint of the server's certificate"):
        connection_of(changed(wanted, fingerprint="ab"))
