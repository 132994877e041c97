"""What must hold of each request, and at any time; `ending` has what must hold in the end.

Each invariant returns a complaint, which is empty if it holds; its docstring is what holds. The
controller is judged by what it could know: a pass may go on from pods as they were when it began.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from controller.conditions import is_true, parse_time
from fakes import objects
from fakes.kopia import version_in
from fakes.simulation.cluster import SLOTS
from fakes.simulation.replicasets import SECONDS as REPLICA_SET_SECONDS
from fakes.simulation.user import TAKEN_OVER
from fakes.simulation.volumes import claim_of
from reconcilers import resources
from reconcilers.repositoryserver import api, servercommands
from reconcilers.repositoryserver.caches import owner_uids
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.rollout import plan, podstatus, throttle
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.users.userfile import kopia_reads_the_same
from unit.repositoryserver.simulation.ending import lets_in, reached
from unit.repositoryserver.simulation.history import (
    Replacement,
    clear,
    name_of,
    owner_of,
    selected_by,
    server_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.resource import Object
    from fakes.simulation.client import Sent
    from fakes.simulation.cluster import Cluster
    from unit.repositoryserver.simulation.history import History

# Seconds within which what the controller tries again must have come about: a minute between two
# tries, and a minute until a kubelet looks at its volumes.
PATIENCE = 180.0
# Seconds between the mark on a pod that drains, which is cut to whole ones, and the Service's move.
TOLERANCE = 2.0
# What may be asked of the API server.
BURST, REQUESTS_A_CHANGE, REQUESTS_A_SECOND = 100, 20, 3


def deletes_its_own(history: History, sent: Sent) -> str:
    """Nothing is deleted but what the controller has made."""
    if sent.verb != "delete":
        return ""
    obj = history.cluster.api.find(sent.resource, sent.namespace, sent.name)
    if not sent.uid:
        return f"the deletion of {sent.name} is bound to no uid"
    if obj is None or obj["metadata"]["uid"] != sent.uid:
        return ""
    labels = obj["metadata"].get("labels") or {}
    ours = labels.get(names.LABEL_MANAGED_BY) == names.MANAGER
    # It may have lost its owner this very moment, or since the reconcile began.
    seen = history.owner_uids_seen(sent.resource, sent.name)
    began = history.began_owners.get((sent.resource, sent.name), ())
    uids = {*owner_uids(obj), *seen, *began}
    owners = {history.owners.get(uid, uid) for uid in uids}
    # A pod that its ReplicaSet has released, or has left behind, is ours by its labels.
    stray = sent.resource == resources.PODS and not owner_uids(obj)
    right = ours and (stray or bool(history.servers & owners))
    return "" if right else f"{sent.name} is none of ours"


def keeps_what_serves(history: History, sent: Sent) -> str:
    """A Ready pod that the Service selects is taken away only for the claim that it holds."""
    for pod in _taken_away(history, sent):
        for service in history.cluster.api.list(resources.SERVICES):
            seen = history.service_seen(name_of(service)) or service
            if selected_by(service, [pod]) and selected_by(seen, [pod]):
                return f"{name_of(pod)} serves"
    return ""


def lets_sessions_end(history: History, sent: Sent) -> str:
    """A Ready pod that clients have reached is left to its sessions for the time to drain."""
    for pod in _taken_away(history, sent):
        selected = history.selected.get(pod["metadata"]["uid"])
        if selected is None or history.may_not_be_known(pod):
            continue
        until = plan.drain_until(pod) if history.was_left_unseen(pod) else None
        if until is not None and history.cluster.clock.now() >= until:
            continue
        since = history.now - selected
        if since < history.time_to_drain(pod) - TOLERANCE:
            return f"{name_of(pod)} was selected {since:.1f} s ago"
    return ""


def moves_to_what_works(history: History, sent: Sent) -> str:
    """The Service leaves a Ready pod only for one that is Ready and has the users of now."""
    service = history.service_seen(sent.name)
    if sent.resource != resources.SERVICES or "spec" not in sent.body or service is None:
        return ""
    before, now = _ready(history.began_with), _ready(history.pods_seen())
    left = [pod for pod in selected_by(service, before.values()) if name_of(pod) in now]
    # By its digest: a label that somebody takes off meanwhile is no matter here.
    digest = sent.body["spec"]["selector"][names.LABEL_HASH]
    # One that its ReplicaSet takes back counts from the moment at which it has its labels again.
    released = _ready({**history.began_released, **history.released_seen()})
    ready = {**before, **now, **released}.values()
    wanted = [pod for pod in ready if names.hash_of(pod) == digest]
    if not left or selected_by(sent.body, left):
        return ""
    if not wanted:
        return f"{sent.name} leaves {name_of(left[0])} for nothing that is Ready"
    secret = f"{sent.name}-users"
    users = history.cluster.api.find(resources.SECRETS, objects.NAMESPACE, secret)
    right = users is None or _written(users).are_loaded(wanted[0])
    mark = names.users_of(wanted[0])
    return "" if right else f"{name_of(wanted[0])} has users of before: {mark}"


def keeps_to_slots(history: History, sent: Sent) -> str:
    """Of servers that serve no more are replaced at once than have a slot."""
    cluster = history.cluster
    if (sent.verb, sent.resource) != ("apply", resources.REPLICA_SETS):
        return ""
    if cluster.api.find(sent.resource, sent.namespace, sent.name) is not None:
        return ""
    if sent.name in history.lost:
        # It has its turn, if it needs one, since it was first made.
        history.lost.discard(sent.name)
        return ""
    (uid,) = owner_uids(sent.body)
    before, now = _ready(history.began_with), _ready(history.pods_seen())
    # One that has lost the label of its revision is reached by nobody.
    serves = any(
        history.owners.get(owner_of(pod)) == uid and name in now and names.hash_of(now[name])
        for name, pod in before.items()
    )
    if not serves:
        history.replaced.pop(uid, None)
        return ""
    history.look_around()
    others = [
        replacement.replica_set
        for other, replacement in history.replaced.items()
        if other != uid and _is_under_way(history, other, replacement)
    ]
    assert cluster.process is not None
    history.replaced[uid] = Replacement(sent.name, history.now, cluster.process)
    return "" if len(others) < SLOTS else f"{sent.name} is made beside {others}"


def keeps_secrets(history: History, sent: Sent) -> str:
    """What a Secret holds is in no other object."""
    if sent.resource == resources.SECRETS:
        return ""
    found = confidential_in(history.cluster, json.dumps(sent.body))
    return f"{sent.resource.plural} {sent.name} would hold {found}" if found else ""


def tells_of_its_own(history: History, sent: Sent) -> str:
    """A status names a pod that this very resource has had, and no generation to come."""
    if (sent.resource, sent.subresource) != (api.REPOSITORY_SERVERS, "status"):
        return ""
    server = history.cluster.api.find(sent.resource, sent.namespace, sent.name)
    version = sent.body["metadata"].get("resourceVersion")
    if version is None:
        return f"the status of {sent.name} is bound to no version"
    if server is None or version != server["metadata"]["resourceVersion"]:
        # That is a conflict.
        return ""
    told = sent.body["status"]
    pod = (told.get("serverInfo") or {}).get("podName")
    # The removed controller's until there is another one.
    before = {objects.REMOVED_STATUS["serverInfo"]["podName"]} if sent.name in TAKEN_OVER else set()
    if pod and pod not in before | history.pods.get(server["metadata"]["uid"], set()):
        return f"{pod} is not of {sent.name}"
    late = told["observedGeneration"] > server["metadata"]["generation"]
    return f"{sent.name} has no generation {told['observedGeneration']}" if late else ""


def tells_available_of_what_works(history: History, sent: Sent) -> str:
    """Available is told only of a server whose pod is Ready, or was until the endpoints follow."""
    if (sent.resource, sent.subresource) != (api.REPOSITORY_SERVERS, "status"):
        return ""
    conditions = sent.body["status"]["conditions"]
    if not is_true(conditions, status.AVAILABLE):
        ready = is_true(conditions, status.READY)
        return f"{sent.name} is told to be Ready and not Available" if ready else ""
    name = sent.body["status"]["serverInfo"].get("podName")
    right = _ready(history.began_with).keys() | _ready(history.pods_seen()).keys()
    return "" if name in right | history.began_routed else f"{sent.name} is told so by {name}"


def tells_the_version_of_its_pod(_history: History, sent: Sent) -> str:
    """A status has the version of Kopia of the very pod that it names."""
    if (sent.resource, sent.subresource) != (api.REPOSITORY_SERVERS, "status"):
        return ""
    info = sent.body["status"]["serverInfo"]
    found, pod = info.get("kopiaVersion"), info.get("podName") or ""
    return f"{sent.name} has {found} of {pod}" if found not in (None, version_in(pod)) else ""


OF_EACH_REQUEST: tuple[Callable[[History, Sent], str], ...] = (
    deletes_its_own,
    keeps_what_serves,
    lets_sessions_end,
    moves_to_what_works,
    keeps_to_slots,
    keeps_secrets,
    tells_of_its_own,
    tells_available_of_what_works,
    tells_the_version_of_its_pod,
)


def has_the_users_of_its_mark(history: History) -> str:
    """A Ready pod has the users that it is marked with, or counts as having, or later ones."""
    versions = list(history.versions)
    for pod in filter(podstatus.is_ready, history.cluster.api.list(resources.PODS)):
        life, mark = history.cluster.nodes.life(pod), names.users_of(pod)
        secret = f"repo-server-{server_of(pod)}-users"
        users = history.cluster.api.find(resources.SECRETS, objects.NAMESPACE, secret)
        kept = users is not None and history.owners.get(owner_of(pod)) == owner_of(users)
        if not mark and users is not None and kept and _written(users).are_loaded(pod):
            mark = _written(users).version
        if life is None or life.served is None or mark not in versions:
            continue
        since = [history.versions[version] for version in versions[versions.index(mark) :]]
        if not any(kopia_reads_the_same(life.served, lines) for lines in since):
            return f"{name_of(pod)} has not those of {mark}"
    return ""


def lets_in_who_should(history: History) -> str:
    """Who was taken out of the access Secret is let in by no pod, and who was put in is."""
    user = history.cluster.user
    for name, changed in history.users_changed.items():
        if history.now - max(changed, history.disturbed) < PATIENCE:
            continue
        if not all(map(user.is_right, user.accesses(name).values())):
            continue
        for pod in _answering(history.cluster, name):
            life, users = history.cluster.nodes.life(pod), user.passwords(name)
            if life is not None and life.served is not None and not lets_in(life.served, users):
                return f"{name_of(pod)} lets in others than {', '.join(users)}"
    return ""


def is_in_no_loop(history: History) -> str:
    """What is asked of the API server, and told in events, is in proportion to what happens."""
    last = history.since_last_look()
    most = BURST + last.changes * REQUESTS_A_CHANGE + last.seconds * REQUESTS_A_SECOND
    right = last.requests <= most and last.events <= BURST + last.changes
    return "" if right else str(last)


AT_ANY_TIME: tuple[Callable[[History], str], ...] = (
    has_the_users_of_its_mark,
    lets_in_who_should,
    is_in_no_loop,
)


def confidential_in(cluster: Cluster, text: str) -> str:
    """Return what a text holds of the user's Secrets."""
    return ", ".join(value for value in sorted(cluster.user.confidential) if value in text)


def _written(secret: Object) -> WrittenUsers:
    """Return the users that a Secret holds."""
    return WrittenUsers.of(clear(secret)[servercommands.USERS_VERSION_FILE], secret)


def _ready(pods: Mapping[str, Object]) -> dict[str, Object]:
    return {name: pod for name, pod in pods.items() if podstatus.is_ready(pod)}


def _taken_away(history: History, sent: Sent) -> list[Object]:
    """Return the pods that a request takes away whose time has to be waited for.

    That is so if the controller has seen that they are Ready, and not for the claim that they hold
    while another one waits for it.
    """
    seen = _ready(history.pods_seen())
    began = _ready(history.began_with)
    pods = [pod for name, pod in seen.items() if name in began]
    if (sent.verb, sent.resource) == ("delete", resources.PODS):
        return [pod for pod in pods if pod["metadata"]["uid"] == sent.uid]
    if sent.resource != resources.REPLICA_SETS:
        return []
    annotations = sent.body.get("metadata", {}).get("annotations") or {}
    if names.ANNOTATION_YIELDED in annotations:
        pods = [pod for pod in pods if not _is_waited_for(history, pod)]
    if sent.verb == "delete" or sent.body.get("spec", {}).get("replicas") == 0:
        uid = sent.uid or sent.body["metadata"].get("uid")
        return [pod for pod in pods if owner_of(pod) == uid]
    return []


def _is_waited_for(history: History, pod: Object) -> bool:
    """Return whether another pod of a server has waited long for the claim that a pod holds."""
    now = history.cluster.clock.now()
    waiting = (
        other
        for other in history.pods_seen().values()
        if server_of(other) == server_of(pod) and not podstatus.is_ready(other)
    )
    return bool(_claim(history, pod)) and any(
        (now - parse_time(other["metadata"]["creationTimestamp"])).total_seconds()
        >= plan.IN_PLACE_AFTER_SECONDS
        for other in waiting
    )


def _claim(history: History, pod: Object) -> str:
    """Return the claim of a pod of which the caches keep the node only."""
    found = history.cluster.api.find(resources.PODS, objects.NAMESPACE, name_of(pod))
    return "" if found is None else claim_of(found)


def _is_under_way(history: History, uid: str, replacement: Replacement) -> bool:
    """Return whether the pod of a replacement is certainly still to take over.

    A slot is released as soon as something goes wrong, however briefly.
    """
    servers = history.cluster.api.list(api.REPOSITORY_SERVERS)
    if uid not in {server["metadata"]["uid"] for server in servers}:
        return False
    found = history.cluster.api.find(
        resources.REPLICA_SETS, objects.NAMESPACE, replacement.replica_set
    )
    if found is None or not found["spec"]["replicas"]:
        return False
    began_well = replacement.since > max(history.disturbed, history.spoilt)
    age = history.now - replacement.since
    serves = bool(reached(history.cluster, names.split_versioned(replacement.replica_set)[0]))
    goes_on = age < throttle.EXPIRY_SECONDS and replacement.by is history.cluster.process
    if not (began_well and serves and goes_on):
        return False
    pods = history.cluster.api.list(resources.PODS)
    made = [pod for pod in pods if owner_of(pod) == found["metadata"]["uid"]]
    if not made:
        # Its pod is about to be made.
        return age < max(REPLICA_SET_SECONDS)
    alone = len(made) == 1 and not plan.is_over(made[0])
    return alone and not podstatus.is_ready(made[0]) and podstatus.failed_since(made[0]) is None


def _answering(cluster: Cluster, name: str) -> list[Object]:
    """Return the pods of a server that let clients in, those that drain among them."""
    return [
        pod
        for pod in cluster.api.list(resources.PODS)
        if server_of(pod) == name and podstatus.answers(pod)
    ]
