"""Fetches the wheels of the image's pinned requirements, once into the cache."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from clusterlib import paths, processes

#: The lists that the image is installed from, in `requirements/`.
LISTS: Final = ("runtime", "build")
#: Of the image, whichever Python runs this.
PYTHON_VERSION: Final = "3.11"
#: The wheels that the image's C library loads, by the names that pip knows them by.
_LIBRARIES: Final = ("manylinux_2_17", "manylinux2014", "manylinux_2_28", "manylinux_2_34")

WHAT: Final = "fetching the wheels of requirements/"


def fetch(log: Path, machine: str = "") -> Path:
    """Return the folder with the wheels; fetch them if it is not there.

    Args:
        log: takes what pip says.
        machine: the machine that they are for, as Python names it (`aarch64`); empty for this one.

    Raises:
        ClusterError: one could not be fetched, or has none of the hashes of its list.
    """
    lists = [paths.CHECKOUT / "requirements" / f"{name}.txt" for name in LISTS]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in lists)).hexdigest()[:16]
    directory = paths.cache() / "wheels" / "-".join(filter(None, (digest, machine)))
    if directory.exists():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        environment, fetched = Path(scratch) / "venv", Path(scratch) / "wheels"
        processes.logged([sys.executable, "-m", "venv", str(environment)], what=WHAT, log=log)
        download = [str(environment / "bin" / "pip"), "download", "--quiet"]
        download += ["--only-binary=:all:", "--require-hashes"]
        download += [f"--python-version={PYTHON_VERSION}", f"--dest={fetched}"]
        if machine:
            download += [f"--platform={library}_{machine}" for library in _LIBRARIES]
        download += [f"--requirement={file}" for file in lists]
        processes.logged(download, what=WHAT, log=log)
        fetched.rename(directory)
    return directory
