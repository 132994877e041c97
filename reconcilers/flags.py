"""Flags of programs, each with an environment variable, and those that every controller has."""

from __future__ import annotations

import argparse
import functools
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from attrs import frozen

import controller
from controller import log
from controller.leaderelection.lease import LeaseTerms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

EXIT_USAGE: Final = 2

_LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@frozen
class ProcessOptions:
    """What the command line of every controller asks for.

    Args:
        workers: How many resources are reconciled at the same time.
        log_level: debug, info, warning or error.
        log_format: json, console, or auto for console on a terminal and json elsewhere.
        metrics_bind_address: Where Prometheus scrapes; `0` switches it off.
        metrics_cert_path: Folder with `tls.crt` and `tls.key` to serve the metrics with; empty for
            plain HTTP.
        health_probe_bind_address: Where the kubelet probes; `0` switches it off.
        leader_elect: Whether to work only while holding a lease, so that several replicas can run.
        leader_election_id: Name of the Lease.
        leader_election_namespace: Where it is; empty for the namespace that is served, or the
            controller's own if it serves several.
        leader_election_lease_duration: Whole seconds that others leave it alone.
        leader_election_renew_deadline: Seconds that the leader tries to renew it.
        leader_election_retry_period: Seconds between two tries.
        kubeconfig: Path of a kubeconfig; empty to look around, as controller.rest.kubeconfig says.
    """

    workers: int
    log_level: str
    log_format: str
    metrics_bind_address: str
    metrics_cert_path: str
    health_probe_bind_address: str
    leader_elect: bool
    leader_election_id: str
    leader_election_namespace: str
    leader_election_lease_duration: int
    leader_election_renew_deadline: float
    leader_election_retry_period: float
    kubeconfig: str

    def lease_terms(self, namespace: str) -> LeaseTerms:
        """Return what the replicas that compete for a Lease agree on.

        Args:
            namespace: Where the Lease is, unless an option says otherwise.

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


class FlagParser(argparse.ArgumentParser):
    """Reads flags; each can be given as an environment variable as well.

    Args:
        program: The name of the program.
        description: What it does, in a line.
        prefix: What the names of its variables begin with.
        environment: The variables.
    """

    def __init__(
        self, program: str, description: str, *, prefix: str, environment: Mapping[str, str]
    ) -> None:
        super().__init__(
            prog=program,
            # Without a line of its own for the usage all of it fits a screen.
            usage=argparse.SUPPRESS,
            description=description,
            # Flag and text on one line each, so that all of it fits a screen.
            formatter_class=functools.partial(argparse.HelpFormatter, max_help_position=38),
            # A flag cut short would mean another one as soon as there is another one.
            allow_abbrev=False,
        )
        self._prefix = prefix
        self._environment = environment
        self._choices: dict[str, tuple[str, ...]] = {}
        self.add_argument(
            "--version", action="version", version=controller.__version__, help="print the version"
        )

    def error(self, message: str) -> NoReturn:
        """End the process with one line on standard error, and code 2."""
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see --help)\n")

    def flag(
        self,
        name: str,
        default: str | None,
        text: str,
        type_: Callable[[str], object] = str,
        metavar: str = "",
        *,
        choices: tuple[str, ...] = (),
        **more: str,
    ) -> None:
        """Add a flag.

        Args:
            name: Without the dashes before it.
            default: Its value where neither flag nor variable is given.
            text: What it is, in a few words.
            type_: Returns the value of a text; raises ArgumentTypeError. Default: the text.
            metavar: What stands for its value. Default: the last word of its name.
            choices: The values that there are. Default: any.
            more: Further keywords of `add_argument`.
        """
        variable = self._prefix + name.upper().replace("-", "_")
        if choices:
            self._choices[name.replace("-", "_")] = choices
        self.add_argument(
            f"--{name}",
            default=self._environment.get(variable) or default,
            type=type_,
            metavar=metavar or name.rpartition("-")[2].upper(),
            help=(text + (f" (default {default})" if default else "")).lstrip(),
            **more,  # type: ignore[arg-type]  # of all its keywords, mypy takes the bools
        )

    def process_flags(self, *, lease: str) -> None:
        """Add the flags of `ProcessOptions`, but those for the namespace and the workers.

        Args:
            lease: The default name of the Lease.
        """
        self.flag("log-level", "info", "from debug to error", choices=_LOG_LEVELS)
        self.flag("log-format", "auto", "json, console, auto", choices=log.FORMATS)
        self.flag("metrics-bind-address", ":8080", "for /metrics; 0: off", address, "ADDR")
        self.flag("metrics-cert-path", "", "with tls.crt, tls.key: /metrics by TLS", str, "DIR")
        self.flag("health-probe-bind-address", ":8081", "for the probes; 0: off", address, "ADDR")
        self.flag(
            "leader-elect",
            "false",
            "work only while leading",
            boolean,
            "BOOL",
            # The flag alone means true.
            nargs="?",
            const="true",
        )
        self.flag("leader-election-id", lease, "", _lease, "LEASE")
        self.flag(
            "leader-election-namespace",
            "",
            "of the Lease (default: the one served)",
            namespace,
            "NAME",
        )
        self.flag(
            "leader-election-lease-duration", "15", "until others take over", _whole_seconds, "S"
        )
        self.flag(
            "leader-election-renew-deadline", "10", "until the leader gives up", _seconds, "S"
        )
        self.flag("leader-election-retry-period", "2", "between two tries", _seconds, "S")
        self.flag("kubeconfig", "", "default: KUBECONFIG, in-cluster, yours", str, "PATH")

    def read(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the values by the names of the fields of `ProcessOptions` and others.

        Exits:
            With code 2 and one line on standard error when a value is wrong.
        """
        values = vars(self.parse_args(arguments))
        for name, known in self._choices.items():
            # argparse checks a default only if it is a string, and choices not at all.
            if values[name] not in known:
                flag = name.replace("_", "-")
                listed = ", ".join(known)
                self.error(f"argument --{flag}: {values[name]!r} is not one of {listed}")
        return values

    def check_lease(self, options: ProcessOptions) -> None:
        """Return if the times of the lease fit together.

        Exits:
            With code 2 and one line on standard error if they do not.
        """
        try:
            options.lease_terms("")
        except ValueError as error:
            self.error(f"leader election: {error}")


def namespace(text: str) -> str:
    """Return the name of a namespace, or nothing."""
    if text and not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid name of a namespace")
    return text


def namespaces(text: str) -> tuple[str, ...]:
    """Return the names of namespaces that commas part, or none."""
    if not text:
        return ()
    names = text.split(",")
    for name in names:
        if not name:
            raise argparse.ArgumentTypeError(f"{text!r} has an empty name between its commas")
        namespace(name)
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} names a namespace twice")
    return tuple(names)


def boolean(text: str) -> bool:
    """Return whether a text is `true`, and not `false`."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def workers(text: str) -> int:
    """Return a number of workers."""
    return count(text, 256)


def count(text: str, limit: int) -> int:
    """Return a number from 1 to a limit."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= limit:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {limit}")
    return int(text)


def address(text: str) -> str:
    """Return an address to listen at, or `0` for none."""
    port = text.rpartition(":")[2]
    highest = 65535
    valid = ":" in text and port.isascii() and port.isdigit() and 1 <= int(port) <= highest
    if text != "0" and not valid:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as :8080, and not 0")
    return text


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
