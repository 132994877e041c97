"""Azure Blob Storage."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from attrs import frozen

from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage import authorities
from reconcilers.kopia.storage.model import Storage

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Source
    from reconcilers.secrets.data import SecretData

ACCOUNT = "azure_storage_account_id"
STORAGE_KEY = "azure_storage_key"
SAS_TOKEN = "azure_storage_sas_token"  # noqa: S105 - a key's name
ENVIRONMENT = "azure_storage_environment"
FEDERATED = "azure_federated_identity"
TENANT = "azure_tenant_id"
CLIENT = "azure_client_id"
CLIENT_SECRET = "azure_client_secret"  # noqa: S105 - a key's name
STORAGE_DOMAIN = "storageDomain"

TOKEN_VOLUME = "azure-identity"  # noqa: S105 - a volume's name
TOKEN_DIRECTORY = "/var/run/secrets/azure-identity"  # noqa: S105 - a directory
TOKEN_FILE = "token"  # noqa: S105 - a file's name
TOKEN_SECONDS = 3600


@frozen
class Cloud:
    """One of Azure's clouds.

    Attributes:
        domain: What the host names of its Blob services end in.
        login: The service that knows its identities; empty for the libraries' default.
        audience: Whom a federated token is for.
    """

    domain: str
    login: str
    audience: str


PUBLIC = Cloud("blob.core.windows.net", "", "api://AzureADTokenExchange")
GOVERNMENT = Cloud(
    "blob.core.usgovcloudapi.net",
    "https://login.microsoftonline.us/",
    "api://AzureADTokenExchangeUSGov",
)
CHINA = Cloud(
    "blob.core.chinacloudapi.cn",
    "https://login.chinacloudapi.cn/",
    "api://AzureADTokenExchangeChina",
)

# By name in capitals: how it is written never mattered.
CLOUDS = {
    "AZURECLOUD": PUBLIC,
    "AZUREPUBLICCLOUD": PUBLIC,
    "AZUREUSGOVERNMENT": GOVERNMENT,
    "AZUREUSGOVERNMENTCLOUD": GOVERNMENT,
    "AZURECHINACLOUD": CHINA,
}
GERMAN_CLOUD = "AZUREGERMANCLOUD"

REASON_NO_CREDENTIAL = "CredentialMissing"
NO_CREDENTIAL = (
    "spec.storage.credentialSecretRef is missing; name a Secret there with "
    f"{ACCOUNT} and one of {STORAGE_KEY}, {SAS_TOKEN}, {CLIENT_SECRET} or {FEDERATED}"
)
NO_WAY_IN = (
    "Secret {ref}, named by {field}, has no key that opens the storage account; add one of "
    f"{STORAGE_KEY}, {SAS_TOKEN}, {CLIENT_SECRET}, or {FEDERATED} with the value true"
)
REASON_CREDENTIAL = "CredentialInvalid"
NOT_BASE64 = (
    "key {key} of Secret {ref}, named by {field}, is not Base64, as keys of storage accounts are; "
    "copy it again"
)
REASON_CLOUD = "CloudUnknown"
CLOUD_UNKNOWN = (
    "key {key} of Secret {ref}, named by {field}, is not one of Azure's clouds; use AzureCloud, "
    "AzureUSGovernment or AzureChinaCloud"
)
CLOUD_GONE = (
    "key {key} of Secret {ref}, named by {field}, names the German cloud, which Microsoft closed "
    "in 2021; use AzureCloud and the account that the data was moved to"
)


def storage(source: Source) -> Storage:
    """Return the storage in a container of a storage account.

    Raises:
        InvalidInput: A key is missing or holds what cannot work, or the path climbs.
    """
    location, credential = source.location, source.credential
    if credential is None:
        raise InvalidInput(REASON_NO_CREDENTIAL, NO_CREDENTIAL)
    container = location.text("bucket").strip()
    account = credential.text(ACCOUNT).strip()
    cloud = _cloud(credential)
    options = _way_in(credential)
    federated = "azureFederatedTokenFile" in options
    identity = "TenantID" in options
    return Storage(
        type_="azureBlob",
        config={
            "container": container,
            "prefix": source.path,
            "storageAccount": account,
            # A cloud of one's own has another, Azure Stack Hub say.
            "storageDomain": location.optional(STORAGE_DOMAIN).strip() or cloud.domain,
            **options,
            **source.point_in_time_option(),
        },
        label=f"{source.place} in container {container} of Azure storage account {account}",
        environment={
            **authorities.environment(location),
            **({"AZURE_AUTHORITY_HOST": cloud.login} if identity and cloud.login else {}),
        },
        files=authorities.files(location),
        volumes=[_token_volume(cloud)] if federated else (),
        mounts=[{"name": TOKEN_VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": True}]
        if federated
        else (),
    )


def _way_in(credential: SecretData) -> dict[str, Any]:
    """Return the options that say who Kopia is: the first that there is, in Kopia's own order."""
    if credential.has(SAS_TOKEN):
        # The portal shows it as the query of a URL.
        return {"sasToken": credential.text(SAS_TOKEN).strip().removeprefix("?")}
    if credential.has(STORAGE_KEY):
        return {"storageKey": _storage_key(credential)}
    if credential.has(CLIENT_SECRET):
        secret = credential.text(CLIENT_SECRET).strip()
        return {**_application(credential), "ClientSecret": secret}
    if credential.optional(FEDERATED).strip().lower() == "true":
        path = f"{TOKEN_DIRECTORY}/{TOKEN_FILE}"
        return {**_application(credential), "azureFederatedTokenFile": path}
    raise credential.refused(REASON_NO_CREDENTIAL, NO_WAY_IN)


def _storage_key(credential: SecretData) -> str:
    key = credential.text(STORAGE_KEY).strip()
    try:
        base64.b64decode(key, validate=True)
    except ValueError:
        raise credential.refused(REASON_CREDENTIAL, NOT_BASE64, STORAGE_KEY) from None
    return key


def _application(credential: SecretData) -> dict[str, str]:
    return {
        "TenantID": credential.text(TENANT).strip(),
        "ClientID": credential.text(CLIENT).strip(),
    }


def _cloud(credential: SecretData) -> Cloud:
    name = credential.optional(ENVIRONMENT).strip().upper()
    if not name:
        return PUBLIC
    if name == GERMAN_CLOUD:
        raise credential.refused(REASON_CLOUD, CLOUD_GONE, ENVIRONMENT)
    if name not in CLOUDS:
        raise credential.refused(REASON_CLOUD, CLOUD_UNKNOWN, ENVIRONMENT)
    return CLOUDS[name]


def _token_volume(cloud: Cloud) -> dict[str, Any]:
    # Of our own, so that no webhook has to add one: the kubelet renews the token.
    token = {
        "audience": cloud.audience,
        "expirationSeconds": TOKEN_SECONDS,
        "path": TOKEN_FILE,
    }
    return {"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}
