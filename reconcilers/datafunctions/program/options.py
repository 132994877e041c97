"""The program's commands and options, and their environment variables."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from attrs import field, frozen

import controller
from reconcilers.datafunctions.connect.wanted import (
    CONNECTION_FOLDER,
    PASSWORD_VARIABLE,
    USER_FOLDER,
    Wanted,
)
from reconcilers.datafunctions.function import DEFAULT_PARALLEL, VERSION
from reconcilers.datafunctions.program import exits
from reconcilers.datafunctions.program.progress import IN_WORDS, WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PROGRAM: Final = "repository-server-functions"

#: The command that reads all others from standard input.
FROM_STDIN: Final = "from-stdin"
NOT_TOLD: Final = (
    'from-stdin reads one line of JSON: {"arguments": ["run", ...], "environment": {"NAME": "..."}}'
)

#: How the variables of options begin: `--root` is `RSF_ROOT`.
VARIABLES: Final = "RSF_"

#: What kando names its output by default (Kanister pkg/kando/location_push.go).
KANDO_OUTPUT: Final = "kandoOutput"

_HIGHEST_PARALLEL: Final = 64
_ALL: Final = 100.0


@frozen
class Options:
    """What the program was told.

    Args:
        command: run, list, describe, snapshots, verify, prune, push, pull or delete.
        wanted: What is said of the server.
        function: Name of the function to run or describe.
        function_version: Its version.
        arguments: Values of arguments, by name.
        of: Tags, by name, of the snapshots that are meant.
        keep: How many of them `prune` keeps, the last ones.
        source: Name for what is backed up, where nothing else says whose it is.
        root: Folder below which the workload's volumes are mounted in this pod.
        parallel: For how many pods at the same time.
        sparse: Whether a restore leaves holes in files in place of zeros.
        mounted: For a restore, the paths that volumes of the workload are mounted at.
        output_file: Where the outputs go as JSON; None for nowhere.
        share: Which share of the files is read back, above 0 and up to 1.
        path: Of the stream, as kando takes it.
        output_name: Of the output with the stream's snapshot.
        producer: Command whose output is the stream; empty for standard input.
        snapshot: Of the stream: an id, or kando's JSON.
        progress: How progress is said: `words` or `marked`.
        kopia: Kopia's executable.
    """

    command: str
    wanted: Wanted
    function: str = ""
    function_version: str = VERSION
    arguments: Mapping[str, str] = field(factory=dict, repr=False)
    of: Mapping[str, str] = field(factory=dict)
    keep: int = 0
    source: str = ""
    root: Path = Path("/")
    parallel: int = DEFAULT_PARALLEL
    sparse: bool = False
    mounted: tuple[str, ...] = ()
    output_file: Path | None = None
    share: float = 1.0
    path: str = ""
    output_name: str = KANDO_OUTPUT
    producer: tuple[str, ...] = ()
    snapshot: str = ""
    progress: str = IN_WORDS
    kopia: str = ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(exits.USAGE, f"{PROGRAM}: {message} (see --help)\n")


@frozen
class _Flags:
    """Adds options that have a variable each.

    Args:
        parser: Of the command.
        environment: The variables.
    """

    parser: argparse.ArgumentParser
    environment: Mapping[str, str]

    def add(self, name: str, default: str, text: str, type_: Callable[[str], object] = str) -> None:
        """Add one.

        Args:
            name: Without the dashes.
            default: Where neither the option nor the variable is given.
            text: What it is.
            type_: Reads it.
        """
        variable = VARIABLES + name.upper().replace("-", "_")
        self.parser.add_argument(
            f"--{name}",
            default=self.environment.get(variable) or default,
            type=type_,
            metavar=name.rpartition("-")[2].upper(),
            # argparse formats it once more.
            help=text + (f" (default {default})" if default else "").replace("%", "%%"),
        )


def told(line: bytes, environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the variables that a line of standard input says.

    An exec into a pod has its command in the URL of a request, and no variables.

    Args:
        line: JSON with `arguments`, a list of texts, and `environment`, texts by their names.
        environment: The variables that there are.

    Exits:
        With code 2 and one line on standard error when the line cannot be read. It may have a
        password, and is not shown.
    """
    try:
        content = json.loads(line)
        arguments = [str(one) for one in content["arguments"]]
        more = {str(name): str(value) for name, value in content["environment"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        _parser(environment).error(NOT_TOLD)
    if FROM_STDIN in arguments[:1]:
        _parser(environment).error(NOT_TOLD)
    return arguments, {**environment, **more}


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read the command and its options; each option is a variable RSF_NAME as well.

    Args:
        arguments: Of the command line.
        environment: The variables.

    Exits:
        With code 2 and one line on standard error when something is wrong.
    """
    parser = _parser(environment)
    values = vars(parser.parse_args(arguments))
    wanted = Wanted(
        **{name: values.pop(name) for name in _WANTED if name in values},
        password=environment.get(PASSWORD_VARIABLE, ""),
    )
    for name, flag in (("arguments", "--arg"), ("of", "--of")):
        values[name] = _unique(parser, flag, values.pop(name, []))
    for name in ("producer", "mounted"):
        values[name] = tuple(values.get(name, ()))
    return Options(wanted=wanted, **values)


def _unique(
    parser: argparse.ArgumentParser, flag: str, pairs: Sequence[tuple[str, str]]
) -> dict[str, str]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        parser.error(f"argument {flag}: {', '.join(twice)} is given twice")
    return dict(pairs)


_WANTED: Final = (
    "profile",
    "repository_server",
    "connection",
    "user",
    "url",
    "fingerprint",
    "username",
    "hostname",
    "kubeconfig",
)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description=(
            "Backs up and restores through a repository server. An option that has one value and "
            f"need not be given can be a variable as well: {VARIABLES}ROOT is --root."
        ),
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=controller.__version__, help="print the version"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> _Flags:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        return _Flags(added, environment)

    run = command("run", "run a data function")
    _function(run)
    _arguments(run)
    _of(run, "restore the last snapshot with this tag, in place of backupIdentifier")
    run.add("source", "", "name for what is backed up, where the arguments do not say whose it is")
    run.add("root", "/", "folder below which the workload's volumes are mounted", _folder)
    run.add("parallel", str(DEFAULT_PARALLEL), "pods at once, for the functions for all", _count)
    run.add("progress", IN_WORDS, "words, or marked for the controller of ActionSets", _way)
    _sparse(run)
    run.parser.add_argument(
        "--mounted",
        action="append",
        default=[],
        metavar="PATH",
        help="path that a volume is mounted at, below --root; a restore to elsewhere is refused; "
        "may be given several times (default: nothing is refused)",
    )
    _server(run)
    _outputs(run)

    command(FROM_STDIN, "read a command, its options and variables from standard input, as JSON")

    command("list", "list the functions")
    _function(command("describe", "show a function's arguments and outputs, and an example"))

    found = command("snapshots", "list snapshots: id, time, size and tags")
    _of(found, "those with this tag only")
    _server(found)

    verify = command("verify", "read a snapshot back")
    _arguments(verify)
    _of(verify, "the last snapshot with this tag, in place of backupID")
    verify.add("share", "100%", "of the files to read, which ones is left to chance", _share)
    _server(verify)
    _outputs(verify)

    prune = command("prune", "delete all but the last snapshots")
    _of(prune, "of those with this tag", required=True)
    prune.parser.add_argument(
        "--keep", required=True, type=_kept, metavar="N", help="how many, the last ones, to keep"
    )
    _server(prune)

    push = command("push", "back up standard input, or what a command prints, in kando's shape")
    push.parser.add_argument("--path", required=True, help="path of the file, as kando takes it")
    push.add("output-name", KANDO_OUTPUT, "name of the output")
    push.parser.add_argument(
        "producer",
        nargs="*",
        metavar="-- COMMAND",
        help="whose output it is; if it fails, no backup is left",
    )
    _server(push)
    _outputs(push)

    pull = command("pull", "write a stream that was backed up to standard output")
    pull.parser.add_argument("--path", required=True, help="path of the file, as it was pushed")
    _snapshot(pull)
    _server(pull)

    delete = command("delete", "delete a stream that was backed up")
    _snapshot(delete)
    _server(delete)
    return parser


def _function(flags: _Flags) -> None:
    flags.parser.add_argument("function", metavar="FUNCTION", help="its name")
    flags.add("function-version", VERSION, "its version; v0.0.0 where it has no such")


def _arguments(flags: _Flags) -> None:
    flags.parser.add_argument(
        "--arg",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=VALUE",
        dest="arguments",
        help="an argument; a map is JSON; may be given several times",
    )


def _of(flags: _Flags, text: str, *, required: bool = False) -> None:
    flags.parser.add_argument(
        "--of",
        action="append",
        default=[],
        required=required,
        type=_pair,
        metavar="TAG=VALUE",
        help=f"{text}; may be given several times",
    )


def _sparse(flags: _Flags) -> None:
    flags.parser.add_argument(
        "--sparse", action="store_true", help="restore zeros in files as holes"
    )


def _outputs(flags: _Flags) -> None:
    flags.add("output-file", "", "file for the outputs as JSON, beside the lines", _file)


def _snapshot(flags: _Flags) -> None:
    flags.parser.add_argument(
        "--kopia-snapshot",
        required=True,
        dest="snapshot",
        metavar="SNAPSHOT",
        help="what push has put out, or an id",
    )


def _server(flags: _Flags) -> None:
    flags.add("connection", str(CONNECTION_FOLDER), "folder of the connection Secret", Path)
    flags.add("user", str(USER_FOLDER), "folder of a Secret with the user", Path)
    flags.add("username", "", "the user")
    flags.add("hostname", "", "the user's host")
    flags.add("url", "", "of the server, in place of the folder's")
    flags.add("fingerprint", "", "of its certificate, in place of the folder's")
    flags.add("profile", "", "Profile of type kopia as JSON, or @FILE, in place of the folders")
    flags.add("repository-server", "", "NAMESPACE/NAME of a RepositoryServer, in their place")
    flags.add("kubeconfig", "", "for --repository-server (default: in-cluster, yours)")
    flags.add("kopia", "", "Kopia's executable (default: the image's)")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        # Without the text: it may be a password whose name was forgotten.
        raise argparse.ArgumentTypeError("write NAME=VALUE")
    return name, value


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise argparse.ArgumentTypeError(f"{text!r} is not an absolute path")
    return path


def _file(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text)
    if path.name in ("", ".."):
        raise argparse.ArgumentTypeError(f"{text!r} names no file")
    return path


def _way(text: str) -> str:
    if text not in WAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(WAYS)}")
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= _HIGHEST_PARALLEL:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_HIGHEST_PARALLEL}")
    return int(text)


def _kept(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _share(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?)%", text)
    percent = float(found.group(1)) if found else 0.0
    if not 0 < percent <= _ALL:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 10%")
    return percent / _ALL
