"""The command `repository-server-controller`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import structlog
from attrs import evolve

import controller
from controller import log
from controller.errors import ConfigError
from controller.manager import exit_on_failure, stop_on_signals
from controller.operator import Operator
from controller.rest.kubeconfig import current_namespace, load_api_client
from reconcilers import settings as settings_file
from reconcilers.options import EXIT_USAGE, PROGRAM, parse_options
from reconcilers.repositoryserver.setup import setup
from reconcilers.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubernetes.client import ApiClient

    from reconcilers.options import Options
    from reconcilers.settings import Settings

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
        own = current_namespace(options.kubeconfig)
        settings = read_settings(options)
    except (ConfigError, SettingsError) as error:
        # A parser of YAML speaks in several lines.
        sys.stderr.write(f"{PROGRAM}: {' '.join(str(error).split())}\n")
        sys.exit(EXIT_USAGE)
    stop = stop_on_signals()
    namespaces = options.namespace or (own,)
    _log.info("starting", version=controller.__version__, namespaces=namespaces)
    with exit_on_failure():
        build(options, namespaces, api_client, own_namespace=own, settings=settings).run(stop)
    _log.info("stopped")


def read_settings(options: Options) -> Settings:
    """Return the settings: a flag counts more than the file, the file more than the default.

    Raises:
        SettingsError: The file cannot be used.
    """
    settings = settings_file.load(options.config)
    return (
        settings if options.server_image is None else evolve(settings, image=options.server_image)
    )


def build(
    options: Options,
    namespaces: Sequence[str],
    api_client: ApiClient,
    *,
    own_namespace: str = "",
    settings: Settings | None = None,
    **seams: Any,  # noqa: ANN401 - those of `Operator`
) -> Operator:
    """Put the process together; nothing runs yet, but the ports are open.

    Args:
        options: What the command line asks for.
        namespaces: The namespaces to serve.
        api_client: A connection to the API server.
        own_namespace: The controller's own namespace, for the Lease if several are served. Default:
            not needed, one is served.
        settings: Defaults for all servers. Default: those that the options say.
        seams: Further arguments of `Operator`, for tests.

    Raises:
        OSError: A port cannot be had.
        SettingsError: As for `read_settings`.
    """
    operator = Operator(
        api_client,
        PROGRAM,
        namespaces=namespaces,
        lease=(
            options.lease_terms_for(namespaces, own_namespace) if options.leader_elect else None
        ),
        metrics_address=options.metrics_bind_address,
        metrics_cert_path=options.metrics_cert_path,
        health_address=options.health_probe_bind_address,
        **seams,
    )
    setup(
        operator,
        settings=read_settings(options) if settings is None else settings,
        workers=options.workers,
        max_replacements=options.max_concurrent_replacements,
        pod_override=options.pod_override,
    )
    return operator
