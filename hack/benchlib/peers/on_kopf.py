"""The peer on kopf: does what the controller does, as far as Kubernetes goes.

Run by `kopf run`; `hack/bench scale` measures the two side by side. Handlers are coroutines, the
caches are kopf's indices, and events of children update the status of their owner.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import yaml
from prometheus_client import Counter, Gauge, start_http_server

GROUP, VERSION, PLURAL = "cr.kanister.io", "v1alpha1", "repositoryservers"
MANAGER = "bench-peer"
MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "cr.kanister.io/repository-server"
APPLIED = "cr.kanister.io/applied"
STEPS = (
    "ServerSetup",
    "RepositoryConnected",
    "ServerInitialized",
    "ClientUserInitialized",
    "ServerRefreshed",
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
    "pod": "/api/v1/namespaces/{}/pods/{}",
    "service": "/api/v1/namespaces/{}/services/{}",
}

KINDS = {
    "networkPolicy": "NetworkPolicy",
    "users": "Secret",
    "secret": "Secret",
    "pod": "Pod",
    "service": "Service",
}

RECONCILES = Counter("bench_peer_reconciles", "Handlers that have run to their end")
SYNCED = Gauge("bench_peer_synced", "1 once all indices are filled")

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

    async def apply(self, path: str, body: Object) -> None:
        """Apply an object on the server's side."""
        parameters = {"fieldManager": MANAGER, "force": "true"}
        await self._patch(path, body, "application/apply-patch+yaml", parameters)

    async def merge(self, path: str, body: Object) -> None:
        """Patch an object."""
        await self._patch(path, body, "application/merge-patch+json", {})

    async def _patch(
        self, path: str, body: Object, content_type: str, parameters: dict[str, str]
    ) -> None:
        async with self._session.patch(
            path,
            params=parameters,
            data=json.dumps(body),
            headers={"Content-Type": content_type},
            raise_for_status=True,
        ) as response:
            await response.read()


@kopf.on.startup()
async def startup(*, settings: kopf.OperatorSettings, memo: kopf.Memo, **_: object) -> None:
    """Set kopf up, and open what is used besides it."""
    settings.scanning.disabled = True
    memo.api = Api(Path(os.environ["KUBECONFIG"]))
    # What is remembered of the Secrets once they were read, by name of the server.
    memo.known = {}
    memo.turn = asyncio.Semaphore(CONNECTIONS)
    start_http_server(METRICS_PORT, addr="127.0.0.1")


@kopf.index(GROUP, VERSION, PLURAL)
async def servers(*, name: str, body: kopf.Body, **_: object) -> Object:
    """Keep what is used of each server."""
    fields = ("apiVersion", "kind", "metadata", "spec", "status")
    kept = {field: body[field] for field in fields if field in body}
    metadata = ("name", "namespace", "uid", "generation")
    return {name: {**kept, "metadata": {field: body["metadata"][field] for field in metadata}}}


@kopf.index("secrets", labels={MANAGED_BY: kopf.ABSENT})
async def versions(*, name: str, meta: kopf.Meta, **_: object) -> Object:
    """Keep the versions of the users' Secrets."""
    return {name: meta["resourceVersion"]}


@kopf.index("networkpolicies", labels=OURS)
@kopf.index("secrets", labels=OURS)
@kopf.index("services", labels=OURS)
@kopf.index("pods", labels=OURS)
async def children(
    *, resource: kopf.Resource, name: str, body: kopf.Body, **_: object
) -> dict[tuple[str, str], tuple[str, bool]]:
    """Keep of each child how it was applied and whether it is Ready."""
    conditions = body.get("status", {}).get("conditions", [])
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return {(resource.kind, name): (body.metadata.annotations.get(APPLIED), ready)}


@kopf.on.create(GROUP, VERSION, PLURAL)
@kopf.on.update(GROUP, VERSION, PLURAL)
@kopf.on.resume(GROUP, VERSION, PLURAL)
async def reconcile(
    *,
    body: kopf.Body,
    patch: kopf.Patch,
    memo: kopf.Memo,
    versions: kopf.Index[str, str],
    children: kopf.Index[tuple[str, str], tuple[str, bool]],
    **_: object,
) -> None:
    """Bring the children of a server to what they should be, and tell so."""
    SYNCED.set(1)
    async with memo.turn:
        status = await bring_about(dict(body), memo, versions, children)
    if status is not None:
        patch.status.update(status)
    RECONCILES.inc()


@kopf.on.event("networkpolicies", labels=OURS)
@kopf.on.event("secrets", labels=OURS)
@kopf.on.event("services", labels=OURS)
@kopf.on.event("pods", labels=OURS)
async def child_changed(
    *,
    type: str | None,  # noqa: A002 - kopf's name
    labels: kopf.Labels,
    memo: kopf.Memo,
    servers: kopf.Index[str, Object],
    versions: kopf.Index[str, str],
    children: kopf.Index[tuple[str, str], tuple[str, bool]],
    **_: object,
) -> None:
    """Look at the server whose child has changed; what was there at the start needs no look."""
    if type not in {"MODIFIED", "DELETED"}:
        return
    for server in servers.get(labels[INSTANCE], ()):
        async with memo.turn:
            status = await bring_about(server, memo, versions, children)
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
    memo: kopf.Memo,
    servers: kopf.Index[str, Object],
    versions: kopf.Index[str, str],
    children: kopf.Index[tuple[str, str], tuple[str, bool]],
    **_: object,
) -> None:
    """Look at the servers that refer to a changed Secret."""
    if type != "MODIFIED":
        return
    for store in list(servers.values()):
        for server in store:
            if name in inputs(server):
                async with memo.turn:
                    await bring_about(server, memo, versions, children)


async def bring_about(
    server: Object,
    memo: kopf.Memo,
    versions: kopf.Index[str, str],
    children: kopf.Index[tuple[str, str], tuple[str, bool]],
) -> Object | None:
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
    await ensure(memo, children, "networkPolicy", stable, words)
    seen = tuple(version for ref in inputs(server) for version in versions.get(ref, ()))
    known = memo.known.get(name)
    versioned = f"{name}-{known['$DIGEST']}" if known else ""
    there = {("Secret", versioned), ("Secret", f"{stable}-users")} <= children.keys()
    if known is None or known["seen"] != seen or not there:
        secrets = [await read(memo, metadata["namespace"], ref) for ref in inputs(server)]
        data, known = secret_data(server, secrets)
        known["seen"] = seen
        versioned = f"{name}-{known['$DIGEST']}"
        words |= {key: value for key, value in known.items() if key.startswith("$")}
        await ensure(memo, children, "users", f"{stable}-users", words | data)
        await ensure(memo, children, "secret", versioned, words | data)
        memo.known[name] = known
    words |= {key: value for key, value in known.items() if key.startswith("$")}
    if await ensure(memo, children, "pod", versioned, words):
        kopf.event(server, type="Normal", reason="PodCreated", message=f"created pod {versioned}")
    await ensure(memo, children, "service", stable, words)
    ready = any(is_ready for _, is_ready in children.get(("Pod", versioned), ()))
    return new_status(server, known, ready=ready, pod=versioned, stable=stable)


async def ensure(
    memo: kopf.Memo,
    children: kopf.Index[tuple[str, str], tuple[str, bool]],
    template: str,
    name: str,
    words: dict[str, str],
) -> bool:
    """Apply a child unless the cached one is as it should be; return whether it was applied."""
    text = TEMPLATES[template]
    # The longest first: $NAME begins $NAMESPACE.
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, words[word])
    applied = hashlib.sha256(text.encode()).hexdigest()[:10]
    if any(there == applied for there, _ in children.get((KINDS[template], name), ())):
        return False
    body = json.loads(text)
    body["metadata"].setdefault("annotations", {})[APPLIED] = applied
    await memo.api.apply(PATHS[template].format(words["$NAMESPACE"], name), body)
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
    config = {
        "storage": {
            "type": "filesystem",
            "config": {
                "path": f"/mnt/data/{text['prefix']}/{server['spec']['repository']['rootPath']}/"
            },
        },
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


def new_status(
    server: Object, known: dict[str, Any], *, ready: bool, pod: str, stable: str
) -> Object | None:
    """Return the status of a server, or None if it is the present one."""
    progress = "Ready" if ready else "Pending"
    before = server.get("status", {})
    if before.get("progress") == progress:
        return None
    # The time of a condition: the API server asks for one, and a peer may take its own.
    condition = {
        "status": "True" if ready else "Unknown",
        "reason": "Succeeded" if ready else "Pending",
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
