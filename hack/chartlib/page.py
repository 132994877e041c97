"""The chart's README: what each value is, with its default."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEAD: Final = """\
# repository-server-controller

Runs Kopia repository servers for the resource RepositoryServer of Kanister.

{install}

## Values

`hack/chart` generates this page from `values.yaml` and `values.schema.json`. A value that is not in
the schema is refused.

| value | default | what it is |
|---|---|---|
"""
#: In a checkout, whose chart names no image that could be pulled.
IN_CHECKOUT: Final = """\
    helm install repository-server-controller charts/repository-server-controller \\
      --namespace kanister --create-namespace \\
      --set image.repository=registry.example/repository-server-controller

[Installing it](../../docs/installation.md#install-with-helm) has upgrades, several releases in a
cluster, and what an uninstall leaves. [Migration](../../docs/migration.md) is for who comes from
Kanister's own chart."""
#: In a release, which has no pages beside the chart.
IN_RELEASE: Final = """\
    helm install repository-server-controller repository-server-controller-{version}.tgz \\
      --namespace kanister --create-namespace

In the repository, docs/installation.md has upgrades, several releases in a cluster, and what an
uninstall leaves. docs/migration.md is for who comes from Kanister's own chart."""
ROW: Final = "| `{path}` | {default} | {description} |\n"
NOTHING: Final = "nothing"

#: Values that nobody sets for this chart.
UNTOLD: Final = ("global",)


def render(schema: Mapping[str, Any], values: Mapping[str, Any], *, version: str = "") -> str:
    """Return the text of the README.

    Args:
        schema: values.schema.json.
        values: values.yaml.
        version: Of the release that the chart is part of. Default: none, a checkout.
    """
    install = IN_RELEASE.format(version=version) if version else IN_CHECKOUT
    return HEAD.format(install=install) + "".join(
        ROW.format(path=path, default=_shown(default), description=_cell(description))
        for path, description, default in leaves(schema, values)
    )


def leaves(
    schema: Mapping[str, Any], values: Mapping[str, Any], prefix: str = "", above: str = ""
) -> Iterator[tuple[str, str, Any]]:
    """Yield path, description and default of each value, None for one without a default.

    A description follows that of the object that the value belongs to.
    """
    for name, part in schema["properties"].items():
        path, default = f"{prefix}{name}", values.get(name)
        if path in UNTOLD:
            continue
        # Requests and limits are one value: what is below them has no names of its own.
        if all("description" in one for one in part.get("properties", {"": {}}).values()):
            yield from leaves(part, default or {}, f"{path}.", f"{part['description']} ")
        else:
            yield path, above + part["description"], default


def _shown(default: object) -> str:
    if default in (None, "", [], {}):
        return NOTHING
    return f"`{json.dumps(default)}`" if not isinstance(default, str) else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
