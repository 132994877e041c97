"""The command `actionset-controller`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import structlog

import controller
from controller import log
from controller.errors import ConfigError
from controller.manager import exit_on_failure, stop_on_signals
from controller.operator import Operator
from controller.rest.kubeconfig import current_namespace, load_api_client
from reconcilers.actionset.guard import Guard, KanisterRuns
from reconcilers.actionset.options import PROGRAM, parse_options
from reconcilers.actionset.setup import setup
from reconcilers.actionset.templates.errors import RendererUnavailable
from reconcilers.actionset.templates.executable import renderer_path
from reconcilers.actionset.templates.program import ProgramRenderer
from reconcilers.flags import EXIT_USAGE

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from reconcilers.actionset.options import Options
    from reconcilers.actionset.templates.renderer import Renderer

_log = structlog.get_logger()


def main() -> None:
    """Run until a signal comes.

    Exits:
        0 after a signal; 1 when something failed at run time; 2 for wrong usage, which includes a
        namespace where a Kanister operator runs.
    """
    options = parse_options(sys.argv[1:], os.environ)
    log.configure(options.log_level, options.log_format)
    stop = stop_on_signals()
    try:
        api_client = load_api_client(options.kubeconfig)
        namespace = options.namespace or current_namespace(options.kubeconfig)
        program = renderer_path(options.template_renderer, os.environ)
        _log.info("starting", version=controller.__version__, namespace=namespace)
        with exit_on_failure():
            operator = make_operator(options, namespace, api_client)
        Guard(operator.client, namespace, operator.clock).wait_clear(stop)
    except (ConfigError, KanisterRuns, RendererUnavailable) as error:
        # A parser of YAML speaks in several lines.
        sys.stderr.write(f"{PROGRAM}: {' '.join(str(error).split())}\n")
        sys.exit(EXIT_USAGE)
    renderer = ProgramRenderer.of(program, operator.clock)
    with exit_on_failure():
        setup(operator, options=options, namespace=namespace, renderer=renderer)
        operator.run(stop)
        renderer.close()
    _log.info("stopped")


def build(
    options: Options,
    namespace: str,
    api_client: ApiClient,
    *,
    renderer: Renderer,
    **seams: Any,  # noqa: ANN401 - those of `Operator`
) -> Operator:
    """Put the process together; nothing runs yet, but the ports are open.

    Args:
        options: What the command line asks for.
        namespace: The namespace to serve.
        api_client: A connection to the API server.
        renderer: Renders templates.
        seams: Further arguments of `Operator`, for tests.

    Raises:
        OSError: A port cannot be had.
    """
    operator = make_operator(options, namespace, api_client, **seams)
    setup(operator, options=options, namespace=namespace, renderer=renderer)
    return operator


def make_operator(
    options: Options,
    namespace: str,
    api_client: ApiClient,
    **seams: Any,  # noqa: ANN401 - as `build`
) -> Operator:
    """Return the operator without its controller.

    Raises:
        OSError: A port cannot be had.
    """
    return Operator(
        api_client,
        PROGRAM,
        namespaces=[namespace],
        lease=options.lease_terms(namespace) if options.leader_elect else None,
        metrics_address=options.metrics_bind_address,
        metrics_cert_path=options.metrics_cert_path,
        health_address=options.health_probe_bind_address,
        **seams,
    )
