"""A plugin's `check` that will not end, and a command that does, with what it knows by then."""

from __future__ import annotations

import json

import pytest

from harness import guests

CHECKS = """
import click
import sidecar as s
from sidecar import commands

READY = s.AccountReport(s.AccountState.READY, "fine")

class Fine(Guest):
    kind = "fine"
    async def check(self, *, timeout):
        return READY

class Deaf(Guest):
    kind = "deaf"
    async def check(self, *, timeout):
        while True:
            try:
                await asyncio.sleep(999)
            except BaseException:
                pass

class Asleep(Guest):
    kind = "asleep"
    async def check(self, *, timeout):
        await asyncio.to_thread(time.sleep, 999)

class Blocks(Guest):
    kind = "blocks"
    async def check(self, *, timeout):
        time.sleep(999)

class Exits(Guest):
    kind = "exits"
    async def check(self, *, timeout):
        async def leave():
            sys.exit(7)
        asyncio.create_task(leave())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return READY

class Cancels(Guest):
    kind = "cancels"
    async def check(self, *, timeout):
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(999)

@click.group()
def acme():
    pass

@acme.command()
@commands.account_options
def account(config, provider, as_json):
    told, _ = commands.reach(commands.required(provider, config, provider))
    commands.show(told, [told["state"]], as_json=as_json)

@hookimpl
def register_commands():
    return [acme]
"""
KINDS = ("fine", "deaf", "asleep", "blocks", "exits", "cancels")


@pytest.fixture
def house(tmp_path, environ):
    """Guests whose checks misbehave, and a command of theirs."""
    environ |= guests.install(tmp_path, CHECKS, *KINDS)
    with (tmp_path / "guest-1.dist-info" / "entry_points.txt").open("a") as points:
        points.write("[sidecar.commands]\nacme = guest\n")

    def put(*kinds):
        sections = ", ".join(f"{kind}: {{}}" for kind in kinds)
        (tmp_path / "providers.yaml").write_text(
            f"providers: {{{sections}}}\nchains: {{sms: [{', '.join(kinds)}]}}\n"
        )

    return put


def test_check_online_tells_what_it_knows_and_ends(command, house):
    house("fine", "deaf", "asleep", "exits")
    done = command("check", "--online", "--json")
    states = {one["provider"]: one["state"] for one in json.loads(done.stdout)}
    assert states == {
        "fine": "ready",
        "deaf": "unreachable",
        "asleep": "unreachable",
        "exits": "ready",
    }
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_check_that_cancels_everything_ends_no_command(command, house):
    house("cancels", "fine")
    done = command("check", "--online")
    assert done.returncode == 1
    assert "cancels          unreachable" in done.stdout
    assert "fine             " in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["deaf", "asleep", "blocks"])
def test_a_command_of_a_plugin_ends_too(command, house, kind):
    house(kind)
    done = command("acme", "account", "--provider", kind)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.splitlines()[-1].startswith(f"{kind}: ")


def test_a_stray_task_gives_a_command_no_exit_code(command, house):
    house("exits")
    done = command("acme", "account", "--provider", "exits")
    assert (done.returncode, done.stdout) == (0, "ready\n")
