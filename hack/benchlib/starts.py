"""What a contender does from its start until nothing is left to do, in figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchlib import audit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchlib.audit import Request

SYNC_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Start:
    """What a contender has done from its start until nothing was left to do.

    Attributes:
        synced: seconds until its caches were filled; None if they were not in time.
        done: seconds until every server was reconciled; None if they were not in time.
        limit: seconds in which that had to be.
        servers: how many there were.
        reconciles: how many there were.
        requests: to the API server, in the order of their ends.
        newcomers: seconds from the creation of a new server in the midst to the first write.
        cpu_seconds: that it used.
        control_plane: CPU seconds that each component of the control plane used meanwhile.
        resident_bytes: the memory that it had in the end.
        peak_bytes: the most that it ever had.
    """

    synced: float | None
    done: float | None
    limit: float
    servers: int
    reconciles: int
    requests: Sequence[Request] = field(repr=False)
    newcomers: Sequence[float]
    cpu_seconds: float
    control_plane: Mapping[str, float]
    resident_bytes: int
    peak_bytes: int

    @property
    def rate(self) -> float | None:
        """The servers that were done in a second."""
        return None if self.done is None else self.servers / self.done

    def per_server(self, *, writes: bool) -> float:
        """Return the requests a server, or only the writes."""
        counted = [one for one in self.requests if one.is_write or not writes]
        return sum(one.verb != audit.WATCH for one in counted) / self.servers


@dataclass(frozen=True)
class Result:
    """What came of one contender.

    Attributes:
        cold: its start with nothing but the servers there.
        idle_cpu: percent of one core when there was nothing to do; None if that never came.
        warm: its start with everything as it should be; None if that never came.
    """

    cold: Start
    idle_cpu: float | None = None
    warm: Start | None = None
