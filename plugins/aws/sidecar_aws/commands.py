"""`otp-sidecar aws`: the account behind SES and SNS, looked at and changed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sidecar import hookimpl
from sidecar_aws.commands_limits import production_access, quota, spend_limit
from sidecar_aws.commands_senders import sender_status, verify_sender


@click.group()
def aws() -> None:
    """An AWS account: senders, production access, the SMS spend limit, quotas."""


for command in (verify_sender, sender_status, production_access, spend_limit, quota):
    aws.add_command(command)


@hookimpl
def register_commands() -> Sequence[click.Command]:
    return [aws]
