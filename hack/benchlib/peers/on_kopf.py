"""The peer on kopf: does what the controller does, as far as Kubernetes goes.

Run by `kopf run`; `hack/bench scale` measures the two side by side. Handlers are coroutines, and
events of children update the status of their owner.

What is there is kept in dictionaries, filled before kopf's own watches begin, and not in kopf's
indices: there every object waits until all are indexed, and each that is indexed wakes all that
wait, so that a start with 6000 objects keeps a core busy for minutes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import kopf
import yaml
from prometheus_client import Counter, Gauge, start_http_server

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP, VERSION, PLURAL = "cr.kanister.io", "v1alpha1", "repositoryservers"
MANAGER = "bench-peer"
MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "cr.kanister.io/repository-server"
DIGEST = "cr.kanister.io/digest"
APPLIED = "cr.kanister.io/applied"
STEPS = (
    "ServerSetup",
    "RepositoryConnected",
    "ServerInitialized",
    "ClientUserInitialized",
    "ServerRefreshed",
    "Available",
    "Ready",
)

IMAGE = os.environ["BENCH_PEER_IMAGE"]
METRICS_PORT = int(os.environ["BENCH_PEER_METRICS_PORT"])
# The work that goes on at once, as many as the other two have workers: kopf itself starts a task
# for every object, and its own limit (`worker_limit`) counts those that idle after their work too.
# Functions that are no coroutines would each go through a pool of threads.
CONNECTIONS = 10

OURS = {MANAGED_BY: MANAGER}
PATHS = {
    "networkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/{}",
    "secret": "/api/v1/namespaces/{}/secrets/{}",
    "users": "/api/v1/namespaces/{}/secrets/{}",
    "replicaSet": "/apis/apps/v1/namespaces/{}/replicasets/{}",
    "service": "/api/v1/namespaces/{}/services/{}",
}
PODS = "/api/v1/namespaces/{}/pods/"

KINDS = {
    "networkPolicy": "NetworkPolicy",
    "users": "Secret",
    "secret": "Secret",
    "replicaSet": "ReplicaSet",
    "service": "Service",
}

PAGE = 500
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

RECONCILES = Counter("bench_peer_reconciles", "Handlers that have run to their end")
SYNCED = Gauge("bench_peer_synced", "1 once all that is there is known")

Object = dict[str, Any]


def compact(path: Path) -> dict[str, str]:
    """Return the text of each child's template."""
    document = json.loads(path.read_text())
    return {name: json.dumps(obj, separators=(",", ":")) for name, obj in document.items()}


TEMPLATES = compact(Path(os.environ["BENCH_PEER_CHILDREN"]))


class Api:
    """Sends requests; kopf keeps its own client to itself."""

    def __init__(self, kubeconfig: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        pair = kubeconfig.with_suffix(".pem")
        pair.touch(mode=0o600)
        parts = (user["client-certificate-data"], user["client-key-data"])
        pair.write_bytes(b"\n".join(map(base64.b64decode, parts)))
        context.load_cert_chain(pair)
        pair.unlink()
        connector = aiohttp.TCPConnector(ssl=context, limit=CONNECTIONS)
        self._session = aiohttp.ClientSession(base_url=cluster["server"], connector=connector)

    async def get(self, path: str) -> Object:
        """Return an object."""
        async with self._session.get(path, raise_for_status=True) as response:
            found: Object = await response.json()
            return found

    async def list(self, path: str, accept: str) -> list[Object]:
        """Return what a collection has."""
        found: list[Object] = []
        parameters = {"limit": str(PAGE)}
        headers = {"Accept": accept}
        while True:
            async with self._session.get(
                path, params=parameters, headers=headers, raise_for_status=True
            ) as response:
                page = await response.json()
            found += page["items"] or ()
            if not (rest := page["metadata"].get("continue")):
                return found
            parameters["continue"] = rest

    async def apply(self, path: str, body: Object) -> Object:
        """Apply an object on the server's side, and return it as it is then."""
        parameters = {"fieldManager": MANAGER, "force": "true"}
        return await self._patch(path, body, "application/apply-patch+yaml", parameters)

    async def merge(self, path: str, body: Object) -> None:
        """Patch an object."""
        await self._patch(path, body, "application/merge-patch+json", {})

    async def _patch(
        self, path: str, body: Object, content_type: str, parameters: dict[str, str]
    ) -> Object:
        async with self._session.patch(
            path,
            params=parameters,
            data=json.dumps(body),
            headers={"Content-Type": content_type},
            raise_for_status=True,
        ) as response:
            patched: Object = await response.json()
            return patched


class Cache:
    """What is there, as far as it is used.

    Attributes:
        servers: by name.
        versions: of the users' Secrets, by name.
        children: how each was applied, by kind and name.
        pods: the name of the pod that is Ready, by that of its ReplicaSet.
    """

    def __init__(self) -> None:
        self.servers: dict[str, Object] = {}
        self.versions: dict[str, str] = {}
        self.children: dict[tuple[str, str], str | None] = {}
        self.pods: dict[str, str] = {}

    async def fill(self, api: Api, namespace: str) -> None:
        """List the children and the Secrets."""
        for template in ("networkPolicy", "secret", "service", "replicaSet"):
            kind, path = KINDS[template], PATHS[template]
            for item in await api.list(path.format(namespace, ""), METADATA_ONLY):
                manager = item["metadata"].get("labels", {}).get(MANAGED_BY)
                if manager == MANAGER:
                    self.keep_child(kind, item)
                elif kind == "Secret" and manager is None:
                    self.keep_version(item)
        # Whether a pod is Ready is in its status.
        for item in await api.list(PODS.format(namespace), "application/json"):
            if item["metadata"].get("labels", {}).get(MANAGED_BY) == MANAGER:
                self.keep_pod(item)

    def keep_server(self, body: Mapping[str, Any]) -> None:
        """Keep a server."""
        fields = ("apiVersion", "kind", "spec", "status")
        kept = {field: body[field] for field in fields if field in body}
        names = ("name", "namespace", "uid", "generation")
        metadata = {field: body["metadata"][field] for field in names}
        self.servers[metadata["name"]] = {**kept, "metadata": metadata}

    def keep_version(self, body: Mapping[str, Any]) -> None:
        """Keep which version of a Secret there is."""
        self.versions[body["metadata"]["name"]] = body["metadata"]["resourceVersion"]

    def keep_child(self, kind: str, body: Mapping[str, Any]) -> None:
        """Keep a child."""
        metadata = body["metadata"]
        self.children[kind, metadata["name"]] = metadata.get("annotations", {}).get(APPLIED)

    def keep_pod(self, body: Mapping[str, Any], *, gone: bool = False) -> None:
        """Keep a pod as long as it is Ready."""
        metadata = body["metadata"]
        name, labels = metadata["name"], metadata["labels"]
        replica_set = f"{labels[INSTANCE]}-{labels[DIGEST]}"
        conditions = body.get("status", {}).get("conditions", [])
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
        if ready and not gone and not metadata.get("deletionTimestamp"):
            self.pods[replica_set] = name
        elif self.pods.get(replica_set) == name:
            del self.pods[replica_set]


@kopf.on.startup()
async def startup(*, settings: kopf.OperatorSettings, memo: kopf.Memo, **_: object) -> None:
    """Set kopf up, and open what is used besides it."""
    settings.scanning.disabled = True
    settings.watching.initial_streaming = True
    memo.api = Api(Path(os.environ["KUBECONFIG"]))
    memo.cache = Cache()
    await memo.cache.fill(memo.api, os.environ["BENCH_PEER_NAMESPACE"])
    # What is remembered of the Secrets once they were read, by name of the server.
    memo.known = {}
    memo.turn = asyncio.Semaphore(CONNECTIONS)
    start_http_server(METRICS_PORT, addr="127.0.0.1")


@kopf.on.event(GROUP, VERSION, PLURAL)
async def server_seen(
    *,
    type: str | None,  # noqa: A002 - kopf's name
    name: str,
    body: kopf.Body,
    memo: kopf.Memo,
    **_: object,
) -> None:
    """Keep what is used of each server; runs before the handlers of its changes."""
    if type == "DELETED":
        memo.cache.servers.pop(name, None)
    else:
        memo.cache.keep_server(body)


@kopf.on.create(GROUP, VERSION, PLURAL)
@kopf.on.update(GROUP, VERSION, PLURAL)
@kopf.on.resume(GROUP, VERSION, PLURAL)
async def reconcile(*, name: str, patch: kopf.Patch, memo: kopf.Memo, **_: object) -> None:
    """Bring the children of a server to what they should be, and tell so."""
    SYNCED.set(1)
    async with memo.turn:
        status = await bring_about(memo.cache.servers[name], memo)
    if status is not None:
        patch.status.update(status)
    RECONCILES.inc()


@kopf.on.event("networkpolicies", labels=OURS)
@kopf.on.event("secrets", labels=OURS)
@kopf.on.event("services", labels=OURS)
@kopf.on.event("replicasets", labels=OURS)
@kopf.on.event("pods", labels=OURS)
async def child_changed(
    *,
    type: str | None,  # noqa: A002 - kopf's name
    resource: kopf.Resource,
    body: kopf.Body,
    labels: kopf.Labels,
    memo: kopf.Memo,
    **_: object,
) -> None:
    """Look at the server whose child has changed; what was there at the start needs no look."""
    if resource.kind == "Pod":
        memo.cache.keep_pod(body, gone=type == "DELETED")
    elif type == "DELETED":
        memo.cache.children.pop((resource.kind, body["metadata"]["name"]), None)
    else:
        memo.cache.keep_child(resource.kind, body)
    server = memo.cache.servers.get(labels[INSTANCE])
    if server is None or type not in {"MODIFIED", "DELETED"}:
        return
    async with memo.turn:
        status = await bring_about(server, memo)
        if status is not None:
            metadata = server["metadata"]
            path = f"/apis/{GROUP}/{VERSION}/namespaces/{metadata['namespace']}/{PLURAL}"
            await memo.api.merge(f"{path}/{metadata['name']}/status", {"status": status})
            if status["progress"] == "Ready":
                kopf.event(server, type="Normal", reason="ServerReady", message="Ready")


@kopf.on.event("secrets", labels={MANAGED_BY: kopf.ABSENT})
async def secret_changed(
    *,
    type: str | None,  # noqa: A002 - kopf's name
    name: str,
    body: kopf.Body,
    memo: kopf.Memo,
    **_: object,
) -> None:
    """Look at the servers that refer to a changed Secret."""
    if type == "DELETED":
        memo.cache.versions.pop(name, None)
    else:
        memo.cache.keep_version(body)
    if type != "MODIFIED":
        return
    for server in list(memo.cache.servers.values()):
        if name in inputs(server):
            async with memo.turn:
                await bring_about(server, memo)


async def bring_about(server: Object, memo: kopf.Memo) -> Object | None:
    """Apply the children that are not as they should be, and return the status if it is new."""
    metadata = server["metadata"]
    name = metadata["name"]
    words = {
        "$NAMESPACE": metadata["namespace"],
        "$NAME": name,
        "$UID": metadata["uid"],
        "$MANAGER": MANAGER,
        "$IMAGE": IMAGE,
    }
    stable = f"repo-server-{name}"
    await ensure(memo, "networkPolicy", stable, words)
    seen = tuple(memo.cache.versions.get(ref) for ref in inputs(server))
    known = memo.known.get(name)
    versioned = f"{name}-{known['$DIGEST']}" if known else ""
    there = {("Secret", versioned), ("Secret", f"{stable}-users")} <= memo.cache.children.keys()
    if known is None or known["seen"] != seen or not there:
        secrets = [await read(memo, metadata["namespace"], ref) for ref in inputs(server)]
        data, known = secret_data(server, secrets)
        known["seen"] = seen
        versioned = f"{name}-{known['$DIGEST']}"
        words |= {key: value for key, value in known.items() if key.startswith("$")}
        await ensure(memo, "users", f"{stable}-users", words | data)
        await ensure(memo, "secret", versioned, words | data)
        memo.known[name] = known
    words |= {key: value for key, value in known.items() if key.startswith("$")}
    if await ensure(memo, "replicaSet", versioned, words):
        message = f"created ReplicaSet {versioned}"
        kopf.event(server, type="Normal", reason="RevisionCreated", message=message)
    await ensure(memo, "service", stable, words)
    pod = memo.cache.pods.get(versioned, "")
    status = new_status(server, known, pod=pod, stable=stable)
    if status is not None:
        # Whoever looks next need not write it again.
        server["status"] = status
    return status


async def ensure(memo: kopf.Memo, template: str, name: str, words: dict[str, str]) -> bool:
    """Apply a child unless the cached one is as it should be; return whether it was applied."""
    text = TEMPLATES[template]
    # The longest first: $NAME begins $NAMESPACE.
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, words[word])
    applied = hashlib.sha256(text.encode()).hexdigest()[:10]
    if memo.cache.children.get((KINDS[template], name)) == applied:
        return False
    body = json.loads(text)
    body["metadata"].setdefault("annotations", {})[APPLIED] = applied
    made = await memo.api.apply(PATHS[template].format(words["$NAMESPACE"], name), body)
    memo.cache.keep_child(KINDS[template], made)
    return True


async def read(memo: kopf.Memo, namespace: str, name: str) -> dict[str, str]:
    """Return the data of a Secret, still encoded."""
    found: dict[str, str] = (await memo.api.get(PATHS["secret"].format(namespace, name)))["data"]
    return found


def inputs(server: Object) -> list[str]:
    """Return the names of the Secrets that a server refers to."""
    spec = server["spec"]
    refs = (
        spec["storage"]["secretRef"],
        spec["repository"]["passwordSecretRef"],
        spec["server"]["adminSecretRef"],
        spec["server"]["tlsSecretRef"],
        spec["server"]["userAccess"]["userAccessSecretRef"],
    )
    return [ref["name"] for ref in refs]


def secret_data(
    server: Object, secrets: list[dict[str, str]]
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return what the templates need of the Secrets, and what may be remembered of them."""
    location, password, admin, tls, users = secrets
    text = {key: base64.b64decode(value).decode() for key, value in location.items()}
    metadata = server["metadata"]
    root_path = server["spec"]["repository"]["rootPath"]
    directory = f"/mnt/data/{text['prefix']}/{root_path}/"
    config = {
        "storage": {"type": "filesystem", "config": {"path": directory}},
        "caching": {
            "cacheDirectory": "/cache",
            "maxCacheSize": 1,
            "contentCacheSizeLimitBytes": 1,
            "maxMetadataCacheSize": 500000000,
            "metadataCacheSizeLimitBytes": 500000000,
            "maxListCacheDuration": 30,
        },
        "hostname": f"{metadata['name']}.{metadata['namespace']}",
        "username": "repository-server",
        "enableActions": False,
    }
    data = {
        "$CONFIG": base64.b64encode(json.dumps(config).encode()).decode(),
        "$REPOSITORY_PASSWORD": password["repo-password"],
        "$ADMIN_USERNAME": admin["username"],
        "$ADMIN_PASSWORD": admin["password"],
        "$CERTIFICATE": tls["tls.crt"],
        "$PRIVATE_KEY": tls["tls.key"],
    }
    certificate = ssl.PEM_cert_to_DER_cert(base64.b64decode(tls["tls.crt"]).decode())
    htpasswd = users_file(server, users)
    version = hashlib.sha256(htpasswd.encode()).hexdigest()[:10]
    known = {
        "$DIGEST": hashlib.sha256("\0".join(data.values()).encode()).hexdigest()[:10],
        "$FINGERPRINT": hashlib.sha256(certificate).hexdigest(),
        "$CLAIM": text["claimName"],
        "$DIRECTORY": directory,
        "$USERS": version,
        "$USERS_ENCODED": base64.b64encode(version.encode()).decode(),
    }
    data["$HTPASSWD"] = base64.b64encode(htpasswd.encode()).decode()
    return data, known


def users_file(server: Object, users: dict[str, str]) -> str:
    """Return the users with their salted hashes, as Kopia reads them."""
    username = server["spec"]["server"]["userAccess"]["username"]
    lines = []
    for host, password in sorted(users.items()):
        salt = hashlib.sha256(f"{server['metadata']['uid']}{host}".encode()).digest()[:16]
        hash_ = hashlib.sha1(base64.b64decode(password) + salt).digest()  # noqa: S324 - Kopia's
        lines.append(f"{username}@{host}:{{SSHA}}{base64.b64encode(hash_ + salt).decode()}\n")
    return "".join(lines)


def new_status(server: Object, known: dict[str, Any], *, pod: str, stable: str) -> Object | None:
    """Return the status of a server, or None if it is the present one.

    Args:
        server: The resource.
        known: What is remembered of its Secrets.
        pod: Its pod that is Ready; empty if there is none.
        stable: Name of the Service and the NetworkPolicy.
    """
    progress = "Ready" if pod else "Pending"
    before = server.get("status", {})
    if before.get("progress") == progress:
        return None
    # The time of a condition: the API server asks for one, and a peer may take its own.
    condition = {
        "status": "True" if pod else "Unknown",
        "reason": "Succeeded" if pod else "Pending",
        "message": "the server's pod and what belongs to it are in place",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": server["metadata"]["generation"],
    }
    return {
        "conditions": [{"type": step, **condition} for step in STEPS],
        "progress": progress,
        "observedGeneration": server["metadata"]["generation"],
        "serverInfo": {
            "podName": pod,
            "serviceName": stable,
            "networkPolicyName": stable,
            "tlsFingerprint": known["$FINGERPRINT"],
        },
    }
