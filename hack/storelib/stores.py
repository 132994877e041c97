"""Starts the stores of a cluster. They end with it: they carry its mark."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import subprocess
from dataclasses import asdict
from typing import TYPE_CHECKING

from clusterlib import locks, processes, waiting
from clusterlib.certificates import Authority
from clusterlib.errors import ClusterError
from storelib import requests, servers
from storelib.servers import BUCKET, PORTS, SERVERS, Credentials, Site, Store
from storelib.software import Software

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address

    from clusterlib.components import Components
    from clusterlib.state import State

START_SECONDS = 60.0

NO_NODE = "cluster {name} has no node; `hack/cluster up --name {name}` makes one that has"


class Stores:
    """The object stores of one cluster.

    Args:
        state: the cluster's files.
        components: where the programs are.
    """

    def __init__(self, state: State, components: Components) -> None:
        self._state = state
        self._software = Software(components)
        self._directory = state.directory / "stores"

    def up(self, names: Iterable[str]) -> dict[str, Store]:
        """Start stores that do not run, each with an empty bucket, and describe them.

        Args:
            names: keys of `SERVERS`.

        Returns:
            What a RepositoryServer is told of each.

        Raises:
            ClusterError: there is no such cluster, or a store did not start.
        """
        wanted = list(names)
        self._software.get(wanted)
        with locks.exclusive(self._state.lock):
            record = self._state.read_record()
            if record is None or record.layout.host is None:
                raise ClusterError(NO_NODE.format(name=self._state.name))
            site = self._site(record.layout.host)
            running = processes.running_components(self._state.directory)
            for name in wanted:
                if f"store-{name}" not in running:
                    self._start(name, site)
        return {name: SERVERS[name].store(site) for name in wanted}

    def _start(self, name: str, site: Site) -> None:
        server = SERVERS[name]
        site.data(name).mkdir(parents=True, exist_ok=True)
        if name == "s3":
            for folder in ("attributes", "versions"):
                site.data(folder).mkdir(exist_ok=True)
        if server.folder:
            (site.data(name) / BUCKET).mkdir(exist_ok=True)
        process = processes.start(
            server.command(site, self._software.programs()),
            cluster=self._state.directory,
            logs=self._state.logs,
        )
        waiting.until(
            lambda: _answers(site.address, PORTS[name]),
            what=f"the store {name} to answer",
            timeout_seconds=START_SECONDS,
            log=self._state.logs / f"store-{name}.log",
            alive=lambda: process.poll() is None,
        )
        if name in requests.MAKE_BUCKET:
            requests.MAKE_BUCKET[name](site)

    def _site(self, address: IPv4Address) -> Site:
        authority = Authority(self._directory / "pki")
        identity = servers.identity(address)
        if not authority.certificate_of(identity.name).exists():
            authority.create()
            authority.issue(identity)
        return Site(
            address=address,
            directory=self._directory,
            certificate=authority.certificate_of(identity.name),
            key=authority.key_of(identity.name),
            authority=authority.certificate.read_text(),
            credentials=self._credentials(),
        )

    def _credentials(self) -> Credentials:
        file = self._directory / "credentials.json"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(json.dumps(asdict(_new_credentials())))
        return Credentials(**json.loads(file.read_text()))


def _new_credentials() -> Credentials:
    key = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    account = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "key",
        "private_key": key,
        "client_email": "backup@project.example",
        "client_id": "1",
        "token_uri": "http://127.0.0.1:1/nobody-asks-for-a-token",
    }
    return Credentials(
        access_key=f"access-{secrets.token_hex(6)}",
        secret_key=secrets.token_hex(20),
        account_key=base64.b64encode(secrets.token_bytes(64)).decode(),
        service_account=json.dumps(account),
    )


def _answers(address: IPv4Address, port: int) -> bool:
    try:
        socket.create_connection((str(address), port), timeout=1).close()
    except OSError:
        return False
    return True
