"""How a command of KubeExec is run: by a shell that reads it, so that no request's URL has it.

The program and arguments of an exec stand in the URL of the request, and so in the audit log of the
API server. Those of a Blueprint may hold passwords, once they are rendered. So what is run is a
script that is always the same; the command comes by its standard input. See
docs/decisions/kubeexec.md.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What the script says, and its exit code, if its input ends before the command is whole.
CUT: Final = "the command was cut off on its way; nothing was run"
EXIT_CUT: Final = 125
#: Of the shell: the program of the command is not there, or no program.
EXITS_UNSTARTED: Final = frozenset({126, 127})

#: A line that says that the one who asked still waits. Another one, or the end, ends the command.
ALIVE: Final = b".\n"
END: Final = b"end\n"

#: Seconds from the signal TERM to KILL.
GRACE_SECONDS: Final = 5

# First the command, as words of a shell up to a mark, which is the first line. Then it runs as a
# child, without input, while another child watches for the end of the input. That one ends the
# process group, if the shell leads one, as it does under runc and crun: the command with all that
# it has started. The shell itself waits for the command, whose exit code it passes on. In a
# subshell with `exec` no word of a command is a builtin of the shell. At the end its own errors go
# nowhere: bash reports the child that it kills.
_SCRIPT: Final = f"""\
n='
'
cut() {{ echo "{CUT}" >&2; exit {EXIT_CUT}; }}
IFS= read -r m || cut
s=
while IFS= read -r l && [ "$l" != "$m" ]; do s="$s$l$n"; done
[ "$l" = "$m" ] || cut
eval "set -- $s"
s=
exec 3<&0 </dev/null
trap : TERM
(
trap '' TERM
while IFS= read -r l && [ "$l" = . ]; do :; done
kill -TERM -$$
sleep {GRACE_SECONDS}
kill -KILL -$$
) <&3 3<&- >/dev/null 2>&1 &
w=$!
(exec 3<&-; exec "$@")
r=$?
exec 2>/dev/null
kill -KILL $w
exit $r
"""

#: What stands in the URL.
ARGV: Final = ("sh", "-c", _SCRIPT)


def head(command: Sequence[str]) -> bytes:
    """Return what the script reads first: the command.

    Args:
        command: Program and arguments, without a NUL.
    """
    mark = secrets.token_hex(16)
    # A quote in single quotes ends them, stands alone, and begins them anew.
    words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in command)
    return f"{mark}\n{words}\n{mark}\n".encode(errors="surrogatepass")


def is_shell_missing(message: str) -> bool:
    """Return whether an exec has failed since the container has no shell. Nothing was run then.

    Args:
        message: Of the error, or the first line of its standard error: runtimes differ in where
            they say it (containerd and runc, CRI-O and crun).
    """
    lowered = message.lower()
    named = any(f"{quote}sh{quote}" in lowered for quote in ('"', "`", "'"))
    return named and ("not found" in lowered or "no such file" in lowered)
