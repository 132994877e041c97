"""Addresses and ports: no two clusters may share any."""

from __future__ import annotations

import itertools

import pytest

from clusterlib import layout


def test_clusters_with_a_node_share_no_address() -> None:
    layouts = [layout.with_node(slot) for slot in range(layout.NODE_SLOTS)]
    networks = [network for one in layouts for network in (one.pods, one.services)]

    for first, second in itertools.combinations(networks, 2):
        assert not first.overlaps(second)
    for one in layouts:
        assert not any(one.node in network or one.host in network for network in networks)
    assert len({one.node for one in layouts} | {one.host for one in layouts}) == 2 * len(layouts)


def test_control_planes_share_no_port() -> None:
    ports = [
        port
        for slot in range(layout.CONTROL_PLANE_SLOTS)
        for port in layout.ports(layout.control_plane_only(slot))
    ]

    assert len(set(ports)) == len(ports)


def test_no_port_of_a_control_plane_is_one_that_the_kernel_hands_out() -> None:
    # Linux hands out 32768 and above: a client's connection could sit on the port just then.
    last = layout.control_plane_only(layout.CONTROL_PLANE_SLOTS - 1)

    assert max(layout.ports(last)) < 32768


def test_the_well_known_services_have_addresses_of_the_service_range() -> None:
    one = layout.with_node(3)

    assert one.kubernetes_service in one.services
    assert one.dns_service in one.services
    assert one.kubernetes_service != one.dns_service


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        pytest.param(set(), 0, id="the first of all"),
        pytest.param({0, 2}, 1, id="the place of a cluster that was taken down is used again"),
        pytest.param({0, 1, 2}, None, id="none is left"),
    ],
)
def test_free_slot(taken: set[int], expected: int | None) -> None:
    assert layout.free_slot(3, taken) == expected
