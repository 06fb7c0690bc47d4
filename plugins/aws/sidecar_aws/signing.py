"""AWS Signature Version 4 of one request, by botocore's own signer."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar_aws.access import Access


def sign(
    access: Access, service: str, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> dict[str, str]:
    """`headers` with the date, the session token and the signature added.

    `service` is the signing name (`ses`, `sns`), `url` the whole address as it goes on the wire.
    """
    from botocore.auth import SigV4Auth  # noqa: PLC0415  # loaded by now, in the thread of `sdk`
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415  # the same
    from botocore.credentials import Credentials  # noqa: PLC0415  # the same

    keys = access.keys
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    SigV4Auth(credentials, service, access.region).add_auth(request)
    return dict(request.headers.items())
