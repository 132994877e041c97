"""The page docs/reference.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcilers.repositoryserver.status import patience, reasons
from referencelib import fields, secrets
from referencelib.secrets import filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from referencelib.schema import Field
    from referencelib.secrets import Key, Secret

HEAD = """\
# Reference

Every field of a RepositoryServer, and every key of the Secrets that it refers to: what it sets,
what applies if it is omitted, and the message for a wrong value. `hack/reference` generates this
page from the CRD and the code.

The API server rejects a value that breaks the CRD when you apply it. For a wrong type or a value
outside its limits the message is the API server's own; the other messages are quoted here. What
only the controller can see becomes the message of the condition `Ready`. No message ever quotes a
value of a Secret.

- [spec.storage](#specstorage)
- [spec.repository](#specrepository)
- [spec.server](#specserver)
- [spec.publish](#specpublish)
- [status](#status)
- [conditions](#conditions)
- [Secrets](#secrets)

Paths such as `storage.config.bucket` are paths in Kopia's repository configuration. The controller
generates it, and `kopia repository status` in the server's container shows it.
"""

CONDITIONS_HEAD = """\
## conditions

What each reason of the condition `Ready` means for the other conditions, for Flux and everything
else that waits by kstatus, and for Argo CD with the [health check](gitops.md) of this
project. Where two values stand, the first applies while clients cannot connect, the second while
they can: to a pod from before the change, or because the fault is beside the server. *Reconciling*
and *Stalled* are absent unless they are True.

A *wait* is a change under way. A *passing fault* can pass by itself, and the controller or the
cluster goes on trying. A *lasting fault* stays until somebody changes what the message names. While
several are found, a lasting fault is reported before a passing one, and that before a wait.
[What a RepositoryServer reports](failures.md) has the message and the cure of each.

These faults are a wait for their first {seconds:.0f} s, since most of them pass at once:
{brief}.
While a Secret has only just gone, a server that is Ready stays Ready.

| reason | kind | Available | Ready | Reconciling | Stalled | progress | Flux (kstatus) | Argo CD |
|---|---|---|---|---|---|---|---|---|
"""

SECRETS_HEAD = """\
## Secrets

A Secret has the type given here, or `Opaque`. All Secrets are in the namespace of the resource.
White space around a value is removed, line ends and byte order marks too; of the administrator's
password only line ends at its end. PEM is written again as Kopia reads it. These messages can
appear for any of them:
"""


def render(roots: Mapping[str, Field]) -> str:
    """Return the page.

    Args:
        roots: the fields `spec` and `status`.
    """
    status = [*_status(roots["status"]), *_conditions()]
    parts = [HEAD, *_spec(roots["spec"]), *status, *_secrets()]
    return "\n".join(parts)


def _spec(spec: Field) -> Iterator[str]:
    for group in spec.below():
        if group.path.count(".") != 1:
            continue
        yield _heading(2, group.path, group.description, group.refusals)
        for field in group.below():
            yield _field(field)


def _field(field: Field) -> str:
    meaning = fields.MEANINGS.get(field.path)
    kind = f"{field.type}, required" if field.required else field.type
    lines = [f"### `{field.path}`", "", f"*{kind}*. {field.description}", ""]
    if meaning is not None:
        lines += [f"- Sets: {meaning.becomes}"]
        if not field.required:
            lines += [f"- If omitted: {meaning.left_out}"]
    refusals = [*field.refusals, *(meaning.refusals if meaning else ())]
    lines += [f"- Rejected: {filled(refusal, field.path)}" for refusal in refusals]
    return "\n".join(lines).rstrip() + "\n"


def _status(status: Field) -> Iterator[str]:
    yield f"## status\n\n{status.description}\n"
    yield "| field | type | says |\n|---|---|---|"
    for field in status.below():
        yield f"| `{field.path}` | {field.type} | {field.description} |"
    yield ""


def _conditions() -> Iterator[str]:
    brief = ", ".join(f"`{reason}`" for reason in patience.BRIEF)
    head = CONDITIONS_HEAD.format(seconds=patience.SECONDS, brief=brief)
    yield head + "\n".join(_reason(*row) for row in reasons.REASONS.items()) + "\n"


def _reason(reason: str, kind: reasons.Kind) -> str:
    """Return the row of a reason."""
    could = (True,) if kind is reasons.Kind.READY else (False, True)
    rows = [reasons.shown(kind, available=available) for available in could]
    cells = [
        " / ".join(dict.fromkeys(str(cell(row)) for row in rows))
        for cell in (
            lambda row: row.available,
            lambda row: row.ready,
            lambda row: True if row.reconciling else "",
            lambda row: True if row.stalled else "",
            lambda row: row.progress,
            lambda row: row.kstatus,
            lambda row: row.argo,
        )
    ]
    return f"| `{reason}` | {kind.value} | {' | '.join(cells)} |"


def _secrets() -> Iterator[str]:
    yield SECRETS_HEAD
    yield "\n".join(f"- {filled(message)}" for message in secrets.OF_ANY) + "\n"
    for secret in secrets.SECRETS:
        yield _secret(secret)


def _secret(secret: Secret) -> str:
    named_by = ", ".join(f"`{field}`" for field in secret.named_by)
    lines = [
        f"### {secret.title}",
        "",
        f"Type `{secret.type}`, named by {named_by}. {secret.about}",
        "",
        "| key | required | sets | if omitted |",
        "|---|---|---|---|",
        *(_key(key) for key in secret.keys),
        "",
    ]
    refusals = [
        filled(message, secret.named_by[0], key.names[0])
        for key in secret.keys
        for message in key.refusals
    ]
    if refusals:
        lines += ["Messages for wrong values:", "", *(f"- {refusal}" for refusal in refusals), ""]
    return "\n".join(lines)


def _key(key: Key) -> str:
    first, *others = (f"`{name}`" for name in key.names)
    names = f"{first} (also {', '.join(others)})" if others else first
    return f"| {names} | {key.needed} | {key.becomes} | {key.left_out} |"


def _heading(level: int, title: str, text: str, refusals: list[str]) -> str:
    lines = [f"{'#' * level} {title}", "", text, ""]
    lines += [f"- Rejected: {refusal}" for refusal in refusals]
    return "\n".join(lines).rstrip() + "\n"
