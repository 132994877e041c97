"""The commands `hack/cluster` and `hack/images`: their arguments and what they print."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from clusterlib import cluster, components, exits, images, installation, locks, namespace
from clusterlib.cluster import Cluster
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from clusterlib.state import DEFAULT_NAME, State, all_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOTHING_THERE = "there is no cluster {name}; `hack/cluster up --name {name}` makes one"
UP = 'cluster {name} is up; to use it: eval "$(hack/cluster env --name {name})"'


def cluster_main(arguments: Sequence[str]) -> int:
    """Run `hack/cluster`.

    Returns:
        The exit code: 0; 1 for an error, and for `status` if something is not as it should be.
    """
    parser = argparse.ArgumentParser(
        prog="hack/cluster", description="A real single-node Kubernetes on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (text, _) in _CLUSTER_COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name == "build":
            command.add_argument("programs", nargs="*", help="such as kwok; default: a cluster's")
        elif name != "list":
            command.add_argument("--name", default=DEFAULT_NAME, help="default: %(default)s")
        if name in {"up", "build"}:
            command.add_argument(
                "--control-plane-only",
                action="store_true",
                help="kube-apiserver and etcd without a node: ready in seconds, needs no root",
            )
        if name == "up":
            command.add_argument(
                "--audit", action="store_true", help="let kube-apiserver log the requests"
            )
        if name == "exec":
            command.add_argument("argv", nargs="+", metavar="COMMAND")
    parsed = parser.parse_args(arguments)
    _, run = _CLUSTER_COMMANDS[parsed.command]
    return exits.code_of(lambda: run(parsed))


def images_main(arguments: Sequence[str]) -> int:
    """Run `hack/images`.

    Returns:
        The exit code: 0, or 1 for an error.
    """
    parser = argparse.ArgumentParser(
        prog="hack/images", description="The project's container images, without a registry."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (text, _) in _IMAGES_COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("images", nargs="*", help="default: all")
        if name == "load":
            command.add_argument("--name", default=DEFAULT_NAME, help="the cluster's name")
    parsed = parser.parse_args(arguments)
    _, run = _IMAGES_COMMANDS[parsed.command]
    return exits.code_of(lambda: run(parsed))


def _up(arguments: argparse.Namespace) -> int:
    state = State(arguments.name)
    wanted = Cluster(state, components.load())
    wanted.up(with_node=not arguments.control_plane_only, audit=arguments.audit)
    print(UP.format(name=state.name), file=sys.stderr)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    Cluster(State(arguments.name), components.load()).down()
    return 0


def _status(arguments: argparse.Namespace) -> int:
    lines = Cluster(State(arguments.name), components.load()).status()
    if not lines:
        raise ClusterError(NOTHING_THERE.format(name=arguments.name))
    width = max(len(line.name) for line in lines)
    for line in lines:
        print(f"{line.name:{width}}  {line.words}")
    return 0 if all(line.ok for line in lines) else 1


def _env(arguments: argparse.Namespace) -> int:
    state, known = State(arguments.name), components.load()
    if state.read_record() is None:
        raise ClusterError(NOTHING_THERE.format(name=arguments.name))
    directories = [group.directory for group in known.groups.values() if group.directory.exists()]
    path = [*map(str, directories), os.environ.get("PATH", os.defpath)]
    print(f"export KUBECONFIG={shlex.quote(str(state.kubeconfig))}")
    print(f"export PATH={shlex.quote(os.pathsep.join(dict.fromkeys(path)))}")
    return 0


def _build(arguments: argparse.Namespace) -> int:
    known = components.load()
    unknown = [name for name in arguments.programs if not known.has(name)]
    if unknown:
        raise ClusterError(f"hack/components.toml has no {', '.join(unknown)}")
    if arguments.programs:
        missing = installation.plan(known, programs=arguments.programs)
    else:
        missing = cluster.installation(known, with_node=not arguments.control_plane_only)
    missing.carry_out(Progress(missing.steps))
    for name in arguments.programs:
        print(known.program(name))
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    command = [*namespace.enter(State(arguments.name)), *arguments.argv]
    return subprocess.run(command, check=False).returncode


def _list(_: argparse.Namespace) -> int:
    for name in all_names():
        print(name)
    return 0


def _build_images(arguments: argparse.Namespace) -> int:
    for name in cluster.build_images(images.by_name(arguments.images), components.load()):
        print(name)
    return 0


def _load_images(arguments: argparse.Namespace) -> int:
    known, wanted = components.load(), images.by_name(arguments.images)
    state, missing = State(arguments.name), installation.plan(known, wanted_images=wanted)
    progress = Progress(missing.steps + len(wanted))
    missing.carry_out(progress)
    with locks.exclusive(state.lock):
        for name, archive in installation.archives(wanted, known).items():
            with progress.step(f"loading {name} into {state.name}"):
                images.load(name, archive, state)
            print(name)
    return 0


_CLUSTER_COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace], int]]] = {
    "up": ("bring a cluster up; changes nothing if it is", _up),
    "down": ("take a cluster down, however it was left, and delete everything of it", _down),
    "status": ("show what runs and is ready; exit code 1 if something is not", _status),
    "env": ("print what a shell needs to use the cluster, for eval", _env),
    "build": ("only install and build what `up` needs, or build single programs", _build),
    "exec": ("run a command inside the node: exec -- ctr -n k8s.io images ls", _exec),
    "list": ("print the names of the clusters", _list),
}

_IMAGES_COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace], int]]] = {
    "build": ("build what has changed", _build_images),
    "load": ("build what has changed and load it into a cluster's node", _load_images),
}
