"""Chance against the controller: what must hold whatever happens, and in whichever order.

A seed decides on what the user does, what breaks, and when, down to the moment within a request.
The controller is the real one, from its informers and its queue to its reconciler; around it is
`fakes.simulation`. The invariants below are looked at all the time. In the end all is mended, and
every server must be as its resource says.

    SIMULATION_SEEDS=4711 pytest test/unit/repositoryserver/test_simulation.py      # one, again
    SIMULATION_SEEDS=0-5000 pytest -q test/unit/repositoryserver/test_simulation.py # many

What fails prints its seed and all that happened. The same seed does the same again, but for the
digests in the names of pods: keys and salts are those of the system.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from structlog.testing import capture_logs

from controller.conditions import get_condition, is_true
from fakes import objects
from fakes.simulation.cluster import Cluster
from fakes.simulation.kubelet import NODES
from fakes.simulation.user import DRAIN_SECONDS, HOSTS, NAMES, USERNAME
from reconcilers.repositoryserver import (
    children,
    htpasswd,
    kopia,
    podstatus,
    resources,
    routing,
    status,
)
from reconcilers.repositoryserver.applier import owner_uids
from reconcilers.repositoryserver.context import INDEX_OWNER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.resource import Object
    from fakes.simulation.apiserver import Change
    from fakes.simulation.client import Sent

DEFAULT_SEEDS = "0-23"
STEPS = 40

CERTIFICATES = [objects.key_pair(f"files-{number}") for number in range(3)]


def seeds() -> range:
    """Return the seeds that the environment names."""
    first, _, last = os.environ.get("SIMULATION_SEEDS", DEFAULT_SEEDS).partition("-")
    return range(int(first), int(last or first) + 1)


# What may happen. Each takes the cluster and does one thing to it.


def change_users(cluster: Cluster) -> None:
    """Add a user, remove one, or give one another password."""
    name = cluster.random.choice(NAMES)
    users = dict(cluster.user.inputs[f"{name}-users"].values)
    host = cluster.random.choice(HOSTS)
    if host in users and len(users) > 1 and cluster.random.random() < 0.5:
        del users[host]
    else:
        users[host] = f"user-pass-{cluster.random.randrange(10**9)}"
    cluster.user.change_input(f"{name}-users", users)


def renew_certificate(cluster: Cluster) -> None:
    """Renew the certificate that both servers have."""
    pair = cluster.random.choice(CERTIFICATES)
    values = {"tls.crt": pair.certificate, "tls.key": pair.key}
    cluster.user.change_input(objects.TLS, values)


def change_administrator(cluster: Cluster) -> None:
    """Change the password of an administrator."""
    name = cluster.random.choice(NAMES)
    password = f"admin-pass-{cluster.random.randrange(3)}"
    values = {"username": f"admin@{name}", "password": password}
    cluster.user.change_input(f"{name}-admin", values)


def edit_pod(cluster: Cluster) -> None:
    """Edit what makes another pod, or take that back."""
    variable = {"name": "LEVEL", "value": str(cluster.random.randrange(3))}
    container = {"name": children.CONTAINER, "env": [variable]}
    override = {"containers": [container]}
    cluster.user.edit(cluster.random.choice(NAMES), {"server": {"podOverride": override}})


def edit_labels(cluster: Cluster) -> None:
    """Edit what a running pod takes up."""
    value = cluster.random.choice((None, "one", "two"))
    change = {"podLabels": {"team": value}, "podAnnotations": {"note": value}}
    cluster.user.edit(cluster.random.choice(NAMES), {"server": change})


def edit_peers(cluster: Cluster) -> None:
    """Edit who may connect."""
    label = {"team": cluster.random.choice(("one", "two"))}
    peers = [{"podSelector": {"matchLabels": label}}]
    change = {"server": {"networkPolicy": {"from": peers}}}
    cluster.user.edit(cluster.random.choice(NAMES), change)


def spoil_secret(cluster: Cluster) -> None:
    """Write a Secret wrong; it is put right some time later."""
    name = cluster.random.choice(list(cluster.user.inputs))
    values = cluster.random.choice(({}, {"nonsense": "nonsense"}))
    cluster.user.write_secret(name, values=values)
    pause = cluster.random.choice((0.5, 5.0, 60.0, 300.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_secret(name))


def mistake_repository_password(cluster: Cluster) -> None:
    """Write a password that does not open the repository; it is put right some time later."""
    name = f"{cluster.random.choice(NAMES)}-repository-password"
    cluster.user.write_secret(name, values={"repo-password": "repository-pass-wrong"})
    pause = cluster.random.choice((5.0, 60.0, 300.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_secret(name))


def delete_secret(cluster: Cluster) -> None:
    """Delete a Secret; it is made again some time later."""
    name = cluster.random.choice(list(cluster.user.inputs))
    cluster.user.delete_secret(name)
    pause = cluster.random.choice((0.001, 0.5, 10.0, 120.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_secret(name))


def recreate_server(cluster: Cluster) -> None:
    """Delete a resource, and make it again some time later."""
    name = cluster.random.choice(NAMES)
    cluster.user.delete_server(name)
    pause = cluster.random.choice((0.001, 0.5, 20.0, 100.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_server(name))


def delete_child(cluster: Cluster) -> None:
    """Delete a child by hand."""
    found = [
        (resource, obj)
        for resource in (resources.SERVICES, resources.NETWORK_POLICIES, resources.SECRETS)
        for obj in cluster.api.list(resource)
        if obj["metadata"].get("ownerReferences")
    ]
    if found:
        resource, obj = cluster.random.choice(found)
        cluster.api.delete(resource, objects.NAMESPACE, obj["metadata"]["name"])


def change_child(cluster: Cluster) -> None:
    """Change a Service or a NetworkPolicy by hand."""
    resource = cluster.random.choice((resources.SERVICES, resources.NETWORK_POLICIES))
    for obj in cluster.api.list(resource)[:1]:
        change: Object = {"spec": {"selector": {"by": "hand"}}}
        if resource == resources.NETWORK_POLICIES:
            change = {"spec": {"podSelector": {"matchLabels": {"by": "hand"}}}}
        cluster.api.merge_patch(resource, objects.NAMESPACE, obj["metadata"]["name"], change)


def delete_pod(cluster: Cluster) -> None:
    """Delete a pod by hand."""
    for pod in _some_pod(cluster):
        grace = cluster.random.choice((None, 0))
        name = pod["metadata"]["name"]
        cluster.api.delete(resources.PODS, objects.NAMESPACE, name, grace_seconds=grace)


def take_label_off(cluster: Cluster) -> None:
    """Take the label off by which the Service finds a pod."""
    for pod in _some_pod(cluster):
        change = {"metadata": {"labels": {children.LABEL_INSTANCE: None}}}
        cluster.api.merge_patch(resources.PODS, objects.NAMESPACE, pod["metadata"]["name"], change)


def kill_kopia(cluster: Cluster) -> None:
    """End the process in a container."""
    for pod in _some_pod(cluster):
        cluster.nodes.kill(pod)


def fail_probe(cluster: Cluster) -> None:
    """Let a pod be not Ready for a while."""
    for pod in _some_pod(cluster):
        cluster.nodes.fail_probe(pod, cluster.random.choice((1.0, 20.0, 200.0)))


def evict_pod(cluster: Cluster) -> None:
    """Put a pod off its node."""
    for pod in _some_pod(cluster):
        cluster.nodes.evict(pod)


def lose_node(cluster: Cluster) -> None:
    """Hear nothing of a node for a while."""
    node = cluster.random.choice(NODES)
    cluster.nodes.lose(node)
    pause = cluster.random.choice((10.0, 60.0, 400.0))
    cluster.agenda.after(pause, lambda: cluster.nodes.find_again(node))


def take_storage_away(cluster: Cluster) -> None:
    """Let the storage answer nobody for a while."""
    cluster.nodes.repository.away = True
    cluster.agenda.after(cluster.random.choice((5.0, 60.0, 300.0)), lambda: _bring_back(cluster))


def _bring_back(cluster: Cluster) -> None:
    cluster.nodes.repository.away = False


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
    """Forbid the controller something for a while: a right, or a quota."""
    right = cluster.random.choice(
        [
            ("get", resources.SECRETS),
            ("apply", resources.PODS),
            ("apply", resources.SERVICES),
            ("patch", resources.PODS),
            ("delete", resources.PODS),
        ]
    )
    cluster.weather.forbidden.add(right)
    pause = cluster.random.choice((1.0, 20.0, 120.0))
    cluster.agenda.after(pause, lambda: cluster.weather.forbidden.discard(right))


def stall_watch(cluster: Cluster) -> None:
    """Let one of the controller's caches stay behind for a while."""
    if cluster.process is not None:
        informer = cluster.random.choice(cluster.process.informers)
        informer.stall(cluster.random.choice((0.5, 5.0, 40.0, 90.0)))


def cut_watch(cluster: Cluster) -> None:
    """Cut a watch: what it had not shown yet is only found by a list."""
    if cluster.process is not None:
        cluster.random.choice(cluster.process.informers).relist()


def _some_pod(cluster: Cluster) -> list[Object]:
    pods = cluster.api.list(resources.PODS)
    return [cluster.random.choice(pods)] if pods else []


ACTIONS: tuple[Callable[[Cluster], None], ...] = (
    change_users,
    change_users,
    change_users,
    renew_certificate,
    change_administrator,
    edit_pod,
    edit_labels,
    edit_peers,
    spoil_secret,
    mistake_repository_password,
    delete_secret,
    recreate_server,
    delete_child,
    change_child,
    delete_pod,
    take_label_off,
    kill_kopia,
    fail_probe,
    evict_pod,
    lose_node,
    take_storage_away,
    take_registry_away,
    kill_controller,
    upgrade_controller,
    fail_requests,
    take_right_away,
    stall_watch,
    cut_watch,
)

# Seconds within which what the controller tries again must have come about: a minute between two
# tries, and a minute until a kubelet looks at its volumes.
PATIENCE = 180.0
# Seconds between the mark on a pod that drains, and the Service that leaves it.
TOLERANCE = 1.0
# What may be asked of the API server.
BURST, REQUESTS_A_CHANGE, REQUESTS_A_SECOND = 100, 20, 3

# Seconds in which all must have come to rest once nothing is amiss any more, in which nothing is
# asked where it has, and in which nothing may be asked then.
RECOVERY, QUIET, AFTERWARDS = 4 * 3600, 900, 3600

# Seconds between two of them: at once, within what a request or a pod takes, or when all is quiet.
PAUSES = (0.0, 0.01, 0.1, 1.0, 1.0, 5.0, 5.0, 20.0, 20.0, 100.0, 300.0)


@define
class History:
    """What the invariants remember of a cluster.

    Attributes:
        cluster: The cluster.
        servers: The uids that resources have had.
        pods: The names of the pods that each of these has had, by uid.
        selected: When a Service last selected a Ready pod, in monotonic seconds by the pod's uid.
        versions: The lines of each version of users, in their order.
        disturbed: When something was last amiss that is none of the controller's doing.
        users: By server the users of the access Secret, and since when they are those.
        lines: What has happened, for people.
        broken: What did not hold.
        began_with: The pods by name, as they were seen when the present pass began.
        passes: How many reconciles there were.
        changes: How many writes of anybody there were.
        looked: When was last looked, and how many requests and changes there had been.
    """

    cluster: Cluster
    servers: set[str] = field(factory=set)
    pods: dict[str, set[str]] = field(factory=dict)
    selected: dict[str, float] = field(factory=dict)
    versions: dict[str, str] = field(factory=dict)
    disturbed: float = 0.0
    users: dict[str, tuple[dict[str, str], float]] = field(factory=dict)
    lines: list[str] = field(factory=list)
    broken: list[str] = field(factory=list)
    began_with: dict[str, Object] = field(factory=dict)
    passes: int = 0
    changes: int = 0
    looked: tuple[float, int, int] = (0.0, 0, 0)

    def __attrs_post_init__(self) -> None:
        """Look at whatever is asked and done from now on."""
        self.cluster.api.listen(self._on_change)
        self.cluster.on_request = self._on_request
        self.cluster.on_pass = self._on_pass

    @property
    def now(self) -> float:
        return self.cluster.clock.monotonic()

    def plan(self, pause: float, action: Callable[[Cluster], None]) -> None:
        """Have something happen in a while."""

        def act() -> None:
            self.note(f"{action.__name__}: {action.__doc__}")
            action(self.cluster)

        self.cluster.agenda.after(pause, act)

    def note(self, line: str) -> None:
        self.lines.append(f"{self.now:10.3f}  {line}")

    def pods_seen(self) -> dict[str, Object]:
        """Return the pods by name, as the controller's caches have them."""
        assert self.cluster.process is not None
        cache = self.cluster.process.sources.caches.pods
        found = (pod for uid in self.servers for pod in cache.by_index(INDEX_OWNER, uid))
        return {pod["metadata"]["name"]: pod for pod in found}

    def service_seen(self, name: str) -> Object | None:
        """Return a Service as the controller's caches have it."""
        assert self.cluster.process is not None
        return self.cluster.process.sources.caches.services.get(objects.NAMESPACE, name)

    def check(self) -> None:
        """Look at what must hold at any time."""
        if not self.cluster.is_calm():
            self.disturbed = self.now
        for invariant in AT_ANY_TIME:
            self._report(invariant.__doc__, invariant(self))
        self.looked = (self.now, self.cluster.requests, self.changes)

    def since_last_look(self) -> tuple[int, int, float]:
        """Return how much was asked and has happened since the last check, and in how long."""
        at, requests, changes = self.looked
        return self.cluster.requests - requests, self.changes - changes, self.now - at

    def _on_pass(self) -> None:
        self.passes += 1
        self.began_with = self.pods_seen()

    def _on_request(self, sent: Sent) -> None:
        self.note(f"controller: {sent.verb} {sent.resource.plural} {sent.name}")
        for invariant in OF_REQUESTS:
            self._report(invariant.__doc__, invariant(self, sent))

    def _report(self, sentence: str | None, complaint: str) -> None:
        if complaint:
            self.note(f"BROKEN: {sentence} {complaint}")
            self.broken.append(f"{sentence} {complaint}")

    def _on_change(self, change: Change) -> None:
        self.changes += 1
        metadata = change.obj["metadata"]
        if change.resource == resources.REPOSITORY_SERVERS and change.old is None:
            self.servers.add(metadata["uid"])
        elif change.resource == resources.PODS:
            for owner in metadata.get("ownerReferences") or ():
                self.pods.setdefault(owner["uid"], set()).add(metadata["name"])
            self._note_pod(change)
        elif change.resource == resources.SECRETS and change.new is not None:
            self._note_users(change.new)
        self._note_selected(change)

    def _note_pod(self, change: Change) -> None:
        name = change.obj["metadata"]["name"]
        if change.new is None:
            self.note(f"pod {name} is gone")
        elif change.old is None or change.old.get("status") != change.new.get("status"):
            ready = "Ready" if podstatus.is_ready(change.new) else "not Ready"
            self.note(f"pod {name} is {ready}")
            if ready == "Ready":
                complaint = _lacks_users(self, change.new)
                self._report(_lacks_users.__doc__, complaint)

    def _note_users(self, secret: Object) -> None:
        data = _clear(secret)
        if kopia.USERS_FILE in data:
            self.versions[data[kopia.USERS_VERSION_FILE]] = data[kopia.USERS_FILE]
        name = secret["metadata"]["name"].removesuffix("-users")
        if name in NAMES:
            self.users[name] = (data, self.now)

    def _note_selected(self, change: Change) -> None:
        pods = self.cluster.api.list(resources.PODS)
        services = self.cluster.api.list(resources.SERVICES)
        # One that was selected up to this very change as well.
        former = [change.old] if change.resource == resources.SERVICES and change.old else []
        for service in (*services, *former):
            for pod in filter(podstatus.is_ready, _selected_by(service, pods)):
                self.selected[pod["metadata"]["uid"]] = self.now


# What must hold of each request.


def _deletes_its_own(history: History, sent: Sent) -> str:
    """Nothing is deleted but what the controller has made."""
    obj = history.cluster.api.find(sent.resource, sent.namespace, sent.name)
    if sent.verb != "delete" or obj is None or obj["metadata"]["uid"] != sent.uid:
        return "" if sent.verb != "delete" or sent.uid else "it is not bound to a uid"
    labels = obj["metadata"].get("labels") or {}
    ours = labels.get(children.LABEL_MANAGED_BY) == children.MANAGER
    return "" if ours and history.servers & set(owner_uids(obj)) else f"{sent.name} is none of ours"


def _keeps_what_serves(history: History, sent: Sent) -> str:
    """A Ready pod that the Service selects is deleted only for the claim that it holds."""
    pod = _deleted_pod(history, sent)
    if pod is None or _is_replaced_in_place(history, pod):
        return ""
    for service in history.cluster.api.list(resources.SERVICES):
        seen = history.service_seen(service["metadata"]["name"]) or service
        if _selected_by(service, [pod]) and _selected_by(seen, [pod]):
            return f"{sent.name} serves"
    return ""


def _lets_sessions_end(history: History, sent: Sent) -> str:
    """A Ready pod that clients have reached is left to its sessions for the time to drain."""
    pod = _deleted_pod(history, sent)
    if pod is None or _is_replaced_in_place(history, pod):
        return ""
    selected = history.selected.get(sent.uid)
    seconds = DRAIN_SECONDS[_server_of(pod)]
    if selected is None or history.now - selected >= seconds - TOLERANCE:
        return ""
    return f"{sent.name} was selected {history.now - selected:.1f} s ago"


def _moves_to_what_works(history: History, sent: Sent) -> str:
    """The Service leaves a Ready pod only for one that is Ready and has the users of now."""
    service = history.service_seen(sent.name)
    if sent.resource != resources.SERVICES or "spec" not in sent.body or service is None:
        return ""
    before, now = _ready(history.began_with), _ready(history.pods_seen())
    former = [_name(pod) for pod in _selected_by(service, before.values()) if _name(pod) in now]
    wanted = _selected_by(sent.body, {**before, **now}.values())
    return "" if wanted or not former else f"from {former} to none"


def _keeps_secrets(history: History, sent: Sent) -> str:
    """What a Secret holds is in no other object."""
    if sent.resource == resources.SECRETS:
        return ""
    found = _confidential_in(history.cluster, json.dumps(sent.body))
    return f"{sent.resource.plural} {sent.name} would hold {found}" if found else ""


def _tells_of_its_own(history: History, sent: Sent) -> str:
    """A status names a pod that this very resource has had, and no generation to come."""
    if sent.subresource != "status":
        return ""
    metadata = history.cluster.api.get(sent.resource, sent.namespace, sent.name)["metadata"]
    told = sent.body["status"]
    if sent.body["metadata"].get("resourceVersion") != metadata["resourceVersion"]:
        # That is a conflict.
        return "" if "resourceVersion" in sent.body["metadata"] else "it is bound to no version"
    pod = (told.get("serverInfo") or {}).get("podName")
    if pod and pod not in history.pods.get(metadata["uid"], ()):
        return f"{pod} is not of {sent.name}"
    late = told["observedGeneration"] > metadata["generation"]
    return f"{sent.name} has no generation {told['observedGeneration']}" if late else ""


def _tells_ready_of_what_works(history: History, sent: Sent) -> str:
    """Ready is told of a server only whose pod is Ready."""
    if sent.subresource != "status" or not is_true(sent.body["status"]["conditions"], status.READY):
        return ""
    name = sent.body["status"]["serverInfo"]["podName"]
    pods = _ready(history.began_with) | _ready(history.pods_seen())
    return "" if name in pods else f"{name} is not"


OF_REQUESTS: tuple[Callable[[History, Sent], str], ...] = (
    _deletes_its_own,
    _keeps_what_serves,
    _lets_sessions_end,
    _moves_to_what_works,
    _keeps_secrets,
    _tells_of_its_own,
    _tells_ready_of_what_works,
)


# What must hold at any time.


def _lacks_users(history: History, pod: Object) -> str:
    """A Ready pod has the users that it is marked with, or later ones."""
    life, mark = history.cluster.nodes.life(pod), children.users_of(pod)
    if life is None or life.served is None or mark not in history.versions:
        return ""
    versions = list(history.versions)
    since = {history.versions[version] for version in versions[versions.index(mark) :]}
    return "" if life.served in since else f"{pod['metadata']['name']} has not those of {mark}"


def _lets_in_who_should(history: History) -> str:
    """Who was taken out of the access Secret is let in no more, and who was put in is."""
    for name, (users, since) in history.users.items():
        if history.now - max(since, history.disturbed) < PATIENCE:
            continue
        for pod in _reached(history.cluster, name):
            life = history.cluster.nodes.life(pod)
            if life is not None and life.served is not None and not _lets_in(life.served, users):
                return f"{pod['metadata']['name']} does not let in {', '.join(users)} alone"
    return ""


def _has_one_pod_a_digest(history: History) -> str:
    """No two pods of a server have the same digest."""
    pods = history.cluster.api.list(resources.PODS)
    found = [(_server_of(pod), children.digest_of(pod)) for pod in pods]
    return "" if len(found) == len(set(found)) else str(found)


def _is_not_in_a_loop(history: History) -> str:
    """What is asked of the API server is in proportion to what happens."""
    asked, happened, took = history.since_last_look()
    most = BURST + happened * REQUESTS_A_CHANGE + took * REQUESTS_A_SECOND
    return "" if asked <= most else f"{asked} requests after {happened} changes in {took:.0f} s"


AT_ANY_TIME: tuple[Callable[[History], str], ...] = (
    _lets_in_who_should,
    _has_one_pod_a_digest,
    _is_not_in_a_loop,
)


# How each server must be in the end.


def _is_ready(_cluster: Cluster, server: Object) -> str:
    """It is Ready, as of its last edit."""
    found = server.get("status") or {}
    conditions = found.get("conditions") or []
    if found.get("observedGeneration") != server["metadata"]["generation"]:
        return "it tells of another generation"
    missed = [type_ for type_ in (*status.STEPS, status.READY) if not is_true(conditions, type_)]
    return "; ".join(f"{type_}: {get_condition(conditions, type_)}" for type_ in missed)


def _has_one_pod(cluster: Cluster, server: Object) -> str:
    """It has one pod, which is Ready, and which the Service selects and the status names."""
    pods = _pods_of(cluster, server)
    reached = _reached(cluster, server["metadata"]["name"])
    named = (server.get("status") or {}).get("serverInfo", {}).get("podName")
    names = [pod["metadata"]["name"] for pod in pods]
    return "" if pods == reached and names == [named] else f"{names}, {named} in the status"


def _is_made_of_its_inputs(cluster: Cluster, server: Object) -> str:
    """Its pod is made of the Secrets, the specification and the image of now."""
    name = server["metadata"]["name"]
    for pod in _pods_of(cluster, server):
        snapshot = _clear(cluster.api.get(resources.SECRETS, objects.NAMESPACE, _name(pod)))
        container = next(iter(pod["spec"]["containers"]))
        level = next((one["value"] for one in container["env"] if one["name"] == "LEVEL"), None)
        inputs = cluster.user.inputs
        found = {
            "certificate": snapshot[children.KEY_CERTIFICATE],
            "administrator": snapshot[children.KEY_ADMIN_PASSWORD],
            "image": container["image"],
            "override": level,
        }
        wanted = {
            "certificate": inputs[objects.TLS].values["tls.crt"],
            "administrator": inputs[f"{name}-admin"].values["password"],
            "image": cluster.image,
            "override": _level(server),
        }
        return ", ".join(part for part in wanted if found[part] != wanted[part])
    return "there is none"


def _lets_in_its_users(cluster: Cluster, server: Object) -> str:
    """Its pod lets in the users of the access Secret, and nobody else."""
    users = cluster.user.inputs[f"{server['metadata']['name']}-users"].values
    served = [cluster.nodes.life(pod) for pod in _pods_of(cluster, server)]
    right = all(life and life.served and _lets_in(life.served, users) for life in served)
    return "" if right else str([life and life.served for life in served])


def _bears_its_labels(cluster: Cluster, server: Object) -> str:
    """Its pod bears the labels and annotations of the specification, and no former ones."""
    wanted = server["spec"]["server"].get("podLabels", {}).get("team")
    noted = server["spec"]["server"].get("podAnnotations", {}).get("note")
    found = [
        (
            pod["metadata"]["labels"].get("team"),
            pod["metadata"]["annotations"].get("note"),
            children.LABEL_INSTANCE in pod["metadata"]["labels"],
        )
        for pod in _pods_of(cluster, server)
    ]
    return "" if found == [(wanted, noted, True)] else str(found)


def _has_its_children(cluster: Cluster, server: Object) -> str:
    """It has its Service, its NetworkPolicy and two Secrets, and nothing else."""
    found = [
        f"{resource.plural}/{_name(obj)}"
        for resource in (resources.SERVICES, resources.NETWORK_POLICIES, resources.SECRETS)
        for obj in cluster.api.list(resource)
        if server["metadata"]["uid"] in owner_uids(obj)
    ]
    return "" if len(found) == 4 else str(found)


def _protects(cluster: Cluster, server: Object) -> str:
    """Its NetworkPolicy lets in the peers of the specification."""
    wanted = server["spec"]["server"].get("networkPolicy", {}).get("from", [])
    name = f"repo-server-{_name(server)}"
    spec = cluster.api.get(resources.NETWORK_POLICIES, objects.NAMESPACE, name)["spec"]
    right = spec["podSelector"] == {"matchLabels": {children.LABEL_INSTANCE: _name(server)}}
    return "" if right and spec["ingress"][0]["from"][1:] == wanted else str(spec)


def _has_forgotten(cluster: Cluster, server: Object) -> str:
    """Nobody of its users has an entry in the repository."""
    wanted = sorted(cluster.user.passwords(_name(server)))
    found = (server.get("status") or {}).get("registeredUsers")
    return "" if found == wanted else str(found)


IN_THE_END: tuple[Callable[[Cluster, Object], str], ...] = (
    _is_ready,
    _has_one_pod,
    _is_made_of_its_inputs,
    _lets_in_its_users,
    _bears_its_labels,
    _has_its_children,
    _protects,
    _has_forgotten,
)


# Words of the invariants.


def _name(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return name


def _server_of(pod: Object) -> str:
    """Return the name of the resource that owns a pod."""
    name: str = pod["metadata"]["ownerReferences"][0]["name"]
    return name


def _pods_of(cluster: Cluster, server: Object) -> list[Object]:
    pods = cluster.api.list(resources.PODS)
    return [pod for pod in pods if server["metadata"]["uid"] in owner_uids(pod)]


def _selected_by(service: Mapping[str, Any], pods: Iterable[Object]) -> list[Object]:
    selector = service["spec"]["selector"].items()
    return [pod for pod in pods if selector <= (pod["metadata"].get("labels") or {}).items()]


def _reached(cluster: Cluster, name: str) -> list[Object]:
    """Return the pods that clients reach by the Service of a server."""
    service = cluster.api.find(resources.SERVICES, objects.NAMESPACE, f"repo-server-{name}")
    found = [] if service is None else _selected_by(service, cluster.api.list(resources.PODS))
    return [pod for pod in found if podstatus.is_ready(pod)]


def _deleted_pod(history: History, sent: Sent) -> Object | None:
    """Return the pod that is to be deleted if the controller has seen that it is Ready."""
    if (sent.verb, sent.resource) != ("delete", resources.PODS):
        return None
    before = _ready(history.began_with).get(sent.name)
    pod = _ready(history.pods_seen()).get(sent.name)
    return pod if before and pod and pod["metadata"]["uid"] == sent.uid else None


def _ready(pods: Mapping[str, Object]) -> dict[str, Object]:
    return {name: pod for name, pod in pods.items() if podstatus.is_ready(pod)}


def _is_replaced_in_place(history: History, pod: Object) -> bool:
    return any(
        event.reason == routing.EVENT_REPLACED_IN_PLACE and _name(pod) in event.note
        for event in history.cluster.recorder.events
    )


def _lets_in(served: str, users: Mapping[str, str]) -> bool:
    """Return whether lines let in the users, by host, with these passwords, and nobody else."""
    found = htpasswd.entries(served)
    wanted = {f"{USERNAME}@{host}": password for host, password in users.items()}
    return found.keys() == wanted.keys() and all(
        htpasswd.verify(wanted[user], hash_) for user, hash_ in found.items()
    )


def _level(server: Object) -> str | None:
    override = server["spec"]["server"].get("podOverride")
    return override["containers"][0]["env"][0]["value"] if override else None


def _clear(secret: Object) -> dict[str, str]:
    """Return what a Secret holds."""
    data = secret.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _confidential_in(cluster: Cluster, text: str) -> str:
    return ", ".join(value for value in cluster.user.confidential if value in text)


# The tests.


@pytest.mark.parametrize("seed", seeds())
def test_whatever_happens_each_server_ends_as_its_resource_says(seed: int) -> None:
    history = _simulated(seed)

    if history.broken:
        pytest.fail("\n".join([f"seed {seed}", *history.lines, *history.broken]), pytrace=False)


def test_the_same_seed_does_the_same_again() -> None:
    assert _simulated(0).lines == _simulated(0).lines


def _simulated(seed: int) -> History:
    with capture_logs() as logs:
        history = History(Cluster(seed))
        _live_through(history)
        _come_to_rest(history)
    notes = (event.note for event in history.cluster.recorder.events)
    told = _confidential_in(history.cluster, " ".join([*map(str, logs), *notes]))
    if told:
        history.broken.append(f"logs or events hold {told}")
    return history


def _live_through(history: History) -> None:
    """Let one thing happen after the other."""
    cluster = history.cluster
    cluster.user.mend()
    cluster.start_controller()
    for _ in range(STEPS):
        action = cluster.random.choice(ACTIONS)
        pause = cluster.random.choice(PAUSES) * cluster.random.random()
        history.plan(pause, action)
        cluster.run(pause)
        history.check()


def _come_to_rest(history: History) -> None:
    """Mend all, wait until nothing is asked any more, and look at what there is."""
    cluster = history.cluster
    # What was planned to be put right puts itself right.
    cluster.run(max(PAUSES))
    cluster.mend()
    if not _rests(history):
        history.broken.append(f"the controller does not come to rest within {RECOVERY} s")
    servers = cluster.api.list(resources.REPOSITORY_SERVERS)
    for server in servers:
        for invariant in IN_THE_END:
            complaint = invariant(cluster, server)
            if complaint:
                sentence = f"{_name(server)}: {invariant.__doc__} {complaint}"
                history.broken.append(sentence)
    requests, passes = cluster.requests, history.passes
    cluster.run(AFTERWARDS)
    if (cluster.requests, history.passes) != (requests, passes):
        history.broken.append("not all is quiet in the hour after all has come to rest")


def _rests(history: History) -> bool:
    for _ in range(RECOVERY // QUIET):
        requests = history.cluster.requests
        history.cluster.run(QUIET)
        history.check()
        if history.cluster.requests == requests:
            return True
    return False
