"""Where the program that renders is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconcilers.actionset.templates.errors import RendererUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM: Final = "template-renderer"
#: Names the program, as the flag `--template-renderer` does.
VARIABLE: Final = "RSC_TEMPLATE_RENDERER"

MISSING: Final = (
    f"there is no {PROGRAM}: a wheel does not contain it; use the image, or build it with Go "
    "(`go build` in reconcilers/actionset/renderer) and name it with --template-renderer"
)
NOT_THERE: Final = "--template-renderer: {path} is no program that can be run"


def renderer_path(named: str, environment: Mapping[str, str]) -> Path:
    """Return where the program is: where it is named, or on the PATH.

    Args:
        named: By the flag or its variable; empty if it is not.
        environment: Has the PATH.

    Raises:
        RendererUnavailable: It is not there. The message is one line.
    """
    if not named:
        found = shutil.which(PROGRAM, path=environment.get("PATH", os.defpath))
        if found is None:
            raise RendererUnavailable(MISSING)
        return Path(found)
    path = Path(named)
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise RendererUnavailable(NOT_THERE.format(path=path))
    return path
