"""What must hold: of each request, at any time, and in the end.

Each invariant returns a complaint, which is empty if it holds; its docstring is what holds. The
controller is judged by what it could know: a pass may go on from pods as they were when it began.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from controller.conditions import get_condition, is_true
from fakes import objects
from fakes.simulation.cluster import TURNS
from fakes.simulation.repositories import ENTRIES
from fakes.simulation.user import FILES, MIRROR, NAMES, SELF_SIGNED, USERNAMES
from reconcilers import resources
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver import api, servercommands
from reconcilers.repositoryserver.caches import owner_uids
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.children.secrets import KEY_ADMIN_PASSWORD, KEY_CERTIFICATE
from reconcilers.repositoryserver.rollout import plan, podstatus, throttle
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.users.userfile import kopia_reads_the_same
from reconcilers.repositoryserver.verdict import STEPS
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


# Of each request.


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
    owners = {history.owners.get(uid, uid) for uid in owner_uids(obj)}
    # One that has lost its owner this very moment is ours by its labels.
    return (
        "" if ours and (not owners or history.servers & owners) else f"{sent.name} is none of ours"
    )


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
        if selected is None:
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
    digest = sent.body["spec"]["selector"][names.LABEL_DIGEST]
    ready = {**before, **now}.values()
    wanted = [pod for pod in ready if names.digest_of(pod) == digest]
    if not left or selected_by(sent.body, left):
        return ""
    if not wanted:
        return f"{sent.name} leaves {name_of(left[0])} for nothing that is Ready"
    secret = f"{sent.name}-users"
    users = history.cluster.api.find(resources.SECRETS, objects.NAMESPACE, secret)
    right = users is None or _written(users).are_loaded(wanted[0])
    mark = names.users_of(wanted[0])
    return "" if right else f"{name_of(wanted[0])} has users of before: {mark}"


def takes_turns(history: History, sent: Sent) -> str:
    """Of servers that serve no more are replaced at once than have a turn."""
    cluster = history.cluster
    if (sent.verb, sent.resource) != ("apply", resources.REPLICA_SETS):
        return ""
    if cluster.api.find(sent.resource, sent.namespace, sent.name) is not None:
        return ""
    (uid,) = owner_uids(sent.body)
    before, now = _ready(history.began_with), _ready(history.pods_seen())
    serves = any(
        history.owners.get(owner_of(pod)) == uid and name in now for name, pod in before.items()
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
    return "" if len(others) < TURNS else f"{sent.name} is made beside {others}"


def keeps_secrets(history: History, sent: Sent) -> str:
    """What a Secret holds is in no other object."""
    if sent.resource == resources.SECRETS:
        return ""
    found = confidential_in(history.cluster, json.dumps(sent.body))
    return f"{sent.resource.plural} {sent.name} would hold {found}" if found else ""


def tells_of_its_own(history: History, sent: Sent) -> str:
    """A status names a pod that this very resource has had, and no generation to come."""
    if sent.subresource != "status":
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
    before = objects.REMOVED_STATUS["serverInfo"]["podName"]
    if pod and pod not in {before, *history.pods.get(server["metadata"]["uid"], ())}:
        return f"{pod} is not of {sent.name}"
    late = told["observedGeneration"] > server["metadata"]["generation"]
    return f"{sent.name} has no generation {told['observedGeneration']}" if late else ""


def tells_available_of_what_works(history: History, sent: Sent) -> str:
    """Available is told only of a server whose pod is Ready, or was until the endpoints follow."""
    if sent.subresource != "status":
        return ""
    conditions = sent.body["status"]["conditions"]
    if not is_true(conditions, status.AVAILABLE):
        ready = is_true(conditions, status.READY)
        return f"{sent.name} is told to be Ready and not Available" if ready else ""
    name = sent.body["status"]["serverInfo"].get("podName")
    right = _ready(history.began_with).keys() | _ready(history.pods_seen()).keys()
    return "" if name in right | history.began_routed else f"{sent.name} is told so by {name}"


OF_EACH_REQUEST: tuple[Callable[[History, Sent], str], ...] = (
    deletes_its_own,
    keeps_what_serves,
    lets_sessions_end,
    moves_to_what_works,
    takes_turns,
    keeps_secrets,
    tells_of_its_own,
    tells_available_of_what_works,
)


# At any time.


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
            if life is not None and life.served is not None and not _lets_in(life.served, users):
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


# In the end, of each server.


def is_ready(_cluster: Cluster, server: Object) -> str:
    """It is Ready, as of its last edit."""
    found = server.get("status") or {}
    conditions = found.get("conditions") or []
    if found.get("observedGeneration") != server["metadata"]["generation"]:
        return "it tells of another generation"
    missed = [type_ for type_ in (*STEPS, status.READY) if not is_true(conditions, type_)]
    return "; ".join(f"{type_}: {get_condition(conditions, type_)}" for type_ in missed)


def has_one_pod(cluster: Cluster, server: Object) -> str:
    """It has one pod, which is Ready, and which the Service selects and the status names."""
    pods = _pods_of(cluster, server)
    named = (server.get("status") or {}).get("serverInfo", {}).get("podName")
    names = [name_of(pod) for pod in pods]
    right = pods == _reached(cluster, name_of(server)) and names == [named]
    return "" if right else f"{names}, {named} in the status"


def is_made_of_its_inputs(cluster: Cluster, server: Object) -> str:
    """Its pod is made of the Secrets, the specification and the image of now."""
    pods = _pods_of(cluster, server)
    found = [_made_of(cluster, pod) for pod in pods]
    name = name_of(server)
    tls = f"repo-server-{name}-tls" if name in SELF_SIGNED else objects.TLS
    secret = cluster.api.get(resources.SECRETS, objects.NAMESPACE, tls)
    admin = cluster.user.inputs[objects.ADMIN].values["password"]
    assert cluster.process is not None
    wanted = (clear(secret)["tls.crt"], admin, cluster.process.image, _level(server))
    return "" if found == [wanted] else f"of {found}, and not {wanted}"


def lets_in_its_users(cluster: Cluster, server: Object) -> str:
    """Its pod lets in the users of the access Secret, and nobody else."""
    users = cluster.user.passwords(name_of(server))
    lives = [cluster.nodes.life(pod) for pod in _pods_of(cluster, server)]
    served = [life.served or "" for life in lives if life is not None]
    return "" if all(_lets_in(lines, users) for lines in served) else str(served)


def bears_its_labels(cluster: Cluster, server: Object) -> str:
    """Its pod bears the labels and annotations of the specification, and no former ones."""
    spec = server["spec"]["server"]
    labels, annotations = spec.get("podLabels") or {}, spec.get("podAnnotations") or {}
    wanted = (labels.get("team"), annotations.get("note"), name_of(server))
    found = [
        (
            pod["metadata"]["labels"].get("team"),
            pod["metadata"]["annotations"].get("note"),
            pod["metadata"]["labels"].get(names.LABEL_INSTANCE),
        )
        for pod in _pods_of(cluster, server)
    ]
    return "" if found == [wanted] else f"{found}, and not {wanted}"


OWNED = (
    resources.SERVICES,
    resources.NETWORK_POLICIES,
    resources.SECRETS,
    resources.CRON_JOBS,
)


def has_its_children(cluster: Cluster, server: Object) -> str:
    """It has one ReplicaSet, Service, NetworkPolicy, its Secrets and CronJob, and nothing else."""
    name = name_of(server)
    wanted = {f"repo-server-{name}", f"repo-server-{name}-users"}
    wanted |= {
        name_of(one)
        for one in cluster.api.list(resources.REPLICA_SETS)
        if server["metadata"]["uid"] in owner_uids(one)
    }
    wanted |= {f"repo-server-{name}-tls"} if name in SELF_SIGNED else set()
    maintained = "maintenance" in server["spec"]["repository"]
    wanted |= {f"repo-server-{name}-maintenance"} if maintained else set()
    found = {
        name_of(obj)
        for resource in OWNED
        for obj in cluster.api.list(resource)
        if server["metadata"]["uid"] in owner_uids(obj)
    }
    # A snapshot that is left with the ReplicaSet of a lost node's pod is in both.
    right = found == wanted and len(_replica_sets(cluster, server)) == 1
    return "" if right else f"{sorted(found)}, and not {sorted(wanted)}"


def _replica_sets(cluster: Cluster, server: Object) -> list[Object]:
    """Return the ReplicaSets of a server, but for those whose pod ends on a lost node."""
    found = cluster.api.list(resources.REPLICA_SETS)
    owned = [one for one in found if server["metadata"]["uid"] in owner_uids(one)]
    lost = {
        owner_of(pod)
        for pod in cluster.api.list(resources.PODS)
        if "deletionTimestamp" in pod["metadata"]
        and pod["spec"].get("nodeName") in cluster.nodes.silent
    }
    return [one for one in owned if one["spec"]["replicas"] or one["metadata"]["uid"] not in lost]


def protects_its_pods(cluster: Cluster, server: Object) -> str:
    """Its NetworkPolicy lets in the peers of the specification."""
    name = name_of(server)
    policy = cluster.api.find(resources.NETWORK_POLICIES, objects.NAMESPACE, f"repo-server-{name}")
    spec = {} if policy is None else policy["spec"]
    wanted = (server["spec"]["server"].get("networkPolicy") or {}).get("from", [])
    right = spec.get("podSelector") == {"matchLabels": {names.LABEL_INSTANCE: name}}
    return "" if right and spec["ingress"][0]["from"][1:] == wanted else str(spec)


def leaves_the_users_of_others(cluster: Cluster, server: Object) -> str:
    """It has counted the users in its repository, where all but its legacy user are still there."""
    found = (server.get("status") or {}).get("repositoryUsers")
    lives = [cluster.nodes.life(pod) for pod in _pods_of(cluster, server)]
    opened = [life.repository for life in lives if life is not None]
    entries = {user for repository in opened if repository is not None for user in repository.users}
    # Two servers are taken over from the removed controller, one of them beside another server.
    legacy = USERNAMES[FILES if name_of(server) == FILES else MIRROR]
    right = found in (len(ENTRIES), len(ENTRIES) - 1) and entries >= ENTRIES - {f"{legacy}@app"}
    return "" if right else f"{found} counted, and {entries} in the repository"


def tells_of_its_repository(cluster: Cluster, server: Object) -> str:
    """It names the other servers on its repository, and warns of no lack of maintenance."""
    conditions = (server.get("status") or {}).get("conditions") or []
    name, place = name_of(server), _place(cluster, name_of(server))
    others = [other for other in NAMES if other != name and _place(cluster, other) == place]
    shared = get_condition(conditions, status.REPOSITORY_SHARED) or {"status": "", "message": ""}
    told = shared["status"] == "True" and all(other in shared["message"] for other in others)
    if told != bool(others):
        return f"shared with {others}, and {shared}"
    if is_true(conditions, status.REPOSITORY_UNMAINTAINED):
        return "it warns of no maintenance"
    return ""


def _place(cluster: Cluster, name: str) -> tuple[str, ...]:
    """Return what tells the repository of a server from others."""
    location = cluster.user.inputs[f"{name}-location"].values
    root_path = cluster.user.specs[name]["repository"]["rootPath"]
    return location.get("bucket", ""), location.get("claimName", ""), root_path


IN_THE_END: tuple[Callable[[Cluster, Object], str], ...] = (
    is_ready,
    has_one_pod,
    is_made_of_its_inputs,
    lets_in_its_users,
    bears_its_labels,
    has_its_children,
    protects_its_pods,
    leaves_the_users_of_others,
    tells_of_its_repository,
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

    That is so if the controller has seen that they are Ready, and not for the claim that they hold.
    """
    seen = _ready(history.pods_seen())
    began = _ready(history.began_with)
    pods = [pod for name, pod in seen.items() if name in began]
    if (sent.verb, sent.resource) == ("delete", resources.PODS):
        return [pod for pod in pods if pod["metadata"]["uid"] == sent.uid]
    if sent.resource != resources.REPLICA_SETS:
        return []
    annotations = sent.body.get("metadata", {}).get("annotations") or {}
    if {names.ANNOTATION_YIELDED, names.ANNOTATION_GAVE_BACK} & annotations.keys():
        return []
    if sent.verb == "delete" or sent.body.get("spec", {}).get("replicas") == 0:
        uid = sent.uid or sent.body["metadata"].get("uid")
        return [pod for pod in pods if owner_of(pod) == uid]
    return []


def _is_under_way(history: History, uid: str, replacement: Replacement) -> bool:
    """Return whether the pod of a replacement is certainly still to take over.

    A turn is given back as soon as something goes wrong, however briefly.
    """
    servers = history.cluster.api.list(api.REPOSITORY_SERVERS)
    if uid not in {server["metadata"]["uid"] for server in servers}:
        return False
    found = history.cluster.api.find(
        resources.REPLICA_SETS, objects.NAMESPACE, replacement.replica_set
    )
    if found is None or not found["spec"]["replicas"]:
        return False
    pods = history.cluster.api.list(resources.PODS)
    made = [pod for pod in pods if owner_of(pod) == found["metadata"]["uid"]]
    if len(made) != 1 or podstatus.is_ready(made[0]) or plan.is_over(made[0]):
        return False
    (pod,) = made
    began_well = replacement.since > max(history.disturbed, history.spoilt)
    young = history.now - replacement.since < throttle.EXPIRY_SECONDS
    alone = podstatus.failed_since(pod) is None and bool(_reached(history.cluster, server_of(pod)))
    return began_well and young and alone and replacement.by is history.cluster.process


def _pods_of(cluster: Cluster, server: Object) -> list[Object]:
    """Return the pods of a server, whoever owns them, but for what a lost node has left."""
    nodes = cluster.nodes
    return [
        pod
        for pod in cluster.api.list(resources.PODS)
        if server_of(pod) == name_of(server)
        and not ("deletionTimestamp" in pod["metadata"] and pod["spec"]["nodeName"] in nodes.silent)
    ]


def _reached(cluster: Cluster, name: str) -> list[Object]:
    """Return the pods that clients reach by the Service of a server."""
    service = cluster.api.find(resources.SERVICES, objects.NAMESPACE, f"repo-server-{name}")
    found = [] if service is None else selected_by(service, cluster.api.list(resources.PODS))
    return [pod for pod in found if podstatus.is_ready(pod)]


def _answering(cluster: Cluster, name: str) -> list[Object]:
    """Return the pods of a server that let clients in, those that drain among them."""
    return [
        pod
        for pod in cluster.api.list(resources.PODS)
        if server_of(pod) == name and podstatus.answers(pod)
    ]


def _lets_in(served: str, passwords: Mapping[str, str]) -> bool:
    """Return whether lines let in the users with their passwords, and nobody else."""
    found = htpasswd.entries(served)
    return found.keys() == passwords.keys() and all(
        htpasswd.verify(passwords[user], hash_) for user, hash_ in found.items()
    )


def _made_of(cluster: Cluster, pod: Object) -> tuple[str, str, str, str | None]:
    """Return certificate, administrator's password, image and override of a pod."""
    (owner,) = pod["metadata"]["ownerReferences"]
    secret = cluster.api.get(resources.SECRETS, objects.NAMESPACE, owner["name"])
    snapshot = clear(secret)
    (container,) = pod["spec"]["containers"]
    level = next((one["value"] for one in container["env"] if one["name"] == "LEVEL"), None)
    certificate = snapshot[KEY_CERTIFICATE]
    return certificate, snapshot[KEY_ADMIN_PASSWORD], container["image"], level


def _level(server: Object) -> str | None:
    override = server["spec"]["server"].get("podOverride")
    return override["containers"][0]["env"][0]["value"] if override else None
