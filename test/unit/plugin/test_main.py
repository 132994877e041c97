"""The command line: what is refused at once, and that it is refused at once."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import pytest

from fakes import apiserver, plugin
from fakes.apiserver import FakeApiServer
from reconcilers.plugin import exits, main, streams
from reconcilers.plugin.options import parse_options

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

#: What takes long to import, and is needed only by what asks the API server.
SLOW = ("kubernetes", "urllib3", "structlog", "prometheus_client", "cryptography", "yaml")


def test_the_commands_load_nothing_that_takes_long() -> None:
    """What asks the API server comes with the connection to it."""
    code = (
        "import sys; from reconcilers.plugin import commands\n"
        f"print([one for one in {SLOW} if one in sys.modules])"
    )
    printed = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout

    assert printed == "[]\n"


def test_the_help_loads_nothing_that_takes_long() -> None:
    code = (
        "import sys; from reconcilers.plugin import main\n"
        "try: main.main()\n"
        f"except SystemExit: print('loaded', [one for one in {SLOW} if one in sys.modules])"
    )
    printed = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code, "--help"], check=True, capture_output=True, text=True
    ).stdout

    assert printed.startswith("usage: kubectl reposerver")
    assert printed.endswith("loaded []\n")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no command"),
        pytest.param(["reboot"], id="no such command"),
        pytest.param(["status"], id="no name"),
        pytest.param(["restore", "--blueprint=b"], id="no parent"),
        pytest.param(["backup", "--pvc=a/b"], id="no Blueprint"),
        pytest.param(["list", "-o", "yaml"], id="another output"),
        pytest.param(["connect", "x", "--local-port=0"], id="no port"),
        pytest.param(["wait", "x", "--timeout=soon"], id="no duration"),
        pytest.param(["backup", "--blue=b", "--pvc=a/b"], id="an option that is cut short"),
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse_options(arguments)

    assert raised.value.code == exits.USAGE
    assert "usage: kubectl reposerver" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_options(["wait", "x", f"--timeout={text}"]).timeout == seconds


def run(*arguments: str) -> plugin.Printed:
    stdout, stderr = io.BytesIO(), io.StringIO()
    code = main.run(arguments, {}, streams.Streams(stdout, cast("TextIO", stderr)))
    return plugin.Printed(code, stdout.getvalue().decode(), stderr.getvalue())


def test_no_kubeconfig_is_one_line(tmp_path: Path) -> None:
    printed = run("list", f"--kubeconfig={tmp_path / 'none'}")

    assert printed.code == exits.FAILED
    assert printed.stderr.count("\n") == 1
    assert "name one with --kubeconfig" in printed.stderr


def test_a_context_that_is_missing_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("{contexts: [], clusters: [], users: [], current-context: ''}")

    printed = run("list", f"--kubeconfig={file}", "--context=mine")

    assert (printed.code, printed.stderr.count("\n")) == (exits.FAILED, 1)
    assert "mine" in printed.stderr


def test_the_context_that_is_named_is_asked(tmp_path: Path) -> None:
    """The current context leads nowhere."""
    with FakeApiServer(apiserver.ok({"items": [plugin.healthy()], "metadata": {}})) as server:
        file = tmp_path / "config"
        config = {
            "current-context": "other",
            "contexts": [
                {"name": "mine", "context": {"cluster": "mine", "namespace": "backup"}},
                {"name": "other", "context": {"cluster": "other"}},
            ],
            "clusters": [
                {"name": "mine", "cluster": {"server": server.url}},
                {"name": "other", "cluster": {"server": "https://127.0.0.1:1"}},
            ],
            "users": [],
        }
        file.write_text(json.dumps(config))

        printed = run("list", f"--kubeconfig={file}", "--context=mine")

        assert [request.path for request in server.requests] == [
            "/apis/cr.kanister.io/v1alpha1/namespaces/backup/repositoryservers"
        ]
    assert (printed.code, printed.stderr) == (exits.DONE, "")
    assert "files   Ready" in printed.stdout
