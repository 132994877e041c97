"""What a client is given: connections and arguments of data functions, kubeconfigs, plugins."""

from __future__ import annotations

import json
import logging
from typing import Any, Final

from attrs import evolve

from controller.errors import ConfigError
from controller.rest.kubeconfig import current_namespace, load_api_client
from fuzzlib.target import Target, secret
from fuzzlib.targets.shapes import Skipped, file, json_of, map_of, plain
from reconcilers.actionset import frozen
from reconcilers.datafunctions import arguments, backupinfo, catalogue
from reconcilers.datafunctions.connect import folders, profile
from reconcilers.datafunctions.connect.wanted import Wanted
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.program import streams
from reconcilers.errors import InvalidInput
from reconcilers.kopia.client.errors import InvalidRequest

_PASSWORD: Final = ("Credential", "KopiaServerSecret", "Password")


def profile_json(data: bytes) -> object:
    """Read the Profile that Kanister renders; its password is secret."""
    value = plain(json_of(data))
    node = value
    for name in _PASSWORD[:-1]:
        node = node.get(name) if isinstance(node, dict) else None
    if isinstance(node, dict) and isinstance(node.get(_PASSWORD[-1]), str):
        node[_PASSWORD[-1]] = secret(node[_PASSWORD[-1]])
    return profile.connection_of(json.dumps(value))


def profile_text(data: bytes) -> object:
    """Read what is no JSON, all of which may be secret."""
    text = data.decode(errors="replace")
    if text.startswith("@"):
        raise Skipped
    return profile.connection_of(secret(text))


def folder(data: bytes) -> object:
    """Read two mounted Secrets, of a connection and of users: `{"connection": {}, "user": {}}`."""
    value = plain(map_of(data))
    root = file().parent / "mounted"
    for name in ("connection", "user"):
        below = root / name
        below.mkdir(parents=True, exist_ok=True)
        for old in below.iterdir():
            old.unlink()
        part = value.get(name)
        for key, text in part.items() if isinstance(part, dict) else ():
            if isinstance(text, str) and _is_key(key):
                named = name == "connection" or key in ("username", "hostname")
                written = text if named else secret(text)
                (below / key).write_bytes(written.encode("utf-8", "surrogatepass"))
    wanted = Wanted(connection=root / "connection", user=root / "user")
    found: list[object] = []
    for username in ("", "backup"):
        try:
            found.append(folders.connection_of(evolve(wanted, username=username), variable="V"))
        except (Refused, InvalidRequest) as error:
            found.append(str(error))
    return found


def _is_key(key: str) -> bool:
    """Return whether a Secret can have such a key."""
    return bool(key) and key.isascii() and all(one.isalnum() or one in "-_." for one in key)


def function_arguments(data: bytes) -> object:
    """Decode the arguments of each data function."""
    given = plain(map_of(data))
    found: list[object] = []
    for function in catalogue.FUNCTIONS:
        try:
            found.append(arguments.decode(function.arguments, given, function=function.name))
        except Refused as error:
            found.append(str(error))
    return found


def function_texts(data: bytes) -> object:
    """Read what a function is handed from another one."""
    text = data.decode(errors="replace")
    found: list[object] = []
    for read in (backupinfo.parse, streams.snapshot_id, streams.path_of):
        try:
            found.append(read(text))
        except Refused as error:
            found.append(str(error))
    return found


def frozen_action(data: bytes) -> object:
    """Read the Secret in which an action is kept."""
    secret_ = plain(map_of(data))
    metadata = {"name": "some", "ownerReferences": [{"uid": "1"}]}
    values = secret_.get("data")
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise Skipped
    obj = {"metadata": metadata, "immutable": True, "data": values}
    return frozen.parse_secret(obj, {"metadata": {"uid": "1"}})


def kubeconfig(data: bytes) -> object:
    """Read a kubeconfig whose token is secret, and which starts no plugin."""
    if b"exec" in data or b"auth-provider" in data or b"cmd-" in data:
        raise Skipped
    path = file()
    path.write_bytes(data)
    current_namespace(str(path))
    client: Any = load_api_client(str(path))
    return client.configuration.host


def plugin(data: bytes) -> object:
    """Read what a credential plugin prints."""
    out = file().with_name("printed")
    out.write_bytes(data)
    path = file()
    path.write_text(_WITH_PLUGIN.format(file=out))
    client: Any = load_api_client(str(path))
    return client.configuration.host


_WITH_PLUGIN: Final = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:1"}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
users:
  - name: u
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: cat
        args: [{file}]
        interactiveMode: Never
"""

# The official client logs what it cannot use.
logging.getLogger().setLevel(logging.CRITICAL)

_REFUSALS: Final = (Refused, InvalidRequest, Skipped)

TARGETS: Final = (
    Target("profile", profile_json, _REFUSALS, is_json=True),
    Target("profile-text", profile_text, _REFUSALS),
    Target("connection-folder", folder, _REFUSALS, is_json=True),
    Target("function-arguments", function_arguments, _REFUSALS, is_json=True),
    Target("function-texts", function_texts, _REFUSALS),
    Target("frozen-action", frozen_action, (InvalidInput, Skipped), is_json=True),
    Target("kubeconfig", kubeconfig, (ConfigError, Skipped)),
    Target("credential-plugin", plugin, (ConfigError, Skipped), is_json=True),
)
