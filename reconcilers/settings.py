"""The settings file: defaults that hold for all servers, read once when the program starts.

The file is YAML, and each of its keys is a field of one of the classes here, in camelCase. A key
that is none, a value of the wrong type and a key that is written twice are refused with their path,
as the API server refuses them with strict field validation.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml
from attrs import asdict, field, fields, frozen

from reconcilers.pods import quantities
from reconcilers.secrets import pem
from reconcilers.secrets.certificates import unread

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    Reader = Callable[[Any, str], Any]

DEFAULT_IMAGE: Final = "kopia/kopia:0.23.1"
IMAGE: Final = re.compile(r"[^\s:@]\S*")

UNREADABLE: Final = "settings file {path}: {reason}"
UNKNOWN_KEY: Final = "{path} is not a setting; the keys here are {known}"
WRONG_TYPE: Final = "{path} must be {what}"
NOT_ONE_OF: Final = "{path} must be one of {allowed}"
NO_QUANTITY: Final = "{path} must be a quantity, such as 500m or 1Gi"
ABOVE_LIMIT: Final = "{path} is above pod.resources.limits"
NO_CERTIFICATES: Final = "{path} holds no certificates in PEM"
UNREADABLE_CERTIFICATE: Final = "certificate {number} of {path} cannot be read by Kopia: {kind}"

_READER: Final = "reader"


class SettingsError(ValueError):
    """The settings file cannot be used; the message names the file and what is wrong in it."""


class _Refused(Exception):
    """A value of the file cannot be taken; the message has its path."""


def _text(value: Any, path: str) -> str:  # noqa: ANN401 - any YAML value
    if not isinstance(value, str):
        raise _Refused(WRONG_TYPE.format(path=path, what="a string; put it in quotes"))
    return value


def _image(value: Any, path: str) -> str:  # noqa: ANN401 - any YAML value
    if not IMAGE.fullmatch(_text(value, path)):
        raise _Refused(WRONG_TYPE.format(path=path, what="the name of an image"))
    return str(value)


def _whole(value: Any, path: str) -> int:  # noqa: ANN401 - any YAML value
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Refused(WRONG_TYPE.format(path=path, what="a whole number"))
    return value


def _one_of(*allowed: str) -> Reader:
    def read(value: Any, path: str) -> str:  # noqa: ANN401 - any YAML value
        if value not in allowed:
            raise _Refused(NOT_ONE_OF.format(path=path, allowed=", ".join(allowed)))
        return str(value)

    return read


def _map(value: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _Refused(WRONG_TYPE.format(path=path, what="a map with strings as keys"))
    return value


def _map_of(read: Reader) -> Reader:
    return lambda value, path: {
        key: read(item, f"{path}.{key}") for key, item in _map(value, path).items()
    }


def _list_of(read: Reader) -> Reader:
    def read_list(value: Any, path: str) -> tuple[Any, ...]:  # noqa: ANN401 - any YAML value
        if not isinstance(value, list):
            raise _Refused(WRONG_TYPE.format(path=path, what="a list"))
        return tuple(read(item, f"{path}[{number}]") for number, item in enumerate(value))

    return read_list


def _object(readers: Mapping[str, Reader]) -> Reader:
    def read(value: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
        found = _map(value, path)
        for key in found:
            if key not in readers:
                place = f"{path}.{key}" if path else key
                raise _Refused(UNKNOWN_KEY.format(path=place, known=", ".join(readers)))
        return {
            key: readers[key](item, f"{path}.{key}" if path else key) for key, item in found.items()
        }

    return read


def _quantity(value: Any, path: str) -> str:  # noqa: ANN401 - any YAML value
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    try:
        quantities.amount(_text(text, path))
    except ValueError:
        raise _Refused(NO_QUANTITY.format(path=path)) from None
    return str(text)


def _resources(value: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    amounts = _map_of(_quantity)
    found: dict[str, Any] = _object({"requests": amounts, "limits": amounts})(value, path)
    limits = found.get("limits", {})
    for name, request in found.get("requests", {}).items():
        if name in limits and quantities.amount(request) > quantities.amount(limits[name]):
            raise _Refused(ABOVE_LIMIT.format(path=f"{path}.requests.{name}"))
    return found


def _bundle(value: Any, path: str) -> str:  # noqa: ANN401 - any YAML value
    text = _text(value, path)
    if not text.strip():
        return ""
    try:
        bundle = pem.certificates(text)
    except ValueError:
        raise _Refused(NO_CERTIFICATES.format(path=path)) from None
    for number, certificate in enumerate(bundle, start=1):
        if kind := unread(certificate):
            raise _Refused(UNREADABLE_CERTIFICATE.format(number=number, path=path, kind=kind))
    return pem.certificates_text(bundle)


def _setting(read: Reader, default: Any) -> Any:  # noqa: ANN401 - the type of the field
    """Return a field that a key of the file sets.

    Args:
        read: Checks the key's value and returns the field's.
        default: Returns the value without the key.
    """
    return field(factory=default, metadata={_READER: read})


@frozen
class PodDefaults:
    """What the pod of each server has, where its resource does not say otherwise.

    Args:
        node_selector: Labels that a node must have. A resource adds to them, and its value counts
            for a label that both name.
        tolerations: Taints that do not keep the pod away. A resource adds to them.
        affinity: Affinity of the pod, in the words of the Kubernetes API.
        resources: Requests and limits of the server's container, by name. The resource's value
            counts for a name that both have, and a default that contradicts it does not.
        image_pull_secrets: References to Secrets that open the image's registry. A resource adds
            to them.
        service_account_name: Service account of the pod; empty for the namespace's default. The
            resource's counts.
        annotations: Annotations of the pod. A resource adds to them, and its value counts for one
            that both have. A change restarts nothing.
        priority_class_name: Priority class of the pod; empty for the cluster's default.
    """

    node_selector: Mapping[str, str] = _setting(_map_of(_text), dict)
    tolerations: Sequence[Mapping[str, Any]] = _setting(
        _list_of(
            _object(
                {
                    "key": _text,
                    "operator": _one_of("Equal", "Exists"),
                    "value": _text,
                    "effect": _one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
                    "tolerationSeconds": _whole,
                }
            )
        ),
        tuple,
    )
    affinity: Mapping[str, Any] = _setting(
        _object({"nodeAffinity": _map, "podAffinity": _map, "podAntiAffinity": _map}), dict
    )
    resources: Mapping[str, Any] = _setting(_resources, dict)
    image_pull_secrets: Sequence[Mapping[str, Any]] = _setting(
        _list_of(_object({"name": _text})), tuple
    )
    service_account_name: str = _setting(_text, str)
    annotations: Mapping[str, str] = _setting(_map_of(_text), dict)
    priority_class_name: str = _setting(_text, str)


@frozen
class StorageDefaults:
    """What holds for the storage of each server.

    Args:
        ca_bundle: Certificates in PEM of authorities that every object store is trusted by, besides
            those of the image and of the location Secret; empty for none.
    """

    ca_bundle: str = _setting(_bundle, str)


SettingsT = TypeVar("SettingsT", bound="PodDefaults | StorageDefaults | Settings")


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _class(cls: type[SettingsT]) -> Reader:
    """Return what reads a map into a class, each key by the reader of its field."""
    names = {_camel_case(one.name): one.name for one in fields(cls)}
    read = _object({_camel_case(one.name): one.metadata[_READER] for one in fields(cls)})
    return lambda value, path: cls(**{names[key]: item for key, item in read(value, path).items()})


@frozen
class Settings:
    """The settings file.

    Args:
        image: Image with Kopia for the server pods. The flag `--server-image` counts more.
        pod: What the pod of each server has.
        storage: What holds for the storage of each server.
    """

    image: str = _setting(_image, lambda: DEFAULT_IMAGE)
    pod: PodDefaults = field(factory=PodDefaults, metadata={_READER: _class(PodDefaults)})
    storage: StorageDefaults = field(
        factory=StorageDefaults, metadata={_READER: _class(StorageDefaults)}
    )

    def digest(self) -> str:
        """Return a word that is another one for other settings; nothing can be read from it."""
        canonical = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def load(path: str) -> Settings:
    """Read a settings file.

    Args:
        path: Its path; empty for the defaults. An empty file has the defaults as well.

    Raises:
        SettingsError: It cannot be read, is not YAML, or has a key or value that is none.
    """
    if not path:
        return Settings()
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a safe loader
        settings: Settings = _class(Settings)({} if content is None else content, "")
    # PyYAML passes on what Python says of a time or a number; of what is nested too deep it says
    # nothing itself.
    except (OSError, ValueError, RecursionError, yaml.YAMLError, _Refused) as error:
        raise SettingsError(UNREADABLE.format(path=path, reason=error)) from error
    return settings


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is written twice, of which PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the map of a node."""
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key_node.value} is written twice", key_node.start_mark
                )
            if isinstance(key_node, yaml.ScalarNode):
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)
