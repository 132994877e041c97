"""A report as a screen for people, and as a document for programs. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.plugin import report as reports
from reconcilers.plugin.screen import (
    INDENT,
    Cell,
    Tone,
    age,
    duration,
    plain,
    table,
    time_of,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from reconcilers.plugin.advice import Advice
    from reconcilers.plugin.report import Report
    from reconcilers.plugin.screen import Paint

TITLE: Final = "RepositoryServer {namespace}/{name}"
CAN_CONNECT: Final = "Clients can connect."
CANNOT_CONNECT: Final = "Clients cannot connect."
WRONG: Final = "What is wrong"
FIX: Final = "What to do"
WARNING: Final = "Warning: {type_}"
CONNECTION: Final = "Connection"
USERS: Final = "Users"
MAINTENANCE: Final = "Maintenance"
PODS: Final = "Pods"
EVENTS: Final = "Events"

NO_URL: Final = "none yet"
NOT_SHOWN: Final = "not shown: {why}"
NO_SCHEDULE: Final = "none by spec.repository.maintenance"
NOT_RUN: Final = "not run yet"
VALID: Final = "valid until {when} ({left})"
EXPIRED: Final = "expired on {when} ({ago} ago)"
POD_HEADS: Final = ("NAME", "READY", "STATUS", "RESTARTS", "AGE", "SERVES")
SERVES: Final = "yes"
SUCCEEDED: Final = "Succeeded"

_MAX_NAMED: Final = 20
MORE: Final = "and {number} more"
# Of a certificate: how soon its end is worth a colour, as the controller warns of it.
_SOON_SECONDS: Final = 30 * 24 * 3600.0


def screen(report: Report, now: datetime, paint: Paint) -> list[str]:
    """Return a report as lines for a terminal.

    Args:
        report: What is to be said.
        now: The time.
        paint: Colours.
    """
    sections = (
        _head(report, now, paint),
        _advice(report.advice, paint),
        *(
            _section(
                paint(WARNING.format(type_=plain(one.type_)), Tone.UNDER_WAY),
                _words(one.advice),
            )
            for one in report.warnings
        ),
        _section(paint(CONNECTION, Tone.STRONG), _connection(report, now, paint)),
        _section(paint(USERS, Tone.STRONG), _users(report)),
        _section(paint(MAINTENANCE, Tone.STRONG), _maintenance(report, now, paint)),
        _section(paint(PODS, Tone.STRONG), _pods(report, now, paint)),
        _section(paint(EVENTS, Tone.STRONG), _events(report, now, paint)),
    )
    lines: list[str] = []
    for section in sections:
        if section and lines:
            lines.append("")
        lines += section
    return lines


def document(report: Report) -> dict[str, Any]:
    """Return a report for programs. Fields are only ever added."""
    return {
        "namespace": report.namespace,
        "name": report.name,
        "state": report.state.value,
        "clientsCanConnect": report.available,
        "reason": report.reason,
        "message": report.message,
        "since": report.since or None,
        "whatIsWrong": report.advice.wrong,
        "whatToDo": report.advice.fix,
        "warnings": [
            {"type": one.type_, "whatIsWrong": one.advice.wrong, "whatToDo": one.advice.fix}
            for one in report.warnings
        ],
        "url": report.url,
        "tlsFingerprint": report.fingerprint,
        "tlsNotAfter": report.expires or None,
        "kopiaVersion": report.kopia or None,
        "users": [{"user": user, "secret": secret} for user, secret in report.users],
        "maintenance": {"schedule": report.schedule, **report.maintenance},
        "pods": [
            {
                "name": pod.name,
                "ready": pod.ready,
                "status": pod.status,
                "restarts": pod.restarts,
                "created": pod.created,
                "serves": pod.serves,
                "message": pod.message,
            }
            for pod in report.pods
        ],
        "events": [
            {
                "when": event.when,
                "type": "Warning" if event.warning else "Normal",
                "reason": event.reason,
                "message": event.message,
            }
            for event in report.events
        ],
        "notShown": dict(report.missing),
    }


def _head(report: Report, now: datetime, paint: Paint) -> list[str]:
    state = paint(report.state.value, report.state.tone)
    since = f" for {age(report.since, now)}" if report.since else ""
    title = TITLE.format(namespace=report.namespace, name=report.name)
    reachable = (
        paint(CAN_CONNECT, Tone.GOOD) if report.available else paint(CANNOT_CONNECT, Tone.BAD)
    )
    reason = f" ({report.reason})" if report.advice.wrong and report.reason else ""
    return [f"{paint(title, Tone.STRONG)}: {state}{reason}{since}", reachable]


def _advice(advice: Advice, paint: Paint) -> list[str]:
    if not advice.wrong:
        return []
    return [
        paint(WRONG, Tone.BAD),
        *wrapped(advice.wrong),
        paint(FIX, Tone.STRONG),
        *wrapped(advice.fix),
    ]


def _words(advice: Advice) -> list[str]:
    return [*wrapped(advice.wrong), *(wrapped(advice.fix) if advice.fix else [])]


def _section(head: str, lines: Iterable[str]) -> list[str]:
    held = list(lines)
    return [head, *held] if held else []


def _connection(report: Report, now: datetime, paint: Paint) -> Iterator[str]:
    yield f"{INDENT}URL          {report.url or NO_URL}"
    if report.fingerprint:
        yield f"{INDENT}Fingerprint  {report.fingerprint}"
    if report.kopia:
        yield f"{INDENT}Kopia        {report.kopia}"
    when = time_of(report.expires)
    if when is None:
        return
    left = (when - now).total_seconds()
    day = when.strftime("%Y-%m-%d")
    if left <= 0:
        words, tone = EXPIRED.format(when=day, ago=duration(-left)), Tone.BAD
    else:
        words = VALID.format(when=day, left=duration(left))
        tone = Tone.UNDER_WAY if left < _SOON_SECONDS else Tone.GOOD
    yield f"{INDENT}Certificate  {paint(words, tone)}"


def _users(report: Report) -> Iterator[str]:
    yield from _not_shown(report, reports.USERS)
    for user, secret in report.users[:_MAX_NAMED]:
        yield f"{INDENT}{plain(user)} (Secret {plain(secret)})"
    more = len(report.users) - _MAX_NAMED
    if more > 0:
        yield f"{INDENT}{MORE.format(number=more)}"


def _maintenance(report: Report, now: datetime, paint: Paint) -> Iterator[str]:
    yield f"{INDENT}Schedule  {report.schedule or NO_SCHEDULE}"
    run: Mapping[str, str] = report.maintenance
    if not run:
        if report.schedule:
            yield f"{INDENT}Last run  {NOT_RUN}"
        return
    result = plain(run.get("result", ""))
    tone = Tone.GOOD if result == SUCCEEDED else Tone.BAD
    yield f"{INDENT}Last run  {paint(result, tone)} {age(run.get('lastRunTime', ''), now)} ago"
    if run.get("message"):
        yield from wrapped(plain(run["message"]), INDENT * 2)


def _pods(report: Report, now: datetime, paint: Paint) -> Iterator[str]:
    yield from _not_shown(report, reports.PODS)
    if not report.pods:
        if reports.PODS not in report.missing:
            yield f"{INDENT}none"
        return
    rows = [
        (
            Cell(pod.name),
            Cell(pod.ready),
            Cell(pod.status, Tone.GOOD if pod.status == "Running" else Tone.UNDER_WAY),
            Cell(str(pod.restarts)),
            Cell(age(pod.created, now)),
            Cell(SERVES if pod.serves else "", Tone.GOOD),
        )
        for pod in report.pods
    ]
    yield from (f"{INDENT}{line}" for line in table(POD_HEADS, rows, paint))
    for pod in report.pods:
        if pod.message:
            yield from wrapped(f"{pod.name}: {pod.message}")


def _events(report: Report, now: datetime, paint: Paint) -> Iterator[str]:
    yield from _not_shown(report, reports.EVENTS_PART)
    for event in report.events:
        reason = paint(event.reason, Tone.UNDER_WAY if event.warning else None)
        yield f"{INDENT}{age(event.when, now):>4}  {reason}"
        yield from wrapped(event.message, " " * 8)


def _not_shown(report: Report, part: str) -> list[str]:
    why = report.missing.get(part)
    return wrapped(NOT_SHOWN.format(why=why)) if why else []
