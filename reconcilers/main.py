"""The command `repository-server-controller`."""

from __future__ import annotations

import os
import sys
import threading

import structlog

import controller
from controller import log
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.manager import RunnableFailed, install_signal_handlers
from controller.rest.kubeconfig import current_namespace, load_api_client
from reconcilers.options import EXIT_USAGE, PROGRAM, parse_options
from reconcilers.wiring import build

EXIT_FAILED = 1

_log = structlog.get_logger()


def main() -> None:
    """Run until a signal comes.

    Exits:
        0 after a signal; 1 when something failed at run time; 2 for wrong usage.
    """
    options = parse_options(sys.argv[1:], os.environ)
    log.configure(options.log_level, options.log_format)
    try:
        api_client = load_api_client(options.kubeconfig)
        namespace = options.namespace or current_namespace(options.kubeconfig)
    except ConfigError as error:
        # A parser of YAML speaks in several lines.
        sys.stderr.write(f"{PROGRAM}: {' '.join(str(error).split())}\n")
        sys.exit(EXIT_USAGE)
    stop = threading.Event()
    install_signal_handlers(stop)
    _log.info("starting", version=controller.__version__, namespace=namespace)
    try:
        build(options, namespace, api_client, SystemClock()).run(stop)
    except (RunnableFailed, OSError) as error:
        _log.error("stopping: a part has failed", error=str(error))
    else:
        _log.info("stopped")
        return
    # Threads may still be at work: nothing must outlive the decision to end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_FAILED)
