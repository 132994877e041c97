"""What the reconciler of RepositoryServers works with, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from reconcilers.repositoryserver.children import record
from reconcilers.repositoryserver.children.adoption import Adoption
from reconcilers.repositoryserver.children.applier import ChildApplier
from reconcilers.repositoryserver.children.protection import Protection
from reconcilers.repositoryserver.children.pruner import ChildPruner
from reconcilers.repositoryserver.children.record import Records
from reconcilers.repositoryserver.children.recordkeeper import RecordKeeper
from reconcilers.repositoryserver.children.workload import WorkloadWriter
from reconcilers.repositoryserver.inputs.issuer import CertificateIssuer
from reconcilers.repositoryserver.inputs.permissions import Permissions
from reconcilers.repositoryserver.inputs.reader import InputReader
from reconcilers.repositoryserver.maintenance.maintainer import Maintainer
from reconcilers.repositoryserver.publish.publisher import Publisher
from reconcilers.repositoryserver.rollout.crashes import CrashReplacer
from reconcilers.repositoryserver.rollout.observed import Observer
from reconcilers.repositoryserver.rollout.refresh import Refresher
from reconcilers.repositoryserver.rollout.router import ServiceRouter
from reconcilers.repositoryserver.rollout.strays import Strays
from reconcilers.repositoryserver.rollout.update import RevisionUpdater
from reconcilers.repositoryserver.status.certificate import ShownCertificates
from reconcilers.repositoryserver.status.faults import Faults
from reconcilers.repositoryserver.status.sharing import Sharing
from reconcilers.repositoryserver.status.version import KopiaVersions
from reconcilers.repositoryserver.users.purge import RepositoryUserSearch
from reconcilers.repositoryserver.users.source import UserSource
from reconcilers.repositoryserver.users.sync import UserRegistrar
from reconcilers.secrets.reader import SecretReader

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import RecordEvent
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.rollout.throttle import RolloutSlots
    from reconcilers.repositoryserver.serverexec import ServerCommands
    from reconcilers.repositoryserver.status.sharing import Repositories
    from reconcilers.settings import Settings


@frozen
class Parts:
    """What each step of a reconcile calls, in the order of the steps.

    Args:
        adoption: Takes over children that have lost their owner.
        protection: Keeps the NetworkPolicy.
        users: Keeps the users as the access Secrets have them.
        observer: Gathers the children.
        updater: Makes the revision that the inputs ask for.
        strays: Deletes pods that no ReplicaSet has any more.
        router: Moves the Service, and retires revisions.
        crashes: Replaces pods that crash.
        refresher: Has a server read its repository's index again.
        user_search: Searches the repository for users.
        versions: Finds which version of Kopia runs.
        publisher: Publishes how clients connect.
        maintainer: Keeps the repository maintained, and knows who owns that.
        records: Keeps what the next process needs to know.
        reader: Knows what the inputs say of messages and of the certificate's end.
        certificates: Finds the certificate that clients see.
        sharing: Finds out who else serves the repository.
        faults: Judges faults that may pass by themselves.
    """

    adoption: Adoption
    protection: Protection
    users: UserRegistrar
    observer: Observer
    updater: RevisionUpdater
    strays: Strays
    router: ServiceRouter
    crashes: CrashReplacer
    refresher: Refresher
    user_search: RepositoryUserSearch
    versions: KopiaVersions
    publisher: Publisher
    maintainer: Maintainer
    records: RecordKeeper
    reader: InputReader
    certificates: ShownCertificates
    sharing: Sharing
    faults: Faults


def assemble(
    *,
    client: Client,
    commands: ServerCommands,
    caches: Caches[Cache],
    record_event: RecordEvent,
    states: States,
    clock: Clock,
    settings: Settings,
    slots: RolloutSlots,
    repositories: Repositories,
    pod_override: str,
) -> Parts:
    """Return the parts of a reconciler.

    Args:
        client: For reads of Secrets by name, and for writes.
        commands: Runs Kopia in the servers' containers.
        caches: What the informers hold.
        record_event: Records events.
        states: Holds what the parts remember of each resource.
        clock: The time.
        settings: Defaults for all servers.
        slots: Limits how many servers are replaced at the same time.
        repositories: Holds which repository each server has.
        pod_override: Which overrides of a pod are taken, one of `pods.allowed.MODES`.
    """
    secrets = SecretReader(client=client, cache=caches.secrets)
    applier = ChildApplier(
        client=client, caches=caches, record_event=record_event, states=states, clock=clock
    )
    records = RecordKeeper(
        records=Records(record.program(settings.digest())),
        caches=caches,
        applier=applier,
        states=states,
        clock=clock,
    )
    workload = WorkloadWriter(
        caches=caches, applier=applier, records=records, record_event=record_event
    )
    reader = InputReader(
        secret_reader=secrets,
        caches=caches,
        issuer=CertificateIssuer(
            client=client,
            applier=applier,
            record_event=record_event,
            states=states,
            clock=clock,
        ),
        permissions=Permissions(
            accounts=caches.service_accounts,
            mode=pod_override,
            settings_account=settings.pod.service_account_name,
            settings_image=settings.image,
        ),
        records=records,
        states=states,
        clock=clock,
        settings=settings,
    )
    user_source = UserSource(secrets)
    users = UserRegistrar(
        commands=commands,
        reader=user_source,
        applier=applier,
        workload=workload,
        records=records,
        record_event=record_event,
        states=states,
        clock=clock,
    )
    return Parts(
        adoption=Adoption(client=client, caches=caches),
        protection=Protection(caches=caches, applier=applier, states=states),
        users=users,
        observer=Observer(caches),
        updater=RevisionUpdater(
            reader=reader,
            workload=workload,
            slots=slots,
            states=states,
            clock=clock,
        ),
        strays=Strays(client=client, caches=caches),
        router=ServiceRouter(
            client=client,
            applier=applier,
            workload=workload,
            pruner=ChildPruner(caches=caches, applier=applier),
            record_event=record_event,
            states=states,
            clock=clock,
        ),
        crashes=CrashReplacer(applier=applier, clock=clock),
        refresher=Refresher(commands=commands, states=states, clock=clock),
        user_search=RepositoryUserSearch(
            commands=commands,
            registrar=users,
            record_event=record_event,
            states=states,
            clock=clock,
        ),
        versions=KopiaVersions(commands=commands, states=states, clock=clock),
        publisher=Publisher(
            applier=applier,
            secret_reader=secrets,
            users=user_source,
            records=records,
            caches=caches,
            states=states,
        ),
        records=records,
        maintainer=Maintainer(
            applier=applier,
            reader=reader,
            records=records,
            commands=commands,
            caches=caches,
            states=states,
            clock=clock,
        ),
        reader=reader,
        certificates=ShownCertificates(client=client, states=states),
        sharing=Sharing(repositories=repositories, servers=caches.servers),
        faults=Faults(states=states, clock=clock),
    )
