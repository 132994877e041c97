"""Kinds, and what makes an object the child of another one."""

from controller.handler import enqueue_owner
from controller.reconcile import Request
from controller.resource import Resource, controller_reference

GREETINGS = Resource("example.com", "v1", "greetings", "Greeting")


def test_a_controller_reference_names_its_owner_so_that_the_api_server_takes_it() -> None:
    metadata = {"namespace": "ns", "name": "hello", "uid": "1", "labels": {"a": "b"}}
    owner = {"apiVersion": "example.com/v1", "kind": "Greeting", "metadata": metadata, "spec": {}}

    reference = controller_reference(owner)

    assert reference == {
        "apiVersion": "example.com/v1",
        "kind": "Greeting",
        "name": "hello",
        "uid": "1",
        "controller": True,
        "blockOwnerDeletion": True,
    }


def test_a_child_by_controller_reference_wakes_its_owner() -> None:
    owner = {
        "apiVersion": GREETINGS.api_version,
        "kind": GREETINGS.kind,
        "metadata": {"namespace": "ns", "name": "hello", "uid": "1"},
    }
    child = {"metadata": {"namespace": "ns", "ownerReferences": [controller_reference(owner)]}}

    assert list(enqueue_owner(GREETINGS)(child)) == [Request("ns", "hello")]
