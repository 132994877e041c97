"""BackupDataAll: the same folder of several pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.datafunctions import parallel, places, sources, steps, tags
from reconcilers.datafunctions.backupinfo import PodBackup, render
from reconcilers.datafunctions.errors import PartlyFailed, Refused
from reconcilers.datafunctions.function import VERSION, DataFunction, Output, Run
from reconcilers.datafunctions.functions import common

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_PODS: Final = (
    "argument pods is missing; it is the names of the pods, each with a folder below --root"
)


@frozen
class Arguments:
    """The arguments of BackupDataAll."""

    namespace: str = common.namespace()
    container: str = common.container()
    include_path: str = common.include_path()
    prefix: str = common.prefix()
    pods: tuple[str, ...] = common.pods("those of the Deployment or StatefulSet of the action")
    encryption_key: str = common.encryption_key()
    insecure_tls: bool = common.insecure_tls()


def back_up(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Back up the folder of each pod.

    Raises:
        Refused: No pod is named, a folder is not there, or a name is not one.
        PartlyFailed: Not all could be backed up; the outputs have those that were.
    """
    if not arguments.pods:
        raise Refused(NO_PODS)
    path = places.absolute("includePath", arguments.include_path)
    # Before anything is backed up: a name that is wrong is wrong for all.
    by_pod = {
        pod: sources.choose(
            path,
            asked=f"{run.source}.{pod}" if run.source else "",
            namespace=arguments.namespace,
            pod=pod,
            container=arguments.container,
        )
        for pod in arguments.pods
    }

    def one(pod: str) -> PodBackup:
        tag = tags.new_backup_tag()
        snapshot = steps.back_up(
            run,
            path,
            argument="includePath",
            source=by_pod[pod],
            tags=tags.of_backup(
                path=path,
                backupTag=tag,
                backupArtifactPrefix=arguments.prefix and f"{arguments.prefix}/{pod}",
                namespace=arguments.namespace,
                pod=pod,
                container=arguments.container,
                function=FUNCTION.name,
            ),
            root=run.root / pod,
            what=pod,
        )
        return PodBackup(pod, snapshot.id, tag)

    outcome = parallel.for_each(arguments.pods, one, limit=run.parallel)
    outputs = {"BackupAllInfo": render(outcome.done.values()), "version": VERSION}
    if outcome.failed:
        raise PartlyFailed(outputs, outcome.done, outcome.failed)
    return outputs


FUNCTION: Final = DataFunction(
    "BackupDataAll",
    VERSION,
    "Backs up the same folder of several pods.",
    Arguments,
    (
        Output(
            "BackupAllInfo",
            "JSON with PodName, BackupID and BackupTag for each pod; where some of them fail, "
            "those that were backed up",
        ),
        common.VERSION_OUTPUT,
    ),
    back_up,
    {"namespace": "shop", "pods": "db-0 db-1", "includePath": "/var/lib/data"},
)
