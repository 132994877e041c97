"""What Kopia's words mean. They are as the program of version 0.23.1 printed them, unless said."""

from __future__ import annotations

from typing import Final

import pytest

from reconcilers.kopia.client import failures
from reconcilers.kopia.client.errors import Kind
from reconcilers.kopia.client.failures import BACK_UP, DELETE, READ, RESTORE, Setting
from reconcilers.kopia.client.model import Ended, Progress
from reconcilers.kopia.client.output import Failed

URL: Final = "https://server.ns.svc:51515"
SESSION: Final = (
    "open repository: unable to open repository: unable to establish session for purpose=: error "
    "establishing session: "
)
DIALING: Final = (
    SESSION
    + 'Session(): rpc error: code = Unavailable desc = connection error: desc = "transport: '
)
RESTORING: Final = "error restoring: restore error: "
AWAY: Final = (
    "unable to create pending pack: unable to get session ID: unable to write session marker: "
    "unable to write session marker: s765: cannot create temporary file: cannot create directory: "
    "can't re-create top-level directory /data: top-level directory not found"
)
DECRYPT: Final = (
    "unexpected content error: invalid checksum at p4fc-s355 offset 32 length 49/49: decrypt: "
    "unable to decrypt content: cipher: message authentication failed"
)


def ended(*lines: str, code: int = 1) -> Ended:
    return Ended(code, b"", lines, Progress())


def setting(doing: str) -> Setting:
    return Setting(URL, "alice@h1", doing, "what", "/target")


@pytest.mark.parametrize(
    ("doing", "lines", "kind", "says"),
    [
        pytest.param(
            BACK_UP,
            [
                SESSION + "unable to initialize session: rpc error: code = PermissionDenied desc = "
                "access denied for alice@h1: EOF"
            ],
            Kind.ACCESS_DENIED,
            "the server denies access to alice@h1; correct the password",
            id="a wrong password; the stream is broken as well",
        ),
        pytest.param(
            READ,
            ['error getting metadata for "f132": access denied'],
            Kind.ACCESS_DENIED,
            "does not allow alice@h1 to read what",
            id="another user's snapshot is read",
        ),
        pytest.param(
            DELETE,
            ["error loading snapshot f132: unable to find manifest entries: access denied"],
            Kind.ACCESS_DENIED,
            "does not allow alice@h1 to delete what",
            id="another user's snapshot is deleted",
        ),
        pytest.param(
            BACK_UP,
            [
                "Snapshotting bob@h2:/x ...",
                "cannot save manifest: error putting manifest: access denied",
            ],
            Kind.ACCESS_DENIED,
            "does not allow alice@h1 to back up what",
            id="a source of another user",
        ),
        pytest.param(
            BACK_UP,
            [
                DIALING + "authentication handshake failed: can't find certificate matching SHA256 "
                'fingerprint \\"abab\\" (server had [6739])"'
            ],
            Kind.CERTIFICATE,
            "the certificate of the server",
            id="another certificate",
        ),
        pytest.param(
            BACK_UP,
            [
                DIALING + "authentication handshake failed: tls: failed to verify certificate: "
                'x509: certificate signed by unknown authority"'
            ],
            Kind.CERTIFICATE,
            "x509: certificate signed by unknown authority",
            id="an authority that is not known, by Go's crypto/x509/verify.go",
        ),
        pytest.param(
            BACK_UP,
            [DIALING + 'Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"'],
            Kind.SERVER_GONE,
            "went away",
            id="nobody listens any longer",
        ),
        pytest.param(
            BACK_UP,
            [
                (
                    "flush error: error waiting for async writes: rpc error: code = Unavailable "
                    "desc = "
                    "error reading from server: read tcp 127.0.0.1:49194->127.0.0.1:55123: read: "
                    "connection reset by peer: EOF"
                )
            ],
            Kind.SERVER_GONE,
            "connection reset by peer",
            id="a server that was killed in a backup",
        ),
        pytest.param(
            BACK_UP,
            [
                (
                    "flush error: error waiting for async writes: rpc error: code = Unavailable "
                    "desc = "
                    'closing transport due to: connection error: desc = "error reading from '
                    "server: "
                    'EOF", received prior goaway: code: NO_ERROR: EOF'
                )
            ],
            Kind.SERVER_GONE,
            "went away",
            id="a server that was stopped in a backup",
        ),
        pytest.param(
            RESTORE,
            [
                RESTORING + "copy file: error creating file: cannot write data to file "
                '"/target/f8": unexpected content error: unable to establish session for purpose=: '
                "error establishing session: unable to complete establishing session despite 10 "
                "retries: Session(): rpc error: code = Unavailable desc = connection error: desc = "
                '"transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection '
                'refused"'
            ],
            Kind.SERVER_GONE,
            "went away",
            id="a server that went in a restore, after Kopia's own tries",
        ),
        pytest.param(
            BACK_UP,
            [SESSION + "rpc error: code = Unavailable desc = not connected to a direct repository"],
            Kind.REPOSITORY,
            "has no repository open",
            id="a server without its repository, by internal/server/grpc_session.go",
        ),
        pytest.param(
            BACK_UP,
            [
                "Snapshotting alice@h1:/away ...",
                f"flush error: error waiting for async writes: {AWAY}",
            ],
            Kind.REPOSITORY,
            "see its conditions and its storage",
            id="a backup to storage that is away",
        ),
        pytest.param(
            DELETE,
            [
                "Deleting snapshot f132 of alice@h1:/ns/claim at 2026-11-28 18:21:26 UTC...",
                f"error flushing writer: error flushing manifests: unable to write content: {AWAY}",
            ],
            Kind.REPOSITORY,
            "cannot delete what",
            id="a deletion from storage that is away",
        ),
        pytest.param(
            BACK_UP,
            ["flush error: error waiting for async writes: write /data/x: no space left on device"],
            Kind.REPOSITORY,
            "see its conditions and its storage",
            id="the disk of the server is full, not that of the target, by Go's ENOSPC",
        ),
        pytest.param(
            RESTORE,
            [
                RESTORING
                + 'copy file: error creating file: cannot write data to file "/target/f2":'
                " write /target/f2: no space left on device"
            ],
            Kind.DISK_FULL,
            "/target is full",
            id="the disk of the target is full",
        ),
        pytest.param(
            RESTORE,
            [
                RESTORING + "copy directory contents: finish directory: error setting attributes: "
                "could not change owner/group for /target/cache: chown /target/cache: operation "
                "not "
                "permitted"
            ],
            Kind.OWNERS,
            "run as root",
            id="owners cannot be restored",
        ),
        pytest.param(
            RESTORE,
            [
                RESTORING + "error copying: create directory: error creating directory: failed to "
                "stat path /root/x: stat /root/x: permission denied"
            ],
            Kind.TARGET,
            "failed to stat path /root/x",
            id="a target that may not be looked at",
        ),
        pytest.param(
            RESTORE,
            [
                RESTORING + "error copying: create directory: error creating directory: unable to "
                'create directory, "/target" already exists and it is not a directory'
            ],
            Kind.TARGET,
            "remove what is in the way",
            id="a target that is a file",
        ),
        pytest.param(
            RESTORE,
            [RESTORING + "copy file: error creating file: open /target/f1: is a directory"],
            Kind.TARGET,
            "open /target/f1: is a directory",
            id="a folder in the way of a file",
        ),
        pytest.param(
            RESTORE,
            [
                RESTORING + "create symlink: unable to create symlink, "
                '"/target/l" already exists and is not a symlink'
            ],
            Kind.TARGET,
            "/target/l",
            id="a file in the way of a link",
        ),
        pytest.param(
            RESTORE,
            [
                RESTORING + "copy directory contents: finish directory: unlinkat "
                "/target/d.kopia-entry: read-only file system"
            ],
            Kind.TARGET,
            "read-only file system",
            id="a target that cannot be written",
        ),
        pytest.param(
            RESTORE,
            ["unable to get filesystem entry: error reading directory: entry not found"],
            Kind.NO_SUCH_SNAPSHOT,
            "nothing of that name in it",
            id="a path that is not in the snapshot",
        ),
        pytest.param(
            READ,
            ['error getting metadata for "0123456789abcdef0123456789abcdef": not found'],
            Kind.NO_SUCH_SNAPSHOT,
            "there is no what in the repository",
            id="a snapshot that is not there",
        ),
        pytest.param(
            DELETE,
            ["error deleting snapshots by root ID 0123: no snapshots matched 0123"],
            Kind.NO_SUCH_SNAPSHOT,
            "there is no what in the repository",
            id="a snapshot to delete that is not there",
        ),
        pytest.param(
            READ,
            [f"error reading object Ix4e29: unable to read data: {DECRYPT}", f"Ix4e29: {DECRYPT}"],
            Kind.DAMAGED,
            "restore from another snapshot",
            id="a verification of what is damaged",
        ),
        pytest.param(
            RESTORE,
            [RESTORING + f"copy file: cannot write data to file /target/f: {DECRYPT}"],
            Kind.DAMAGED,
            "message authentication failed",
            id="a restore of what is damaged",
        ),
        pytest.param(
            BACK_UP,
            [
                "Snapshotting alice@h1:/ns/c3 ...",
                "encountered 2 errors:",
                (
                    "failed to prepare source: unable to get local filesystem entry: "
                    "resolveSymlink: "
                    "stat: lstat /none: no such file or directory"
                ),
                "upload error: unsupported source: alice@h1:/ns/c3",
            ],
            Kind.SOURCE_UNREADABLE,
            "it is not there",
            id="a folder that is not there",
        ),
        pytest.param(
            BACK_UP,
            ["Snapshotting alice@h1:/ns/c3 ...", "upload error: permission denied"],
            Kind.SOURCE_UNREADABLE,
            "permission denied; nothing was kept",
            id="a folder that cannot be read itself",
        ),
        pytest.param(
            BACK_UP,
            [
                "Snapshotting alice@h1:/x ...",
                "runtime: out of memory: cannot allocate",
                "goroutine 1",
            ],
            Kind.OUT_OF_MEMORY,
            "raise the memory limit",
            id="no memory, by Go's runtime",
        ),
        pytest.param(
            BACK_UP,
            ["Snapshotting alice@h1:/x ...", "something new"],
            Kind.UNKNOWN,
            "Kopia cannot back up what and ended with code 1: something new",
            id="what is not known is repeated",
        ),
        pytest.param(
            READ, [], Kind.UNKNOWN, "ended with code 1: it printed nothing", id="nothing at all"
        ),
    ],
)
def test_a_failure_is_known_by_its_words(
    doing: str, lines: list[str], kind: Kind, says: str
) -> None:
    found = failures.explain(ended(*lines), setting(doing))

    assert (found.kind, found.output) == (kind, "\n".join(lines))
    assert says in found.message


def test_a_process_that_the_kernel_has_killed_had_no_memory() -> None:
    assert failures.explain(ended(code=-9), setting(BACK_UP)).kind is Kind.OUT_OF_MEMORY
    assert failures.explain(ended(code=-11), setting(BACK_UP)).kind is Kind.UNKNOWN


def test_a_secret_is_not_repeated() -> None:
    found = failures.explain(ended("no secret-51d0 here"), setting(READ), secret="secret-51d0")

    assert "secret-51d0" not in found.message + found.output
    assert "no ... here" in found.message


@pytest.mark.parametrize(
    ("entries", "kind", "says"),
    [
        pytest.param(
            [Failed("a/b", "unable to open file: open /data/a/b: permission denied")],
            Kind.SOURCE_UNREADABLE,
            "a/b: unable to open file: open /data/a/b: permission denied",
            id="a file that may not be read",
        ),
        pytest.param(
            [Failed("a", "unable to open file: open /data/a: no such file or directory")],
            Kind.SOURCE_CHANGED,
            "while it was read; nothing was kept; try again",
            id="a file that went before it was opened",
        ),
        pytest.param(
            [
                Failed("a", "unable to open file: open /data/a: no such file or directory"),
                Failed("b", "read /data/b: input/output error"),
                Failed("c", "read /data/c: input/output error"),
            ],
            Kind.SOURCE_UNREADABLE,
            "(and 2 more)",
            id="one that went, and others that cannot be read",
        ),
    ],
)
def test_what_could_not_be_read_is_named(entries: list[Failed], kind: Kind, says: str) -> None:
    found = failures.unread(entries, setting(BACK_UP))

    assert found.kind is kind
    assert says in found.message
    assert len(found.output.splitlines()) == len(entries)
