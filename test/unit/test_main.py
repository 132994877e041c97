"""The command's options: defaults, environment, and refusals in one line."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

import controller
from reconcilers.main import read_settings
from reconcilers.options import Options, parse_options

DEFAULTS = Options(
    namespace=(),
    config="",
    server_image=None,
    pod_override="restricted",
    workers=10,
    max_concurrent_replacements=5,
    log_level="info",
    log_format="auto",
    metrics_bind_address=":8080",
    metrics_cert_path="",
    health_probe_bind_address=":8081",
    leader_elect=False,
    leader_election_id="repository-server-controller",
    leader_election_namespace="",
    leader_election_lease_duration=15,
    leader_election_renew_deadline=10.0,
    leader_election_retry_period=2.0,
    kubeconfig="",
)

IMAGE = "registry.example:5000/kopia@sha256:0123"
GIVEN = [
    ("namespace", "backup", ("backup",)),
    ("namespace", "backup,archive", ("backup", "archive")),
    (
        "server-image",
        "registry.example:5000/kopia@sha256:0123",
        "registry.example:5000/kopia@sha256:0123",
    ),
    ("config", "/path/of/settings", "/path/of/settings"),
    ("pod-override", "any", "any"),
    ("pod-override", "off", "off"),
    ("workers", "1", 1),
    ("workers", "256", 256),
    ("max-concurrent-replacements", "1", 1),
    ("max-concurrent-replacements", "1000", 1000),
    ("log-level", "debug", "debug"),
    ("log-level", "warning", "warning"),
    ("log-level", "error", "error"),
    ("log-format", "json", "json"),
    ("log-format", "console", "console"),
    ("metrics-bind-address", "0", "0"),
    ("metrics-bind-address", "127.0.0.1:9090", "127.0.0.1:9090"),
    ("metrics-bind-address", "[::1]:9090", "[::1]:9090"),
    ("metrics-cert-path", "/etc/metrics-tls", "/etc/metrics-tls"),
    ("health-probe-bind-address", ":65535", ":65535"),
    ("leader-elect", "true", True),
    ("leader-elect", "false", False),
    ("leader-election-id", "backup.controller", "backup.controller"),
    ("leader-election-namespace", "leases", "leases"),
    ("leader-election-lease-duration", "60", 60),
    ("leader-election-lease-duration", "60s", 60),
    ("leader-election-renew-deadline", "12.5s", 12.5),
    ("leader-election-retry-period", "0.25", 0.25),
    ("kubeconfig", "/path/of/config", "/path/of/config"),
]

REFUSED = [
    ("namespace", "Backup", "'Backup' is not a valid name of a namespace"),
    ("namespace", "a" * 64, f"'{'a' * 64}' is not a valid name of a namespace"),
    ("namespace", "a\nb", r"'a\nb' is not a valid name of a namespace"),
    ("namespace", "a/b", "'a/b' is not a valid name of a namespace"),
    ("namespace", "a,B", "'B' is not a valid name of a namespace"),
    ("namespace", "a,", "'a,' has an empty name between its commas"),
    ("namespace", "a,a", "'a,a' names a namespace twice"),
    ("server-image", " kopia", "' kopia' is not a valid name of an image"),
    ("server-image", "kopia kopia", "'kopia kopia' is not a valid name of an image"),
    ("server-image", ":0.23.1", "':0.23.1' is not a valid name of an image"),
    ("pod-override", "all", "'all' is not one of restricted, any, off"),
    ("workers", "0", "'0' is not a number from 1 to 256"),
    ("workers", "257", "'257' is not a number from 1 to 256"),
    ("workers", "-1", "'-1' is not a number from 1 to 256"),
    ("workers", "1.5", "'1.5' is not a number from 1 to 256"),
    ("workers", "many", "'many' is not a number from 1 to 256"),
    ("workers", "²", "'²' is not a number from 1 to 256"),
    ("max-concurrent-replacements", "0", "'0' is not a number from 1 to 1000"),
    ("max-concurrent-replacements", "1001", "'1001' is not a number from 1 to 1000"),
    ("log-level", "loud", "'loud' is not one of debug, info, warning, error"),
    ("log-level", "INFO", "'INFO' is not one of debug, info, warning, error"),
    ("log-format", "xml", "'xml' is not one of auto, json, console"),
    ("metrics-bind-address", "8080", "'8080' is not an address such as :8080, and not 0"),
    ("metrics-bind-address", ":0", "':0' is not an address such as :8080, and not 0"),
    ("metrics-bind-address", ":65536", "':65536' is not an address such as :8080, and not 0"),
    ("metrics-bind-address", "localhost", "'localhost' is not an address such as :8080, and not 0"),
    ("leader-elect", "yes", "'yes' is neither true nor false"),
    ("leader-election-id", "Lease", "'Lease' is not a valid name of a Lease"),
    ("leader-election-id", "a..b", "'a..b' is not a valid name of a Lease"),
    ("leader-election-namespace", "a/b", "'a/b' is not a valid name of a namespace"),
    (
        "leader-election-lease-duration",
        "15.5",
        "'15.5' is not a whole number of seconds, such as 15",
    ),
    (
        "leader-election-renew-deadline",
        "10m",
        "'10m' is not a number of seconds, such as 10 or 2.5s",
    ),
    (
        "leader-election-retry-period",
        "-2",
        "'-2' is not a number of seconds, such as 10 or 2.5s",
    ),
    ("health-probe-bind-address", ":http", "':http' is not an address such as :8080, and not 0"),
]


def names(rows: Sequence[tuple[str, str, object]]) -> list[str]:
    return [f"--{flag}={text!r}" for flag, text, _ in rows]


def variable(flag: str) -> str:
    return "RSC_" + flag.upper().replace("-", "_")


def changed(flag: str, value: Any) -> Options:
    return attrs.evolve(DEFAULTS, **{flag.replace("-", "_"): value})


def test_nothing_given_means_the_defaults() -> None:
    assert parse_options([], {}) == DEFAULTS


@pytest.mark.parametrize(("flag", "text", "value"), GIVEN, ids=names(GIVEN))
class TestGiven:
    def test_as_a_flag(self, flag: str, text: str, value: object) -> None:
        assert parse_options([f"--{flag}", text], {}) == changed(flag, value)

    def test_in_the_environment(self, flag: str, text: str, value: object) -> None:
        assert parse_options([], {variable(flag): text}) == changed(flag, value)


def test_a_flag_counts_more_than_the_environment() -> None:
    assert parse_options(["--workers=2"], {"RSC_WORKERS": "3"}).workers == 2


def test_a_flag_saves_a_wrong_value_in_the_environment() -> None:
    assert parse_options(["--workers=2"], {"RSC_WORKERS": "many"}).workers == 2


@pytest.mark.parametrize("flag", sorted({flag for flag, _, _ in GIVEN}))
def test_an_empty_variable_is_none(flag: str) -> None:
    assert parse_options([], {variable(flag): ""}) == DEFAULTS


def test_other_variables_are_none_of_ours() -> None:
    assert parse_options([], {"WORKERS": "2", "RSC_OTHER": "x"}) == DEFAULTS


@pytest.mark.parametrize(("flag", "text", "reason"), REFUSED, ids=names(REFUSED))
class TestRefused:
    def test_as_a_flag(
        self, flag: str, text: str, reason: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stopped:
            parse_options([f"--{flag}={text}"], {})

        assert stopped.value.code == 2
        assert capsys.readouterr().err == (
            f"repository-server-controller: argument --{flag}: {reason} (see --help)\n"
        )

    def test_in_the_environment(
        self, flag: str, text: str, reason: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stopped:
            parse_options([], {variable(flag): text})

        assert stopped.value.code == 2
        assert capsys.readouterr().err == (
            f"repository-server-controller: argument --{flag}: {reason} (see --help)\n"
        )


def test_a_flag_alone_is_true() -> None:
    assert parse_options(["--leader-elect", "--workers=2"], {}).leader_elect


@pytest.mark.parametrize(
    ("served", "given", "namespace"),
    [
        pytest.param(["backup"], "", "backup", id="where the servers are, by default"),
        pytest.param(["backup", "archive"], "", "own", id="its own if it serves several"),
        pytest.param(["backup"], "leases", "leases", id="elsewhere if told"),
        pytest.param(
            ["backup", "archive"], "leases", "leases", id="elsewhere if it serves several"
        ),
    ],
)
def test_where_the_lease_is(served: list[str], given: str, namespace: str) -> None:
    options = parse_options([f"--leader-election-namespace={given}"], {})

    terms = options.lease_terms_for(served, "own")

    assert terms.full_name == f"{namespace}/repository-server-controller"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(
            ["--leader-election-renew-deadline=15"],
            "leader election: the lease duration (15 s) must be above the renew deadline (15 s)",
            id="times that do not fit together",
        ),
        pytest.param(["--colour"], "unrecognized arguments: --colour", id="a flag unknown"),
        pytest.param(["--work=2"], "unrecognized arguments: --work=2", id="a flag cut short"),
        pytest.param(["backup"], "unrecognized arguments: backup", id="a word of its own"),
        pytest.param(
            ["--workers"], "argument --workers: expected one argument", id="a flag without a value"
        ),
        pytest.param(
            ["--server-image="],
            "argument --server-image: '' is not a valid name of an image",
            id="no image",
        ),
    ],
)
def test_an_argument_that_is_none(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_options(arguments, {})

    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"repository-server-controller: {reason} (see --help)\n"


def test_help_fits_a_screen_and_names_each_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    with pytest.raises(SystemExit) as stopped:
        parse_options(["--help"], {})

    assert stopped.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24, "a terminal has 24 lines, one of them the prompt"
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for field in attrs.fields(Options):
        assert f"--{field.name.replace('_', '-')} " in text


def test_help_shows_the_defaults_whatever_the_environment_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--help"], {"RSC_WORKERS": "200"})

    assert "(default 10)" in capsys.readouterr().out


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_options(["--version"], {})

    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"{controller.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "image"),
    [
        pytest.param(["--config={file}"], "kopia:file", id="the file's, where no flag says it"),
        pytest.param(
            ["--config={file}", "--server-image=kopia:flag"], "kopia:flag", id="the flag's over it"
        ),
        pytest.param(["--server-image=kopia:flag"], "kopia:flag", id="the flag's, without a file"),
        pytest.param([], "kopia/kopia:0.23.1", id="the default, where neither says it"),
    ],
)
def test_which_image_counts(tmp_path: Path, arguments: list[str], image: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("image: kopia:file\n")
    options = parse_options([one.format(file=file) for one in arguments], {})

    assert read_settings(options).image == image


KUBECONFIG = (
    "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n"
    "contexts: [{name: a, context: {cluster: a}}]\n"
    "current-context: a\n"
)


def test_the_command_refuses_a_settings_file_in_one_line(tmp_path: Path) -> None:
    settings, kubeconfig = tmp_path / "settings.yaml", tmp_path / "kubeconfig"
    settings.write_text("pod: {nodeSelectors: {}}\n")
    kubeconfig.write_text(KUBECONFIG)

    done = run_command("--kubeconfig", kubeconfig, "--config", settings)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"repository-server-controller: settings file {settings}: "
        "pod.nodeSelectors is not a setting; the keys here are nodeSelector, "
    )


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        pytest.param("reconcilers.main", [], id="repository-server-controller"),
        pytest.param(
            "reconcilers.actionset.main",
            ["--template-renderer", sys.executable],
            id="actionset-controller",
        ),
    ],
)
@pytest.mark.parametrize("port", ["metrics", "health-probe"])
def test_a_port_that_is_taken_is_an_error_in_the_log_and_no_traceback(
    tmp_path: Path, module: str, arguments: list[str], port: str
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addresses = {"metrics": "0", "health-probe": "0"}
        addresses[port] = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = [f"--{name}-bind-address={address}" for name, address in addresses.items()]

        done = run_command("--kubeconfig", kubeconfig, *flags, *arguments, module=module)

    assert done.returncode == 1
    *_, last = map(json.loads, (done.stdout + done.stderr).splitlines())
    assert (last["level"], last["event"]) == ("error", "stopping: a part has failed")
    assert f"cannot be served on {addresses[port]}: Address already in use" in last["error"]


def run_command(
    *arguments: str | Path, module: str = "reconcilers.main"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the command under test
        [sys.executable, "-c", f"from {module} import main; main()", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="there is none"),
        pytest.param("", id="it is empty"),
        pytest.param("{", id="it is no YAML"),
        pytest.param("current-context: x", id="its context does not exist"),
    ],
)
def test_the_command_refuses_a_kubeconfig_in_one_line(tmp_path: Path, content: str | None) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)

    done = run_command("--kubeconfig", kubeconfig)

    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("repository-server-controller: ")
    assert str(kubeconfig) in line
