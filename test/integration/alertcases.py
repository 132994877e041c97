"""When each alert fires, and when it does not: series as promtool reads them, a sample a minute.

`a+bxn` is n + 1 samples, each b above the last; `axn` is n + 1 of one value; `_xn` is n times none;
`stale` is the end of a series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR: Final = 60
DAY: Final = 24 * HOUR

FILES: Final = 'namespace="backup", name="files"'
BY_A, BY_B = ('pod="a"', 'pod="b"')
SERVERS: Final = "repository-server-controller"
ACTIONSETS: Final = "actionset-controller"
LEADS: Final = (
    'leader_election_master_status{{name="{name}", namespace="{namespace}", pod="{pod}"}}'
)
DEPTH: Final = 'workqueue_depth{{name="repositoryserver", namespace="kanister", pod="{pod}"}}'
RUNNING: Final = (
    'workqueue_longest_running_processor_seconds{{name="repositoryserver", namespace="kanister", '
    'pod="{pod}"}}'
)
ERRORS: Final = (
    "controller_runtime_reconcile_errors_total"
    '{controller="repositoryserver", namespace="kanister", pod="a"}'
)
BACKED_UP: Final = (
    "actionset_last_success_timestamp_seconds"
    '{blueprint="postgres", action="backup", namespace="shop", object="statefulset/db"}'
)
CONTACT: Final = (
    'informer_last_contact_seconds{namespace="kanister", pod="a", resource="repositoryservers"}'
)


@frozen
class Case:
    """What an alert makes of series.

    Args:
        alert: Its name.
        proves: What the row proves.
        series: Values by the name of a series.
        fires: The minute in which it begins to fire; None if it must not.
        stops: The minute in which it fires no more; None if nothing is said of that.
        minutes: How long must not fire what does not.
        labels: Of the alert that fires, but for its name and its severity.
        summary: Of the alert that fires.
    """

    alert: str
    proves: str
    series: Mapping[str, str]
    fires: int | None = None
    stops: int | None = None
    minutes: int = 2 * HOUR
    labels: Mapping[str, str] = field(factory=dict)
    summary: str = ""


def available(values: str, of: str = FILES) -> dict[str, str]:
    """Return the series of a server as one replica reports it."""
    return {f"repository_server_available{{{of}, {BY_A}}}": values}


def leads(
    values: str,
    pod: str,
    *,
    namespace: str = "kanister",
    name: str = SERVERS,
) -> dict[str, str]:
    """Return the series by which a replica says whether it leads."""
    return {LEADS.format(name=name, namespace=namespace, pod=pod): values}


def space(available_: str, node: str = "one", *, claim: str = "disk") -> dict[str, str]:
    """Return the series by which a kubelet says how many of 100 bytes of a volume are free."""
    labels = f'namespace="backup", persistentvolumeclaim="{claim}", node="{node}"'
    return {
        f"kubelet_volume_stats_available_bytes{{{labels}}}": available_,
        f"kubelet_volume_stats_capacity_bytes{{{labels}}}": "100x200",
    }


ON_DISK: Final = {
    f'repository_server_file_store_info{{{FILES}, {pod}, persistentvolumeclaim="disk"}}': "1x200"
    for pod in (BY_A, BY_B)
}
SERVER: Final = {"namespace": "backup", "name": "files"}
STORE: Final = {**SERVER, "persistentvolumeclaim": "disk"}
CONTROLLER: Final = {"namespace": "kanister"}
BACKUP: Final = {
    "namespace": "shop",
    "object": "statefulset/db",
    "blueprint": "postgres",
    "action": "backup",
}
NOBODY_LEADS: Final = "No repository-server-controller leads."
BACKUP_TOO_OLD: Final = "The last backup of shop/statefulset/db that succeeded is 1d 2h 11m 0s old."


CASES: Final = (
    Case(
        "RepositoryServerNotAvailable",
        "a server that is away for ten minutes, reported by both replicas, is one alert",
        {
            **available("1x5 0x60"),
            f"repository_server_available{{{FILES}, {BY_B}}}": "1x5 0x60",
        },
        fires=16,
        labels=SERVER,
        summary="Clients cannot connect to RepositoryServer backup/files.",
    ),
    Case(
        "RepositoryServerNotAvailable",
        "one that is back within ten minutes is none",
        available("0x9 1x200"),
    ),
    Case(
        "RepositoryServerNotAvailable",
        "one that a replica with an old cache reports alone is none",
        {**available("0x200"), f"repository_server_available{{{FILES}, {BY_B}}}": "1x200"},
    ),
    Case(
        "RepositoryServerNotAvailable",
        "one that was deleted is none",
        available("0x5 stale"),
    ),
    Case(
        "RepositoryServerNotReady",
        "a change that is not in effect for an hour, while clients connect",
        {**available("1x200"), f"repository_server_ready{{{FILES}, {BY_A}}}": "0x200"},
        fires=HOUR,
        labels=SERVER,
        summary="A change of RepositoryServer backup/files is not in effect.",
    ),
    Case(
        "RepositoryServerNotReady",
        "a change that takes less than an hour",
        {**available("1x200"), f"repository_server_ready{{{FILES}, {BY_A}}}": "0x59 1x200"},
    ),
    Case(
        "RepositoryServerNotReady",
        "a server that is not available has an alert of its own",
        {**available("0x200"), f"repository_server_ready{{{FILES}, {BY_A}}}": "0x200"},
    ),
    Case(
        "RepositoryServerCertificateExpiring",
        "the fourteenth day before the end",
        {
            f"repository_server_certificate_expiry_timestamp_seconds{{{FILES}}}": (
                f"{14 * DAY * 60}x200"
            )
        },
        fires=1 + HOUR,
        labels=SERVER,
        summary="The certificate of RepositoryServer backup/files expires in 13d 22h 59m 0s.",
    ),
    Case(
        "RepositoryServerCertificateExpiring",
        "the fifteenth day before the end",
        {
            f"repository_server_certificate_expiry_timestamp_seconds{{{FILES}}}": (
                f"{15 * DAY * 60}x200"
            )
        },
    ),
    Case(
        "RepositoryServerUnmaintained",
        "a repository that nobody has maintained for an hour",
        {f"repository_server_unmaintained{{{FILES}, {BY_A}}}": "1x200"},
        fires=HOUR,
        labels=SERVER,
        summary="The repository of RepositoryServer backup/files is not maintained.",
    ),
    Case(
        "RepositoryServerUnmaintained",
        "one for which somebody sets a schedule within the hour has no such series any more",
        {f"repository_server_unmaintained{{{FILES}, {BY_A}}}": "1x58 stale"},
    ),
    Case(
        "RepositoryServerFileStoreAlmostFull",
        "less than a tenth free for a quarter of an hour, reported by both replicas, is one alert",
        {**ON_DISK, **space("10x4 9x200")},
        fires=20,
        labels=STORE,
        summary="The file store of RepositoryServer backup/files is almost full.",
    ),
    Case(
        "RepositoryServerFileStoreAlmostFull",
        "a volume on two nodes, while a pod drains, is one alert",
        {**ON_DISK, **space("9x200"), **space("8x200", "two")},
        fires=15,
        labels=STORE,
        summary="The file store of RepositoryServer backup/files is almost full.",
    ),
    Case(
        "RepositoryServerFileStoreAlmostFull",
        "a tenth free is enough",
        {**ON_DISK, **space("10x200")},
    ),
    Case(
        "RepositoryServerFileStoreAlmostFull",
        "the maintenance frees space within a quarter of an hour",
        {**ON_DISK, **space("1x14 50x200")},
    ),
    Case(
        "RepositoryServerFileStoreAlmostFull",
        "a claim that holds no repository is somebody else's",
        {**ON_DISK, **space("50x200"), **space("1x200", claim="theirs")},
    ),
    Case(
        "RepositoryServerReconcileErrors",
        "a reconcile that fails every minute, for a quarter of an hour",
        {ERRORS: "0+1x200"},
        fires=16,
        labels=CONTROLLER,
        summary="Reconciles of RepositoryServers keep failing.",
    ),
    Case(
        "RepositoryServerReconcileErrors",
        "a fault that was over at once",
        {ERRORS: "0x5 9x200"},
    ),
    Case(
        "RepositoryServerControllerDown",
        "two replicas, none of which leads",
        {**leads("1x5 0x200", "a"), **leads("0x200", "b")},
        fires=11,
        labels=CONTROLLER,
        summary=NOBODY_LEADS,
    ),
    Case(
        "RepositoryServerControllerDown",
        "the pods are gone, while a controller of another namespace leads",
        {
            **leads("1x5 stale", "a"),
            **leads("0x5 stale", "b"),
            **leads("1x200", "c", namespace="apps"),
        },
        fires=11,
        labels=CONTROLLER,
        summary=NOBODY_LEADS,
    ),
    Case(
        "RepositoryServerControllerDown",
        "Prometheus has never seen a controller",
        {**available("1x200")},
        fires=5,
        labels={"name": SERVERS},
        summary=NOBODY_LEADS,
    ),
    Case(
        "RepositoryServerControllerDown",
        "another replica leads within five minutes",
        {**leads("1x5 stale", "a"), **leads("0x10 1x200", "b")},
    ),
    Case(
        "RepositoryServerDefinitionOutdated",
        "an older CRD is there for a quarter of an hour",
        {'repository_server_definition_missing_fields{namespace="kanister", pod="a"}': "0x4 3x200"},
        fires=20,
        labels=CONTROLLER,
        summary="The CRD of RepositoryServers lacks fields that the controller knows.",
    ),
    Case(
        "RepositoryServerDefinitionOutdated",
        "somebody has put it right by then",
        {'repository_server_definition_missing_fields{namespace="kanister"}': "3x14 0x200"},
    ),
    Case(
        "RepositoryServerControllerCutOff",
        "a replica that hears nothing for two minutes, and then for five more",
        {CONTACT: "0+60x200"},
        fires=8,
        labels={**CONTROLLER, "pod": "a", "resource": "repositoryservers"},
        summary="a has heard nothing of repositoryservers for 8m 0s.",
    ),
    Case(
        "RepositoryServerControllerCutOff",
        "what does not change is heard of every minute and a half",
        {CONTACT: "90x200"},
    ),
    Case(
        "RepositoryServerQueueStuck",
        "the leader has something to do for a quarter of an hour",
        {DEPTH.format(pod="a"): "7x200", **leads("1x200", "a")},
        fires=15,
        labels={**CONTROLLER, "pod": "a"},
        summary="The work queue of a has not been empty for 15 minutes.",
    ),
    Case(
        "RepositoryServerQueueStuck",
        "a reconcile of the leader hangs, and nobody else waits",
        {
            DEPTH.format(pod="a"): "0x200",
            RUNNING.format(pod="a"): "0+60x200",
            **leads("1x200", "a"),
        },
        fires=20,
        labels={**CONTROLLER, "pod": "a"},
        summary="The work queue of a has not been empty for 15 minutes.",
    ),
    Case(
        "RepositoryServerQueueStuck",
        "a replica that stands by has all servers in its queue",
        {DEPTH.format(pod="b"): "5000x200", **leads("0x200", "b"), **leads("1x200", "a")},
    ),
    Case(
        "RepositoryServerQueueStuck",
        "a start with many servers is over within a quarter of an hour",
        {DEPTH.format(pod="a"): "5000x14 0x200", **leads("1x200", "a")},
    ),
    Case(
        "ActionSetBackupTooOld",
        "26 hours after the last backup, and ten minutes",
        {BACKED_UP: f"0x{2 * DAY}"},
        fires=26 * HOUR + 11,
        labels=BACKUP,
        summary=BACKUP_TOO_OLD,
    ),
    Case(
        "ActionSetBackupTooOld",
        "the same if its ActionSet was deleted meanwhile",
        {BACKED_UP: f"0x{HOUR} stale"},
        fires=26 * HOUR + 11,
        labels=BACKUP,
        summary=BACKUP_TOO_OLD,
    ),
    Case(
        "ActionSetBackupTooOld",
        "a backup each day, which once takes an hour longer",
        {BACKED_UP: f"0x{25 * HOUR} {25 * HOUR * 60}x{DAY}"},
        minutes=2 * DAY,
    ),
    Case(
        "ActionSetFailed",
        "one more has failed, and then stays for somebody to look at",
        {'actionset_action_sets{namespace="shop", state="failed"}': "1x30 2x300"},
        fires=32,
        stops=31 + HOUR,
        labels={"namespace": "shop"},
        summary="An ActionSet of namespace shop has failed within the last hour.",
    ),
    Case(
        "ActionSetFailed",
        "the only ActionSet of a namespace has failed between two looks",
        {
            'actionset_action_sets{namespace="shop", state="failed"}': f"_x{2 * HOUR} 1x300",
            **leads("1x500", "a", name=ACTIONSETS),
        },
        fires=2 * HOUR + 1,
        stops=3 * HOUR,
        labels={"namespace": "shop"},
        summary="An ActionSet of namespace shop has failed within the last hour.",
    ),
    Case(
        "ActionSetFailed",
        "one of yesterday is seen by a Prometheus that has just been installed",
        {
            'actionset_action_sets{namespace="shop", state="failed"}': "1x500",
            **leads("1x500", "a", name=ACTIONSETS),
        },
        minutes=5 * HOUR,
    ),
    Case(
        "ActionSetNotStarted",
        "one waits for a quarter of an hour",
        {
            'actionset_action_sets{namespace="shop", state="new"}': "0x500",
            'actionset_action_sets{namespace="shop", state="pending"}': "1x500",
        },
        fires=15,
        labels={"namespace": "shop"},
        summary="ActionSets of namespace shop have not started for 15 minutes.",
    ),
    Case(
        "ActionSetNotStarted",
        "one runs for hours",
        {'actionset_action_sets{namespace="shop", state="running"}': "1x500"},
    ),
    Case(
        "ActionSetControllerDown",
        "the pods are gone for five minutes",
        leads("1x9 stale", "a", name=ACTIONSETS),
        fires=15,
        labels=CONTROLLER,
        summary="No actionset-controller leads in namespace kanister.",
    ),
    Case(
        "ActionSetControllerDown",
        "there has never been one",
        leads("1x500", "a"),
    ),
    Case(
        "ActionSetControllerDown",
        "another replica leads within five minutes",
        {
            **leads("1x9 stale", "a", name=ACTIONSETS),
            **leads("0x13 1x500", "b", name=ACTIONSETS),
        },
    ),
)
