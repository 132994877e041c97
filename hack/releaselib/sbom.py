"""The bill of materials of an image, as CycloneDX."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from attrs import frozen
from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.utils import canonicalize_name, parse_wheel_filename

from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from releaselib.contents import Contents, DebianPackage, GoModule, Program, PythonPackage

INVALID: Final = "the bill of materials is not as CycloneDX wants it: {error}"

INDENT: Final = 2
#: What the bill of one digest is known by: the same wherever it is made.
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:repository-server-controller:sbom")
#: What Go calls a module that it has no version of.
_UNKNOWN: Final = ("", "(devel)")

WheelHashes = dict[tuple[str, str], str]


@frozen
class Subject:
    """The image that the bill is of.

    Attributes:
        name: Its name, without a tag.
        version: The version that is released.
        digest: Of its manifest.
        platform: For which platform it is.
        epoch: When its commit was made, in seconds since 1970.
        kopia: The version of Kopia, for a program that does not say it.
    """

    name: str
    version: str
    digest: str
    platform: str
    epoch: int
    kopia: str


def wheel_hashes(files: Mapping[str, str]) -> WheelHashes:
    """Return the SHA-256 of wheels by the name and version of their packages.

    Args:
        files: The SHA-256 of wheels by their file names.
    """
    found = {}
    for file, sha256 in files.items():
        name, version, _, _ = parse_wheel_filename(file)
        found[(str(name), str(version))] = sha256
    return found


def render(subject: Subject, contents: Contents, wheels: WheelHashes) -> str:
    """Return the bill of materials, as JSON.

    Args:
        subject: The image.
        contents: What is in it.
        wheels: Of the packages of Python.
    """
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, subject.digest))
    image = _image(subject)
    bom.metadata = BomMetaData(
        component=image,
        timestamp=datetime.fromtimestamp(subject.epoch, UTC),
        tools=ToolRepository(components=[this_component()]),
    )
    direct = [*_system(contents), *(_python(one, subject, wheels) for one in contents.python)]
    for one in direct:
        bom.components.add(one)
    programs = [_program(bom, one, subject) for one in contents.programs]
    bom.register_dependency(image, [*direct, *programs])
    text: str = JsonV1Dot6(bom).output_as_string(indent=INDENT)
    return f"{text}\n"


def check(text: str) -> None:
    """Check a bill of materials.

    Raises:
        ClusterError: It is not as the schema of CycloneDX wants it.
    """
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        raise ClusterError(INVALID.format(error=error))


def _component(
    kind: ComponentType,
    name: str,
    version: str,
    *,
    reference: str = "",
    purl: PackageURL | None = None,
    sha256: str = "",
    licence: str = "",
    group: str | None = None,
) -> Component:
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []
    return Component(
        type=kind,
        name=name,
        group=group,
        version=version,
        purl=purl,
        # In place of a random one.
        bom_ref=reference or (purl.to_string() if purl else name),
        hashes=hashes,
        licenses=[LicenseExpression(value=licence)] if licence else [],
    )


def _image(subject: Subject) -> Component:
    _, _, name = subject.name.rpartition("/")
    qualifiers = {"arch": subject.platform.rpartition("/")[2], "repository_url": subject.name}
    return _component(
        ComponentType.CONTAINER,
        subject.name,
        subject.version,
        purl=PackageURL("oci", None, name, subject.digest, qualifiers),
        sha256=subject.digest.removeprefix("sha256:"),
    )


def _system(contents: Contents) -> Iterable[Component]:
    """Return the operating system, its packages, and a Python that is none of them."""
    name, version = contents.system["ID"], contents.system.get("VERSION_ID", "")
    yield _component(
        ComponentType.OPERATING_SYSTEM, name, version, reference=f"os:{name}@{version}"
    )
    for package in contents.debian:
        yield _debian(package, f"{name}-{version}")
    if contents.interpreter:
        purl = PackageURL("generic", None, "python", contents.interpreter)
        yield _component(ComponentType.APPLICATION, "python", contents.interpreter, purl=purl)


def _debian(package: DebianPackage, distribution: str) -> Component:
    qualifiers = {"arch": package.architecture, "distro": distribution}
    purl = PackageURL("deb", "debian", package.name, package.version, qualifiers)
    return _component(ComponentType.LIBRARY, package.name, package.version, purl=purl)


def _python(package: PythonPackage, subject: Subject, wheels: WheelHashes) -> Component:
    name = canonicalize_name(package.name)
    ours = name == subject.name.rpartition("/")[2]
    return _component(
        ComponentType.APPLICATION if ours else ComponentType.LIBRARY,
        package.name,
        package.version,
        purl=PackageURL("pypi", None, name, package.version),
        sha256=wheels.get((name, package.version), ""),
        licence=package.licence,
    )


def _program(bom: Bom, program: Program, subject: Subject) -> Component:
    """Add a program and what it is built from; return the program."""
    version = program.module.version
    if version in _UNKNOWN:
        version = f"v{subject.kopia if program.name == 'kopia' else subject.version}"
    component = _component(
        ComponentType.APPLICATION,
        program.name,
        version.removeprefix("v"),
        reference=f"program:{program.name}",
        purl=_golang(program.module.path, version),
        sha256=program.sha256,
    )
    used = [_module(one) for one in program.modules]
    used.append(
        _component(
            ComponentType.LIBRARY, "std", program.compiler, purl=_golang("std", program.compiler)
        )
    )
    for one in (component, *used):
        bom.components.add(one)
    bom.register_dependency(component, used)
    return component


def _module(module: GoModule) -> Component:
    return _component(
        ComponentType.LIBRARY,
        module.path,
        module.version,
        purl=_golang(module.path, module.version),
        sha256=module.sha256,
    )


def _golang(path: str, version: str) -> PackageURL:
    namespace, _, name = path.rpartition("/")
    return PackageURL("golang", namespace or None, name, version)
