"""Kanister's CRDs as its operator of today installs them: the fields that it does not prune.

Facts of pkg/customresource/actionset.yaml, blueprint.yaml and profile.yaml of Kanister 0.119.0. The
operator writes them anew at each start (pkg/customresource/customresource.go), so that what another
CRD had more is lost: an action's `repositoryServer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers import resources
from reconcilers.actionset import api

if TYPE_CHECKING:
    from controller.resource import Object, Resource

TEXT: Final[dict[str, Any]] = {"type": "string"}
_INTEGER: Final[dict[str, Any]] = {"type": "integer"}
_TIME: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
#: An object whose fields are all kept.
_ANY: Final[dict[str, Any]] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _map(values: Object) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


def _list(items: Object) -> dict[str, Any]:
    return {"type": "array", "items": items}


REFERENCE: Final = _object(
    apiVersion=TEXT, group=TEXT, kind=TEXT, name=TEXT, namespace=TEXT, resource=TEXT
)
_ARTIFACTS: Final = _map(
    _object(
        keyValue=_map(TEXT),
        # Of a text this keeps nothing more.
        kopiaSnapshot={**TEXT, "x-kubernetes-preserve-unknown-fields": True},
    )
)
_SIZES: Final = {
    "sizeDownloadedB": _INTEGER,
    "sizeUploadedB": _INTEGER,
    "estimatedDownloadSizeB": _INTEGER,
    "estimatedUploadSizeB": _INTEGER,
}
_PHASE_STATUS: Final = _object(
    name=TEXT,
    state=TEXT,
    output=_ANY,
    progress=_object(
        progressPercent=TEXT,
        estimatedTimeSeconds=_INTEGER,
        lastTransitionTime=_TIME,
        **_SIZES,
    ),
)
_ACTION: Final = _object(
    name=TEXT,
    blueprint=TEXT,
    object=REFERENCE,
    artifacts=_ARTIFACTS,
    configMaps=_map(REFERENCE),
    secrets=_map(REFERENCE),
    profile=REFERENCE,
    options=_map(TEXT),
    podLabels=_map(TEXT),
    podAnnotations=_map(TEXT),
    podOverride=_ANY,
    preferredVersion=TEXT,
)
_ACTION_STATUS: Final = _object(
    name=TEXT,
    blueprint=TEXT,
    object=REFERENCE,
    artifacts=_ARTIFACTS,
    phases=_list(_PHASE_STATUS),
    deferPhase=_PHASE_STATUS,
)
_STATUS: Final = _object(
    state=TEXT,
    error=_object(message=TEXT),
    actions=_list(_ACTION_STATUS),
    progress=_object(runningPhase=TEXT, percentCompleted=TEXT, lastTransitionTime=_TIME, **_SIZES),
)
_PHASE: Final = _object(func=TEXT, name=TEXT, objects=_map(REFERENCE), args=_ANY)
_BLUEPRINT_ACTION: Final = _object(
    name=TEXT,
    kind=TEXT,
    configMapNames=_list(TEXT),
    secretNames=_list(TEXT),
    inputArtifactNames=_list(TEXT),
    outputArtifacts=_ARTIFACTS,
    phases=_list(_PHASE),
    deferPhase=_PHASE,
)
_SECRET_KEY: Final = {**_object(key=TEXT, secret=REFERENCE), **_ANY}
_LOCATION: Final = _object(type=TEXT, bucket=TEXT, endpoint=TEXT, prefix=TEXT, region=TEXT)
_CREDENTIAL: Final = _object(
    type=TEXT,
    keyPair=_object(idField=TEXT, secretField=TEXT, secret=REFERENCE),
    secret=REFERENCE,
    kopiaServerSecret={
        **_object(
            username=TEXT,
            hostname=TEXT,
            userPassphrase=_SECRET_KEY,
            tlsCert=_SECRET_KEY,
            connectOptions=_map(_INTEGER),
        ),
        **_ANY,
    },
)

#: Columns of `kubectl get actionsets`: name, type and path below `.status`.
COLUMNS: Final = (
    ("Progress", "string", "progress.percentCompleted"),
    ("SizeDownloadedB", "integer", "progress.sizeDownloadedB"),
    ("SizeUploadedB", "integer", "progress.sizeUploadedB"),
    ("EstimatedDownloadSizeB", "integer", "progress.estimatedDownloadSizeB"),
    ("EstimatedUploadSizeB", "integer", "progress.estimatedUploadSizeB"),
    ("Running Phase", "string", "progress.runningPhase"),
    ("Last Transition Time", "string", "progress.lastTransitionTime"),
    ("State", "string", "state"),
)


def _definition(resource: Resource, **properties: Any) -> Object:
    metadata = {"metadata": {"type": "object"}}
    version: dict[str, Any] = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": _object(apiVersion=TEXT, kind=TEXT, **metadata, **properties)
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.full_name},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
            },
            "versions": [version],
        },
    }


def _with_columns(definition: Object) -> Object:
    (version,) = definition["spec"]["versions"]
    version["additionalPrinterColumns"] = [
        {"name": name, "type": type_, "jsonPath": f".status.{path}"}
        for name, type_, path in COLUMNS
    ]
    return definition


ACTION_SETS: Final = _with_columns(
    _definition(api.ACTION_SETS, spec=_object(actions=_list(_ACTION)), status=_STATUS)
)
BLUEPRINTS: Final = _definition(api.BLUEPRINTS, actions=_map(_BLUEPRINT_ACTION))
PROFILES: Final = _definition(
    resources.PROFILES,
    location=_LOCATION,
    credential=_CREDENTIAL,
    skipSSLVerify={"type": "boolean"},
)
DEFINITIONS: Final = (ACTION_SETS, BLUEPRINTS, PROFILES)
