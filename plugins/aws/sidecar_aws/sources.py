"""Could this machine have AWS credentials? Answered from the environment and the disk alone.

botocore's own chain asks the network (container and instance metadata) before it gives up, so it
cannot be asked at start. The order here is the chain's: environment, web identity, profile files,
container, instance role.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_POINTERS = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_FILES = {
    "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials",
    "AWS_CONFIG_FILE": ".aws/config",
}
_EC2_MARKS = {
    "sys/class/dmi/id/sys_vendor": "amazon ec2",
    "sys/class/dmi/id/board_vendor": "amazon ec2",
    "sys/hypervisor/uuid": "ec2",
}


def missing_credentials(environ: Mapping[str, str], root: Path = Path("/")) -> tuple[str, ...]:
    """Names of what is lacking for credentials; empty where any source of them is plausible.

    `root` is where the machine's `/sys` is found.
    """
    lacking = tuple(name for name in _KEYS if not environ.get(name))
    if not lacking or any(environ.get(name) for name in _POINTERS):
        return ()
    if _has_profile_file(environ) or _has_instance_role(environ, root):
        return ()
    return lacking


def _has_profile_file(environ: Mapping[str, str]) -> bool:
    home = Path(environ.get("HOME") or "~").expanduser()
    named = (environ.get(name) or home / default for name, default in _FILES.items())
    return any(Path(path).expanduser().is_file() for path in named)


def _has_instance_role(environ: Mapping[str, str], root: Path) -> bool:
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    if environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        return True
    return any(_first_line(root / path).startswith(mark) for path, mark in _EC2_MARKS.items())


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").partition("\n")[0].lower()
    except OSError:
        return ""
