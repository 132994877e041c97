"""What the stages of `hack/test` are made of: environment, gate, cluster, commands."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clusterlib import paths
from testlib import cluster, environment, gate
from testlib.environment import Environment
from testlib.interruption import Foreground, Interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class NothingRuns(Foreground):
    """Fails the test that runs a command."""

    def run(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
        raise AssertionError(command, environment, folder)

    def clean_up(self, command: Sequence[str], folder: Path) -> int:
        raise AssertionError(command, folder)


@pytest.fixture
def requirements(tmp_path: Path, own_directories: Path) -> Path:
    """Return a list of requirements, in a machine without environments."""
    del own_directories
    file = tmp_path / "dev.txt"
    file.write_text("a==1\n")
    return file


def test_other_requirements_have_another_environment(requirements: Path) -> None:
    first = Environment(requirements).directory
    again = Environment(requirements).directory
    requirements.write_text("a==2\n")

    assert first == again
    assert first != Environment(requirements).directory


def test_an_environment_that_is_there_is_kept(requirements: Path) -> None:
    there = Environment(requirements)
    there.directory.mkdir(parents=True)
    (there.directory / "complete").touch()

    # Making it would fail: there is no package a.
    there.make()

    assert [entry.name for entry in there.directory.iterdir()] == ["complete"]


def test_the_tools_leave_nothing_in_the_checkout(requirements: Path) -> None:
    given = {"PATH": "/bin", "HOME": "/root"}

    told = environment.variables(given, Environment(requirements))

    caches = [value for name, value in told.items() if "CACHE" in name or "STORAGE" in name]
    assert len(caches) == 4
    assert not any(value.startswith(str(paths.CHECKOUT)) for value in caches)
    assert told["HOME"] == "/root"


def test_the_project_is_imported_from_the_checkout(requirements: Path) -> None:
    told = environment.variables({}, Environment(requirements))

    assert str(paths.CHECKOUT) in told["PYTHONPATH"].split(os.pathsep)


def test_shell_scripts_are_known_by_their_first_line(tmp_path: Path) -> None:
    files = {
        ".ci/run": "#!/usr/bin/env bash\n",
        "hack/lock": "#!/bin/sh -e\n",
        "hack/test": "#!/usr/bin/env python3\n",
        "hack/notes": "a file about #!/bin/sh\n",
        "docs/install": "#!/bin/sh\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert gate.shell_scripts(tmp_path) == [".ci/run", "hack/lock"]


def test_clusters_of_killed_runs_are_orphans() -> None:
    kinds = ("e2e", "e2e-local", "integration", "outages", "controllers")
    killed = [f"test-{kind}-1" for kind in kinds]
    others = ["test-e2e-2", "demo", "test-e2e-x", "my-test-e2e-1", "test-mine-1"]

    assert cluster.orphans([*killed, *others], lambda pid: pid == 2) == killed


def test_a_killed_process_does_not_run_though_nobody_has_looked_at_it_yet() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        assert cluster.runs(process.pid)
        process.kill()
        # Without taking its exit code, as wait does.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert not cluster.runs(process.pid)
    assert not cluster.runs(process.pid)


class Recorded(Foreground):
    """Runs nothing, and keeps what it should have run for cleaning up."""

    def __init__(self) -> None:
        super().__init__()
        self.cleaned: list[str] = []

    def run(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
        return 0

    def clean_up(self, command: Sequence[str], folder: Path) -> int:
        self.cleaned.append(" ".join(command[1:]))
        return 0


def test_a_control_plane_of_a_process_that_was_interrupted_is_taken_down(
    own_directories: Path,
) -> None:
    foreground = Recorded()
    with subprocess.Popen(["/bin/true"]) as ended:
        name = f"test-integration-{ended.pid}"

    def interrupted() -> None:
        with cluster.control_planes_built({}, foreground):
            (own_directories / name).mkdir(parents=True)
            raise Interrupted

    with pytest.raises(Interrupted):
        interrupted()
    assert foreground.cleaned == [f"down --name {name}"]


def test_a_given_cluster_is_used_as_it_is() -> None:
    given = {cluster.KUBECONFIG: "mine"}

    with cluster.control_planes_built(given, NothingRuns()):
        pass
    with cluster.for_tests(given, NothingRuns()) as told:
        folder = Path(told[cluster.EVIDENCE])
        assert told == {**given, cluster.EVIDENCE: str(folder)}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists(), "what is confidential is kept no longer than the tests run"


class TestForeground:
    """Commands and interruptions."""

    @staticmethod
    def run(script: str, folder: Path) -> int:
        return Foreground().run([sys.executable, "-c", script], os.environ, folder)

    @pytest.mark.parametrize("code", [0, 3])
    def test_the_exit_code_is_the_commands(self, code: int, tmp_path: Path) -> None:
        assert self.run(f"raise SystemExit({code})", tmp_path) == code

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interruption_waits_for_the_command(
        self, number: signal.Signals, tmp_path: Path
    ) -> None:
        # The command interrupts us as a terminal or a supervisor would, and then goes on.
        ending = "import pathlib; pathlib.Path('ended').touch()"
        script = f"""\
import os, signal
signal.signal(signal.SIGINT, lambda *_: None)
os.kill(os.getppid(), {number.value})
{ending}
"""
        with pytest.raises(Interrupted):
            self.run(script, tmp_path)

        assert (tmp_path / "ended").exists()

    def test_sigterm_is_passed_on_as_what_pytest_understands(self, tmp_path: Path) -> None:
        script = f"""\
import os, pathlib, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
os.kill(os.getppid(), {signal.SIGTERM.value})
signal.sigwait([signal.SIGINT])
pathlib.Path('interrupted').touch()
"""
        with pytest.raises(Interrupted):
            self.run(script, tmp_path)

        assert (tmp_path / "interrupted").exists()

    def test_sigterm_that_comes_while_a_command_starts_is_passed_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class StartsSlowly(subprocess.Popen[bytes]):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(subprocess, "Popen", StartsSlowly)
        script = "import pathlib, time; time.sleep(30); pathlib.Path('uninterrupted').touch()"

        with pytest.raises(Interrupted):
            self.run(script, tmp_path)

        assert not (tmp_path / "uninterrupted").exists()

    def test_cleaning_up_is_not_interrupted(self, tmp_path: Path) -> None:
        foreground = Foreground()
        script = f"""\
import os, pathlib
os.kill(os.getppid(), {signal.SIGINT.value})
pathlib.Path('clean').touch()
"""
        assert foreground.clean_up([sys.executable, "-c", script], tmp_path) == 0
        assert (tmp_path / "clean").exists()
