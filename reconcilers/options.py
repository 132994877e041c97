"""The flags of the command, and their environment variables."""

from __future__ import annotations

import argparse
import functools
import re
from typing import TYPE_CHECKING, Final, NoReturn

from attrs import frozen

import controller
from controller import log
from controller.leaderelection.lease import LeaseTerms
from reconcilers import settings
from reconcilers.pods import allowed
from reconcilers.repositoryserver.rollout import throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PROGRAM: Final = "repository-server-controller"
EXIT_USAGE: Final = 2


@frozen
class Options:
    """What the command line asks for.

    Args:
        namespace: Namespace whose RepositoryServers are served; empty for the controller's own.
        config: Path of the settings file, as reconcilers.settings reads it; empty for none.
        server_image: Image with Kopia for the server pods; None for that of the settings.
        pod_override: What spec.server.podOverride may have: restricted, any or off.
        workers: How many RepositoryServers are reconciled at the same time.
        max_concurrent_replacements: How many servers get another pod at the same time.
        log_level: debug, info, warning or error.
        log_format: json, console, or auto for console on a terminal and json elsewhere.
        metrics_bind_address: Where Prometheus scrapes; `0` switches it off.
        health_probe_bind_address: Where the kubelet probes; `0` switches it off.
        leader_elect: Whether to work only while holding a lease, so that several replicas can run.
        leader_election_id: Name of the Lease.
        leader_election_namespace: Where it is; empty for the namespace that is served.
        leader_election_lease_duration: Whole seconds that others leave it alone.
        leader_election_renew_deadline: Seconds that the leader tries to renew it.
        leader_election_retry_period: Seconds between two tries.
        kubeconfig: Path of a kubeconfig; empty to look around, as controller.rest.kubeconfig says.
    """

    namespace: str
    config: str
    server_image: str | None
    pod_override: str
    workers: int
    max_concurrent_replacements: int
    log_level: str
    log_format: str
    metrics_bind_address: str
    health_probe_bind_address: str
    leader_elect: bool
    leader_election_id: str
    leader_election_namespace: str
    leader_election_lease_duration: int
    leader_election_renew_deadline: float
    leader_election_retry_period: float
    kubeconfig: str

    def lease_terms(self, namespace: str) -> LeaseTerms:
        """Return what the replicas that serve a namespace agree on.

        Raises:
            ValueError: The times do not fit together.
        """
        return LeaseTerms(
            self.leader_election_namespace or namespace,
            self.leader_election_id,
            self.leader_election_lease_duration,
            self.leader_election_renew_deadline,
            self.leader_election_retry_period,
        )


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read flags; each can be given as an environment variable RSC_FLAG_NAME as well.

    Exits:
        With code 2 and one line on standard error when a value is wrong.
    """
    parser = _parser(environment)
    values = vars(parser.parse_args(arguments))
    for name, value in values.items():
        # argparse checks a default only if it is a string, and choices not at all.
        if name in _CHOICES and value not in _CHOICES[name]:
            flag = name.replace("_", "-")
            parser.error(f"argument --{flag}: {value!r} is not one of {', '.join(_CHOICES[name])}")
    options = Options(**values)
    try:
        options.lease_terms("")
    except ValueError as error:
        parser.error(f"leader election: {error}")
    return options


_CHOICES: Final = {
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": log.FORMATS,
    "pod_override": allowed.MODES,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see --help)\n")


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        # Without a line of its own for the usage all of it fits a screen.
        usage=argparse.SUPPRESS,
        description="Serves RepositoryServers. Each flag is a variable: RSC_WORKERS is --workers.",
        # Flag and text on one line each, so that all of it fits a screen.
        formatter_class=functools.partial(argparse.HelpFormatter, max_help_position=38),
        # A flag cut short would mean another one as soon as there is another one.
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=controller.__version__, help="print the version"
    )

    def flag(
        name: str,
        default: str | None,
        text: str,
        type_: Callable[[str], object] = str,
        metavar: str = "",
        **more: str,
    ) -> None:
        variable = "RSC_" + name.upper().replace("-", "_")
        parser.add_argument(
            f"--{name}",
            default=environment.get(variable) or default,
            type=type_,
            metavar=metavar or name.rpartition("-")[2].upper(),
            help=(text + (f" (default {default})" if default else "")).lstrip(),
            **more,  # type: ignore[arg-type]  # of all its keywords, mypy takes the bools
        )

    flag("namespace", "", "namespace to serve (default: its own)", _namespace)
    flag("config", "", "settings file: defaults for all servers", str, "PATH")
    # No default of its own: the settings file's image counts for one that is not given.
    flag("server-image", None, f"with Kopia (default {settings.DEFAULT_IMAGE})", _image)
    flag("pod-override", allowed.RESTRICTED, "or any, off", str, "MODE")
    flag("workers", "10", "reconciles at once", _workers, "N")
    flag(
        "max-concurrent-replacements",
        str(throttle.DEFAULT_LIMIT),
        "servers replaced at once",
        _replacements,
        "N",
    )
    flag("log-level", "info", "from debug to error")
    flag("log-format", "auto", "json, console, auto")
    flag("metrics-bind-address", ":8080", "for /metrics; 0: off", _address, "ADDR")
    flag("health-probe-bind-address", ":8081", "for the probes; 0: off", _address, "ADDR")
    flag(
        "leader-elect",
        "false",
        "work only while leading",
        _boolean,
        "BOOL",
        # The flag alone means true.
        nargs="?",
        const="true",
    )
    flag("leader-election-id", PROGRAM, "", _lease, "LEASE")
    flag(
        "leader-election-namespace",
        "",
        "of the Lease (default: the one served)",
        _namespace,
        "NAME",
    )
    flag("leader-election-lease-duration", "15", "until others take over", _whole_seconds, "S")
    flag("leader-election-renew-deadline", "10", "until the leader gives up", _seconds, "S")
    flag("leader-election-retry-period", "2", "between two tries", _seconds, "S")
    flag("kubeconfig", "", "default: KUBECONFIG, in-cluster, yours", str, "PATH")
    return parser


def _namespace(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid name of a namespace")
    return text


def _image(text: str) -> str:
    if not settings.IMAGE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid name of an image")
    return text


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _lease(text: str) -> str:
    label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    longest = 253
    if len(text) > longest or not re.fullmatch(rf"{label}(\.{label})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid name of a Lease")
    return text


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?s?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 10 or 2.5s")
    return float(text.removesuffix("s"))


def _whole_seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}s?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds, such as 15")
    return int(text.removesuffix("s"))


def _workers(text: str) -> int:
    return _count(text, 256)


def _replacements(text: str) -> int:
    return _count(text, 1000)


def _count(text: str, limit: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= limit:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {limit}")
    return int(text)


def _address(text: str) -> str:
    port = text.rpartition(":")[2]
    highest = 65535
    valid = ":" in text and port.isascii() and port.isdigit() and 1 <= int(port) <= highest
    if text != "0" and not valid:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as :8080, and not 0")
    return text
