"""The commands that need a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from attrs import evolve, frozen

from reconcilers.datafunctions import old, outputs, snapshots, units
from reconcilers.datafunctions.arguments import Need, arguments_of, decode, text
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.function import Run
from reconcilers.datafunctions.program import listing, streams
from reconcilers.datafunctions.program.producer import Producer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.datafunctions.connect.wanted import Wanted
    from reconcilers.datafunctions.program.options import Options
    from reconcilers.datafunctions.program.progress import Reporter
    from reconcilers.kopia.client.model import Source
    from reconcilers.kopia.client.session import KopiaClient

#: The argument with the id of the snapshot to restore, whose place `--of` can take.
BACKUP_IDENTIFIER: Final = "backupIdentifier"

NOT_FOR: Final = "--of is for functions that restore one snapshot; {function} is not one"
BOTH_ID_AND_TAGS: Final = "give one of --of and the argument {argument}, not both"
PRUNED: Final = "deleted {deleted} of {found} snapshots"

#: Of the removed functions: which of the users to connect as.
USER_HOSTNAME: Final = "repositoryServerUserHostname"

#: Stands for the id of a snapshot that is not known yet.
ANY_ID: Final = "0" * 32

VERIFIED: Final = (
    "verified {id}: the repository has all {objects} files, folders and links of it, {size}; "
    "{read_files} files, {read_size}, were read back, decrypted, and are as their hashes say. That "
    "they are what was on the disk is not proved"
)


@frozen
class Verify:
    """The arguments of `verify`."""

    backup_id: str = text("backupID", "the id of the snapshot", need=Need.NEVER)
    backup_tag: str = text("backupTag", "its tag, in place of the id")


@frozen
class Command:
    """A command that is ready to run: what can be known to be wrong with it has been looked for.

    Args:
        wanted: What is said of the server.
        run: Runs it over a client, and returns the outputs.
    """

    wanted: Wanted
    run: Callable[[KopiaClient], Mapping[str, str]]


@frozen
class Surroundings:
    """What a command uses beside the server.

    Args:
        reporter: Shows how far it is.
        say: Prints a sentence to the user.
        stdin: What `push` backs up.
        stdout: Where `pull` writes to.
    """

    reporter: Reporter
    say: Callable[[str], object]
    stdin: BinaryIO
    stdout: BinaryIO


def prepare(options: Options, around: Surroundings) -> Command:
    """Return the command that the options ask for.

    Args:
        options: What the program was told.
        around: What it uses.

    Raises:
        FunctionUnknown: There is no such function.
        Refused: An argument cannot be as it was given.
    """
    return _COMMANDS[options.command](options, around)


def _run(options: Options, around: Surroundings) -> Command:
    found = FUNCTIONS.find(options.function, options.function_version)
    if found.warning:
        around.say(f"warning: {found.warning}")
    function = found.function
    given = dict(options.arguments)
    if options.of:
        if BACKUP_IDENTIFIER not in {one.name for one in arguments_of(function.arguments).values()}:
            raise Refused(NOT_FOR.format(function=function.name))
        # For the checks; the real one is known when the server has been asked.
        given = _with_id(given, BACKUP_IDENTIFIER, ANY_ID)
    decoded = decode(function.arguments, given, function=function.name)
    for warning in old.warnings(decoded.given):
        around.say(f"warning: {warning}")

    def run(client: KopiaClient) -> Mapping[str, str]:
        arguments = decoded.arguments
        if options.of:
            given[BACKUP_IDENTIFIER] = snapshots.last_of(client, options.of).id
            arguments = decode(function.arguments, given, function=function.name).arguments
        return function.run(
            Run(
                client,
                root=options.root,
                source=options.source,
                parallel=options.parallel,
                sparse=options.sparse,
                mounted=options.mounted,
                on_progress=around.reporter.update,
                say=around.say,
                warn=lambda sentence: around.say(f"warning: {sentence}"),
            ),
            arguments,
        )

    hostname = options.arguments.get(USER_HOSTNAME, "")
    wanted = evolve(options.wanted, hostname=hostname) if hostname else options.wanted
    return Command(wanted, run)


def _verify(options: Options, around: Surroundings) -> Command:
    given = _with_id(options.arguments, "backupID", ANY_ID) if options.of else options.arguments
    arguments = decode(Verify, given, function="verify").arguments
    snapshots.check_one_of(backupID=arguments.backup_id, backupTag=arguments.backup_tag)

    def run(client: KopiaClient) -> Mapping[str, str]:
        if options.of:
            snapshot = snapshots.last_of(client, options.of)
        else:
            snapshot = snapshots.find(
                client, "backupID", snapshot=arguments.backup_id, tag=arguments.backup_tag
            )
        verified = client.verify(
            snapshot,
            share=options.share,
            on_progress=lambda progress: around.reporter.update(snapshot.id, progress),
        )
        around.say(
            VERIFIED.format(
                id=snapshot.id,
                objects=verified.objects,
                size=units.decimal(verified.size),
                read_files=verified.read_files,
                read_size=units.decimal(verified.read_size),
            )
        )
        return {
            "backupID": snapshot.id,
            "fileCount": str(snapshot.files),
            "readFileCount": str(verified.read_files),
            "readSize": units.binary(verified.read_size),
        }

    return Command(options.wanted, run)


def _snapshots(options: Options, around: Surroundings) -> Command:
    def run(client: KopiaClient) -> Mapping[str, str]:
        around.stdout.write(listing.snapshots(client.snapshots(tags=options.of)).encode())
        around.stdout.flush()
        return {}

    return Command(options.wanted, run)


def _prune(options: Options, around: Surroundings) -> Command:
    def run(client: KopiaClient) -> Mapping[str, str]:
        found = client.snapshots(tags=options.of)
        deleted = client.delete([one.id for one in found[: -options.keep]])
        around.say(PRUNED.format(deleted=len(deleted), found=len(found)))
        return {}

    return Command(options.wanted, run)


def _with_id(given: Mapping[str, str], argument: str, snapshot: str) -> dict[str, str]:
    if argument in given:
        raise Refused(BOTH_ID_AND_TAGS.format(argument=argument))
    return {**given, argument: snapshot}


def _push(options: Options, around: Surroundings) -> Command:
    path = streams.path_of(options.path)
    try:
        outputs.check_key(options.output_name)
    except ValueError as error:
        raise Refused(f"--output-name: {error}") from None

    def back_up(client: KopiaClient, content: Source) -> Mapping[str, str]:
        snapshot = client.back_up_stream(
            content,
            directory=path.directory,
            name=path.name,
            on_progress=lambda progress: around.reporter.update(path.name, progress),
        )
        return {options.output_name: streams.render(snapshot)}

    def run(client: KopiaClient) -> Mapping[str, str]:
        if not options.producer:
            return back_up(client, around.stdin)
        with Producer(options.producer) as content:
            return back_up(client, content)

    return Command(options.wanted, run)


def _pull(options: Options, around: Surroundings) -> Command:
    path = streams.path_of(options.path)
    snapshot = streams.snapshot_id(options.snapshot)

    def run(client: KopiaClient) -> Mapping[str, str]:
        client.restore_stream(
            snapshot,
            path.name,
            around.stdout,
            on_progress=lambda progress: around.reporter.update(path.name, progress),
        )
        return {}

    return Command(options.wanted, run)


def _delete(options: Options, _around: Surroundings) -> Command:
    snapshot = streams.snapshot_id(options.snapshot)

    def run(client: KopiaClient) -> Mapping[str, str]:
        client.delete([snapshot])
        return {}

    return Command(options.wanted, run)


_COMMANDS: Final[Mapping[str, Callable[[Options, Surroundings], Command]]] = {
    "run": _run,
    "snapshots": _snapshots,
    "verify": _verify,
    "prune": _prune,
    "push": _push,
    "pull": _pull,
    "delete": _delete,
}
