"""The command `repository-server-controller`: flags, wiring, exit codes."""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

import structlog
from attrs import frozen
from prometheus_client import CollectorRegistry

import controller
from controller import log
from controller.client import Client
from controller.clock import SystemClock
from controller.controller import Controller, Request
from controller.errors import ConfigError
from controller.events import EventRecorder
from controller.health import HealthServer, MetricsServer
from controller.informer import Informer
from controller.kubeconfig import current_namespace, load_api_client
from controller.manager import Group, Manager, RunnableFailed, install_signal_handlers
from controller.metrics import Metrics
from controller.mutationcache import MutationCache
from controller.podexec import Executor
from reconcilers.repositoryserver import api, resources
from reconcilers.repositoryserver.applier import owner_uids
from reconcilers.repositoryserver.context import INDEX_OWNER, Caches
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler
from reconcilers.repositoryserver.users import KopiaHasher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kubernetes.client import ApiClient

PROGRAM = "repository-server-controller"
INDEX_SECRET = "secret"  # noqa: S105 - an index's name
INDEX_UID = "uid"

EXIT_FAILED = 1
EXIT_USAGE = 2

DEFAULT_SERVER_IMAGE = "kopia/kopia:0.23.1"

_log = structlog.get_logger()


@frozen
class Options:
    """What the command was told.

    Attributes:
        namespace: Namespace whose RepositoryServers are served; empty for the controller's own.
        server_image: Image with Kopia for the server pods.
        workers: How many RepositoryServers are reconciled at the same time.
        log_level: debug, info, warning or error.
        log_format: json, console, or auto for console on a terminal and json elsewhere.
        metrics_bind_address: Where Prometheus scrapes; `0` switches it off.
        health_probe_bind_address: Where the kubelet probes; `0` switches it off.
        kubeconfig: Path of a kubeconfig; empty for the pod's own account or the user's default.
    """

    namespace: str
    server_image: str
    workers: int
    log_level: str
    log_format: str
    metrics_bind_address: str
    health_probe_bind_address: str
    kubeconfig: str


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
    return Options(**values)


_CHOICES = {
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("auto", "json", "console"),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:  # noqa: ANN401 - NoReturn, as the base class
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see --help)\n")


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [flags]",
        description="Runs a Kopia repository server for each RepositoryServer of a namespace.",
        epilog="Each flag can be given as an environment variable: --log-level as RSC_LOG_LEVEL.",
        # Flag and text on one line each, so that all of it fits a screen.
        formatter_class=functools.partial(argparse.HelpFormatter, max_help_position=40),
        # A flag cut short would mean another one as soon as there is another one.
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=controller.__version__, help="print the version"
    )

    def flag(
        name: str, default: str, text: str, type_: Callable[[str], object] = str, metavar: str = ""
    ) -> None:
        variable = "RSC_" + name.upper().replace("-", "_")
        parser.add_argument(
            f"--{name}",
            default=environment.get(variable) or default,
            type=type_,
            metavar=metavar or name.rpartition("-")[2].upper(),
            help=text + (f" (default {default})" if default else ""),
        )

    flag("namespace", "", "namespace to serve (default: its own)", _namespace)
    flag("server-image", DEFAULT_SERVER_IMAGE, "image with Kopia", _image)
    flag("workers", "4", "reconciles at the same time", _workers, "N")
    flag("log-level", "info", "debug, info, warning or error")
    flag("log-format", "auto", "json, console, or auto: console on a terminal")
    flag("metrics-bind-address", ":8080", "address of /metrics; 0: none", _address)
    flag("health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0: none", _address)
    flag("kubeconfig", "", "path (default: in-cluster, then yours)", str, "PATH")
    return parser


def _namespace(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a namespace")
    return text


def _image(text: str) -> str:
    if not re.fullmatch(r"[^\s:@]\S*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of an image")
    return text


def _workers(text: str) -> int:
    limit = 256
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= limit:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {limit}")
    return int(text)


def _address(text: str) -> str:
    port = text.rpartition(":")[2]
    highest = 65535
    valid = ":" in text and port.isascii() and port.isdigit() and 1 <= int(port) <= highest
    if text != "0" and not valid:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as :8080, nor 0")
    return text


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
        build(options, namespace, api_client).run(stop)
    except RunnableFailed as error:
        _log.error("stopping: a part has failed", error=str(error))
    else:
        _log.info("stopped")
        return
    # Threads may still be at work: nothing must outlive the decision to end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_FAILED)


def build(options: Options, namespace: str, api_client: ApiClient) -> Manager:
    """Wire the reconciler to the runtime.

    Args:
        options: What the command was told.
        namespace: The namespace to serve.
        api_client: A connection to the API server.
    """
    clock = SystemClock()
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    client = Client(api_client, field_manager=PROGRAM, clock=clock, metrics=metrics)
    recorder = EventRecorder(client, component=PROGRAM, clock=clock)

    def informer(resource: Any, indexers: Any, **options_: Any) -> Informer:  # noqa: ANN401
        return Informer(
            client, resource, namespace, clock=clock, metrics=metrics, indexers=indexers, **options_
        )

    by_owner = {INDEX_OWNER: owner_uids}
    by_secret = {INDEX_SECRET: api.secret_names, INDEX_UID: _uid}
    servers = informer(resources.REPOSITORY_SERVERS, by_secret)
    pods = informer(resources.PODS, by_owner)
    services = informer(resources.SERVICES, by_owner)
    policies = informer(resources.NETWORK_POLICIES, by_owner)
    secrets = informer(resources.SECRETS, by_owner, metadata_only=True)

    def cached(source: Informer, indexers: Any) -> MutationCache:  # noqa: ANN401
        cache = MutationCache(source.store, clock=clock, indexers=indexers)
        source.add_handler(cache)
        return cache

    reconciler = RepositoryServerReconciler(
        client=client,
        executor=Executor(api_client, clock=clock, metrics=metrics),
        caches=Caches(
            servers=cached(servers, by_secret),
            pods=cached(pods, by_owner),
            services=cached(services, by_owner),
            network_policies=cached(policies, by_owner),
            secrets=cached(secrets, by_owner),
        ),
        recorder=recorder,
        hasher=KopiaHasher(),
        clock=clock,
        image=options.server_image,
    )

    def owners(obj: Mapping[str, Any]) -> Iterable[Request]:
        for uid in owner_uids(obj):
            yield from map(_request, servers.store.by_index(INDEX_UID, uid))

    def users_of_secret(obj: Mapping[str, Any]) -> Iterable[Request]:
        yield from map(_request, servers.store.by_index(INDEX_SECRET, obj["metadata"]["name"]))
        yield from owners(obj)

    loop = Controller(
        "repositoryserver", reconciler, clock=clock, metrics=metrics, workers=options.workers
    )
    loop.watch(servers, lambda obj: [_request(obj)])
    loop.watch(secrets, users_of_secret)
    for children in (pods, services, policies):
        loop.watch(children, owners)

    manager = Manager(clock=clock)
    manager.add(recorder, Group.RECORDERS)
    manager.add(
        HealthServer(
            options.health_probe_bind_address,
            healthz=manager.healthz(),
            readyz=manager.readyz(),
        ),
        Group.SERVERS,
    )
    manager.add(MetricsServer(options.metrics_bind_address, registry), Group.SERVERS)
    for source in (servers, pods, services, policies, secrets):
        manager.add_cache(source)
    manager.add(loop, Group.CONTROLLERS)
    return manager


def _request(obj: Mapping[str, Any]) -> Request:
    return Request(obj["metadata"]["namespace"], obj["metadata"]["name"])


def _uid(obj: Mapping[str, Any]) -> Iterable[str]:
    return [obj["metadata"]["uid"]]
