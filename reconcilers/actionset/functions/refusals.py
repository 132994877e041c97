"""What KubeOps does not do, whoever asks: it acts with the rights of the engine.

Whoever may write an ActionSet must gain nothing by it. Most of that is held by rights: the engine
has a Role in each namespace of an application, and an admission policy asks the author for pods
there. What is here would lead around both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset.api import ANNOTATION_PREFIX, GROUP, LABEL_UID
from reconcilers.actionset.functions.manifests import ANNOTATION_PHASE
from reconcilers.errors import InvalidInput
from reconcilers.pods.accounts import is_of_operator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from controller.resource import Resource

REASON_REFUSED: Final = "KubeOpsRefused"
GROUP_REFUSED: Final = (
    "KubeOps does not touch objects of the group {group}, since it would do so with the rights of"
    " actionset-controller; have somebody with the rights do it"
)
CLUSTER_SCOPED: Final = (
    "KubeOps does not touch cluster-scoped objects, such as {what}; have somebody with the rights"
    " do it"
)
NO_TOKENS: Final = (
    "KubeOps does not create Secrets of type {type_}, which the cluster fills with an account's"
    " token; use another type"
)
OURS: Final = "{what} belongs to an ActionSet; KubeOps leaves it alone"
RESERVED: Final = (
    "{what} has a label, an annotation or a finalizer that begins with {prefix}, as what ActionSets"
    " work with; remove it"
)
ACCOUNT: Final = (
    "{what} would run with the service account of an operator; name another one in"
    " serviceAccountName"
)

#: Who may make objects of these may have all that the engine has: by an ActionSet in another
#: namespace, or by a binding to its Role.
GROUPS: Final = frozenset({GROUP, "rbac.authorization.k8s.io"})
TOKEN_TYPE: Final = "kubernetes.io/service-account-token"  # noqa: S105 - a type of Secrets

_ACCOUNT_FIELDS: Final = ("serviceAccountName", "serviceAccount")


def check_resource(api: Resource) -> None:
    """Refuse objects of a resource.

    Raises:
        InvalidInput: KubeOps does not touch them.
    """
    if api.group in GROUPS:
        raise InvalidInput(REASON_REFUSED, GROUP_REFUSED.format(group=api.group))
    if not api.namespaced:
        raise InvalidInput(REASON_REFUSED, CLUSTER_SCOPED.format(what=api.plural))


def check_existing(obj: Mapping[str, Any], what: str) -> None:
    """Refuse to change or delete what ActionSets work with.

    Args:
        obj: The object as it is.
        what: Which one, for the message.

    Raises:
        InvalidInput: It is part of an ActionSet.
    """
    if LABEL_UID in (obj["metadata"].get("labels") or {}):
        raise InvalidInput(REASON_REFUSED, OURS.format(what=what))


def check_body(body: Mapping[str, Any], what: str, *, account: str = "") -> None:
    """Refuse an object to create, or a patch of one.

    Args:
        body: Of the object, with the mark of the phase.
        what: Which one, for the messages.
        account: The engine's service account, if it is in the namespace of the object. Default:
            it is not.

    Raises:
        InvalidInput: It would gain its author something.
    """
    if body.get("type") == TOKEN_TYPE:
        raise InvalidInput(REASON_REFUSED, NO_TOKENS.format(type_=TOKEN_TYPE))
    metadata = body.get("metadata") or {}
    finalizers = metadata.get("finalizers")
    names = (
        *(metadata.get("labels") or {}),
        *(metadata.get("annotations") or {}),
        *(finalizers if isinstance(finalizers, list) else ()),
    )
    if any(str(one).startswith(ANNOTATION_PREFIX) for one in names if one != ANNOTATION_PHASE):
        raise InvalidInput(REASON_REFUSED, RESERVED.format(what=what, prefix=ANNOTATION_PREFIX))
    if any(one == account or is_of_operator(one) for one in _accounts(body)):
        raise InvalidInput(REASON_REFUSED, ACCOUNT.format(what=what))


def _accounts(tree: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield the service accounts that a pod, or a template of one anywhere in a tree, names."""
    if isinstance(tree, dict):
        yield from (str(tree[name]) for name in _ACCOUNT_FIELDS if tree.get(name))
        for one in tree.values():
            yield from _accounts(one)
    elif isinstance(tree, list):
        for one in tree:
            yield from _accounts(one)
