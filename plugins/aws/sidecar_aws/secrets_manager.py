"""AWS Secrets Manager: `${aws-sm:otp/twilio#auth_token}` in the configuration.

One GetSecretValue a secret, and not BatchGetSecretValue: that one needs a permission on all secrets
(`Resource: "*"`) beside the permission to read each of them.
Source: Secrets Manager API reference, GetSecretValue; its user guide, "Troubleshooting".
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sidecar import NoSecret, SecretSource, hookimpl

if TYPE_CHECKING:
    from botocore.session import Session

_ARN = re.compile(r"arn:(aws[a-z-]*):secretsmanager:([a-z0-9-]+):(\d{12}):secret:(.+)", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_CONNECT, _READ = 2.0, 3.0
_TRIES = 2  # one more after a dropped connection or a 5xx: a start has no second provider
_FILES = {
    "AWS_SHARED_CREDENTIALS_FILE": "credentials_file",
    "AWS_CONFIG_FILE": "config_file",
}


class SecretsManager(SecretSource):
    """The secrets of one account. A name may be an ARN: then its region is asked."""

    scheme = "aws-sm"

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def fetch(self, name: str, *, timeout: float) -> str:
        region = self._region(name)
        # In the thread that asks: botocore takes 100 to 200 ms and 11 MB, for those who need it.
        from sidecar_aws.secrets_errors import told  # noqa: PLC0415

        try:
            with told(name, region, _partition(region)):
                answer = self._client(region).get_secret_value(SecretId=name)
        except NoSecret:
            # A client keeps the credentials that it was made with, also where there were none.
            with self._lock:
                self._clients.pop(region or "", None)
            raise
        text = answer.get("SecretString")
        if not isinstance(text, str):
            raise NoSecret("holds binary data: store it as text (SecretString)")
        return text

    def _region(self, name: str) -> str | None:
        """Whose secret it is; None where only a profile can say. Raises `NoSecret`."""
        arn = _ARN.fullmatch(name)
        if arn is None and not _NAME.fullmatch(name):
            raise NoSecret(
                "has a name that Secrets Manager does not take: letters, digits, /_+=.@-"
            )
        named = arn[2] if arn else self._first("AWS_REGION", "AWS_DEFAULT_REGION")
        if named is not None and not _REGION.fullmatch(named):
            raise NoSecret("is in no AWS region: AWS_REGION does not name one")
        return named

    def _client(self, region: str | None) -> Any:
        with self._lock:  # a session is not for several threads, its clients are
            asked = region or ""
            if asked not in self._clients:
                self._clients[asked] = self._new_client(region)
            return self._clients[asked]

    def _new_client(self, region: str | None) -> Any:
        import botocore.session  # noqa: PLC0415  # as above
        from botocore.config import Config  # noqa: PLC0415

        # Its DEBUG lines carry whole answers.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        session = botocore.session.Session(profile=self._first("AWS_PROFILE"))
        self._tell_of_files(session)
        return session.create_client(
            "secretsmanager",
            region_name=region,
            endpoint_url=self._first("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"),
            config=Config(
                connect_timeout=_CONNECT,
                read_timeout=_READ,
                retries={"total_max_attempts": _TRIES, "mode": "standard"},
            ),
            **self._keys(),
        )

    def _tell_of_files(self, session: Session) -> None:
        for variable, setting in _FILES.items():
            if path := self._first(variable):
                session.set_config_variable(setting, path)

    def _keys(self) -> dict[str, Any]:
        """The keys of the environment: botocore itself does not see those of a `.env` yet."""
        key, secret = self._first("AWS_ACCESS_KEY_ID"), self._first("AWS_SECRET_ACCESS_KEY")
        if not (key and secret):
            return {}
        token = self._first("AWS_SESSION_TOKEN")
        return {
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_session_token": token,
        }

    def _first(self, *names: str) -> str | None:
        return next((self.environ[name] for name in names if self.environ.get(name)), None)


def _partition(region: str | None) -> str:
    begins = (
        partition for start, partition in _PARTITIONS.items() if (region or "").startswith(start)
    )
    return next(begins, "aws")


@hookimpl
def register_secret_sources() -> Sequence[type[SecretSource]]:
    return [SecretsManager]
