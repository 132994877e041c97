"""What is said of a server that was taken away, and how its client is listened to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchlib import recover
from benchlib.client import Server
from benchlib.recover import ACCEPTED, FAILS, REACHED, TRIES, Again, Recovery
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


GONE = [(0.0, TRIES), (0.1, FAILS)]


@pytest.mark.parametrize(
    ("said", "again"),
    [
        pytest.param(
            [*GONE, (0.2, TRIES), (0.3, REACHED), (0.5, ACCEPTED)],
            Again(0.3, 0.5, 0.0),
            id="refused, then accepted",
        ),
        pytest.param(
            [
                *((0.0, TRIES), (0.1, REACHED), (0.2, ACCEPTED), (1.0, TRIES), (1.1, FAILS)),
                *((2.0, TRIES), (2.1, REACHED), (2.2, ACCEPTED)),
            ],
            Again(2.1, 2.2, 0.0),
            id="accepted by the pod that is about to end, which does not count",
        ),
        pytest.param(
            [
                *(*GONE, (0.2, TRIES), (1.2, FAILS), (1.3, TRIES), (2.3, FAILS)),
                *((2.4, TRIES), (2.5, REACHED), (2.6, ACCEPTED)),
            ],
            Again(2.5, 2.6, 2.0),
            id="two attempts without an answer, which take a second each",
        ),
        pytest.param(
            [
                *((0.0, TRIES), (0.1, REACHED), (5.1, FAILS)),
                *((5.2, TRIES), (5.3, REACHED), (5.4, ACCEPTED)),
            ],
            Again(5.3, 5.4, 0.0),
            id="a server that answers, but slowly, is not without an answer",
        ),
        pytest.param(
            [*GONE, (0.2, TRIES), (0.3, REACHED), (0.5, ACCEPTED), (9.0, TRIES), (9.1, FAILS)],
            Again(0.3, 0.5, 0.0),
            id="the first time counts",
        ),
    ],
)
def test_a_client_is_back_when_it_is_accepted_after_it_was_refused(
    said: list[tuple[float, str]], again: Again
) -> None:
    found = recover.accepted_again(said)

    assert (found.reached, found.accepted) == (again.reached, again.accepted)
    assert found.hanging == pytest.approx(again.hanging)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param([], "reached all the time", id="nothing"),
        pytest.param(
            [(0.0, TRIES), (0.1, REACHED), (0.2, ACCEPTED)],
            "reached all the time",
            id="never refused",
        ),
        pytest.param(GONE, "ended, having said 'fails'", id="never accepted again"),
    ],
)
def test_a_client_that_does_not_see_the_server_go_and_come_back_is_an_error(
    said: list[tuple[float, str]], message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        recover.accepted_again(said)


def a_recovery(connects: float = 2.0, patient: float = 0.25, hanging: float = 0.0) -> Recovery:
    return Recovery(ready=1.0, reached=1.5, connects=connects, hanging=hanging, patient=patient)


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
        "reached": {"median": 1.5, "worst": 1.5},
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


def test_the_restless_client_ends_once_it_is_accepted_after_it_was_refused(
    run_script: Run, tmp_path: Path
) -> None:
    (tmp_path / "steps").write_text("1\n0\n0\n1\n1\n0\n")

    ran = run_script(recover.RESTLESS, PROGRAMS, "right\n", *ARGUMENTS)

    assert ran.returncode == 0
    assert ran.stdout.split() == [
        *(TRIES, FAILS, TRIES, REACHED, ACCEPTED),
        *(TRIES, REACHED, ACCEPTED, TRIES, FAILS),
        *(TRIES, FAILS, TRIES, REACHED, ACCEPTED),
    ]


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
