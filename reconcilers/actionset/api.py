"""The ActionSet resource: what Kanister's schema has, and the annotations for what it lacks.

Pure functions. Kanister's CRD has no status subresource and prunes unknown fields, so whatever is
ours is an annotation (Kanister pkg/apis/cr/v1alpha1/types.go, pkg/customresource/actionset.yaml).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from controller.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP: Final = "cr.kanister.io"
ACTION_SETS: Final = Resource(GROUP, "v1alpha1", "actionsets", "ActionSet")
BLUEPRINTS: Final = Resource(GROUP, "v1alpha1", "blueprints", "Blueprint")

#: Label of everything that is made for an ActionSet, with its uid.
LABEL_UID: Final = "actionset.cr.kanister.io/uid"
#: Label of a phase's pod: what a RepositoryServer's NetworkPolicy may admit, by a peer of its own.
LABEL_CREATED_BY: Final = "createdBy"
CREATED_BY: Final = "kanister"
MANAGER: Final = "actionset-controller"

#: On a phase's pod, until what came of it is in the status.
FINALIZER_RESULT: Final = "actionset.cr.kanister.io/result"
#: On an ActionSet while it runs, so that its deletion cancels it and ends with its deferPhases.
FINALIZER_RUNNING: Final = "actionset.cr.kanister.io/running"

ANNOTATION_PREFIX: Final = "actionset.cr.kanister.io/"
#: How long each phase may run: a duration such as `30m`, or several as `backup=2h,verify=10m`.
ANNOTATION_TIMEOUT: Final = "actionset.cr.kanister.io/timeout"
#: Phases that may run twice, by their names apart by commas, or `*`. Read from the Blueprint too.
ANNOTATION_REPEATABLE: Final = "actionset.cr.kanister.io/repeatable"
#: `true` to keep the pod of a phase that has failed.
ANNOTATION_KEEP_FAILED_POD: Final = "actionset.cr.kanister.io/keep-failed-pod"
#: A duration after its end for which the ActionSet is kept. Default: for ever.
ANNOTATION_TTL: Final = "actionset.cr.kanister.io/ttl"
#: `true` to run commands of KubeExec without a shell: the audit log then has the rendered command.
ANNOTATION_PLAIN_EXEC: Final = "actionset.cr.kanister.io/plain-exec"
#: Ours: what running phases have to know after a restart, as JSON.
ANNOTATION_MEMO: Final = "actionset.cr.kanister.io/memo"
#: Ours: what it waits for, for people; absent while nothing is in its way.
ANNOTATION_WAITS_FOR: Final = "actionset.cr.kanister.io/waits-for"

#: In place of the field `repositoryServer` where Kanister's own CRD prunes it: `namespace/name`.
OPTION_REPOSITORY_SERVER: Final = "repositoryServer"


class State(StrEnum):
    """State of an ActionSet or of a phase, as Kanister's status has it."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


@frozen
class ObjectReference:
    """What an action is about, or a Secret, ConfigMap, Profile or RepositoryServer.

    Args:
        name: Its name.
        namespace: Its namespace; empty for that of the ActionSet.
        kind: Its kind, in any case: `statefulset`, `namespace`, ...
        api_version: The version without its group, such as `v1`; empty for known kinds.
        group: Its API group.
        resource: The plural that the API has it under; empty for known kinds.
    """

    name: str
    namespace: str = ""
    kind: str = ""
    api_version: str = ""
    group: str = ""
    resource: str = ""


@frozen
class Action:
    """One action of an ActionSet's spec.

    Args:
        index: Its place in spec.actions.
        name: The action of the Blueprint.
        blueprint: Name of the Blueprint, in the namespace of the ActionSet.
        object: What it is about.
        artifacts: Input artifacts by name, each with `keyValue` or `kopiaSnapshot`.
        config_maps: ConfigMaps by the name that templates use.
        secrets: Secrets by the name that templates use.
        profile: The Profile; None if there is none.
        repository_server: The RepositoryServer, by the field or the option; None if there is none.
        options: Options by name.
        pod_override: A partial PodSpec for each phase's pod.
        pod_labels: Labels for each phase's pod.
        pod_annotations: Annotations for each phase's pod.
        preferred_version: Of the functions; empty for their default.
    """

    index: int
    name: str
    blueprint: str
    object: ObjectReference
    artifacts: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    config_maps: Mapping[str, ObjectReference] = field(factory=dict)
    secrets: Mapping[str, ObjectReference] = field(factory=dict)
    profile: ObjectReference | None = None
    repository_server: ObjectReference | None = None
    options: Mapping[str, str] = field(factory=dict)
    pod_override: Mapping[str, Any] = field(factory=dict)
    pod_labels: Mapping[str, str] = field(factory=dict)
    pod_annotations: Mapping[str, str] = field(factory=dict)
    preferred_version: str = ""
