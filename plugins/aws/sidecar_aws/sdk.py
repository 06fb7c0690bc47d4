"""The part of botocore that may block: profiles, credentials, endpoints.

Imported and called in a thread of the plugin's own, never on the event loop: the import alone takes
100 to 200 ms, and a refresh of credentials asks the network.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnection

from sidecar import Misconfigured, Unavailable
from sidecar_aws.access import Access, Keys
from sidecar_aws.settings import AwsConfig, base_url

# STS and SSO, where the chain asks them: one try, and no longer than a person waits.
_CALLS = Config(connect_timeout=1.5, read_timeout=3.0, retries={"total_max_attempts": 1})

_UNREACHED = (
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoConnection,  # no HTTPClientError to botocore, though nothing was reached
)


@dataclass(frozen=True, slots=True)
class Login:
    """What botocore found: where a service is, and the source of the keys to it."""

    url: str
    region: str
    source: Credentials

    def access(self) -> Access:
        """The keys of this moment; asks the network where they are due for renewal.

        Raises `Misconfigured` or `Unavailable`.
        """
        with _our_errors():
            frozen = self.source.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            raise Misconfigured("the source of the AWS credentials gave empty keys")
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        return Access(self.url, self.region, keys)

    def is_due(self, seconds: int | None = None) -> bool:
        """Whether the keys end within `seconds`, by default within botocore's margin (15 minutes).

        Looks at the clock and at nothing else.
        """
        source = self.source
        return isinstance(source, RefreshableCredentials) and source.refresh_needed(seconds)


def log_in(model: str, config: AwsConfig) -> Login:
    """Find endpoint and credentials anew, files and environment included.

    `model` is botocore's name of the service. Raises `Misconfigured` or `Unavailable`.
    """
    # Its DEBUG lines carry session tokens and whole answers of STS.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    keys = _configured_keys(config)
    with _our_errors():
        session = botocore.session.Session()
        session.set_default_client_config(_CALLS)
        region = _region(session, config)
        session.set_config_variable("region", region)
        url = config.endpoint_url or _endpoint(session, model, region)
        return Login(url, region, keys or _found_keys(session))


def _region(session: botocore.session.Session, config: AwsConfig) -> str:
    # botocore itself knows AWS_DEFAULT_REGION only; the other SDKs read AWS_REGION first.
    named = config.region or os.environ.get("AWS_REGION")
    region = named or session.get_config_variable("region")
    if not region:
        raise Misconfigured("no AWS region: set `region`, or AWS_REGION")
    return str(region)


def _configured_keys(config: AwsConfig) -> Credentials | None:
    if config.access_key_id is None or config.secret_access_key is None:
        return None
    token = config.session_token
    return Credentials(
        config.access_key_id,
        config.secret_access_key.get_secret_value(),
        token.get_secret_value() if token is not None else None,
    )


def _found_keys(session: botocore.session.Session) -> Credentials:
    found: Credentials | None = session.get_credentials()
    if found is None:
        raise Misconfigured("no AWS credentials in the environment, a profile, or a role")
    return found


def _endpoint(session: botocore.session.Session, model: str, region: str) -> str:
    configured = _configured_endpoint(session, model)
    if configured:
        return base_url(configured)
    # By the rule set and not by a client: a client loads 12 MB of models for the same address.
    data = session.get_component("data_loader")
    rules = EndpointProvider(
        data.load_service_model(model, "endpoint-rule-set-1"), data.load_data("partitions")
    )
    return rules.resolve_endpoint(
        Region=region,
        UseFIPS=bool(session.get_config_variable("use_fips_endpoint")),
        UseDualStack=bool(session.get_config_variable("use_dualstack_endpoint")),
    ).url


def _configured_endpoint(session: botocore.session.Session, model: str) -> str | None:
    """What AWS_ENDPOINT_URL and the profile say, in the order of the SDKs' reference guide."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    service = model.replace("-", "_")  # for the services here, what the SDKs make of the service id
    found = (
        os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}")
        or os.environ.get("AWS_ENDPOINT_URL")
        or services.get(service, {}).get("endpoint_url")
        or profile.get("endpoint_url")
    )
    return str(found) if found else None


@contextmanager
def _our_errors() -> Iterator[None]:
    """Botocore's errors as ours, in one place; a text of theirs is never passed on."""
    try:
        yield
    except (Misconfigured, Unavailable):
        raise
    except _UNREACHED as error:
        raise Unavailable("the source of the AWS credentials failed", code=_name(error)) from error
    except ClientError as error:
        raise _of_sts(error) from error
    except Exception as error:
        raise Misconfigured("the AWS settings cannot be used", code=_name(error)) from error


def _of_sts(error: ClientError) -> Misconfigured | Unavailable:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.response.get("Error", {}).get("Code")
    if status == 429 or status >= 500 or "Throttl" in str(code):
        return Unavailable("the source of the AWS credentials failed", code=code)
    return Misconfigured("the AWS role or session was refused", code=code)


def _name(error: Exception) -> str:
    return type(error).__name__
