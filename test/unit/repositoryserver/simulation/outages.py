"""What breaks: nodes, pods, storage, the API server, and the controller itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.simulation.kubelet import NODES
from reconcilers import resources
from reconcilers.repositoryserver import api
from unit.repositoryserver.simulation.edits import change_users
from unit.repositoryserver.simulation.tampering import some_pod

if TYPE_CHECKING:
    from fakes.simulation.cluster import Cluster

# What the controller may be forbidden.
RIGHTS = (
    ("get", resources.SECRETS),
    ("create", resources.SECRETS),
    ("apply", resources.SECRETS),
    ("delete", resources.SECRETS),
    ("apply", resources.REPLICA_SETS),
    ("patch", resources.REPLICA_SETS),
    ("delete", resources.REPLICA_SETS),
    ("patch", resources.PODS),
    ("delete", resources.PODS),
    ("apply", resources.SERVICES),
    ("apply", resources.NETWORK_POLICIES),
    ("apply", resources.PROFILES),
    ("delete", resources.PROFILES),
    ("apply", resources.CRON_JOBS),
    ("patch", api.REPOSITORY_SERVERS),
)


def kill_kopia(cluster: Cluster) -> None:
    """End the process in a container."""
    for pod in some_pod(cluster):
        cluster.nodes.kill(pod)


def fail_probe(cluster: Cluster) -> None:
    """Let a pod be not Ready for a while."""
    for pod in some_pod(cluster):
        cluster.nodes.fail_probe(pod, cluster.random.choice((1.0, 20.0, 200.0)))


def evict_pod(cluster: Cluster) -> None:
    """Put a pod off its node."""
    for pod in some_pod(cluster):
        cluster.nodes.evict(pod)


def lose_node(cluster: Cluster) -> None:
    """Hear nothing of a node for a while."""
    node = cluster.random.choice(NODES)
    cluster.nodes.lose(node)
    pause = cluster.random.choice((10.0, 60.0, 400.0))
    cluster.agenda.after(pause, lambda: cluster.nodes.find_again(node))


def take_storage_away(cluster: Cluster) -> None:
    """Let the storage answer nobody for a while."""
    cluster.nodes.repositories.away = True
    cluster.agenda.after(cluster.random.choice((5.0, 60.0, 300.0)), lambda: _bring_back(cluster))


def _bring_back(cluster: Cluster) -> None:
    cluster.nodes.repositories.away = False


def take_registry_away(cluster: Cluster) -> None:
    """Let no image be pulled for a while."""
    cluster.nodes.registry_away = True
    pause = cluster.random.choice((5.0, 60.0))
    cluster.agenda.after(pause, lambda: _open_registry(cluster))


def _open_registry(cluster: Cluster) -> None:
    cluster.nodes.registry_away = False


def kill_controller(cluster: Cluster) -> None:
    """End the controller in the middle of whatever it does."""
    cluster.kill_controller()


def kill_controller_while_users_change(cluster: Cluster) -> None:
    """Change who may connect, and end the controller while a command is under way perhaps."""
    change_users(cluster)
    cluster.agenda.after(cluster.random.uniform(0.0, 5.0), cluster.kill_controller)


def change_users_twice(cluster: Cluster) -> None:
    """Change who may connect, and once more while the first change is being loaded perhaps."""
    change_users(cluster)
    pause = cluster.random.uniform(0.0, 5.0)
    cluster.agenda.after(pause, lambda: change_users(cluster))


def upgrade_controller(cluster: Cluster) -> None:
    """Replace the controller by one that starts servers with another image."""
    cluster.image = f"kopia/kopia:0.23.{cluster.random.randrange(1, 3)}"
    cluster.kill_controller()


def fail_requests(cluster: Cluster) -> None:
    """Let requests fail for a while, some of them after they were carried out."""
    cluster.weather.failing = cluster.random.choice((0.1, 0.5, 1.0))
    pause = cluster.random.choice((1.0, 10.0, 60.0))
    cluster.agenda.after(pause, lambda: _clear_up(cluster))


def _clear_up(cluster: Cluster) -> None:
    cluster.weather.failing = 0.0


def take_right_away(cluster: Cluster) -> None:
    """Forbid the controller something for a while."""
    right = cluster.random.choice(RIGHTS)
    cluster.weather.forbidden.add(right)
    pause = cluster.random.choice((1.0, 20.0, 120.0))
    cluster.agenda.after(pause, lambda: cluster.weather.forbidden.discard(right))


def fill_quota(cluster: Cluster) -> None:
    """Let no pod be made for a while."""
    cluster.replica_sets.refused = True
    pause = cluster.random.choice((1.0, 20.0, 600.0))
    cluster.agenda.after(pause, lambda: _raise_quota(cluster))


def _raise_quota(cluster: Cluster) -> None:
    cluster.replica_sets.refused = False


def stall_watch(cluster: Cluster) -> None:
    """Let one of the controller's caches stay behind for a while."""
    if cluster.process is not None:
        informer = cluster.random.choice(cluster.process.informers)
        informer.stall(cluster.random.choice((0.5, 5.0, 40.0, 90.0)))


def cut_watch(cluster: Cluster) -> None:
    """Cut a watch: what it had not shown yet is only found by a list."""
    if cluster.process is not None:
        cluster.random.choice(cluster.process.informers).relist()
