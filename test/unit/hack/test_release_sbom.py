"""The bill of materials has what is in the image, and is as CycloneDX wants it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import evolve

from clusterlib.errors import ClusterError
from releaselib import contents, layout, sbom

if TYPE_CHECKING:
    from pathlib import Path

OS: Final = 'ID=debian\nVERSION_ID="12"\n'
DPKG: Final = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: GNU C Library
 Package: no field, but a line of a description

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
ATTRS: Final = (
    "Metadata-Version: 2.4\nName: attrs\nVersion: 26.1.0\nLicense-Expression: MIT\n\nText\n"
)
SUM: Final = hashlib.sha256(b"its files").digest()


def build_info(name: str, _: bytes) -> str:
    """Stand for Go: Kopia has a version and a module, the other program neither."""
    main: dict[str, Any] = {"Path": f"example.org/{name}", "Version": "(devel)"}
    modules = []
    if name == "kopia":
        main["Version"] = "v0.23.1"
        other = {"Path": "example.org/fork", "Version": "v2.0.0", "Sum": f"h1:{encoded(SUM)}"}
        modules = [{"Path": "example.org/used", "Version": "v1.0.0", "Replace": other}]
    return json.dumps({"GoVersion": "go1.26.8", "Main": main, "Deps": modules})


def encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


FILES: Final = {
    "etc/os-release": OS,
    "var/lib/dpkg/status": DPKG,
    "opt/lib/attrs-26.1.0.dist-info/METADATA": ATTRS,
    "usr/bin/kopia": "kopia's program",
    "bin/template-renderer": "a program",
}


def image_of(folder: Path, *layers: dict[str, str | None], env: tuple[str, ...] = ()) -> Path:
    """Make an image of layers, which have files by their paths, and links for None."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes) -> dict[str, str]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}"}

    def document(content: object) -> dict[str, str]:
        return blob(json.dumps(content).encode())

    config = {"os": "linux", "architecture": "amd64", "config": {"Env": list(env)}}
    manifest = {"config": document(config), "layers": [blob(layer(one)) for one in layers]}
    index = document({"manifests": [document(manifest)]})
    (folder / "index.json").write_text(json.dumps({"manifests": [index]}))
    return folder


def layer(files: dict[str, str | None]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            content = (text or "").encode()
            member.size = len(content)
            if text is None:
                member.type, member.linkname = tarfile.SYMTYPE, "elsewhere"
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        pytest.param([{"a/x": "1"}], {"a/x": "1"}, id="a file"),
        pytest.param([{"./a/x": "1"}], {"a/x": "1"}, id="by another way of writing its path"),
        pytest.param([{"a/x": "1"}, {"a/x": "2"}], {"a/x": "2"}, id="that is written again"),
        pytest.param([{"a/x": "1"}, {"a/.wh.x": ""}], {}, id="that is deleted"),
        pytest.param([{"a/x": "1"}, {".wh.a": ""}], {}, id="with its folder"),
        pytest.param([{"a/x": "1"}, {"a": None}], {}, id="whose folder a link takes the place of"),
        pytest.param(
            [{"a/x": "1", "ab/x": "1"}, {"a/y": "2", "a/.wh..wh..opq": ""}],
            {"a/y": "2", "ab/x": "1"},
            id="with all that its folder had below, and not what the layer adds",
        ),
        pytest.param([{"a/z": "1"}], {}, id="that nobody asks for"),
    ],
)
def test_the_files_of_an_image_are_those_of_its_layers(
    tmp_path: Path, layers: list[dict[str, str | None]], found: dict[str, str]
) -> None:
    (image,) = layout.read(image_of(tmp_path, *layers)).images

    files = image.files(lambda path: path.endswith(("x", "y")))

    assert {path: content.decode() for path, content in files.items()} == found


def bill(
    tmp_path: Path,
    changed: dict[str, str | None] | None = None,
    *,
    env: tuple[str, ...] = (),
    wheel: str = "b" * 64,
) -> dict[str, Any]:
    """Return the bill of a made-up image."""
    made = layout.read(image_of(tmp_path / "image", {**FILES, **(changed or {})}, env=env))
    (image,) = made.images
    subject = sbom.Subject(
        name="registry.example/repository-server-controller",
        version="1.2.3",
        digest=image.digest,
        platform=image.platform,
        epoch=0,
        kopia="0.99.0",
    )
    hashes = sbom.wheel_hashes({"attrs-26.1.0-py3-none-any.whl": wheel})
    text = sbom.render(subject, contents.of(image, build_info), hashes)
    document: dict[str, Any] = json.loads(text)
    return document


def shown(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return purl and hash of all components, by their names."""
    return {
        one["name"]: (one.get("purl", ""), one.get("hashes", [{"content": ""}])[0]["content"])
        for one in document["components"]
    }


def test_the_bill_has_everything_with_the_hashes_that_are_known(tmp_path: Path) -> None:
    kopia, renderer = (
        hashlib.sha256(str(FILES[path]).encode()).hexdigest()
        for path in ("usr/bin/kopia", "bin/template-renderer")
    )

    assert shown(bill(tmp_path)) == {
        "debian": ("", ""),
        # Removed packages are not in it.
        "libc6": ("pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12", ""),
        "attrs": ("pkg:pypi/attrs@26.1.0", "b" * 64),
        "kopia": ("pkg:golang/example.org/kopia@v0.23.1", kopia),
        # What it is built from in fact.
        "example.org/fork": ("pkg:golang/example.org/fork@v2.0.0", SUM.hex()),
        "std": ("pkg:golang/std@1.26.8", ""),
        # Ours has the version of the release.
        "template-renderer": ("pkg:golang/example.org/template-renderer@v1.2.3", renderer),
    }


def test_the_bill_says_of_which_image_it_is_and_what_is_part_of_what(tmp_path: Path) -> None:
    document = bill(tmp_path)

    subject = document["metadata"]["component"]
    assert subject["purl"].startswith("pkg:oci/repository-server-controller@sha256:")
    assert subject["hashes"][0]["content"] in subject["purl"]
    assert document["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"
    parts = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert "program:kopia" in parts[subject["bom-ref"]]
    assert parts["program:kopia"] == ["pkg:golang/example.org/fork@v2.0.0", "pkg:golang/std@1.26.8"]
    assert parts["program:template-renderer"] == ["pkg:golang/std@1.26.8"]


def test_the_bill_of_one_image_is_always_the_same(tmp_path: Path) -> None:
    first, second = (bill(tmp_path / name) for name in ("one", "two"))

    assert first == second
    other = bill(tmp_path / "three", {"etc/os-release": OS + "NAME=x\n"})
    assert other["serialNumber"] != first["serialNumber"]


def test_a_python_from_its_source_is_in_the_bill(tmp_path: Path) -> None:
    found = shown(bill(tmp_path, env=("PATH=/bin", "PYTHON_VERSION=3.11.9")))

    assert found["python"] == ("pkg:generic/python@3.11.9", "")


@pytest.mark.parametrize(
    "path", ["etc/os-release", "var/lib/dpkg/status", "usr/bin/kopia", "bin/template-renderer"]
)
def test_an_image_that_lacks_what_each_has_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ClusterError, match="the image has no"):
        bill(tmp_path, {path: None})


def test_the_bill_is_checked_by_the_schema_of_cyclonedx(tmp_path: Path) -> None:
    good = bill(tmp_path / "good", env=("PYTHON_VERSION=3.11.9",))
    bad = bill(tmp_path / "bad", wheel="no hash")

    sbom.check(json.dumps(good))
    with pytest.raises(ClusterError, match="not as CycloneDX wants it"):
        sbom.check(json.dumps(bad))


def test_kopia_has_the_version_of_the_release_where_it_says_none(tmp_path: Path) -> None:
    (image,) = layout.read(image_of(tmp_path, dict(FILES))).images
    found = contents.of(image, build_info)
    kopia, renderer = found.programs
    silent = evolve(kopia, module=evolve(kopia.module, version="(devel)"))
    subject = sbom.Subject("x/y", "1.2.3", image.digest, image.platform, 0, kopia="0.99.0")

    text = sbom.render(subject, evolve(found, programs=(silent, renderer)), {})

    assert shown(json.loads(text))["kopia"][0] == "pkg:golang/example.org/kopia@v0.99.0"
