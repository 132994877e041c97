"""The command line of the plugin."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from reconcilers.plugin import references

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "kubectl reposerver"
TEXT: Final = "text"
JSON: Final = "json"

DEFAULT_TIMEOUT: Final = 3600.0

_DESCRIPTION: Final = """\
Repository servers: what is wrong and what to do, how to connect, logs, restarts; and backups by \
ActionSets."""

#: Each command with what it does.
COMMANDS: Final = {
    "list": "list servers, and whether clients can connect",
    "status": "what is wrong with a server and what to do, on one screen",
    "connect": "print the commands by which a Kopia client connects",
    "logs": "print the log of a server",
    "restart": "replace a server's pod; the present one serves until the next is ready",
    "backup": "make an ActionSet that backs up",
    "restore": "make an ActionSet that restores what another one has backed up",
    "delete": "make an ActionSet that deletes what another one has backed up",
    "wait": "wait until an ActionSet has ended",
}
#: Those that make an ActionSet.
ACTIONS: Final = ("backup", "restore", "delete")

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}


@frozen
class Options:
    """What is said on the command line.

    Args:
        command: One of `COMMANDS`.
        name: Of the RepositoryServer or the ActionSet.
        namespace: Empty for that of the context.
        context: Of the kubeconfig; empty for the current one.
        kubeconfig: File; empty to look around.
        output: `text` or `json`.
        all_namespaces: Whether `list` shows all namespaces.
        user: As whom to connect, `USER@HOST`; empty for the only user.
        local_port: Forwarded to the server; 0 for none.
        follow: Whether the log is followed.
        pod: Whose log it is; empty for the newest pod.
        action: Of the Blueprint.
        action_set: Name of the ActionSet; empty for one that is made up.
        parent: ActionSet with the artifacts; empty for none.
        blueprint: Empty for that of the parent.
        targets: Values of the options that name what the ActionSet is about, by option.
        settings: Values of each `--options`.
        secrets: Values of each `--secrets`.
        config_maps: Values of each `--config-maps`.
        labels: Values of each `--labels`.
        profile: `NAME` or `NAMESPACE/NAME`; empty for none.
        server: `NAME` or `NAMESPACE/NAME` of a RepositoryServer; empty for none.
        dry_run: Whether the ActionSet is printed in place of made.
        skip_validation: Whether Blueprint and server are not looked at before.
        wait: Whether the end of the ActionSet is waited for.
        timeout: Seconds to wait.
    """

    command: str
    name: str = ""
    namespace: str = ""
    context: str = ""
    kubeconfig: str = ""
    output: str = TEXT
    all_namespaces: bool = False
    user: str = ""
    local_port: int = 0
    follow: bool = False
    pod: str = ""
    action: str = ""
    action_set: str = ""
    parent: str = ""
    blueprint: str = ""
    targets: dict[str, list[str]] = field(factory=dict)
    settings: list[str] = field(factory=list)
    secrets: list[str] = field(factory=list)
    config_maps: list[str] = field(factory=list)
    labels: list[str] = field(factory=list)
    profile: str = ""
    server: str = ""
    dry_run: bool = False
    skip_validation: bool = False
    wait: bool = False
    timeout: float = DEFAULT_TIMEOUT


def parse_options(arguments: Sequence[str]) -> Options:
    """Return what is said on the command line.

    Args:
        arguments: Those after the program's name.

    Exits:
        With code 2 when an option is wrong, with 0 after the help.
    """
    values = vars(_parser().parse_args(arguments))
    of_target = (*references.KINDS, references.NAMESPACES, references.OBJECTS)
    targets = {option: values.pop(option) for option in of_target if option in values}
    return Options(**values, targets=targets)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROGRAM, description=_DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, text in COMMANDS.items():
        one = commands.add_parser(
            command, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
        )
        _common(one)
        _ADD[command](one)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--namespace", default="", help="namespace (default: that of the context)"
    )
    parser.add_argument("--context", default="", help="context of the kubeconfig")
    parser.add_argument("--kubeconfig", default="", help="kubeconfig file")


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", choices=(TEXT, JSON), default=TEXT, help="what is printed"
    )


def _server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the RepositoryServer")


def _list(parser: argparse.ArgumentParser) -> None:
    _output(parser)
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="servers of all namespaces"
    )


def _status(parser: argparse.ArgumentParser) -> None:
    _output(parser)
    _server(parser)


def _connect(parser: argparse.ArgumentParser) -> None:
    _status(parser)
    parser.add_argument("--user", default="", metavar="USER@HOST", help="as whom to connect")
    parser.add_argument(
        "--local-port",
        type=_port,
        default=0,
        metavar="PORT",
        help="connect from outside the cluster, by this port of your machine",
    )


def _logs(parser: argparse.ArgumentParser) -> None:
    _server(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    parser.add_argument("--pod", default="", help="one of its pods (default: the newest)")


def _wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="ACTIONSET", help="name of the ActionSet")
    _timeout(parser)


def _backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--blueprint", required=True, help="the Blueprint")
    _action(parser, "backup")
    parser.set_defaults(parent="")


def _restore(parser: argparse.ArgumentParser) -> None:
    _child(parser, "restore")


def _delete(parser: argparse.ArgumentParser) -> None:
    _child(parser, "delete")


def _child(parser: argparse.ArgumentParser, action: str) -> None:
    parser.add_argument(
        "--from",
        dest="parent",
        required=True,
        metavar="ACTIONSET",
        help="complete ActionSet with the artifacts",
    )
    parser.add_argument("--blueprint", default="", help="in place of the Blueprint of --from")
    _action(parser, action)


def _action(parser: argparse.ArgumentParser, action: str) -> None:
    _output(parser)
    add = parser.add_argument
    add("--action", default=action, help=f"action of the Blueprint (default: {action})")
    add("--name", dest="action_set", default="", help="name of the ActionSet (default: made up)")
    for kind in references.KINDS:
        _several(parser, kind, "NAMESPACE/NAME", "what it is about")
    _several(parser, references.NAMESPACES, "NAMESPACE", "namespaces that it is about")
    _several(
        parser, references.OBJECTS, "GROUP/VERSION/RESOURCE/NAMESPACE/NAME", "what it is about"
    )
    add("--server", default="", metavar="[NAMESPACE/]NAME", help="the RepositoryServer")
    add("--profile", default="", metavar="[NAMESPACE/]NAME", help="the Profile")
    _several(parser, "options", "NAME=VALUE", "options", "settings")
    _several(parser, "secrets", "ALIAS=NAMESPACE/NAME", "Secrets for templates")
    _several(parser, "config-maps", "ALIAS=NAMESPACE/NAME", "ConfigMaps for templates")
    _several(parser, "labels", "NAME=VALUE", "labels of the ActionSet")
    add("--dry-run", action="store_true", help="print the ActionSet, and make none")
    add(
        "--skip-validation",
        action="store_true",
        help="do not look before whether the Blueprint has the action and the server is there",
    )
    add("--wait", action="store_true", help="wait for its end")
    _timeout(parser)


def _several(
    parser: argparse.ArgumentParser, option: str, metavar: str, text: str, dest: str = ""
) -> None:
    parser.add_argument(
        f"--{option}",
        dest=dest or option.replace("-", "_"),
        action="append",
        default=[],
        metavar=metavar,
        help=f"{text}; several apart by commas",
    )


def _timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_duration,
        default=DEFAULT_TIMEOUT,
        metavar="DURATION",
        help="how long to wait, such as 90s or 2h (default: 1h)",
    )


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _duration(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9})([smh]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 30m or 2h")
    return float(int(found.group(1)) * _UNITS[found.group(2)])


#: What each command takes beside what all take.
_ADD: Final = {
    "list": _list,
    "status": _status,
    "connect": _connect,
    "logs": _logs,
    "restart": _server,
    "backup": _backup,
    "restore": _restore,
    "delete": _delete,
    "wait": _wait,
}
