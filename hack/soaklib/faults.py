"""The faults: one row for each, with what breaks it and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from reconcilers import resources
from soaklib import network, objects, processes, revisions
from soaklib.scene import at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.server import Server
    from soaklib.scene import Breaks


def _any(_server: Server) -> bool:
    return True


@frozen
class Fault:
    """One fault.

    Attributes:
        name: In words.
        broken: Breaks it, and mends it when left.
        seconds: For how long.
        concerns: Tells whether it can be made for a server.
    """

    name: str
    broken: Breaks
    seconds: float = 0.0
    concerns: Callable[[Server], bool] = _any


FAULTS = (
    Fault("Kopia is killed", at_once(processes.kill_kopia)),
    Fault("a server's pod is deleted", at_once(objects.delete_child(resources.PODS, "podName"))),
    Fault("a pod is deleted while no controller runs", revisions.deleted_without_controller, 10.0),
    Fault("a server's pod is evicted", at_once(revisions.evict)),
    Fault("a server's ReplicaSet is deleted", at_once(revisions.delete_replica_set)),
    Fault("a resource is made again beside its children", at_once(revisions.orphan)),
    Fault("a quota keeps a deleted pod from coming back", revisions.under_full_quota, 30.0),
    Fault("no server's new image can be pulled", revisions.with_wrong_image_for_all, 20.0),
    Fault("a Service is deleted", at_once(objects.delete_child(resources.SERVICES, "serviceName"))),
    Fault(
        "a NetworkPolicy is deleted",
        at_once(objects.delete_child(resources.NETWORK_POLICIES, "networkPolicyName")),
    ),
    Fault("a certificate is renewed", at_once(objects.renew_certificate)),
    Fault("a resource is edited ten times", at_once(objects.edit_again_and_again)),
    Fault("a resource is written all the time", objects.under_a_second_writer, 20.0),
    Fault("a second resource has the same repository", objects.with_twin, 20.0),
    Fault("a server gets too little memory", objects.with_too_little_memory, 30.0),
    Fault("an image cannot be pulled", objects.without_image, 30.0, network.on_volume),
    Fault("a file store is away", network.without_storage, 45.0, network.on_volume),
    Fault("an object store is slow", network.with_slow_storage, 30.0, network.in_store),
    Fault("an object store is away", network.without_store, 30.0, network.in_store),
    Fault("the leader is killed", at_once(processes.kill_leader)),
    Fault("the leader's pod is deleted", at_once(objects.delete_leader)),
    Fault("the leader is paused", processes.with_leader_paused, 30.0),
    Fault("the leader is cut off from the API server", network.with_leader_cut_off, 30.0),
    Fault("the controller is cut off from the API server", network.with_controller_cut_off, 60.0),
    Fault("the controller may not read Secrets", objects.without_right, 20.0),
    Fault("the API server is killed and started again", processes.killed("kube-apiserver"), 5.0),
    Fault("the API server hangs", processes.paused("kube-apiserver"), 30.0),
    Fault("the API server is slow", processes.with_slow_api, 30.0),
    Fault("the API server is away for two minutes", processes.killed("kube-apiserver"), 120.0),
    Fault("etcd is killed and started again", processes.killed("etcd"), 5.0),
    Fault("the node is cordoned", revisions.cordoned, 10.0),
    Fault("the node is drained", objects.drained, 20.0),
    Fault("the node is lost", processes.paused("kubelet"), 75.0),
    Fault("the node's proxy is killed and started again", processes.killed("kube-proxy"), 10.0),
)
