"""Names of files that Kopia does not keep as they are.

Its folders are JSON, and Go replaces each byte that is no UTF-8 by one and the same character there
(encoding/json): of two names that differ in such bytes one would be lost without a word.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from controller.stop import Stop

NOT_KEPT: Final = (
    "{path} cannot be backed up: the name of {name} is not UTF-8, and Kopia would keep it under "
    "another one; nothing was kept; rename it"
)


def check(path: str, stop: Stop | None) -> None:
    """Return if Kopia keeps all names below a folder; those of folders that cannot be read count.

    Args:
        path: Folder or file.
        stop: Ends it early, without an answer.

    Raises:
        ClientFailed: It would not keep one, which the message names.
    """
    # What cannot be read Kopia says itself.
    for folder, directories, files in os.walk(path):
        if stop is not None and stop.is_set():
            return
        for name in (*directories, *files):
            if not name.isascii() and not _is_kept(name):
                named = os.fsencode(Path(folder, name).relative_to(path))
                message = NOT_KEPT.format(path=path, name=ascii(named)[1:])
                raise ClientFailed(Kind.SOURCE_UNREADABLE, message)


def _is_kept(name: str) -> bool:
    try:
        # Bytes that are no UTF-8 come as lone surrogates (PEP 383).
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
