"""What Secrets Manager's errors mean, and what to do: a text of AWS's own is never passed on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as NoConnection

from sidecar import NoSecret

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}", re.ASCII)
_NO_KEYS = (
    "cannot be read without AWS credentials: give the service account a role (IRSA or EKS Pod "
    "Identity), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_BAD_KEYS = (
    "cannot be read: AWS did not accept the credentials; check AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or the role"
)
_REFUSED_KEYS = {
    "ExpiredTokenException",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


@contextmanager
def told(name: str, region: str | None, partition: str) -> Iterator[None]:
    """Botocore's errors as `NoSecret`, with what to do about the secret `name`."""
    try:
        yield
    except ClientError as error:
        if error.operation_name != "GetSecretValue":  # STS, which gives the keys of a role
            raise NoSecret("cannot be read: the AWS role or session was refused") from None
        raise NoSecret(_of_client(error, name, region, partition)) from None
    except NoRegionError:
        raise NoSecret("is in no AWS region: set AWS_REGION, or write its ARN") from None
    except (NoCredentialsError, PartialCredentialsError):
        raise NoSecret(_NO_KEYS) from None
    except ProfileNotFound:
        raise NoSecret("cannot be read: AWS_PROFILE names no profile that is there") from None
    except (CredentialRetrievalError, MetadataRetrievalError):
        raise NoSecret("cannot be read: the source of the AWS credentials failed") from None
    except (NoConnection, HTTPClientError):
        raise NoSecret(
            f"got no answer from Secrets Manager in {_shown(region)}: check the way there (NAT, or "
            "a VPC endpoint for secretsmanager) and AWS_ENDPOINT_URL_SECRETS_MANAGER"
        ) from None
    except Exception as error:  # noqa: BLE001  # a text of it may carry anything
        raise NoSecret(f"cannot be read: botocore raised {type(error).__name__}") from None


def _of_client(error: ClientError, name: str, region: str | None, partition: str) -> str:
    said = error.response.get("Error", {})
    code, text = str(said.get("Code")), str(said.get("Message", "")).lower()
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    bare = None if _CODE.fullmatch(code) else status  # all that a stranger in between may give
    if code in _REFUSED_KEYS or bare == 401:
        return _BAD_KEYS
    if "Throttl" in code or code == "TooManyRequestsException" or status == 429:
        return "cannot be read now: Secrets Manager is throttling; ask again, or less often"
    if code == "DecryptionFailure" or re.search(r"access to kms|\bkms:[a-z]", text):
        return "cannot be decrypted: allow `kms:Decrypt` on its KMS key, in the role and the key"
    if "AccessDenied" in code or bare == 403:
        return (
            f"must not be read: allow `secretsmanager:GetSecretValue` on "
            f"`{_resource(name, region, partition)}`"
        )
    if code == "ResourceNotFoundException":
        return f"is not there, or has no value, in {_shown(region)}: create it, or correct the name"
    if code == "InvalidRequestException" and "delet" in text:
        return "is marked for deletion: restore it, or name another"
    if status >= 500:
        return "cannot be read now: Secrets Manager failed; ask again"
    return f"cannot be read: Secrets Manager refused with {code if bare is None else status}"


def _resource(name: str, region: str | None, partition: str) -> str:
    """The ARN for a policy. Secrets Manager adds a hyphen and six characters to the name."""
    if name.startswith("arn:"):
        return name
    return f"arn:{partition}:secretsmanager:{region or '<region>'}:<account>:secret:{name}-??????"


def _shown(region: str | None) -> str:
    return region or "the profile's region"
