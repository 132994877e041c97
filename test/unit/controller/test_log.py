"""Logging: one object a line, with the context of the reconcile, without what must not be seen."""

import ast
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from controller import log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.getLogger().handlers[:] = handlers


def test_a_line_is_one_json_object_with_the_bound_context() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)

    with structlog.contextvars.bound_contextvars(name="files", reconcileID="r1"):
        structlog.get_logger().info("ready", service="s")

    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "ready",
        "level": "info",
        "name": "files",
        "reconcileID": "r1",
        "service": "s",
    }


def test_a_traceback_is_part_of_its_line() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)

    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("panic")

    assert "ValueError: broken" in json.loads(stream.getvalue())["exception"]


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        pytest.param("debug", ["debug", "info", "error"], id="debug shows all"),
        pytest.param("info", ["info", "error"], id="info drops debug"),
        pytest.param("error", ["error"], id="error shows errors only"),
    ],
)
def test_the_level_drops_what_is_below(level: str, seen: list[str]) -> None:
    stream = io.StringIO()
    log.configure(level, "json", stream)
    logger = structlog.get_logger()

    for name in ("debug", "info", "error"):
        getattr(logger, name)(name)

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == seen


def test_libraries_speak_in_the_same_format_and_only_of_what_is_wrong() -> None:
    stream = io.StringIO()
    log.configure("debug", "json", stream)

    logging.getLogger("urllib3").debug("header Authorization: Bearer abc")
    logging.getLogger("urllib3").warning("retrying")

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "retrying"
    assert json.loads(line)["logger"] == "urllib3"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_a_line_that_nobody_takes_raises_nothing(level: str) -> None:
    """It would end the thread that logs: an informer, or the one that renews the lease."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    log.configure("debug", "json", stream)

    getattr(structlog.get_logger(), level)("lost")

    with pytest.raises(BrokenPipeError):
        stream.close()


def test_the_console_is_for_people() -> None:
    stream = io.StringIO()
    log.configure("info", "console", stream)

    structlog.get_logger().info("ready", service="s")

    assert "ready" in stream.getvalue()
    assert "service=s" in stream.getvalue()


def test_auto_is_json_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    log.configure("info", "auto", stream)

    structlog.get_logger().info("ready")

    assert json.loads(stream.getvalue())["event"] == "ready"


def test_a_secret_under_its_own_name_is_withheld() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)

    structlog.get_logger().info("user", password="p4ss")

    assert "p4ss" not in stream.getvalue()


def test_no_line_names_a_value_so_that_it_would_be_withheld() -> None:
    """The name of a Secret under the key `secret` would be."""
    root = Path(__file__).parents[3]
    files = [
        path for part in ("controller", "reconcilers") for path in root.glob(f"{part}/**/*.py")
    ]
    calls = [
        (path.name, node.lineno, {keyword.arg for keyword in node.keywords})
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "_log"
    ]

    assert calls
    assert [call for call in calls if call[2] & log.SECRET_KEYS] == []
