"""What a RepositoryServer may ask for: which override, which account, which labels.

Who may write RepositoryServers is not trusted with more than them. What is refused here keeps the
server's present pod as it is, and is looked at anew in each reconcile: the caches say all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from reconcilers.errors import InvalidInput
from reconcilers.pods import allowed, overrides
from reconcilers.pods.accounts import OPERATORS, is_of_operator
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.caches import Cache
    from reconcilers.secrets.data import SecretRef

#: On a ServiceAccount, with the value `true`: pods of RepositoryServers may run as it.
ANNOTATION_ALLOW: Final = "cr.kanister.io/allow-repository-servers"

#: Where the name of an account stands, for messages.
FIELD: Final = "spec.server.serviceAccountName"
SETTING: Final = "pod.serviceAccountName of the controller's settings"

# The name may be any where Helm has installed an operator, so these count as well.
_OPERATOR_LABELS: Final = ("app.kubernetes.io/name", "app")

REASON_ACCOUNT: Final = "ServiceAccountNotAllowed"
ACCOUNT_OF_OPERATOR: Final = (
    "ServiceAccount {namespace}/{name}, named by {source}, is that of an operator and is never "
    "given to a server; name another one"
)
ACCOUNT_NOT_ALLOWED: Final = (
    "ServiceAccount {namespace}/{name} is not allowed for RepositoryServers; have its owner run "
    "kubectl annotate -n {namespace} serviceaccount/{name} {annotation}=true, or set another one "
    "in spec.server.serviceAccountName"
)
REASON_NO_ACCOUNT: Final = "ServiceAccountMissing"
NO_ACCOUNT: Final = (
    "ServiceAccount {namespace}/{name}, named by {source}, does not exist; create it with the "
    "annotation {annotation}=true, or correct the name"
)
NO_SETTINGS_ACCOUNT: Final = (
    "ServiceAccount {namespace}/{name}, named by {source}, does not exist; create it, or have "
    "whoever runs the controller correct the name"
)
NOT_ALLOWED_FOR_STORAGE: Final = (
    "Secret {ref}, named by {field}, asks for a token of the pod's account: {message}"
)

REASON_IMAGE: Final = "ImageNotAllowed"
IMAGE_NOT_ALLOWED: Final = (
    "spec.server.image is not that of the controller's settings, the only one that is allowed: an "
    "image can read all that the pod is given; remove it, or have whoever runs the controller set "
    "--pod-override=any"
)

REASON_METADATA: Final = "PodMetadataNotAllowed"
METADATA_NOT_ALLOWED: Final = "{field} has {key}, which is never allowed: {why}; remove it"
WHY_SELECTED: Final = "the controller's own objects are found by it"
WHY_CONFINED: Final = "it would loosen what confines the pod's processes"
LABELS: Final = "spec.server.podLabels"
ANNOTATIONS: Final = "spec.server.podAnnotations"
#: Keys of labels and annotations that are the controller's begin so.
OWN_PREFIX: Final = "cr.kanister.io/"
#: The annotations that came before the fields appArmorProfile and seccompProfile begin so.
CONFINEMENT_PREFIXES: Final = (
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
)


class Permissions:
    """Refuses what a RepositoryServer may not ask for.

    Args:
        accounts: ServiceAccounts, without their content.
        mode: Which overrides are taken, one of `allowed.MODES`.
        settings_account: The account that the controller's settings give to servers, which needs
            no annotation; empty if they give none.
        settings_image: The image of the controller's settings, which may be named under each mode.
    """

    def __init__(
        self,
        *,
        accounts: Cache,
        mode: str = allowed.RESTRICTED,
        settings_account: str = "",
        settings_image: str = "",
    ) -> None:
        self._accounts = accounts
        self._mode = mode
        self._settings_account = settings_account
        self._settings_image = settings_image

    def check(self, server: RepositoryServer) -> None:
        """Return if a resource asks for nothing that it may not have.

        Raises:
            InvalidInput: It does, a field cannot work, or its account does not exist.
        """
        if server.wrong is not None:
            raise InvalidInput(server.wrong.reason, server.wrong.message)
        _check_metadata(server)
        if server.image not in ("", self._settings_image) and self._mode != allowed.ANY:
            raise InvalidInput(REASON_IMAGE, IMAGE_NOT_ALLOWED)
        overrides.refuse_powers(server.pod.override, is_root=api.run_as_user(server) == 0)
        rules = allowed.of_server(names.CONTAINER)
        allowed.check(server.pod.override, mode=self._mode, rules=rules)
        # The pod gets no token of its own account, unless it asks for one, or its storage does.
        if self._account_of(server) != api.DEFAULT_ACCOUNT or server.token is not None:
            refusal = self.token_refusal(server)
            if refusal is not None:
                raise InvalidInput(refusal.reason, refusal.message)

    def check_token(self, server: RepositoryServer, secret: SecretRef) -> None:
        """Return if the pod of a server may have a token of its account for its storage.

        Args:
            server: The resource.
            secret: The Secret that asks for the token.

        Raises:
            InvalidInput: It may not, or there is no such account.
        """
        refusal = self.token_refusal(server)
        if refusal is not None:
            message = NOT_ALLOWED_FOR_STORAGE.format(
                ref=secret, field=secret.field, message=refusal.message
            )
            raise InvalidInput(refusal.reason, message)

    def token_refusal(self, server: RepositoryServer) -> InvalidInput | None:
        """Return why the pod of a server may have no token of its account; None if it may.

        It is not raised: by its traceback it would hold the reconcile, with all Secrets.
        """
        namespace, name = server.namespace, self._account_of(server)
        account = self._accounts.get(namespace, name)
        of_settings = name == self._settings_account
        words = {
            "namespace": namespace,
            "name": name,
            "source": SETTING if of_settings and not server.service_account_name else FIELD,
            "annotation": ANNOTATION_ALLOW,
        }
        if _is_operators(name, account):
            return InvalidInput(REASON_ACCOUNT, ACCOUNT_OF_OPERATOR.format(**words))
        if account is None:
            template = NO_SETTINGS_ACCOUNT if of_settings else NO_ACCOUNT
            return InvalidInput(REASON_NO_ACCOUNT, template.format(**words))
        annotations = account["metadata"].get("annotations") or {}
        if of_settings or annotations.get(ANNOTATION_ALLOW) == "true":
            return None
        return InvalidInput(REASON_ACCOUNT, ACCOUNT_NOT_ALLOWED.format(**words))

    def _account_of(self, server: RepositoryServer) -> str:
        return server.service_account_name or self._settings_account or api.DEFAULT_ACCOUNT


def _is_operators(name: str, account: Mapping[str, Any] | None) -> bool:
    labels = {} if account is None else account["metadata"].get("labels") or {}
    return is_of_operator(name) or any(labels.get(label) in OPERATORS for label in _OPERATOR_LABELS)


def _check_metadata(server: RepositoryServer) -> None:
    """Refuse labels and annotations that are not the user's to set.

    The CRD refuses the controller's own as well; an object that was stored before keeps them.
    """
    for key, value in server.pod.labels.items():
        is_own = key.startswith(OWN_PREFIX) or key == names.LABEL_MANAGED_BY
        if is_own or (key in _OPERATOR_LABELS and value in OPERATORS):
            _refuse_key(LABELS, key, WHY_SELECTED)
    for key in server.pod.annotations:
        if key.startswith(OWN_PREFIX):
            _refuse_key(ANNOTATIONS, key, WHY_SELECTED)
        if key.startswith(CONFINEMENT_PREFIXES):
            _refuse_key(ANNOTATIONS, key, WHY_CONFINED)


def _refuse_key(field: str, key: str, why: str) -> NoReturn:
    message = METADATA_NOT_ALLOWED.format(field=field, key=key, why=why)
    raise InvalidInput(REASON_METADATA, message)
