"""One call to an AWS account at a time, as whoever the configuration or the environment says.

For commands, not for sends: it blocks, and it loads boto3.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # its types are a package of their own
import botocore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from sidecar.commands import EX_CONFIG, EX_UNAVAILABLE, Chosen, CommandFailed, choose, lacking
from sidecar_aws.refusals import Call, failed
from sidecar_aws.settings import AwsConfig

# One try: a person can ask again, and a change must not be made twice.
_CALLS = Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 1})
_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_NO_REGION = "no AWS region: set the provider's `region`, or AWS_REGION"
NAMES = {"sesv2": "SES v2", "sns": "SNS"}
KIND_OF = {"sesv2": "ses", "sns": "sns"}


class Account:
    """An account's `service`, `sesv2` or `sns`, in one region.

    `chosen` gives keys, region and endpoint; what it leaves open, and all of it where it is None,
    comes from where every AWS SDK looks. Raises `CommandFailed` where that is not enough, with the
    words of `nowhere` where nothing names a region.
    """

    def __init__(
        self, service: str, chosen: Chosen | None, nowhere: Callable[[], str] = lambda: _NO_REGION
    ) -> None:
        # Its DEBUG lines carry session tokens and whole answers.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        self.service = service
        self.chosen = chosen
        settings = chosen.settings if chosen is not None else None
        try:
            session = _session(settings)
            self.region = _region(session, settings, nowhere)
            self._client = session.client(
                service,
                region_name=self.region,
                endpoint_url=_endpoint(service, chosen),
                config=_CALLS,
            )
        except (BotoCoreError, ValueError) as error:
            raise failed(error, Call(service, "", "")) from error

    @property
    def url(self) -> str:
        return str(self._client.meta.endpoint_url)

    def call(self, operation: str, *, has: str | None = None, **arguments: Any) -> dict[str, Any]:
        """The answer to one `operation`, such as `GetAccount`, with these arguments.

        `has` is a member that every good answer has: botocore reads an HTML page as an empty
        answer. Raises `CommandFailed`.
        """
        asked = Call(self.service, operation, self.region)
        try:
            answer: dict[str, Any] = getattr(self._client, botocore.xform_name(operation))(
                **arguments
            )
        except (BotoCoreError, ClientError) as error:
            raise failed(error, asked) from error
        except ResponseParserError:
            answer = {}
            has = has or "an answer"
        if has is not None and has not in answer:
            told = f"{operation}: what answers at {self.url} does not speak like AWS"
            raise CommandFailed(told, EX_UNAVAILABLE)
        return answer

    def plan(self, operation: str, arguments: Mapping[str, Any]) -> Iterator[str]:
        """What a call will be, in full, for a person to agree to."""
        whose = "the environment's own credentials"
        if self.chosen is not None:
            of = f"the provider `{self.chosen.name}`"
            has_keys = self.chosen.settings.access_key_id is not None
            whose = f"the credentials of {of}" if has_keys else f"{whose}, which {of} goes by"
        yield f"This calls {NAMES[self.service]} {operation} in {self.region} ({self.url}),"
        yield f"with {whose}:"
        for name, value in arguments.items():
            yield f"  {name}: {value if isinstance(value, str) else json.dumps(value)}"


def account(service: str, config: Path, provider: str | None) -> Account:
    """The account of `provider`, where that is None of the first provider of the service's kind.

    Or else of the first of the plugin's other kind; without any, the environment's.
    """
    first = KIND_OF[service]
    kinds: Sequence[str] = [first, *(kind for kind in KIND_OF.values() if kind != first)]
    chosen = choose(kinds, config, provider)
    return Account(service, chosen, lambda: _nowhere(lacking(kinds, config), config))


def _nowhere(lacks: str, config: Path) -> str:
    """Why it is known neither whose account it is nor where, and what to set."""
    told = "no AWS region: set AWS_REGION to go by the environment's own credentials"
    if not lacks:
        return f"{told}, or name a file with --config"
    beside = config.parent / ".env"
    return f"{told}; or give {config} what it waits for, in the environment or in {beside}: {lacks}"


def _session(settings: AwsConfig | None) -> Any:
    if settings is None or settings.access_key_id is None or settings.secret_access_key is None:
        return boto3.session.Session()
    token = settings.session_token
    return boto3.session.Session(
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key.get_secret_value(),
        aws_session_token=token.get_secret_value() if token is not None else None,
    )


def _region(session: Any, settings: AwsConfig | None, nowhere: Callable[[], str]) -> str:
    # botocore itself knows AWS_DEFAULT_REGION only; the other SDKs read AWS_REGION first.
    named = settings.region if settings is not None else None
    region = named or os.environ.get("AWS_REGION") or session.region_name
    if not region:
        raise CommandFailed(_NO_REGION if settings is not None else nowhere(), EX_CONFIG)
    return str(region)


def _endpoint(service: str, chosen: Chosen | None) -> str | None:
    """The configured endpoint, where it may be `service`'s; None for the region's own.

    An address of AWS belongs to one service; one that stands in for AWS serves them all, and what
    is meant for it must not go to AWS instead.
    """
    if chosen is None or chosen.settings.endpoint_url is None:
        return None
    url = str(chosen.settings.endpoint_url)
    other = chosen.kind != KIND_OF[service]
    return None if other and (urlsplit(url).hostname or "").endswith(_OF_AWS) else url
