"""What is said of a server that was taken away, and how its client is listened to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from benchlib import recover
from benchlib.client import Server
from benchlib.recover import ACCEPTED, FAILS, REACHED, TRIES, Noticed, Recovery
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from demolib.objects import Object

    Run = Callable[..., subprocess.CompletedProcess[str]]


def pod(uid: str = "1", restarts: int | None = 0, *, ready: bool = True) -> Object:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    status: Object = {"conditions": [condition]}
    if restarts is not None:
        status["containerStatuses"] = [{"restartCount": restarts}]
    return {"metadata": {"uid": uid}, "status": status}


@pytest.mark.parametrize(
    ("seen", "another"),
    [
        pytest.param(pod(), False, id="the same process"),
        pytest.param(pod(ready=False), False, id="which has just ended"),
        pytest.param(pod(restarts=1, ready=False), False, id="the next one, as it starts"),
        pytest.param(pod(restarts=1), True, id="the next one, which is Ready"),
        pytest.param(pod("2", None, ready=False), False, id="another pod, which nobody has seen"),
        pytest.param(pod("2"), True, id="another pod, which is Ready"),
    ],
)
def test_another_pod_or_another_process_of_the_same_is_waited_for(
    seen: Object, *, another: bool
) -> None:
    assert recover.is_another(seen, pod()) is another


#: When it happens.
AT = 10.0
ACCEPTS = (TRIES, REACHED, ACCEPTED)


def said(*attempts: tuple[float, float, tuple[str, ...]]) -> list[tuple[float, str]]:
    """Return what a client says: of each attempt when it begins, when it ends, and the words."""
    return [
        (began if word == TRIES else ended, word)
        for began, ended, words in attempts
        for word in words
    ]


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        pytest.param(
            said((9.8, 10.1, ACCEPTS), (10.1, 10.3, ACCEPTS), (10.3, 10.8, ACCEPTS)),
            Noticed(longest=0.5, connects=0.0, hanging=0.0),
            id="accepted all the time",
        ),
        pytest.param(
            said((10.0, 10.1, (TRIES, FAILS)), (12.2, 12.5, ACCEPTS), (12.5, 12.8, ACCEPTS)),
            Noticed(longest=2.5, connects=2.5, hanging=0.0),
            id="refused, then accepted",
        ),
        pytest.param(
            said((8.0, 8.1, (TRIES, FAILS)), (8.2, 8.5, ACCEPTS), (9.9, 10.2, ACCEPTS)),
            Noticed(longest=0.2, connects=0.0, hanging=0.0),
            id="what was before does not count",
        ),
        pytest.param(
            said((10.0, 10.4, ACCEPTS), (14.9, 15.0, (TRIES, FAILS)), (15.0, 15.4, ACCEPTS)),
            Noticed(longest=5.0, connects=5.4, hanging=0.0),
            id="the last refusal counts, though it was accepted before",
        ),
        pytest.param(
            said(
                *((10.0, 11.0, (TRIES, FAILS)), (11.0, 12.0, (TRIES, FAILS))),
                (12.0, 12.5, ACCEPTS),
            ),
            Noticed(longest=2.5, connects=2.5, hanging=2.0),
            id="two attempts without an answer, which take a second each",
        ),
        pytest.param(
            said((10.0, 13.0, (TRIES, REACHED, FAILS)), (13.0, 13.5, ACCEPTS)),
            Noticed(longest=3.5, connects=3.5, hanging=0.0),
            id="a server that answers, but slowly, is not without an answer",
        ),
    ],
)
def test_what_a_client_notices(heard: list[tuple[float, str]], found: Noticed) -> None:
    seen = recover.noticed(heard, AT)

    assert (seen.longest, seen.connects, seen.hanging) == pytest.approx(
        (found.longest, found.connects, found.hanging)
    )


@pytest.mark.parametrize(
    ("heard", "message"),
    [
        pytest.param([], "having said ''", id="nothing"),
        pytest.param(said((10.0, 10.1, (TRIES, FAILS))), "having said 'fails'", id="refused"),
    ],
)
def test_a_client_that_is_not_accepted_in_the_end_is_an_error(
    heard: list[tuple[float, str]], message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        recover.noticed(heard, AT)


def a_recovery(connects: float = 2.0, patient: float = 0.25, hanging: float = 0.0) -> Recovery:
    return Recovery(ready=1.0, longest=1.5, connects=connects, hanging=hanging, patient=patient)


def test_the_median_and_the_worst_of_each_case_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {
        "deleted": [a_recovery(2.5), a_recovery(9.0, 8.0, 6.0), a_recovery(3.5, 0.5)],
        "deleted_alone": [a_recovery(2.25)],
    }

    told = recover.report(found)

    assert told["cases"]["deleted"] == {
        "ready": {"median": 1.0, "worst": 1.0},
        "longest": {"median": 1.5, "worst": 1.5},
        "connects": {"median": 3.5, "worst": 9.0},
        "hanging": {"median": 0.0, "worst": 6.0},
        "patient": {"median": 0.5, "worst": 8.0},
        "rounds": [2.5, 9.0, 3.5],
    }
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "pod deleted 1.00 1.00 1.50 1.50 3.50 9.00 0.00 6.00 0.50 8.00" in printed


@pytest.mark.parametrize(
    ("seconds", "within"),
    [
        pytest.param([4.0, 4.99], True, id="each in less than five seconds"),
        pytest.param([1.0, 1.0, 5.0], False, id="the worst counts"),
    ],
)
def test_what_kubernetes_does_alone_is_limited(seconds: list[float], *, within: bool) -> None:
    found = {"deleted_alone": [a_recovery(one) for one in seconds]}

    assert recover.report(found)["within_limits"] is within


# Stands for what is in the image: nobody listens, or somebody does, as a file says line by line;
# Kopia takes whoever has the password.
PROGRAMS = {
    "nc": """\
read -r listens <"$HERE/steps"
sed -i 1d "$HERE/steps"
exit "$listens"
""",
    "kopia": """\
echo "$@" >"$HERE/arguments"
[ "$KOPIA_PASSWORD" = right ]
""",
    "usleep": "",
}
ARGUMENTS = Server("server-00", "service.bench.svc", "ab" * 32, "backup").arguments(
    "here", "client-0"
)


def test_the_restless_client_ends_when_it_is_told_to_and_accepted_once_more(
    run_script: Run, tmp_path: Path
) -> None:
    """The line that ends it is there from the beginning; when it is seen chance decides."""
    (tmp_path / "steps").write_text("1\n0\n0\n1\n" + "0\n" * 1000)

    # Its folder is below /tmp.
    folder = os.path.relpath(tmp_path, "/tmp")  # noqa: S108 - in the test's own

    ran = run_script(recover.RESTLESS, PROGRAMS, "right\n\n", folder, *ARGUMENTS[1:])

    assert ran.returncode == 0
    words = " ".join(ran.stdout.split())
    failed, accepted = f"{TRIES} {FAILS}", f"{TRIES} {REACHED} {ACCEPTED}"
    story = [failed, accepted, accepted, failed, *[accepted] * 1000]
    assert words in {" ".join(story[:length]) for length in range(2, len(story))}
    assert words.endswith(ACCEPTED)


def test_the_patient_client_begins_when_it_is_told_to_with_the_password_off_its_arguments(
    run_script: Run, tmp_path: Path
) -> None:
    ran = run_script(recover.PATIENT, PROGRAMS, "right\n\n", *ARGUMENTS)

    assert ran.stdout.split() == [ACCEPTED]
    assert (tmp_path / "arguments").read_text().split() == [
        *("--log-level=error", "repository", "connect", "server"),
        "--url=https://service.bench.svc:51515",
        f"--server-cert-fingerprint={'ab' * 32}",
        "--override-username=backup",
        "--override-hostname=client-0",
    ]
