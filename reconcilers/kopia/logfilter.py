"""Kopia started behind a filter that keeps a credential out of its log.

A SAS token is the query of each URL that Kopia asks Azure for. Go prints the URL of a request that
got no answer (net/url, Error), so the token would reach the pod's log and, as the end of the log is
the termination message, the pod's status. No option of Kopia's prevents that.
"""

from __future__ import annotations

from typing import Final

from reconcilers.kopia import cli

# The shell is the container's first process: it passes on the request to end, waits for Kopia and
# for the last line of the filter, and ends with Kopia's code. A signal interrupts the wait, which
# then begins anew; 127 says that it had been over. The filter reads with the shell itself: awk and
# sed hold lines back, which of them depends on the image.
_SCRIPT: Final = """
hide() {
  while IFS= read -r line || [ -n "$line" ]; do
    shown=
    while [ "${line#*sig=}" != "$line" ]; do
      shown="$shown${line%%sig=*}sig=..."
      line="${line#*sig=}"
      line="${line#"${line%%[!A-Za-z0-9%+/=_.~-]*}"}"
    done
    printf '%s\\n' "$shown$line"
  done
}
output="${TMPDIR:-/tmp}/kopia-output"
[ -p "$output" ] || mkfifo "$output" || exit
hide <"$output" >&2 &
filter=$!
server=
ended=
trap 'ended=1; [ -z "$server" ] || kill -TERM "$server"' TERM INT
"$0" "$@" >"$output" 2>&1 &
server=$!
[ -z "$ended" ] || kill -TERM "$server"
code=
while [ -z "$code" ] || [ -n "$ended" ]; do
  ended=
  wait "$server"
  found=$?
  [ "$found" -eq 127 ] && [ -n "$code" ] || code=$found
done
wait "$filter"
exit "$code"
"""


def command(executable: str = cli.EXECUTABLE) -> tuple[str, ...]:
    """Return the command that runs Kopia behind the filter; its arguments follow.

    Args:
        executable: Kopia in the image.
    """
    return ("/bin/sh", "-c", _SCRIPT, executable)
