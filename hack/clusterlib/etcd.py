"""Asks a cluster's etcd, by the JSON that it takes for gRPC (api-reference: KV)."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any

from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from clusterlib.state import Record, State

TIMEOUT_SECONDS = 10.0
NO_ANSWER = "etcd of cluster {name} does not do {path}: {error}"


def compact(state: State, record: Record) -> int:
    """Forget all revisions before the newest.

    Args:
        state: the cluster's files.
        record: what it is.

    Returns:
        The newest revision: who watches from an older one is refused.

    Raises:
        ClusterError: etcd does not answer, or refuses.
    """
    any_key = base64.b64encode(b"\0").decode()
    found = _ask(state, record, "/v3/kv/range", {"key": any_key, "count_only": True})
    revision = int(found["header"]["revision"])
    _ask(state, record, "/v3/kv/compaction", {"revision": revision, "physical": True})
    return revision


def _ask(state: State, record: Record, path: str, body: dict[str, Any]) -> dict[str, Any]:
    authority = state.etcd_authority
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(authority.certificate_of("client"), authority.key_of("client"))
    # No proxy: the address is this machine's.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    url = f"https://127.0.0.1:{record.layout.etcd_port}{path}"
    try:
        with opener.open(url, json.dumps(body).encode(), timeout=TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.loads(response.read())
    except OSError as error:
        raise ClusterError(NO_ANSWER.format(name=state.name, path=path, error=error)) from error
    return answer
