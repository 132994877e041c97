"""The resources as the API server admits them, annotations as anybody writes them, settings."""

from __future__ import annotations

from typing import Final

from fuzzlib.target import Target
from fuzzlib.targets.shapes import Skipped, admitted, file, map_of, plain
from reconcilers import durations, settings
from reconcilers.actionset import blueprint, memo, parse
from reconcilers.actionset import settings as actionset_settings
from reconcilers.errors import InvalidInput
from reconcilers.pods import allowed, overrides, quantities
from reconcilers.repositoryserver import api, connection
from reconcilers.repositoryserver.children import names, record
from reconcilers.repositoryserver.definition import fields

_SPEC: Final = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsUser": 1000, "runAsNonRoot": True},
    "containers": [
        {
            "name": names.CONTAINER,
            "image": "kopia",
            "command": ["kopia"],
            "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - of a container
            "ports": [{"name": "kopia", "containerPort": 51515}],
            "volumeMounts": [{"name": "config", "mountPath": "/config"}],
        }
    ],
    "volumes": [{"name": "config", "secret": {"secretName": "some"}}],
}


def server(data: bytes) -> object:
    """Read a RepositoryServer, and what others ask of its status."""
    obj = admitted("RepositoryServer", plain(map_of(data)))
    found: list[object] = [connection.of(obj), connection.health(obj)]
    parsed = api.parse(obj)
    return [*found, parsed, connection.details(obj), names.stable_name(parsed)]


def pod_override(data: bytes) -> object:
    """Merge an override into a server's pod, under each of the settings."""
    override = plain(map_of(data))
    found: list[object] = []
    for mode in allowed.MODES:
        try:
            allowed.check(override, mode=mode, rules=allowed.of_server(names.CONTAINER))
        except InvalidInput as error:
            found.append(error.message)
    return found, overrides.merged(_SPEC, override, container=names.CONTAINER)


def action_set(data: bytes) -> object:
    """Read an ActionSet with its annotations."""
    obj = plain(map_of(data))
    written = obj.get("annotations") or {}
    if not isinstance(written, dict):
        raise Skipped
    texts = {key: value for key, value in written.items() if isinstance(value, str)}
    found: list[object] = [actionset_settings.read_settings(texts)]
    return [*found, parse.parse(admitted("ActionSet", obj))]


def blueprint_actions(data: bytes) -> object:
    """Read the actions of a Blueprint."""
    obj = admitted("Blueprint", plain(map_of(data)))
    found: list[object] = []
    for action in [*(obj.get("actions") or {}), "none"]:
        try:
            written = blueprint.find_action(obj, action)
            found.append(blueprint.parse_action(written, blueprint="some", action=action))
        except InvalidInput as error:
            found.append(error.message)
    return found


def annotation(data: bytes) -> object:
    """Read what the controllers keep in annotations, where anybody may have changed it."""
    text = data.decode(errors="replace")
    memos = memo.parse(text)
    return memos, memo.render(memos), record.parse(text)


def words(data: bytes) -> object:
    """Read durations and quantities."""
    text = data.decode(errors="replace")
    found: list[object] = []
    for read in (durations.parse, quantities.amount):
        try:
            found.append(read(text))
        except (ValueError, ArithmeticError) as error:
            found.append(type(error).__name__)
    return found


def settings_file(data: bytes) -> object:
    """Read the file of `--config`."""
    path = file()
    path.write_bytes(data)
    return settings.load(str(path))


def definition(data: bytes) -> object:
    """Look for the fields that the API server's document of the CRD lacks."""
    return fields.missing(plain(map_of(data)))


TARGETS: Final = (
    Target("repositoryserver", server, (InvalidInput, Skipped), is_json=True),
    Target("pod-override", pod_override, (InvalidInput, Skipped), is_json=True),
    Target("actionset", action_set, (InvalidInput, Skipped), is_json=True),
    Target("blueprint", blueprint_actions, (InvalidInput, Skipped), is_json=True),
    Target("annotations", annotation, is_json=True),
    Target("words", words),
    Target("settings", settings_file, (settings.SettingsError,)),
    Target("definition", definition, (Skipped,), is_json=True),
)
