"""Azure Blob Storage."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage import authorities
from reconcilers.kopia.storage.model import Storage

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Source
    from reconcilers.secrets.data import SecretData

ACCOUNT: Final = "azure_storage_account_id"
STORAGE_KEY: Final = "azure_storage_key"
SAS_TOKEN: Final = "azure_storage_sas_token"  # noqa: S105 - a key's name
ENVIRONMENT: Final = "azure_storage_environment"
FEDERATED: Final = "azure_federated_identity"
TENANT: Final = "azure_tenant_id"
CLIENT: Final = "azure_client_id"
CLIENT_SECRET: Final = "azure_client_secret"  # noqa: S105 - a key's name
STORAGE_DOMAIN: Final = "storageDomain"

TOKEN_VOLUME: Final = "azure-identity"  # noqa: S105 - a volume's name
TOKEN_DIRECTORY: Final = "/var/run/secrets/azure-identity"  # noqa: S105 - a directory
TOKEN_FILE: Final = "token"  # noqa: S105 - a file's name
TOKEN_SECONDS: Final = 3600


@frozen
class Cloud:
    """One of Azure's clouds.

    Args:
        domain: What the host names of its Blob services end in.
        login: The service that knows its identities; empty for the libraries' default.
        audience: Whom a federated token is for.
    """

    domain: str
    login: str
    audience: str


PUBLIC: Final = Cloud("blob.core.windows.net", "", "api://AzureADTokenExchange")
GOVERNMENT: Final = Cloud(
    "blob.core.usgovcloudapi.net",
    "https://login.microsoftonline.us/",
    "api://AzureADTokenExchangeUSGov",
)
CHINA: Final = Cloud(
    "blob.core.chinacloudapi.cn",
    "https://login.chinacloudapi.cn/",
    "api://AzureADTokenExchangeChina",
)

# By name in capitals: how it is written never mattered.
CLOUDS: Final = {
    "AZURECLOUD": PUBLIC,
    "AZUREPUBLICCLOUD": PUBLIC,
    "AZUREUSGOVERNMENT": GOVERNMENT,
    "AZUREUSGOVERNMENTCLOUD": GOVERNMENT,
    "AZURECHINACLOUD": CHINA,
}
GERMAN_CLOUD: Final = "AZUREGERMANCLOUD"

REASON_NO_CREDENTIAL: Final = "CredentialMissing"
NO_CREDENTIAL: Final = (
    "spec.storage.credentialSecretRef is missing; name a Secret there with "
    f"{ACCOUNT} and one of {STORAGE_KEY}, {SAS_TOKEN}, {CLIENT_SECRET} or {FEDERATED}"
)
NO_WAY_IN: Final = (
    "Secret {ref}, named by {field}, has no key that opens the storage account; add one of "
    f"{STORAGE_KEY}, {SAS_TOKEN}, {CLIENT_SECRET}, or {FEDERATED} with the value true"
)
REASON_CREDENTIAL: Final = "CredentialInvalid"
NOT_BASE64: Final = (
    "key {key} of Secret {ref}, named by {field}, is not Base64, as keys of storage accounts are; "
    "copy it again"
)
ACCOUNT_NAME: Final = (
    "key {key} of Secret {ref}, named by {field}, is not the name of a storage account, which is 3 "
    "to 24 lower-case letters and digits; write the name alone, without https:// and a domain"
)
NO_SIGNATURE: Final = (
    "key {key} of Secret {ref}, named by {field}, is not a SAS token, the query with `sig=` that "
    "the portal shows; copy it again, on one line"
)
REASON_DOMAIN: Final = "EndpointInvalid"
DOMAIN: Final = (
    "key {key} of Secret {ref}, named by {field}, is not just the domain that the account stands "
    "in front of; write it as blob.core.windows.net is, without https:// and the account"
)
REASON_CLOUD: Final = "CloudUnknown"
CLOUD_UNKNOWN: Final = (
    "key {key} of Secret {ref}, named by {field}, is not one of Azure's clouds; use AzureCloud, "
    "AzureUSGovernment or AzureChinaCloud"
)
CLOUD_GONE: Final = (
    "key {key} of Secret {ref}, named by {field}, names the German cloud, which Microsoft closed "
    "in 2021; use AzureCloud and the account that the data was moved to"
)

# learn.microsoft.com/azure/storage/common/storage-account-overview; the second place of an account
# that is kept in two regions has a name of its own.
_ACCOUNT_NAME: Final = re.compile(r"[a-z0-9]{3,24}(-secondary)?")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?")
_TOKEN: Final = re.compile(r"[!-~]*\bsig=[!-~]+")


def storage(source: Source) -> Storage:
    """Return the storage in a container of a storage account.

    Raises:
        InvalidInput: A key is missing or holds what cannot work, or the path climbs.
    """
    location, credential = source.location, source.credential
    if credential is None:
        raise InvalidInput(REASON_NO_CREDENTIAL, NO_CREDENTIAL)
    container = location.text("bucket")
    account = _account(credential)
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
            "storageDomain": _domain(location, account) or cloud.domain,
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
        secret_urls="sasToken" in options,
    )


def _way_in(credential: SecretData) -> dict[str, Any]:
    """Return the options with Kopia's identity: the first that is set, in Kopia's own order."""
    if credential.has(SAS_TOKEN):
        return {"sasToken": _token(credential)}
    if credential.has(STORAGE_KEY):
        return {"storageKey": _storage_key(credential)}
    if credential.has(CLIENT_SECRET):
        secret = credential.text(CLIENT_SECRET)
        return {**_application(credential), "ClientSecret": secret}
    if credential.optional(FEDERATED).lower() == "true":
        path = f"{TOKEN_DIRECTORY}/{TOKEN_FILE}"
        return {**_application(credential), "azureFederatedTokenFile": path}
    raise credential.refused(REASON_NO_CREDENTIAL, NO_WAY_IN)


def _account(credential: SecretData) -> str:
    account = credential.text(ACCOUNT)
    if not _ACCOUNT_NAME.fullmatch(account):
        raise credential.refused(REASON_CREDENTIAL, ACCOUNT_NAME, ACCOUNT)
    return account


def _domain(location: SecretData, account: str) -> str:
    """Return the domain that a location names; empty if it names none."""
    domain = location.optional(STORAGE_DOMAIN)
    if domain and (not _DOMAIN.fullmatch(domain) or domain.startswith(f"{account}.")):
        raise location.refused(REASON_DOMAIN, DOMAIN, STORAGE_DOMAIN)
    return domain


def _token(credential: SecretData) -> str:
    # The portal shows it as the query of a URL, and the URL with it.
    token = credential.text(SAS_TOKEN).rpartition("?")[2]
    if not _TOKEN.fullmatch(token):
        raise credential.refused(REASON_CREDENTIAL, NO_SIGNATURE, SAS_TOKEN)
    return token


def _storage_key(credential: SecretData) -> str:
    key = credential.text(STORAGE_KEY)
    try:
        base64.b64decode(key, validate=True)
    except ValueError:
        raise credential.refused(REASON_CREDENTIAL, NOT_BASE64, STORAGE_KEY) from None
    return key


def _application(credential: SecretData) -> dict[str, str]:
    return {
        "TenantID": credential.text(TENANT),
        "ClientID": credential.text(CLIENT),
    }


def _cloud(credential: SecretData) -> Cloud:
    name = credential.optional(ENVIRONMENT).upper()
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
