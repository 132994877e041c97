"""The control plane: its certificates and the command lines of its components.

Pure but for `make_credentials`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clusterlib import certificates
from clusterlib.certificates import Identity
from clusterlib.processes import Command

if TYPE_CHECKING:
    from clusterlib.components import Components
    from clusterlib.layout import Layout
    from clusterlib.state import Record, State

# What each mode runs, in the order in which it starts.
STORAGE_AND_API = ("etcd", "kube-apiserver")
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")

CLUSTER_DOMAIN = "cluster.local"
# Of kube-apiserver where no controller makes accounts.
WITHOUT_ACCOUNTS = "--disable-admission-plugins=ServiceAccount"
# Requests in full, but for the bodies of those that are secret by nature.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
        {
            "level": "Metadata",
            "resources": [
                {"group": "", "resources": ["secrets", "serviceaccounts/token"]},
                {"group": "authentication.k8s.io"},
            ],
        },
        {"level": "Request"},
    ],
}

_SIGNING_KEY = "service-accounts"
# Megabytes after which kube-apiserver begins a new file; whoever reads the log reads one.
_AUDIT_LOG_SIZE = 10_000


def node_name(state: State) -> str:
    """Return the name under which the node registers."""
    return f"{state.name}-node"


def identities(state: State, layout: Layout) -> list[Identity]:
    """Return whom the cluster's authority issues certificates for."""
    masters = ("system:masters",)
    api_hosts = (
        f"IP:{layout.node}",
        "IP:127.0.0.1",
        f"IP:{layout.kubernetes_service}",
        "DNS:localhost",
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        f"DNS:kubernetes.default.svc.{CLUSTER_DOMAIN}",
    )
    node = node_name(state)
    return [
        Identity("kube-apiserver", "kube-apiserver", hosts=api_hosts),
        Identity("kubelet-client", "kube-apiserver-kubelet-client", masters),
        Identity("admin", "admin", masters),
        Identity("kube-controller-manager", "system:kube-controller-manager"),
        Identity("kube-scheduler", "system:kube-scheduler"),
        Identity("kube-proxy", "system:kube-proxy"),
        # kube-router reads Pods, Namespaces, NetworkPolicies, Services and nodes; a role of its
        # own would be more to keep than it protects on a test cluster.
        Identity("kube-router", "kube-router", masters),
        Identity(
            "kubelet",
            f"system:node:{node}",
            ("system:nodes",),
            (f"IP:{layout.node}", f"DNS:{node}"),
        ),
    ]


def make_credentials(state: State, layout: Layout) -> None:
    """Make the authorities, all certificates, the signing key and the kubeconfig files."""
    state.authority.create()
    for identity in identities(state, layout):
        state.authority.issue(identity)
    # etcd trusts an authority of its own: no client of the cluster gets past kube-apiserver.
    state.etcd_authority.create()
    state.etcd_authority.issue(Identity("etcd", "etcd", hosts=("IP:127.0.0.1", "DNS:localhost")))
    state.etcd_authority.issue(Identity("client", "kube-apiserver"))
    pki = state.authority.directory
    certificates.make_signing_key(pki / f"{_SIGNING_KEY}.key", pki / f"{_SIGNING_KEY}.pub")
    for name in (*CONTROLLERS, "kube-proxy", "kube-router", "kubelet"):
        certificates.write_kubeconfig(
            state.component_kubeconfig(name),
            server=layout.server,
            authority=state.authority,
            name=name,
        )
    certificates.write_kubeconfig(
        state.kubeconfig, server=layout.server, authority=state.authority, name="admin"
    )


def etcd(state: State, layout: Layout, components: Components) -> Command:
    """Return etcd's command line."""
    client = f"https://127.0.0.1:{layout.etcd_port}"
    peer = f"http://127.0.0.1:{layout.etcd_peer_port}"
    authority = state.etcd_authority
    return Command(
        "etcd",
        [
            str(components.program("etcd")),
            f"--data-dir={state.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            f"--cert-file={authority.certificate_of('etcd')}",
            f"--key-file={authority.key_of('etcd')}",
            "--client-cert-auth=true",
            f"--trusted-ca-file={authority.certificate}",
            # Nothing here is worth a disk's time: a cluster that crashed is made anew.
            "--unsafe-no-fsync=true",
            "--log-level=warn",
        ],
    )


def kube_apiserver(state: State, record: Record, components: Components) -> Command:
    """Write kube-apiserver's audit policy, if it shall have one, and return its command line.

    Without a node nobody makes service accounts and nobody may be told a loopback address as an
    endpoint, so what does both is switched off.

    Args:
        state: the cluster's files.
        record: what the cluster is.
        components: where the programs are.
    """
    layout = record.layout
    pki, authority, etcd_authority = (
        state.authority.directory,
        state.authority,
        state.etcd_authority,
    )
    arguments = [
        str(components.program("kube-apiserver")),
        f"--etcd-servers=https://127.0.0.1:{layout.etcd_port}",
        f"--etcd-cafile={etcd_authority.certificate}",
        f"--etcd-certfile={etcd_authority.certificate_of('client')}",
        f"--etcd-keyfile={etcd_authority.key_of('client')}",
        f"--bind-address={layout.node}",
        f"--advertise-address={layout.node}",
        f"--secure-port={layout.api_port}",
        f"--tls-cert-file={authority.certificate_of('kube-apiserver')}",
        f"--tls-private-key-file={authority.key_of('kube-apiserver')}",
        f"--client-ca-file={authority.certificate}",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"--service-account-key-file={pki / f'{_SIGNING_KEY}.pub'}",
        f"--service-account-signing-key-file={pki / f'{_SIGNING_KEY}.key'}",
        f"--service-cluster-ip-range={layout.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # The default of a minute keeps a control plane from ending while a watch is open.
        "--shutdown-delay-duration=0s",
    ]
    if record.audit:
        policy = state.directory / "audit-policy.json"
        wanted = _policy_for(record.audited_user) if record.audited_user else AUDIT_POLICY
        policy.write_text(json.dumps(wanted))
        arguments += [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={state.audit_log}",
            f"--audit-log-maxsize={_AUDIT_LOG_SIZE}",
        ]
    if record.node:
        arguments += [
            f"--kubelet-client-certificate={authority.certificate_of('kubelet-client')}",
            f"--kubelet-client-key={authority.key_of('kubelet-client')}",
            f"--kubelet-certificate-authority={authority.certificate}",
            "--kubelet-preferred-address-types=InternalIP",
        ]
    else:
        arguments += [
            WITHOUT_ACCOUNTS,
            "--endpoint-reconciler-type=none",
        ]
    return Command("kube-apiserver", arguments)


def _policy_for(user: str) -> dict[str, Any]:
    """Return the audit policy that logs one user's requests, at the least cost for the server."""
    rules = [{"level": "Metadata", "users": [user]}, {"level": "None"}]
    return {**AUDIT_POLICY, "omitManagedFields": True, "rules": rules}


def kube_controller_manager(state: State, layout: Layout, components: Components) -> Command:
    """Return kube-controller-manager's command line."""
    pki, authority = state.authority.directory, state.authority
    return Command(
        "kube-controller-manager",
        [
            str(components.program("kube-controller-manager")),
            f"--kubeconfig={state.component_kubeconfig('kube-controller-manager')}",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki / f'{_SIGNING_KEY}.key'}",
            f"--root-ca-file={authority.certificate}",
            f"--cluster-signing-cert-file={authority.certificate}",
            f"--cluster-signing-key-file={authority.key}",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={layout.pods}",
            # The one node has all of it.
            f"--node-cidr-mask-size={layout.pods.prefixlen}",
            # A claim that comes after its volume waits for the next round: 15 s by default.
            "--pvclaimbinder-sync-period=1s",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
    )


def kube_scheduler(state: State, components: Components) -> Command:
    """Return kube-scheduler's command line."""
    return Command(
        "kube-scheduler",
        [
            str(components.program("kube-scheduler")),
            f"--kubeconfig={state.component_kubeconfig('kube-scheduler')}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
    )
