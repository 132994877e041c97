"""Azure Blob Storage: four ways in, and the domains of the clouds."""

from typing import Any

import pytest

from fakes import objects
from fakes import storage as fakes
from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage.model import Storage

CONTAINER: fakes.Values = {"type": "azure", "bucket": "backups", "prefix": "kanister"}
ACCOUNT: fakes.Values = {"azure_storage_account_id": "account1"}
KEY: fakes.Values = {**ACCOUNT, "azure_storage_key": "a2V5LTkxYjI="}
APPLICATION: fakes.Values = {"azure_tenant_id": "tenant", "azure_client_id": "client"}
PRINCIPAL: fakes.Values = {**ACCOUNT, **APPLICATION, "azure_client_secret": "secret-91b2"}
FEDERATED: fakes.Values = {**ACCOUNT, **APPLICATION, "azure_federated_identity": "true"}

TOKEN_FILE = "/var/run/secrets/azure-identity/token"


def options(credential: fakes.Values) -> dict[str, Any]:
    """Return what of Kopia's options depends on the way in."""
    common = {"container", "prefix", "storageAccount", "storageDomain"}
    config = fakes.storage(CONTAINER, credential).config
    return {key: value for key, value in config.items() if key not in common}


def test_all_that_kopia_needs() -> None:
    assert fakes.storage(CONTAINER, KEY) == Storage(
        type_="azureBlob",
        config={
            "container": "backups",
            "prefix": "kanister/files/",
            "storageAccount": "account1",
            "storageKey": "a2V5LTkxYjI=",
            "storageDomain": "blob.core.windows.net",
        },
        label="kanister/files/ in container backups of Azure storage account account1",
    )


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        pytest.param(
            {"azure_storage_key": "a2V5\n"}, {"storageKey": "a2V5"}, id="the account's key"
        ),
        pytest.param(
            {"azure_storage_sas_token": "sv=1&sig=x"}, {"sasToken": "sv=1&sig=x"}, id="a SAS token"
        ),
        pytest.param(
            {"azure_storage_sas_token": "?sv=1&sig=x"},
            {"sasToken": "sv=1&sig=x"},
            id="a SAS token as the portal shows it",
        ),
        pytest.param(
            {"azure_storage_sas_token": "https://a.blob.core.windows.net/?sv=1&sig=x\n"},
            {"sasToken": "sv=1&sig=x"},
            id="a SAS token in its URL",
        ),
        pytest.param(
            {**APPLICATION, "azure_client_secret": "s"},
            {"TenantID": "tenant", "ClientID": "client", "ClientSecret": "s"},
            id="a service principal; Kopia spells these in capitals",
        ),
        pytest.param(
            {**APPLICATION, "azure_federated_identity": "True"},
            {"TenantID": "tenant", "ClientID": "client", "azureFederatedTokenFile": TOKEN_FILE},
            id="a federated identity",
        ),
        pytest.param(
            {"azure_storage_key": "a2V5", "azure_storage_sas_token": "sv=1&sig=x"},
            {"sasToken": "sv=1&sig=x"},
            id="of several the one that Kopia prefers",
        ),
        pytest.param(
            {"azure_storage_key": "", **APPLICATION, "azure_federated_identity": "true"},
            {"TenantID": "tenant", "ClientID": "client", "azureFederatedTokenFile": TOKEN_FILE},
            id="an empty key is none",
        ),
    ],
)
def test_each_way_in(credential: fakes.Values, expected: dict[str, str]) -> None:
    assert options({**ACCOUNT, **credential}) == expected


def test_a_federated_identity_has_a_token_that_the_kubelet_renews() -> None:
    storage = fakes.storage(CONTAINER, FEDERATED)

    token = {
        "audience": "api://AzureADTokenExchange",
        "expirationSeconds": 3600,
        "path": "token",
    }
    assert storage.volumes == [
        {"name": "azure-identity", "projected": {"sources": [{"serviceAccountToken": token}]}}
    ]
    assert storage.mounts == [
        {
            "name": "azure-identity",
            "mountPath": "/var/run/secrets/azure-identity",
            "readOnly": True,
        }
    ]


@pytest.mark.parametrize("credential", [KEY, PRINCIPAL])
def test_other_ways_in_need_no_token(credential: fakes.Values) -> None:
    storage = fakes.storage(CONTAINER, credential)

    assert (storage.volumes, storage.mounts) == ((), ())


PUBLIC = ("blob.core.windows.net", None, "api://AzureADTokenExchange")
GOVERNMENT = (
    "blob.core.usgovcloudapi.net",
    "https://login.microsoftonline.us/",
    "api://AzureADTokenExchangeUSGov",
)
CHINA = (
    "blob.core.chinacloudapi.cn",
    "https://login.chinacloudapi.cn/",
    "api://AzureADTokenExchangeChina",
)


@pytest.mark.parametrize(
    ("name", "cloud"),
    [
        ("", PUBLIC),
        ("AzureCloud", PUBLIC),
        ("AzurePublicCloud", PUBLIC),
        ("azurecloud\n", PUBLIC),
        ("AzureUSGovernment", GOVERNMENT),
        ("AzureUSGovernmentCloud", GOVERNMENT),
        ("AZUREUSGOVERNMENTCLOUD", GOVERNMENT),
        ("AzureChinaCloud", CHINA),
    ],
)
def test_a_cloud_is_a_domain_a_login_and_an_audience(
    name: str, cloud: tuple[str, str | None, str]
) -> None:
    storage = fakes.storage(CONTAINER, {**FEDERATED, "azure_storage_environment": name})

    token = storage.volumes[0]["projected"]["sources"][0]["serviceAccountToken"]
    login = storage.environment.get("AZURE_AUTHORITY_HOST")
    assert (storage.config["storageDomain"], login, token["audience"]) == cloud


def test_a_cloud_of_ones_own_is_named_by_its_domain() -> None:
    storage = fakes.storage({**CONTAINER, "storageDomain": "blob.stack.example"}, KEY)

    assert storage.config["storageDomain"] == "blob.stack.example"


def test_authorities_of_ones_own_are_added_to_those_of_the_system() -> None:
    authority = objects.key_pair().certificate

    storage = fakes.storage({**CONTAINER, "ca.crt": authority}, KEY)

    assert storage.files == {"ca.crt": authority}
    assert storage.environment.keys() == {"SSL_CERT_DIR"}


def test_a_former_state_of_the_container() -> None:
    storage = fakes.storage(CONTAINER, KEY, repository={"pointInTime": "2026-01-31T12:00:00Z"})

    assert storage.config["pointInTime"] == "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("credential", "message"),
    [
        pytest.param(
            None,
            "^spec.storage.credentialSecretRef is missing; name a Secret there with "
            "azure_storage_account_id and one of azure_storage_key, azure_storage_sas_token, "
            "azure_client_secret or azure_federated_identity$",
            id="no credential Secret",
        ),
        pytest.param(
            {"azure_storage_key": "a2V5"},
            "has no key azure_storage_account_id; add it$",
            id="no account",
        ),
        pytest.param(
            ACCOUNT,
            "^Secret backup/files-credential, named by spec.storage.credentialSecretRef, has no "
            "key that opens the storage account; add one of azure_storage_key, ",
            id="no way in",
        ),
        pytest.param(
            {**ACCOUNT, "azure_federated_identity": "false"},
            "has no key that opens the storage account",
            id="a federated identity that is not",
        ),
        pytest.param(
            {**ACCOUNT, "azure_federated_identity": "true"},
            "has no key azure_tenant_id; add it$",
            id="whose federated identity",
        ),
        pytest.param(
            {**ACCOUNT, "azure_tenant_id": "t", "azure_client_secret": "s"},
            "has no key azure_client_id; add it$",
            id="whose secret",
        ),
        pytest.param(
            {**ACCOUNT, "azure_storage_key": "key-91b2!"},
            "^key azure_storage_key of Secret .* is not Base64, as keys of storage accounts are; ",
            id="a key that is none",
        ),
        pytest.param(
            {**ACCOUNT, "azure_storage_key": "key-91b2é"},
            "^key azure_storage_key of Secret .* is not Base64, as keys of storage accounts are; ",
            id="a key with a letter that Base64 never has",
        ),
        *(
            pytest.param(
                {**KEY, "azure_storage_account_id": written},
                "^key azure_storage_account_id of Secret backup/files-credential, named by "
                "spec.storage.credentialSecretRef, is not the name of a storage account, which is "
                "3 to 24 lower-case letters and digits; write the name alone, without https:// and "
                "a domain$",
                id=f"an account written as {written}",
            )
            for written in (
                "https://account1.blob.core.windows.net/",
                "account1.blob.core.windows.net",
                "Account1",
                "a1",
                "account_1",
            )
        ),
        *(
            pytest.param(
                {**ACCOUNT, "azure_storage_sas_token": written},
                "^key azure_storage_sas_token of Secret .* is not a SAS token, the query with "
                "`sig=` that the portal shows; copy it again, on one line$",
                id=f"a token that is none: {written!r}",
            )
            for written in ("key-91b2", "sv=1&sig=key-91b2 x", "sv=1&sig=\nkey-91b2")
        ),
        pytest.param(
            {**KEY, "azure_storage_environment": "AzureGermanCloud"},
            "^key azure_storage_environment of Secret .* names the German cloud, which Microsoft "
            "closed in 2021; use AzureCloud ",
            id="the German cloud is gone",
        ),
        pytest.param(
            {**KEY, "azure_storage_environment": "AzureMoonCloud"},
            "^key azure_storage_environment of Secret .* is not one of Azure's clouds; use ",
            id="a cloud that there never was",
        ),
    ],
)
def test_what_cannot_work(credential: fakes.Values | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        fakes.storage(CONTAINER, credential)

    assert "key-91b2" not in caught.value.message


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("https://blob.example", id="a URL"),
        pytest.param("account1.blob.example", id="with the account, which would stand there twice"),
        pytest.param("blob.example/backups", id="with a path"),
    ],
)
def test_a_domain_that_cannot_work(written: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"^key storageDomain of Secret .* is not just the domain"
    ):
        fakes.storage({**CONTAINER, "storageDomain": written}, KEY)


@pytest.mark.parametrize("credential", [KEY, PRINCIPAL])
def test_no_secret_is_in_a_representation(credential: fakes.Values) -> None:
    shown = repr(fakes.storage(CONTAINER, credential))

    assert "a2V5LTkxYjI" not in shown
    assert "secret-91b2" not in shown
