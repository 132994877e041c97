"""What must hold in the end, of each server, when all is mended.

Each invariant returns a complaint, which is empty if it holds; its docstring is what holds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from controller.conditions import get_condition, is_true
from fakes import objects
from fakes.kopia import version_in
from fakes.simulation.repositories import ENTRIES
from fakes.simulation.user import FILES, MIRROR, NAMES, SELF_SIGNED, USERNAMES
from reconcilers import resources
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.caches import owner_uids
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.secrets import KEY_ADMIN_PASSWORD, KEY_CERTIFICATE
from reconcilers.repositoryserver.rollout import podstatus
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.verdict import STEPS
from unit.repositoryserver.simulation.history import (
    clear,
    name_of,
    owner_of,
    selected_by,
    server_of,
)
from unit.repositoryserver.simulation.tampering import BY_HAND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.resource import Object
    from fakes.simulation.cluster import Cluster

OWNED = (
    resources.SERVICES,
    resources.NETWORK_POLICIES,
    resources.SECRETS,
    resources.CRON_JOBS,
)


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
    right = pods == reached(cluster, name_of(server)) and names == [named]
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
    return "" if all(lets_in(lines, users) for lines in served) else str(served)


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


def has_its_children(cluster: Cluster, server: Object) -> str:
    """It has one ReplicaSet, Service, NetworkPolicy, its Secrets and CronJob, and nothing else."""
    name = name_of(server)
    wanted = {f"repo-server-{name}", f"repo-server-{name}-users"}
    wanted |= {
        name_of(one)
        for one in cluster.api.list(resources.REPLICA_SETS)
        if server["metadata"]["uid"] in owner_uids(one)
    }
    of_tls = {f"repo-server-{name}-tls", f"repo-server-{name}-ca"}
    wanted |= of_tls if name in SELF_SIGNED else set()
    maintained = "maintenance" in server["spec"]["repository"]
    wanted |= {f"repo-server-{name}-maintenance"} if maintained else set()
    wanted |= {f"repo-server-{name}-{suffix}" for suffix in _published(server)}
    found = {
        name_of(obj)
        for resource in OWNED
        for obj in cluster.api.list(resource)
        if server["metadata"]["uid"] in owner_uids(obj)
    }
    # A snapshot that is left with the ReplicaSet of a lost node's pod is in both.
    right = found == wanted and len(_replica_sets(cluster, server)) == 1
    return "" if right else f"{sorted(found)}, and not {sorted(wanted)}"


def makes_the_next_as_it_should(cluster: Cluster, server: Object) -> str:
    """What its next pods are made of, and those of its CronJob, has nothing that is by hand."""
    found = [
        name_of(one)
        for resource in (resources.REPLICA_SETS, resources.CRON_JOBS)
        for one in cluster.api.list(resource)
        if server["metadata"]["uid"] in owner_uids(one) and BY_HAND in json.dumps(one["spec"])
    ]
    return f"by hand: {found}" if found else ""


def publishes_what_is_asked_for(cluster: Cluster, server: Object) -> str:
    """What is published is the certificate of its pod, and a user with a password."""
    name, wanted, pods = name_of(server), _published(server), _pods_of(cluster, server)
    if len(pods) != 1:
        return "there is not one pod whose certificate it is"
    certificate = _made_of(cluster, pods[0])[0]
    for suffix in wanted:
        secret = f"repo-server-{name}-{suffix}"
        published = clear(cluster.api.get(resources.SECRETS, objects.NAMESPACE, secret))
        if published["tls.crt"] != certificate:
            return f"{secret} holds another certificate"
        if suffix == "connection" and name in SELF_SIGNED and not _vouches(published):
            return f"{secret} holds an authority that has not signed the certificate"
    profile = cluster.api.find(resources.PROFILES, objects.NAMESPACE, f"repo-server-{name}")
    if profile is None or "profile" not in wanted:
        return "" if (profile is None) == ("profile" not in wanted) else f"{profile}"
    known = profile["credential"]["kopiaServerSecret"]
    reference = known["userPassphrase"]
    access = cluster.api.get(resources.SECRETS, objects.NAMESPACE, reference["secret"]["name"])
    password = clear(access)[reference["key"]]
    user = f"{known['username']}@{known['hostname']}"
    right = cluster.user.passwords(name).get(user) == password
    endpoint = f"https://repo-server-{name}.{objects.NAMESPACE}.svc:{api.PORT}"
    return "" if right and profile["location"]["endpoint"] == endpoint else str(profile)


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


def tells_the_version_of_its_pod(_cluster: Cluster, server: Object) -> str:
    """It has the version of Kopia in its pod."""
    info = (server.get("status") or {}).get("serverInfo") or {}
    right = info.get("kopiaVersion") == version_in(info.get("podName") or "")
    return "" if right else str(info)


IN_THE_END: tuple[Callable[[Cluster, Object], str], ...] = (
    is_ready,
    has_one_pod,
    is_made_of_its_inputs,
    lets_in_its_users,
    bears_its_labels,
    has_its_children,
    makes_the_next_as_it_should,
    publishes_what_is_asked_for,
    protects_its_pods,
    leaves_the_users_of_others,
    tells_of_its_repository,
    tells_the_version_of_its_pod,
)


def reached(cluster: Cluster, name: str) -> list[Object]:
    """Return the pods that clients reach by the Service of a server."""
    service = cluster.api.find(resources.SERVICES, objects.NAMESPACE, f"repo-server-{name}")
    found = [] if service is None else selected_by(service, cluster.api.list(resources.PODS))
    return [pod for pod in found if podstatus.is_ready(pod)]


def lets_in(served: str, passwords: Mapping[str, str]) -> bool:
    """Return whether lines let in the users with their passwords, and nobody else."""
    found = htpasswd.entries(served)
    return found.keys() == passwords.keys() and all(
        htpasswd.verify(passwords[user], hash_) for user, hash_ in found.items()
    )


def _pods_of(cluster: Cluster, server: Object) -> list[Object]:
    """Return the pods of a server, whoever owns them, but for what a lost node has left."""
    nodes = cluster.nodes
    return [
        pod
        for pod in cluster.api.list(resources.PODS)
        if server_of(pod) == name_of(server)
        and not ("deletionTimestamp" in pod["metadata"] and pod["spec"]["nodeName"] in nodes.silent)
    ]


def _published(server: Object) -> list[str]:
    """Return how the names of the Secrets end that a server publishes."""
    asked = server["spec"].get("publish") or {}
    ends = {"connection": "connection", "kanisterProfile": "profile"}
    return [end for field, end in ends.items() if asked.get(field) is not None]


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


def _vouches(published: Mapping[str, str]) -> bool:
    """Return whether a client that trusts the authority believes in the certificate."""
    authority, certificate = (
        x509.load_pem_x509_certificate(published.get(key, "").encode())
        for key in ("ca.crt", "tls.crt")
    )
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, InvalidSignature):
        return False
    return True


def _made_of(cluster: Cluster, pod: Object) -> tuple[str, str, str, str | None]:
    """Return certificate, administrator's password, image and override of a pod."""
    # A pod that should be gone may have lost it.
    secret = cluster.api.find(resources.SECRETS, objects.NAMESPACE, names.maker_of(pod))
    snapshot = clear(secret or {})
    (container,) = pod["spec"]["containers"]
    level = next((one["value"] for one in container["env"] if one["name"] == "LEVEL"), None)
    certificate, password = snapshot.get(KEY_CERTIFICATE, ""), snapshot.get(KEY_ADMIN_PASSWORD, "")
    return certificate, password, container["image"], level


def _level(server: Object) -> str | None:
    override = server["spec"]["server"].get("podOverride")
    return override["containers"][0]["env"][0]["value"] if override else None


def _place(cluster: Cluster, name: str) -> tuple[str, ...]:
    """Return what tells the repository of a server from others."""
    location = cluster.user.inputs[f"{name}-location"].values
    root_path = cluster.user.specs[name]["repository"]["rootPath"]
    return location.get("bucket", ""), location.get("claimName", ""), root_path
