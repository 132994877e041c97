"""The table and the JSON of what came of all contenders."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING, Any

from benchlib import audit, figures
from benchlib.starts import SYNC_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchlib.starts import Result, Start

MIB = 2**20
MEMORY_LIMIT = 1.5

NOT_WITHIN = "not within {limit:.0f}"
UNKNOWN = "-"
# Of the control plane in the table; the JSON has all.
SHOWN_COMPONENTS = ("kube-apiserver", "etcd")


def report(results: dict[str, Result], titles: dict[str, str], servers: int) -> dict[str, Any]:
    """Print the figures, and return them for JSON."""
    print(f"\n{servers} RepositoryServers, on {os.cpu_count()} cores that run everything:\n")
    print(figures.columns([titles[key] for key in results], _rows(results)))
    found: dict[str, Any] = {"bench": "scale", "servers": servers}
    if {"ours", "go"} <= results.keys():
        ours, go = results["ours"].cold.resident_bytes, results["go"].cold.resident_bytes
        found["memory_ratio"] = round(ours / go, 2)
        print(f"\nThis controller has {ours / go:.2f} times the memory of the one in Go", end="")
        print(f" (at most {MEMORY_LIMIT} is wanted).")
    contending = {key: _json(result) for key, result in results.items()}
    return {**found, "contenders": contending, "load_average": round(os.getloadavg()[0], 1)}


def _rows(results: dict[str, Result]) -> list[tuple[str, list[str]]]:
    def row(name: str, words: Callable[[Result], str]) -> tuple[str, list[str]]:
        return name, [words(result) for result in results.values()]

    def rows_of(start: Callable[[Result], Start | None]) -> list[tuple[str, list[str]]]:
        def of(name: str, words: Callable[[Start], str]) -> tuple[str, list[str]]:
            return row(name, lambda r: UNKNOWN if (one := start(r)) is None else words(one))

        def used_by(component: str) -> tuple[str, list[str]]:
            return of(
                f"  CPU seconds of {component}", lambda s: f"{s.control_plane[component]:.1f}"
            )

        return [
            of(
                "  until its caches are filled, s",
                lambda s: _seconds(s.synced, SYNC_TIMEOUT_SECONDS),
            ),
            of("  until every server is done, s", lambda s: _seconds(s.done, s.limit)),
            of("  servers a second", lambda s: UNKNOWN if s.rate is None else f"{s.rate:.1f}"),
            of("  requests a server", lambda s: f"{s.per_server(writes=False):.2f}"),
            of("  writes a server", lambda s: f"{s.per_server(writes=True):.2f}"),
            of("  reconciles a server", lambda s: f"{s.reconciles / s.servers:.2f}"),
            of("  CPU seconds", lambda s: f"{s.cpu_seconds:.1f}"),
            *(used_by(name) for name in SHOWN_COMPONENTS),
            of("  resident memory, MiB", lambda s: f"{s.resident_bytes / MIB:.0f}"),
            of("  at its peak, MiB", lambda s: f"{s.peak_bytes / MIB:.0f}"),
            of("  new server until first write, median s", lambda s: _median(s.newcomers)),
            of("  new server until first write, worst s", lambda s: _worst(s.newcomers)),
        ]

    return [
        row("start with work for all", lambda _: ""),
        *rows_of(lambda result: result.cold),
        row(
            "idle, % of one core",
            lambda result: UNKNOWN if result.idle_cpu is None else f"{result.idle_cpu:.2f}",
        ),
        row("start with nothing to do", lambda _: ""),
        *rows_of(lambda result: result.warm),
    ]


def _seconds(seconds: float | None, limit: float) -> str:
    return NOT_WITHIN.format(limit=limit) if seconds is None else f"{seconds:.1f}"


def _median(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f}" if seconds else UNKNOWN


def _worst(seconds: Sequence[float]) -> str:
    return f"{max(seconds):.2f}" if seconds else UNKNOWN


def _json(result: Result) -> dict[str, Any]:
    return {
        "cold": _start_json(result.cold),
        "idle_cpu_percent": _rounded(result.idle_cpu, 2),
        "warm": None if result.warm is None else _start_json(result.warm),
    }


def _start_json(start: Start) -> dict[str, Any]:
    counted = audit.counts(start.requests)
    return {
        "synced_seconds": _rounded(start.synced, 2),
        "done_seconds": _rounded(start.done, 2),
        "servers_per_second": _rounded(start.rate, 1),
        "requests_per_server": round(start.per_server(writes=False), 2),
        "writes_per_server": round(start.per_server(writes=True), 2),
        "requests": {f"{verb} {what}": n for (verb, what), n in sorted(counted.items())},
        "refused": sum(one.refused for one in start.requests),
        "reconciles_per_server": round(start.reconciles / start.servers, 2),
        "cpu_seconds": round(start.cpu_seconds, 1),
        "control_plane_cpu_seconds": {
            name: round(seconds, 1) for name, seconds in sorted(start.control_plane.items())
        },
        "resident_mib": round(start.resident_bytes / MIB, 1),
        "peak_mib": round(start.peak_bytes / MIB, 1),
        "newcomer_seconds": [round(seconds, 2) for seconds in sorted(start.newcomers)],
    }


def _rounded(figure: float | None, digits: int) -> float | None:
    return None if figure is None else round(figure, digits)
