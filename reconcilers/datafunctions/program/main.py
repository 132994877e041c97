"""The entry point of `repository-server-functions`."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO

from attrs import field, frozen

from controller.clock import SystemClock
from reconcilers.datafunctions import outputs
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.connect import choice
from reconcilers.datafunctions.errors import PartlyFailed, Refused
from reconcilers.datafunctions.program import commands, exits, listing, progress
from reconcilers.datafunctions.program.options import (
    FROM_STDIN,
    PROGRAM,
    parse_options,
    told,
)
from reconcilers.datafunctions.program.signals import stop_on_signals
from reconcilers.datafunctions.registry import FunctionUnknown
from reconcilers.kopia import cli
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.session import KopiaClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from controller.clock import Clock
    from controller.stop import Stop
    from reconcilers.datafunctions.program.commands import Command
    from reconcilers.datafunctions.program.options import Options
    from reconcilers.kopia.client.model import ServerConnection

DEFECT: Final = "failed by a defect of this program; report it with the lines above"
NO_FOLDER: Final = (
    "no folder for Kopia's configuration can be made: {reason}; mount an emptyDir at /tmp, or name "
    "another folder in variable TMPDIR"
)
AGAIN: Final = "trying again: {reason}"
NOT_WRITTEN: Final = "done, but --output-file {file} cannot be written: {reason}"


@frozen
class Streams:
    """What the program reads and writes.

    Args:
        stdin: Standard input.
        stdout: Standard output: outputs, and what `pull` restores.
        stderr: Standard error: everything for people.
    """

    stdin: BinaryIO
    stdout: BinaryIO
    stderr: TextIO

    def say(self, sentence: str) -> None:
        """Print a sentence for people, on one line."""
        self.stderr.write(f"{PROGRAM}: {' '.join(sentence.split())}\n")
        self.stderr.flush()

    def put_out(self, text: str) -> None:
        """Print what a program reads."""
        self.stdout.write(text.encode())
        self.stdout.flush()


@frozen
class Program:
    """The program over what surrounds it.

    Args:
        streams: What it reads and writes.
        stop: Ends what runs.
        clock: The time.
        make_client: Makes the client. Default: the real one.
    """

    streams: Streams
    stop: Stop
    clock: Clock = field(factory=SystemClock)
    make_client: Callable[..., KopiaClient] = KopiaClient

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        """Do what the command line asks for, and return the exit code.

        What has failed, and what to do, is the last line on standard error.

        Args:
            arguments: Of the command line.
            environment: The variables.

        Exits:
            With code 2 when an option is wrong.
        """
        if list(arguments) == [FROM_STDIN]:
            arguments, environment = told(self.streams.stdin.readline(), environment)
        options = parse_options(arguments, environment)
        logging.basicConfig(
            stream=self.streams.stderr, format=f"{PROGRAM}: %(message)s", force=True
        )
        try:
            return self._run(options)
        except (Refused, FunctionUnknown) as error:
            self.streams.say(str(error))
            return exits.USAGE
        except PartlyFailed as error:
            self._put_out(options, error.outputs)
            self.streams.say(str(error))
            return Kind.CANCELLED.exit_code if self.stop.is_set() else exits.PARTLY
        except ClientFailed as error:
            self.streams.say(error.message)
            return error.kind.exit_code
        except BrokenPipeError:
            # As `head` leaves it: there is nobody to be told.
            return Kind.CONSUMER.exit_code
        except Exception:  # noqa: BLE001 - the last line must be there whatever happens
            self.streams.stderr.write(traceback.format_exc())
            self.streams.say(DEFECT)
            return exits.DEFECT

    def _run(self, options: Options) -> int:
        if options.command == "list":
            self.streams.put_out(listing.listed(FUNCTIONS))
            return exits.DONE
        if options.command == "describe":
            found = FUNCTIONS.find(options.function, options.function_version)
            self.streams.put_out(listing.described(found.function))
            return exits.DONE
        return self._with_server(options)

    def _with_server(self, options: Options) -> int:
        reporter = progress.reporter(self.streams.stderr, self.clock, options.progress)

        def say(sentence: str) -> None:
            reporter.clear()
            self.streams.say(sentence)

        around = commands.Surroundings(reporter, say, self.streams.stdin, self.streams.stdout)
        try:
            command = commands.prepare(options, around)
            with contextlib.ExitStack() as stack:
                found = command.run(self._entered(stack, self._client(options, command)))
        finally:
            reporter.close()
        return self._put_out(options, found)

    def _entered(self, stack: contextlib.ExitStack, client: KopiaClient) -> KopiaClient:
        try:
            return stack.enter_context(client)
        except OSError as error:
            raise Refused(NO_FOLDER.format(reason=error.strerror or error)) from None

    def _client(self, options: Options, command: Command) -> KopiaClient:
        def connection() -> ServerConnection:
            return choice.connection_of(command.wanted, stop=self.stop)

        return self.make_client(
            connection(),
            stop=self.stop,
            reconnect=connection,
            on_retry=lambda error: self.streams.say(AGAIN.format(reason=error.message)),
            clock=self.clock,
            executable=options.kopia or cli.EXECUTABLE,
        )

    def _put_out(self, options: Options, found: Mapping[str, str]) -> int:
        self.streams.put_out(outputs.lines(found))
        if options.output_file is None:
            return exits.DONE
        try:
            outputs.write(options.output_file, found)
        except OSError as error:
            reason = error.strerror or error
            self.streams.say(NOT_WRITTEN.format(file=options.output_file, reason=reason))
            return exits.NO_OUTPUTS
        return exits.DONE


def main() -> None:
    """Run the command line.

    Exits:
        With `exits`, or the exit code of a `Kind` of reconcilers.kopia.client.errors.
    """
    streams = Streams(sys.stdin.buffer, sys.stdout.buffer, sys.stderr)
    code = Program(streams, stop_on_signals()).run(sys.argv[1:], os.environ)
    # A thread of the client may still wait for standard input, with a lock that Python takes when
    # it ends by itself: it would abort. Everything has been flushed.
    os._exit(code)
