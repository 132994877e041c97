"""The entry point of `kubectl-reposerver`, which kubectl runs as `kubectl reposerver`."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Final

from reconcilers.plugin.exits import FAILED, INTERRUPTED, PluginError
from reconcilers.plugin.options import parse_options
from reconcilers.plugin.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFECT: Final = "failed by a defect of this program; report it with the lines above"


def run(arguments: Sequence[str], environment: Mapping[str, str], streams: Streams) -> int:
    """Do what the command line asks for, and return the exit code.

    What has failed, and what to do, is one line on standard error.

    Args:
        arguments: Of the command line.
        environment: The variables.
        streams: What it writes to.

    Exits:
        With code 2 when an option is wrong, with 0 after the help.
    """
    options = parse_options(arguments)
    # Not above: the help and the refusal of an option are there at once.
    from controller.clock import SystemClock  # noqa: PLC0415
    from reconcilers.plugin import cluster, screen  # noqa: PLC0415
    from reconcilers.plugin.commands import Commands  # noqa: PLC0415

    try:
        api_server = cluster.connect(
            options.kubeconfig, options.context, options.namespace, SystemClock()
        )
        colours = screen.wants_colours(environment, terminal=streams.stdout.isatty())
        return Commands(api_server, streams, screen.Paint(colours)).run(options)
    except PluginError as error:
        streams.say(str(error))
        return error.code
    except BrokenPipeError:
        # As `head` leaves it: there is nobody to be told.
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001 - the last line must be there whatever happens
        streams.stderr.write(traceback.format_exc())
        streams.say(DEFECT)
        return FAILED


def main() -> None:
    """Run the command line.

    Exits:
        With a code of `reconcilers.plugin.exits`.
    """
    code = run(sys.argv[1:], os.environ, Streams(sys.stdout.buffer, sys.stderr))
    # Python would write what is left of a broken pipe once more, and fail.
    os._exit(code)
