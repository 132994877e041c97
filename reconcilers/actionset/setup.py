"""The controller of ActionSets: what it works with, and what wakes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from controller.events import WARNING
from controller.handler import not_own_write
from controller.manager import Group
from controller.workqueue.ratelimit import ExponentialRateLimiter
from reconcilers import resources
from reconcilers.actionset.engine import notes
from reconcilers.actionset.functions.catalogue import catalogue
from reconcilers.actionset.guard import Guard
from reconcilers.actionset.informers import follow
from reconcilers.actionset.parameters.reader import ParameterReader
from reconcilers.actionset.phases import cache
from reconcilers.actionset.phases.builder import Policy
from reconcilers.actionset.phases.follower import Follower
from reconcilers.actionset.phases.pods import PhasePods
from reconcilers.actionset.reconciler import ActionSetReconciler
from reconcilers.actionset.services import Services
from reconcilers.actionset.status.metrics import ActionSetCollector, PhaseMetrics

if TYPE_CHECKING:
    from controller.operator import Operator
    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.options import Options
    from reconcilers.actionset.templates.renderer import Renderer

NAME: Final = "actionset"
PODS_OF_PHASES: Final = "pods of phases"

#: Seconds between two tries of a reconcile that the API server refuses, at most: as for
#: RepositoryServers.
MAX_RETRY_SECONDS: Final = 60.0


def setup(operator: Operator, *, options: Options, namespace: str, renderer: Renderer) -> None:
    """Add the controller of ActionSets to an operator.

    Args:
        operator: What it runs in.
        options: What the command line asks for.
        namespace: The namespace of the ActionSets.
        renderer: Renders templates.
    """
    action_sets = follow(operator)
    # In the namespaces of applications, each followed from the first phase there on.
    pods = operator.informer(
        resources.PODS,
        cache.SELECTION,
        name=PODS_OF_PHASES,
        # Without the right to list, it still runs phases: it asks for their pods by name.
        optional=True,
        own_namespaces=True,
        indexers=cache.INDEXERS,
        trim=cache.trimmed,
    )
    builder = operator.controller(NAME)
    follower = Follower(
        f"logs of {NAME}", operator.logs, clock=operator.clock, enqueue=builder.enqueue
    )
    operator.add(follower, Group.CONTROLLERS)

    def warn(run: PhaseRun, note: str) -> None:
        operator.recorder.event(run.action_set, WARNING, notes.WARNED, note, notes.ACTION)

    services = Services(
        client=operator.client,
        pods=PhasePods(
            client=operator.client,
            pods=pods,
            follow=lambda where: operator.follow(pods, where),
            follower=follower,
            policy=Policy(
                namespace=namespace,
                account=options.service_account,
                of_action_sets=options.pod_override,
            ),
            clock=operator.clock,
        ),
        renderer=renderer,
        commands=builder.commands,
        clock=operator.clock,
        warn=warn,
        image=options.functions_image,
        account=f"{namespace}/{options.service_account}" if options.service_account else "",
    )
    operator.add(Guard(operator.client, namespace, operator.clock), Group.CONTROLLERS)
    operator.registry.register(ActionSetCollector(action_sets.objects))
    (
        # A reconcile goes on from what its writes return.
        builder.for_(action_sets, predicate=not_own_write)
        .watches(pods, cache.requests_of)
        .with_workers(options.workers)
        .with_rate_limiter(ExponentialRateLimiter(maximum=MAX_RETRY_SECONDS))
        .complete(
            ActionSetReconciler(
                services=services,
                functions=catalogue(services),
                action_sets=action_sets,
                parameters=ParameterReader(operator.client, operator.clock),
                recorder=operator.recorder,
                metrics=PhaseMetrics(operator.registry),
            )
        )
    )
