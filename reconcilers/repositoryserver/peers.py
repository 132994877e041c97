"""Who may connect, and who may read Kopia's metrics: peers of the NetworkPolicy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


DEFAULT_METRICS_PORT: Final = 51516


@frozen
class KopiaMetrics:
    """Where Kopia shows its own metrics, and to whom.

    Args:
        port: The port of the pod, in plain HTTP.
        peers: Peers that may read them besides the pods of the namespace.
    """

    port: int = DEFAULT_METRICS_PORT
    peers: tuple[Mapping[str, Any], ...] = ()


def metrics_of(settings: Mapping[str, Any] | None) -> KopiaMetrics | None:
    """Return what `spec.server.metrics` asks for; None where it is left out."""
    if settings is None:
        return None
    port = settings.get("port")
    return KopiaMetrics(
        DEFAULT_METRICS_PORT if port is None else port, _listed(settings.get("from"))
    )


def peers_of_policy(policy: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the peers that `spec.server.networkPolicy` names, in both of its spellings."""
    # An empty selector selects everything; only one left out selects nothing.
    selectors = {
        key: policy[key]
        for key in ("namespaceSelector", "podSelector")
        if policy.get(key) is not None
    }
    return _listed([*(policy.get("from") or ()), *([selectors] if selectors else ())])


def _listed(peers: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...]:
    # The API server drops what is empty below a selector; it would differ from it for ever.
    return tuple(
        {kind: _without_empty(part) for kind, part in peer.items()} for peer in peers or ()
    )


def _without_empty(node: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(node, list):
        return [_without_empty(item) for item in node]
    if isinstance(node, dict):
        return {key: _without_empty(value) for key, value in node.items() if value not in ({}, [])}
    return node
