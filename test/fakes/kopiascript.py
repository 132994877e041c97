"""A script that stands for Kopia, and snapshots as Kopia prints them."""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from attrs import define

if TYPE_CHECKING:
    from pathlib import Path

ID: Final = "0123456789abcdef0123456789abcdef"


def manifest(**changes: Any) -> dict[str, Any]:
    """Return a snapshot as Kopia prints it."""
    summary = {"size": 5, "files": 1, "symlinks": 0, "dirs": 1, "numFailed": 0}
    return {
        "id": ID,
        "source": {"host": "h", "userName": "u", "path": "/s"},
        "startTime": "2026-11-28T18:21:26Z",
        "endTime": "2026-11-28T18:21:27Z",
        "rootEntry": {"obj": "k" + ID, "summ": summary},
        **changes,
    }


#: As Kopia 0.23.1 printed it, of four backups at a time one in fifty.
CONFLICT: Final = "unable to get policy tree: unable to get policies: policy not found"
GONE: Final = "flush error: rpc error: code = Unavailable desc = closing transport: EOF"
CREATE, LIST, DELETE = "snapshot-create", "snapshot-list", "snapshot-delete"
RESTORE, SHOW_MANIFEST, SHOW = "snapshot-restore", "manifest-show", "show"
VERIFY = "snapshot-verify"
SUMMARY = "Restored {files} files, 1 directories and 0 symbolic links (5 B)."

#: Finds the next answer to a command, whose words are those that are no flags.
SCRIPT: Final = """#!/bin/sh
words=
for word; do case "$word" in -*) ;; *) words="$words $word" ;; esac; done
set -- $words
command=$1-$2
[ "$1" != show ] || command=show
echo "$command" >>{folder}/log
for answer in {folder}/"$command".*; do
  case "$answer" in
    *.once) mv "$answer" "$answer.used" && . "$answer.used" ;;
    *.always) . "$answer" ;;
  esac
done
echo "there is no answer to $command" >&2
exit 9
"""


@define
class Script:
    """Stands for Kopia: it does of each command what a test has said.

    Args:
        folder: Of the script and its answers.
    """

    folder: Path
    count: int = 0

    @classmethod
    def made(cls, folder: Path) -> Script:
        """Return one in a new folder, without answers."""
        script = cls(folder)
        folder.mkdir()
        script.path.write_text(SCRIPT.format(folder=folder))
        script.path.chmod(0o755)
        return script

    @property
    def path(self) -> Path:
        return self.folder / "kopia"

    def answers(
        self,
        command: str,
        output: object = "",
        *,
        log: str = "",
        code: int = 0,
        once: bool = False,
        reads: str = "",
    ) -> None:
        """Say what a command prints and how it ends.

        Args:
            command: Its two words.
            output: A text, or what is printed as JSON.
            log: Printed on standard error.
            code: Its exit code.
            once: Whether only the next one does so.
            reads: What it does with standard input before, as a command of the shell.
        """
        self.count += 1
        text = output if isinstance(output, str) else json.dumps(output)
        answer = self.folder / f"{command}.{self.count:03}.{'once' if once else 'always'}"
        says = f"printf %s {quote(text)}; printf %s {quote(log)} >&2; exit {code}\n"
        answer.write_text(f"{reads}\n{says}")

    @property
    def ran(self) -> list[str]:
        """The commands so far."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


def shown(printed: dict[str, Any]) -> str:
    """Return what `manifest show` prints of a snapshot."""
    return f"// label type:snapshot\n{json.dumps(printed)}"
