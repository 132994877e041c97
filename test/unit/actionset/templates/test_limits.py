"""A template that does too much ends, says which limit it has reached, and harms no other."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import define, evolve, field

from controller.clock import SystemClock
from fakes.clock import FakeClock
from reconcilers.actionset.templates.child import Limits, RendererProcess
from reconcilers.actionset.templates.errors import RendererUnavailable, TemplateError
from reconcilers.actionset.templates.pool import RendererPool
from reconcilers.actionset.templates.program import ProgramRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
ASK = {"render": {"parameters": {}, "tree": "{{ 1 }}"}}

#: On a busy machine a renderer has the CPU for a small part of the time.
PATIENT = Limits(seconds=60.0)


@pytest.fixture
def limited(program: Path) -> Iterator[Callable[..., ProgramRenderer]]:
    """Return a way to make a renderer with other limits."""
    made = []

    def make(limits: Limits = PATIENT) -> ProgramRenderer:
        renderer = ProgramRenderer.of(program, SystemClock(), limits=limits)
        made.append(renderer)
        return renderer

    yield make
    for renderer in made:
        renderer.close()


@pytest.fixture
def child(program: Path) -> Iterator[RendererProcess]:
    """Return a process of its own."""
    process = RendererProcess.start(program, PATIENT, SystemClock())
    yield process
    process.close()


@pytest.mark.parametrize(
    ("template", "limits", "message"),
    [
        pytest.param(
            "{{ until 1000000000 | len }}",
            PATIENT,
            "it needed more than 256 MiB of memory and was stopped",
            id="a list that does not fit into the memory",
        ),
        pytest.param(
            '{{ $a := "0123456789" }}{{ range until 60 }}{{ $a = cat $a $a }}{{ end }}{{ len $a }}',
            PATIENT,
            "it needed more than 256 MiB of memory and was stopped",
            id="a text that grows",
        ),
        pytest.param(
            '{{ repeat 300000000 "x" }}',
            PATIENT,
            "it needed more than 256 MiB of memory and was stopped",
            id="a text that does not fit, which Go's garbage collector does not survive",
        ),
        pytest.param(
            '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}',
            PATIENT,
            "exceeded maximum template depth (100000)",
            id="a template that calls itself",
        ),
        pytest.param(
            '{{ $a := dict }}{{ $_ := set $a "a" $a }}{{ print $a }}',
            PATIENT,
            "it calls itself without end and was stopped",
            id="a map in itself",
        ),
        pytest.param(
            "{{ range until 1000000 }}0123456789{{ end }}",
            PATIENT,
            "renders to more than 4 MiB",
            id="an output without measure",
        ),
        pytest.param(
            '{{ repeat 3000000 "\\x01" }}',
            PATIENT,
            "renders to more than 4 MiB",
            id="an output that grows as it is written down",
        ),
        pytest.param(
            "{{ 1 }}" + " " * MIB,
            evolve(PATIENT, request_bytes=MIB),
            "it and its parameters have more than 1 MiB",
            id="a template that is too large itself",
        ),
    ],
)
def test_a_template_that_does_too_much_is_refused(
    limited: Callable[..., ProgramRenderer],
    template: str,
    limits: Limits,
    message: str,
) -> None:
    refuse(limited(limits), template, message)


class WorkClock(SystemClock):
    """The time for which a process has had the CPU: what else the machine does is not counted."""

    pid = 0

    def monotonic(self) -> float:
        if not self.pid:
            return 0.0
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_a_loop_without_end_is_stopped(program: Path) -> None:
    clock = WorkClock()

    def start() -> RendererProcess:
        process = RendererProcess.start(program, Limits(seconds=1.0), clock)
        clock.pid = process.pid
        return process

    renderer = ProgramRenderer(RendererPool(1, start, clock))
    template = "{{ range until 1000000 }}{{ range until 1000000 }}{{ end }}{{ end }}"

    refuse(renderer, template, "it took longer than 1 s and was stopped")
    renderer.close()


def refuse(renderer: ProgramRenderer, template: str, message: str) -> None:
    """Have a template refused with a message."""
    with pytest.raises(TemplateError) as refused:
        renderer.render({}, template, place="arguments")

    assert refused.value.message.startswith("arguments: ")
    assert message in refused.value.message
    # The next one finds a renderer.
    assert renderer.render({}, "{{ 1 }}", place="arguments") == "1"


def nested(depth: int) -> list[object]:
    """Return lists in lists."""
    tree: list[object] = []
    for _ in range(depth):
        tree = [tree]
    return tree


@pytest.mark.parametrize("depth", [101, 100_000])
def test_a_tree_that_is_nested_too_deeply_is_refused(
    limited: Callable[..., ProgramRenderer], depth: int
) -> None:
    with pytest.raises(TemplateError, match="nested too deeply"):
        limited().render({}, nested(depth), place="arguments")


def test_many_outputs_count_together(limited: Callable[..., ProgramRenderer]) -> None:
    large = ['{{ repeat 1000000 "abc" }}'] * 2

    with pytest.raises(TemplateError, match=r"arguments, \[1\]: renders to more than 4 MiB"):
        limited().render({}, large, place="arguments")


def test_it_has_no_environment_of_the_controller(
    child: RendererProcess,
) -> None:
    child.ask(ASK)

    variables = Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")

    names = {variable.partition(b"=")[0] for variable in variables if variable}
    assert names == {b"GOMEMLIMIT", b"GOMAXPROCS"}


def test_it_may_write_no_file_and_leaves_no_memory_behind(child: RendererProcess) -> None:
    text = Path(f"/proc/{child.pid}/limits").read_text()

    limits = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()[1:]}
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max cpu time"] == ["120", "120"]
    assert limits["Max data size"] == [str(256 * MIB)] * 2


def test_what_is_asked_is_no_argument(child: RendererProcess, program: Path) -> None:
    child.ask(ASK)

    assert Path(f"/proc/{child.pid}/cmdline").read_bytes() == f"{program}\0".encode()


@define(eq=False)
class Starts:
    """Starts a program, and keeps what it has started."""

    program: Path
    started: list[RendererProcess] = field(factory=list)

    def start(self) -> RendererProcess:
        self.started.append(RendererProcess.start(self.program, PATIENT, SystemClock()))
        return self.started[-1]


def test_one_that_was_killed_is_replaced(program: Path) -> None:
    starts = Starts(program)
    renderer = ProgramRenderer(RendererPool(1, starts.start, SystemClock()))
    renderer.render({}, "{{ 1 }}", place="arguments")
    os.kill(starts.started[0].pid, signal.SIGKILL)

    assert renderer.render({}, "{{ 2 }}", place="arguments") == "2"
    assert len(starts.started) == 2
    renderer.close()


def test_one_is_replaced_before_its_cpu_time_is_over(program: Path) -> None:
    child = RendererProcess.start(program, evolve(PATIENT, cpu_seconds=1), SystemClock())
    # Far less than half a second, on a slow machine as well: after a whole one it is killed.
    long = "{{ range until 300 }}{{ range until 1000 }}{{ end }}{{ end }}"
    asked = 0
    while child.usable:
        child.ask({"render": {"parameters": {}, "tree": long}})
        asked += 1

    assert asked > 1
    child.close()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param("exit 3", "ended with code 3", id="one that ends at once"),
        pytest.param("kill -9 $$", "ended with code -9", id="one that is killed"),
        pytest.param(
            "printf '\\377\\377\\377\\377'; exec sleep 60",
            "answer of another",
            id="another program",
        ),
        pytest.param("exec sleep 60 >&-", "ended with code -9", id="one that hangs without pipes"),
    ],
)
def test_one_that_does_not_answer_is_tried_twice(tmp_path: Path, script: str, message: str) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    starts = Starts(program)
    renderer = ProgramRenderer(RendererPool(1, starts.start, SystemClock()))

    with pytest.raises(TemplateError, match=message):
        renderer.render({}, "{{ 1 }}", place="arguments")

    assert len(starts.started) == 2
    renderer.close()


class StandingClock(FakeClock):
    """Time that stands still, until a tenth of a second passes with each look."""

    passes = False

    def monotonic(self) -> float:
        if self.passes:
            self.step(0.1)
        return super().monotonic()


def test_one_that_is_kept_from_work_is_no_fault_of_the_template(program: Path) -> None:
    clock = StandingClock()
    child = RendererProcess.start(program, Limits(seconds=0.2), clock)
    # To start takes it time as well, which a slow machine has not done before the signal.
    child.ask(ASK)
    os.kill(child.pid, signal.SIGSTOP)
    # One of its threads could answer before it stands still.
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    clock.passes = True

    with pytest.raises(RendererUnavailable, match=r"had the CPU for 0\.0 s within 0\.2 s"):
        child.ask(ASK)

    assert not child.usable


def test_one_that_cannot_be_started_is_no_fault_of_the_template(tmp_path: Path) -> None:
    renderer = ProgramRenderer.of(tmp_path / "nothing", SystemClock())

    with pytest.raises(RendererUnavailable, match="nothing cannot be started: No such file"):
        renderer.render({}, "{{ 1 }}", place="arguments")
