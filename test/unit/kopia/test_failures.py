"""What Kopia's words mean to the user."""

import pytest

from reconcilers.kopia import failures

SETTING = failures.Setting(
    storage="backups/files/ on PersistentVolumeClaim backup/files-data",
    location="backup/files-location",
    password="backup/files-repository-password",
    user=65532,
)

NO_REPOSITORY = (
    "there is no Kopia repository at backups/files/ on PersistentVolumeClaim backup/files-data; "
    "if there was one, bring the storage back; otherwise correct spec.repository.rootPath or "
    "Secret backup/files-location, or create one with `kopia repository create`"
)


# What Kopia 0.23.1 printed when it was tried.
START = "Server will allow connections from users whose accounts are stored in the repository.\n"
WRONG_PASSWORD = START + (
    "failed to open repository: unable to create format manager: invalid repository password\n"
    "unable to initialize repository: error opening repository: unable to open repository: unable "
    "to create format manager: invalid repository password\n"
)
PATH_MISSING = START + (
    "failed to open repository: cannot open storage: cannot access storage path: stat "
    "/mnt/data/backups/files: no such file or directory\n"
)
PATH_EMPTY = START + (
    "failed to open repository: unable to create format manager: unable to read format blob: error "
    "getting kopia.repository blob: BLOB not found\n"
)
FOLDER_OF_ROOT = START + (
    "failed to open repository: unable to create format manager: unable to read format blob: error "
    "getting kopia.repository blob: error determining sharded path: error getting sharding "
    "parameters for storage: unable to complete GetBlobFromPath:/mnt/data/backups/files/.shards "
    "despite 10 retries: open /mnt/data/backups/files/.shards: permission denied\n"
)


@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        pytest.param(
            "kopia: error: unknown long flag '--htpasswd-file', try --help\n",
            1,
            failures.Explanation(
                opened=False,
                reason="KopiaVersionUnsupported",
                message="Kopia in the server's image does not accept the command line of the "
                "controller: unknown long flag '--htpasswd-file'; use an image with "
                "Kopia 0.23.1 in spec.server.image or spec.server.podOverride or, if neither "
                "names one, in --server-image or the settings of the controller",
            ),
            id="another version of Kopia, which does not know a flag",
        ),
        pytest.param(
            "ERROR open /cache/x: permission denied",
            1,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 1: ERROR open /cache/x: permission denied; see "
                "the log of the pod",
            ),
            id="a cache that cannot be written is no fault of the storage",
        ),
        pytest.param(
            "panic: nil map\n\ngoroutine 1 [running]:\nmain.go:119 +0x2c7",
            2,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 2: panic: nil map; see the log of the pod",
            ),
            id="of a panic the first line counts, not the trace",
        ),
        pytest.param(
            WRONG_PASSWORD,
            1,
            failures.Explanation(
                opened=False,
                reason="RepositoryPasswordWrong",
                message="Kopia cannot open the repository at backups/files/ on "
                "PersistentVolumeClaim backup/files-data: the password in key "
                "repo-password of Secret backup/files-repository-password is wrong; "
                "correct it",
            ),
            id="the repository password is wrong",
        ),
        pytest.param(
            PATH_MISSING,
            1,
            failures.Explanation(opened=False, reason="RepositoryMissing", message=NO_REPOSITORY),
            id="the path does not exist",
        ),
        pytest.param(
            PATH_EMPTY,
            1,
            failures.Explanation(opened=False, reason="RepositoryMissing", message=NO_REPOSITORY),
            id="the path exists and holds no repository",
        ),
        pytest.param(
            "repository not initialized in the provided storage",
            1,
            failures.Explanation(opened=False, reason="RepositoryMissing", message=NO_REPOSITORY),
            id="the same in the words of other commands",
        ),
        pytest.param(
            FOLDER_OF_ROOT,
            1,
            failures.Explanation(
                opened=False,
                reason="StoragePermissionDenied",
                message="Kopia runs as user 65532 and may not use "
                "/mnt/data/backups/files/.shards of backups/files/ on PersistentVolumeClaim "
                "backup/files-data; change the owner of the files to that user, or set "
                "spec.server.runAsUser to their owner",
            ),
            id="the files belong to another user",
        ),
        pytest.param(
            "cannot open storage: mkdir /mnt/data/x: operation not permitted",
            1,
            failures.Explanation(
                opened=False,
                reason="StoragePermissionDenied",
                message="Kopia runs as user 65532 and may not use /mnt/data/x of backups/files/ on "
                "PersistentVolumeClaim backup/files-data; change the owner of the files to that "
                "user, or set spec.server.runAsUser to their owner",
            ),
            id="the kernel's other words for it",
        ),
        pytest.param(
            "can't connect to storage: stat /mnt/data: stale NFS file handle",
            1,
            failures.Explanation(
                opened=False,
                reason="StorageUnavailable",
                message="Kopia cannot reach backups/files/ on PersistentVolumeClaim "
                "backup/files-data: can't connect to storage: stat /mnt/data: stale NFS "
                "file handle; fix the storage, or correct Secret backup/files-location",
            ),
            id="the storage cannot be reached: in Kopia's words",
        ),
        pytest.param(
            "SERVER ADDRESS: https://[::]:51515\ntls: private key does not match public key\n",
            1,
            failures.Explanation(
                opened=True,
                reason="KopiaExited",
                message="Kopia exited with code 1: tls: private key does not match public key; "
                "see the log of the pod",
            ),
            id="anything else: its last line; the repository had been opened, as the address shows",
        ),
        pytest.param(
            "tls: private key does not match public key\n",
            1,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 1: tls: private key does not match public key; "
                "see the log of the pod",
            ),
            id="anything else: that it had been opened is not claimed where nothing shows it",
        ),
        pytest.param(
            START + "failed to open repository: unable to create format manager: unsupported "
            "format version 9\n",
            1,
            failures.Explanation(
                opened=False,
                reason="RepositoryNotOpened",
                message="Kopia cannot open the repository at backups/files/ on "
                "PersistentVolumeClaim backup/files-data: unable to "
                "create format manager: unsupported format version 9; see the log of the pod",
            ),
            id="a sentence about the opening that no table has",
        ),
        pytest.param(
            "open /etc/kopia-users/htpasswd: no such file or directory\n",
            1,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 1: open /etc/kopia-users/htpasswd: no such file or "
                "directory; see the log of the pod",
            ),
            id="a file that is missing is not always the repository",
        ),
        pytest.param(
            "",
            137,
            failures.Explanation(
                opened=False,
                reason="KopiaExited",
                message="Kopia exited with code 137: it printed nothing; see the log of the pod",
            ),
            id="killed without a word",
        ),
    ],
)
def test_what_kopia_says_is_explained(
    output: str, code: int, expected: failures.Explanation
) -> None:
    assert failures.explain(output, code, SETTING) == expected


BUCKET = failures.Setting(
    storage="p/files/ in bucket backups of S3 endpoint s3.example",
    location="backup/files-location",
    password="backup/files-repository-password",
    user=65532,
    credential="backup/files-credential",
)

OPENING = "unable to initialize repository: error opening repository: unable to open repository: "
S3 = OPENING + 'cannot open storage: error retrieving storage config from bucket "backups": '


def test_what_clients_were_refused_before_explains_nothing() -> None:
    output = "access denied for alice@h1\nAccess Denied.\ntls: private key does not match\n"

    assert failures.explain(output, 1, BUCKET).reason == "KopiaExited"


def test_a_long_way_through_kopia_does_not_crowd_the_cause_out() -> None:
    output = OPENING + "in between: " * 30 + "cannot open storage: connection refused"

    assert ": connection refused; " in failures.explain(output, 1, BUCKET).message


def test_a_token_in_a_url_is_not_repeated() -> None:
    output = OPENING + (
        'cannot open storage: Get "https://a.blob.example/backups?comp=list&sig=signature%3D": '
        "dial tcp: connection refused"
    )

    message = failures.explain(output, 1, BUCKET).message

    assert "signature" not in message
    assert 'Get "https://a.blob.example/backups": dial tcp: connection refused; ' in message


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(
            OPENING + 'cannot open storage: unable to list from the bucket: parse "https://a.blob.'
            'example/c?sv=2020&sig=one two-51d0": invalid character in URL',
            id="white space in it, by which the URL is none",
        ),
        pytest.param(
            ("x" * 2048 + '&sig=token-51d0%3D&sv=2020": dial tcp: connection refused')[-2048:],
            id="the beginning of the URL is lost",
        ),
        pytest.param(
            f'token-51d0%3D&sv=2020": dial tcp: {"x" * 2048}',
            id="the beginning of the token is lost",
        ),
    ],
)
def test_a_token_is_not_repeated_in_whatever_state_its_url_is(output: str) -> None:
    assert "51d0" not in failures.explain(output, 1, BUCKET).message


def test_what_clients_were_refused_explains_nothing_where_the_beginning_is_lost() -> None:
    output = "access denied for alice@h1\n" * 80

    assert failures.explain(output, 1, BUCKET).reason == "KopiaExited"


def test_want_of_memory_explains_more_than_what_was_printed_before() -> None:
    explanation = failures.explain(WRONG_PASSWORD, 137, SETTING, out_of_memory=True)

    assert explanation == failures.Explanation(
        opened=False,
        reason="OutOfMemory",
        message="Kopia ran out of memory and was killed (exit code 137); raise "
        "spec.server.resources.limits.memory, or the limit that a LimitRange of the "
        "namespace sets",
    )


@pytest.mark.parametrize(
    ("output", "line"),
    [
        pytest.param("first\nlast\n", "last", id="the last line"),
        pytest.param("last\n\n  \n", "last", id="that is not empty"),
        pytest.param("  indented  ", "indented", id="without white space around"),
        pytest.param("\x1b[31mERROR\x1b[0m no", "ERROR no", id="without colours"),
        pytest.param("\x1b[0m\n", "it printed nothing", id="colours alone are nothing"),
        pytest.param(
            "read tcp 10.1.0.5:40312->192.0.2.1:443: read: connection reset by peer",
            "read tcp 192.0.2.1:443: read: connection reset by peer",
            id="without the port that is another one each time",
        ),
        pytest.param(
            "write tcp [fd00::5]:40312->[2001:db8::1]:443: write: broken pipe",
            "write tcp [2001:db8::1]:443: write: broken pipe",
            id="nor that of an IPv6 address",
        ),
        pytest.param("x" * 301, "x" * 300, id="cut to fit a condition"),
        pytest.param("", "it printed nothing", id="nothing"),
    ],
)
def test_the_last_line_that_says_something(output: str, line: str) -> None:
    assert failures.last_line(output) == line
