"""Builds container images without a registry, and loads them into a node.

An image is an archive in the cache, named by a digest of everything that goes into it: what has
not changed is not built again, and not loaded again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import debian, locks, namespace, paths, processes, wheels
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterlib.components import Components
    from clusterlib.state import State

DOCKERFILES = paths.HACK / "images.d"
# What nobody reads in a container.
_UNREAD = tuple(f"/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info"))
# What PostgreSQL compiles queries with if it is there. It is large, and nothing here needs it.
_COMPILER = ("/usr/lib/postgresql/*/lib/bitcode/*", "*/llvmjit.so", "*/libLLVM*", "*/libz3.so*")
ROOT_NEEDED = "building images needs root"
NO_MIRROR = "apt knows no Debian mirror, or not yet what it offers; try `apt-get update`"
UNKNOWN = "no image {name!r}; there are: {names}"

# Older archives of an image are deleted beyond this many: another checkout may use them.
KEPT_ARCHIVES = 3


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        name: its name, below localhost/.
        dockerfile: how it is built.
        program: the built program that it contains and has its version from, if any.
        sources: what of the checkout it contains, relative.
        python: whether it is built on the base image, with wheels at hand.
        parts: images that it has a program out of, by the build argument that names each.
        packages: Debian packages that are in the file system `base.tar` of its build.
        excluded: patterns of paths that this file system does without, beside what nobody reads.
    """

    name: str
    dockerfile: Path
    program: str | None = None
    sources: tuple[str, ...] = ()
    python: bool = False
    parts: tuple[tuple[str, Image], ...] = ()
    packages: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


BASE = Image(
    "base",
    DOCKERFILES / "base" / "Dockerfile",
    packages=("python3", "python3-venv", "ca-certificates"),
)
PAUSE = Image("pause", DOCKERFILES / "pause" / "Dockerfile", program="pause")
COREDNS = Image("coredns", DOCKERFILES / "coredns" / "Dockerfile", program="coredns")
KOPIA = Image("kopia", DOCKERFILES / "kopia" / "Dockerfile", program="kopia")
RENDERER = Image(
    "template-renderer",
    DOCKERFILES / "template-renderer" / "Dockerfile",
    program="template-renderer",
)
CONTROLLER = Image(
    "repository-server-controller",
    paths.CHECKOUT / "Dockerfile",
    sources=(
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "setup.cfg",
        "requirements/runtime.txt",
        "requirements/build.txt",
        "controller",
        "reconcilers",
    ),
    python=True,
    parts=(("KOPIA_IMAGE", KOPIA), ("RENDERER_IMAGE", RENDERER)),
)
# What ActionSets back up in tests and the demo. Its packages name the version of PostgreSQL.
POSTGRES = Image(
    "postgres",
    DOCKERFILES / "postgres" / "Dockerfile",
    sources=("hack/images.d/postgres/start.sh",),
    packages=("postgresql-15",),
    excluded=_COMPILER,
)
# What stands in for the images of public Blueprints in the tests that play these.
STAND_INS = Image(
    "stand-ins",
    DOCKERFILES / "stand-ins" / "Dockerfile",
    sources=("hack/images.d/stand-ins/stand_in.py", "hack/images.d/stand-ins/recorder.py"),
    python=True,
)

# What a node needs to start, and what the project is about.
INFRASTRUCTURE = (PAUSE, COREDNS)
PROJECT = (KOPIA, CONTROLLER, POSTGRES)


def by_name(names: Iterable[str]) -> list[Image]:
    """Return the project's images of these names, all of them for no name.

    Raises:
        ClusterError: there is no such image.
    """
    known = {image.name: image for image in PROJECT}
    wanted = list(names) or list(known)
    for name in wanted:
        if name not in known:
            raise ClusterError(UNKNOWN.format(name=name, names=", ".join(known)))
    return [known[name] for name in wanted]


def reference(image: Image, components: Components) -> str:
    """Return the name under which pods refer to the image."""
    if image.program is None:
        return f"localhost/{image.name}:dev"
    version = components.group_of(image.program).version.removeprefix("v")
    return f"localhost/{image.name}:{version}"


class Builder:
    """Builds images into the cache.

    Args:
        components: the programs that the images contain.
    """

    def __init__(self, components: Components) -> None:
        self._components = components
        self._directory = paths.cache() / "images"
        self._log = paths.cache() / "logs" / "images.log"

    def archive(self, image: Image) -> Path:
        """Return where the archive is, or would be, of the image as its sources are now.

        The program that the image contains must be built.
        """
        return self._archive(image, self._context(image))

    def build(self, image: Image) -> Path:
        """Build an image, if the cache does not hold it as it should be now.

        Returns:
            The image's archive.

        Raises:
            ClusterError: not root, or the build failed.
        """
        if os.geteuid() != 0:
            raise ClusterError(ROOT_NEEDED)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._directory.mkdir(parents=True, exist_ok=True)
        with (
            locks.exclusive(paths.cache() / "locks" / "images"),
            tempfile.TemporaryDirectory(dir=self._directory) as scratch,
        ):
            archive = self.archive(image)
            if not archive.exists():
                # Sources may be edited meanwhile: the copy is what is built and what counts.
                copy = Path(scratch) / "context"
                snapshot = copy_files(self._context(image), copy)
                archive = self._archive(image, snapshot)
                unfinished = Path(scratch) / "image.tar"
                self._build_archive(image, copy, unfinished)
                unfinished.rename(archive)
                self._prune(image)
            return archive

    def _archive(self, image: Image, context: dict[str, Path]) -> Path:
        digest = hashlib.sha256(image.dockerfile.read_bytes())
        digest.update(",".join([*image.packages, *image.excluded]).encode())
        if image.python:
            digest.update(self.archive(BASE).name.encode())
        for _, part in image.parts:
            # Where it is has its version in it, and a digest of what it is built from.
            digest.update(self._components.program(str(part.program)).parent.name.encode())
        for name, source in sorted(context.items()):
            digest.update(f"{name}\0{_mode(source)}\0".encode())
            digest.update(source.read_bytes())
        return self._directory / f"{image.name}-{digest.hexdigest()[:16]}.tar"

    def _build_archive(self, image: Image, context: Path, archive: Path) -> None:
        if image.packages:
            _bootstrap(image, context / "base.tar", self._log)
        arguments = ["--layers", f"--file={image.dockerfile}"]
        if image.python:
            arguments += [
                f"--build-arg=BASE_IMAGE=docker-archive:{self.archive(BASE)}",
                f"--volume={wheels.fetch(self._log)}:/wheels:ro",
                "--build-arg=PIP_NO_INDEX=1",
                "--build-arg=PIP_FIND_LINKS=/wheels",
            ]
        for argument, part in image.parts:
            arguments.append(f"--build-arg={argument}=docker-archive:{self.archive(part)}")
        name = reference(image, self._components)
        what = f"building the image {name}"
        buildah = buildah_in(paths.cache() / "buildah")
        built = [*buildah, "build", f"--tag={name}", *arguments, str(context)]
        processes.logged(built, what=what, log=self._log)
        pushed = [*buildah, "push", name, f"docker-archive:{archive}:{name}"]
        processes.logged(pushed, what=what, log=self._log)

    def _context(self, image: Image) -> dict[str, Path]:
        """Return the files that the image is built from, by their names in the build."""
        files = {}
        if image.program is not None:
            files[image.program] = self._components.program(image.program)
        if image is KOPIA:
            files["busybox"] = _busybox()
            files["ca-certificates.crt"] = Path("/etc/ssl/certs/ca-certificates.crt")
        return files | sources_of(image)

    def _prune(self, image: Image) -> None:
        archives = self._directory.glob(f"{image.name}-{'[0-9a-f]' * 16}.tar")
        newest_first = sorted(archives, key=lambda path: path.stat().st_mtime, reverse=True)
        for archive in newest_first[KEPT_ARCHIVES:]:
            archive.unlink()


def sources_of(image: Image) -> dict[str, Path]:
    """Return what an image contains of the checkout, by the names in its build."""
    files = {}
    for source in image.sources:
        path = paths.CHECKOUT / source
        inside = [path] if path.is_file() else path.rglob("*")
        for file in inside:
            if file.is_file() and "__pycache__" not in file.parts:
                files[str(file.relative_to(paths.CHECKOUT))] = file
    return files


def with_base(images: Iterable[Image]) -> list[Image]:
    """Return the images with those before them that they are built from."""
    wanted = list(images)
    parts = [part for image in wanted for _, part in image.parts if part not in wanted]
    base = [BASE] if any(image.python for image in wanted) else []
    return [*base, *dict.fromkeys(parts), *wanted]


def load(name: str, archive: Path, state: State) -> None:
    """Load an image into a cluster's node, unless this very archive was loaded before.

    Args:
        name: the reference under which pods will find it.
        archive: the image.
        state: the cluster.

    Raises:
        ClusterError: the node does not run or its containerd refuses.
    """
    inside = namespace.enter(state)
    note = state.directory / "node" / f"loaded-{archive.name.rpartition('-')[0]}"
    if note.exists() and note.read_text() == archive.name:
        return
    command = ["ctr", "--namespace=k8s.io", "images", "import", str(archive)]
    processes.run([*inside, *command], what=f"loading the image {name}")
    note.write_text(archive.name)


def copy_files(files: dict[str, Path], directory: Path) -> dict[str, Path]:
    """Copy files into a directory under the names given; return where they are now."""
    directory.mkdir()
    for name, source in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, directory / name)
        (directory / name).chmod(_mode(source))
    return {name: directory / name for name in files}


def _mode(source: Path) -> int:
    """Return a file's mode in an image, whatever the umask was that it was made or cloned with."""
    return stat.S_IFREG | (0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)


def _bootstrap(image: Image, target: Path, log: Path) -> None:
    """Make an image's file system from the Debian that this machine's apt settings name."""
    form = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    query = ["apt-get", "indextargets", "--format", form, "Identifier: Packages", "Origin: Debian"]
    what = "asking apt for the machine's Debian mirrors"
    sources = "\n".join(sorted(set(processes.run(query, what=what).splitlines())))
    if not sources:
        raise ClusterError(NO_MIRROR)
    options = [
        "--variant=minbase",
        f"--include={','.join(image.packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in (*_UNREAD, *image.excluded)),
        # The mirror is this machine's affair; it has no place in an image.
        '--customize-hook=rm -rf "$1"/etc/apt/sources.list*',
    ]
    # Without a suite, mmdebstrap reads the sources from its standard input.
    processes.logged(
        ["mmdebstrap", *options, "", str(target), "-"],
        what=f"making the image {image.name}",
        log=log,
        text=sources,
    )


def _busybox() -> Path:
    """Return a static busybox; the package is unpacked only, as it would replace another one."""
    directory = paths.cache() / "busybox"
    debian.unpack_once("busybox-static", directory)
    return directory / "bin" / "busybox"


def buildah_in(storage: Path) -> list[str]:
    """Return buildah with a storage of its own, which keeps the layers for the next build."""
    return [
        "env",
        "BUILDAH_ISOLATION=chroot",
        "STORAGE_DRIVER=overlay",
        "buildah",
        f"--root={storage / 'storage'}",
        f"--runroot={storage / 'run'}",
    ]
