"""Exit codes of the program. Those of a failed client are `Kind` of reconcilers.kopia.client."""

from __future__ import annotations

from typing import Final

#: Done.
DONE: Final = 0
#: A defect of the program.
DEFECT: Final = 1
#: Wrong usage: an option, an argument, a function or a connection that cannot be as it was given.
USAGE: Final = 2
#: Of several pods some could be handled and some not.
PARTLY: Final = 3
#: Done, but the outputs could not be written to the file.
NO_OUTPUTS: Final = 4
