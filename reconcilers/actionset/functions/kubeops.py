"""KubeOps: creates, patches or deletes objects (Kanister pkg/function/kubeops.go, kube/kubectl.go).

What it creates or patches has an annotation for the phase. So a process that goes on after another
one knows what has been done. Of an object to create that is not there it does not: it may have been
made, and be gone again.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from controller.errors import AlreadyExists, BadRequest, Conflict, Invalid, NotFound
from reconcilers.actionset import denials
from reconcilers.actionset.api import ANNOTATION_REPEATABLE, ANNOTATION_TIMEOUT
from reconcilers.actionset.function import OUTCOME_UNKNOWN, Complete, Failed, Running
from reconcilers.actionset.functions import manifests, patience, references, refusals
from reconcilers.actionset.functions.apiresources import ApiResources
from reconcilers.actionset.functions.patching import patched
from reconcilers.datafunctions.arguments import Need, text, tree
from reconcilers.datafunctions.versions import DEFAULT_VERSION
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from controller.clock import Clock
    from controller.errors import ApiError
    from controller.resource import Object, Resource
    from controller.rest.client import Client
    from reconcilers.actionset.function import PhaseRun, Step
    from reconcilers.actionset.functions.manifests import Manifest
    from reconcilers.actionset.functions.references import Reference

CREATE: Final = "create"
DELETE: Final = "delete"
PATCH: Final = "patch"

#: Where Kanister creates objects that name no namespace.
DEFAULT_NAMESPACE: Final = "default"

REASON_OPERATION: Final = "InvalidOperation"
REASON_REJECTED: Final = "ObjectRejected"
BAD_OPERATION: Final = "argument operation is none of create, delete and patch; set it to one"
NO_SPEC: Final = "argument spec is missing or empty; set it to what to {operation}, as YAML"
ABSENT: Final = "{what} does not exist; check argument objectReference"
EXISTS: Final = "{what} exists already, and this phase has not created it; use another name"
REJECTED: Final = "{what} is rejected by the API server ({reason}){fields}; correct argument spec"
DENIED: Final = "{what} is refused by {who}; correct argument spec"
FIELDS: Final = ", for its {fields}"
DONE_BEFORE: Final = "; created before: {names}"
MAY_HAVE_CREATED: Final = (
    "actionset-controller was restarted while it created {absent}, which may have been made and be"
    " gone again; check, and set the annotation {annotation} if the phase may run twice"
)
STAYS: Final = (
    "{what} was deleted, and is still there after {seconds:.0f} s; see its finalizers, or set the"
    " annotation {annotation} for a longer time"
)
WAITS: Final = "the object to be gone"
CANCELLED: Final = "cancelled"
CANCELLED_LATE: Final = "cancelled; what it has created, patched or deleted by then stays so"

OBJECT_REFERENCE: Final = "argument objectReference"


@frozen
class Arguments:
    """Arguments of KubeOps."""

    operation: str = text("operation", "create, delete or patch", need=Need.ALWAYS)
    spec: str = text("spec", "the objects to create, or the patch, as YAML")
    namespace: str = text(
        "namespace", "the namespace of what does not name its own", default=DEFAULT_NAMESPACE
    )
    object_reference: Mapping[str, Any] = tree("objectReference", "what to delete or patch")


@frozen(eq=False)
class KubeOps:
    """The function.

    Args:
        client: Reads and writes the objects.
        clock: The time.
        account: The engine's service account, as `namespace/name`; empty if it has none.
        process: Tells this process from others. Default: a random text.
    """

    client: Client
    clock: Clock
    account: str = ""
    process: str = field(factory=lambda: uuid.uuid4().hex)
    _resources: ApiResources = field(init=False)

    name: Final = "KubeOps"
    version: Final = DEFAULT_VERSION
    arguments: Final = Arguments
    unrendered: Final[frozenset[str]] = frozenset()

    @_resources.default
    def _new_resources(self) -> ApiResources:
        return ApiResources(self.client)

    def advance(self, run: PhaseRun, arguments: Callable[[], Arguments]) -> Step:
        """Carry out the operation, or look how far it is. See `Function.advance`."""
        if run.memo.get("operation") == DELETE:
            return self._delete(run, _remembered(run))
        given = arguments()
        if given.operation == CREATE:
            return self._create(run, given)
        if given.operation == PATCH:
            return self._patch(run, given)
        if given.operation == DELETE:
            return self._begin_delete(run, given)
        raise InvalidInput(REASON_OPERATION, BAD_OPERATION)

    def cancel(self, run: PhaseRun) -> Step:
        """End it: no request of it is under way. See `Function.cancel`."""
        return Failed(CANCELLED_LATE if run.memo else CANCELLED)

    def so_far(self, run: PhaseRun) -> None:
        """Return None: it puts out nothing before its end."""

    def _create(self, run: PhaseRun, given: Arguments) -> Step:
        _check_spec(given)
        wanted = manifests.objects(run, given.spec, namespace=given.namespace)
        found = [(one, self._resource(run, one)) for one in wanted]
        if not run.memo:
            return Running(memo={"operation": CREATE, "process": self.process})
        last, resource = found[-1]
        made = Complete(references.Reference(resource, last.name, last.namespace).output())
        if run.memo.get("process") != self.process:
            absent = [one for one, resource in found if not self._is_made(run, one, resource)]
            if not absent:
                return made
            if not run.repeatable:
                why = MAY_HAVE_CREATED.format(
                    absent=", ".join(map(str, absent)), annotation=ANNOTATION_REPEATABLE
                )
                return Failed(OUTCOME_UNKNOWN.format(why=why))
        self._create_all(run, found)
        return made

    def _create_all(self, run: PhaseRun, wanted: Sequence[tuple[Manifest, Resource]]) -> None:
        done: list[str] = []
        for one, resource in wanted:
            try:
                self._create_one(run, one, resource)
            except InvalidInput as error:
                before = DONE_BEFORE.format(names=", ".join(done)) if done else ""
                raise InvalidInput(error.reason, error.message + before) from error
            done.append(str(one))

    def _create_one(self, run: PhaseRun, one: Manifest, resource: Resource) -> None:
        try:
            self.client.create(resource, one.namespace, dict(one.body), deadline=run.deadline)
        except AlreadyExists as error:
            if not self._is_made(run, one, resource):
                raise InvalidInput(REASON_REJECTED, EXISTS.format(what=one)) from error
        except (BadRequest, Invalid, NotFound) as error:
            raise _rejected(str(one), error) from error

    def _is_made(self, run: PhaseRun, one: Manifest, resource: Resource) -> bool:
        """Return whether an object is there, and this phase has created it."""
        try:
            found = self.client.get(resource, one.namespace, one.name, deadline=run.deadline)
        except NotFound:
            return False
        return manifests.is_marked(found, manifests.mark_of(run, one.number))

    def _resource(self, run: PhaseRun, one: Manifest) -> Resource:
        """Return what an object is one of, if it may be created."""
        what = f"object {one.number} of argument spec"
        found = self._resources.find(one.api_version, one.kind, what=what, deadline=run.deadline)
        refusals.check_resource(found)
        refusals.check_body(one.body, what, account=self._account_in(one.namespace))
        # Without its kind it is no informer's resource: their caches are for what they select.
        return evolve(found, kind="")

    def _patch(self, run: PhaseRun, given: Arguments) -> Step:
        _check_spec(given)
        reference = _reference(run, given)
        body = manifests.patch(given.spec)
        refusals.check_body(body, "argument spec", account=self._account_in(reference.namespace))
        before = self._read(run, reference)
        if before is None:
            raise InvalidInput(REASON_OPERATION, ABSENT.format(what=_words(reference)))
        refusals.check_existing(before, _words(reference))
        if not run.memo:
            return Running(memo={"operation": PATCH, "process": self.process})
        mark = manifests.mark_of(run)
        done = run.memo.get("process") != self.process and manifests.is_marked(before, mark)
        if not done:
            try:
                patched(self.client, reference, manifests.marked(body, mark), run.deadline)
            except (BadRequest, Invalid, NotFound) as error:
                raise _rejected(_words(reference), error) from error
        return Complete(reference.output())

    def _begin_delete(self, run: PhaseRun, given: Arguments) -> Step:
        reference = _reference(run, given)
        found = self._read(run, reference)
        if found is None:
            raise InvalidInput(REASON_OPERATION, ABSENT.format(what=_words(reference)))
        refusals.check_existing(found, _words(reference))
        memo = {
            "operation": DELETE,
            "uid": found["metadata"]["uid"],
            "reference": reference.output(),
        }
        return Running(memo=memo)

    def _delete(self, run: PhaseRun, reference: Reference) -> Step:
        uid = run.memo["uid"]
        found = self._read(run, reference)
        if found is None or found["metadata"]["uid"] != uid:
            return Complete(reference.output())
        if not found["metadata"].get("deletionTimestamp"):
            refusals.check_existing(found, _words(reference))
            try:
                self.client.delete(
                    reference.api,
                    reference.namespace,
                    reference.name,
                    uid=uid,
                    deadline=run.deadline,
                )
            except (NotFound, Conflict):
                return Complete(reference.output())
        now = self.clock.now()
        if patience.is_over(run, now):
            message = STAYS.format(
                what=_words(reference),
                seconds=patience.DEFAULT_SECONDS,
                annotation=ANNOTATION_TIMEOUT,
            )
            return Failed(message, reference.output())
        return Running(waits_for=WAITS, again_after=patience.pause(run, now))

    def _read(self, run: PhaseRun, reference: Reference) -> Object | None:
        try:
            return self.client.get(
                reference.api, reference.namespace, reference.name, deadline=run.deadline
            )
        except NotFound:
            return None

    def _account_in(self, namespace: str) -> str:
        """Return the engine's service account if it is in a namespace, or else nothing."""
        where, _, name = self.account.partition("/")
        return name if where == namespace else ""


def _check_spec(given: Arguments) -> None:
    if not given.spec.strip():
        raise InvalidInput(REASON_OPERATION, NO_SPEC.format(operation=given.operation))


def _reference(run: PhaseRun, given: Arguments) -> Reference:
    """Return what is to be patched or deleted, if it may be."""
    reference = references.read(
        run, given.object_reference, argument=OBJECT_REFERENCE, namespace=given.namespace
    )
    refusals.check_resource(reference.api)
    return reference


def _remembered(run: PhaseRun) -> Reference:
    """Return what is being deleted. An annotation can be changed by hand, so it is checked anew."""
    reference = references.read(run, dict(run.memo["reference"]), argument=OBJECT_REFERENCE)
    refusals.check_resource(reference.api)
    return reference


def _words(reference: Reference) -> str:
    return f"{reference.api.full_name} {reference.namespace}/{reference.name}"


def _rejected(what: str, error: ApiError) -> InvalidInput:
    """Return the error for an object that does not fit.

    The server's message is left out: it may have values of the object.
    """
    if who := denials.refuser(error.message):
        return InvalidInput(REASON_REJECTED, DENIED.format(what=what, who=who))
    fields = FIELDS.format(fields=", ".join(error.fields)) if error.fields else ""
    reason = error.reason or str(error.status)
    return InvalidInput(REASON_REJECTED, REJECTED.format(what=what, reason=reason, fields=fields))
