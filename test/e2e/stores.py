"""Object stores on the machine, which the local cluster's pods reach."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from attrs import define, field

from clusterlib import components
from clusterlib.state import State
from storelib.requests import sas_token
from storelib.stores import Stores

if TYPE_CHECKING:
    from e2e.cluster import Cluster
    from storelib.servers import Store

CLUSTER = "RSC_TEST_CLUSTER"

# The same account, entered in another way.
AZURE_BY_TOKEN = "azure-sas"
ACCOUNT, KEY = "azure_storage_account_id", "azure_storage_key"
TOKEN = "azure_storage_sas_token"


@define
class ObjectStores:
    """The stores of the cluster under test, each started when it is first asked for.

    They and what the cluster has for them end with the cluster.

    Attributes:
        cluster: Whose pods use them.
    """

    cluster: Cluster
    _started: dict[str, Store] = field(init=False, factory=dict)

    def get(self, name: str) -> Store:
        """Return a store that runs, and skip the test where pods reach no store of this machine."""
        if name not in self._started:
            self._started[name] = self._start(name)
        return self._started[name]

    def log(self, name: str) -> str:
        """Return what a store has logged."""
        return (State(os.environ[CLUSTER]).logs / f"store-{name}.log").read_text()

    def _start(self, name: str) -> Store:
        if name == AZURE_BY_TOKEN:
            return self._by_token(self.get("azure"))
        if not os.environ.get(CLUSTER):
            pytest.skip("object stores run on this machine, beside a cluster of hack/cluster")
        store = Stores(State(os.environ[CLUSTER]), components.load()).up([name])[name]
        self._remember(store)
        if store.objects:
            self.cluster.kubectl.apply(dict(obj) for obj in store.objects)
        return store

    def _by_token(self, azure: Store) -> Store:
        account, key = (azure.credential[name] for name in (ACCOUNT, KEY))
        store = replace(azure, credential={ACCOUNT: account, TOKEN: sas_token(key)}, objects=())
        self._remember(store)
        return store

    def _remember(self, store: Store) -> None:
        confidential = self.cluster.confidential
        for key, value in store.credential.items():
            if key == "service-account.json":
                confidential.remember_key(key, json.loads(value)["private_key"])
            elif key in ("aws_secret_access_key", KEY):
                confidential.remember(key, value)
            elif key == TOKEN:
                confidential.remember(key, parse_qs(value)["sig"][0])
