"""The command line, with the commands that plugins bring below it.

The names come from the entry-point group, and no plugin is imported before its command is called.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from sidecar.options import EX_CONFIG, EX_INTERRUPTED, fail

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMANDS = "sidecar.commands"
"""The entry-point group of commands: each name is that of a command, each value its module."""


class Commands(click.Group):
    """A group that finds in the plugins what it does not have itself; its own commands come first.

    The name of an entry point is the name of the command that its plugin brings.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own commands, then those of the plugins; imports none."""
        return [*super().list_commands(ctx), *self._brought()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, its plugin imported where it is one's; None for no such.

        A plugin that is broken ends the process, with 78 and one line.
        """
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entries = self._brought().get(cmd_name)
        return _load(cmd_name, entries) if entries else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = self.list_commands(ctx) if super().get_command(ctx, name) is None else [name]
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known)}."
            ctx.fail(f"No such command '{name}'. {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Ctrl-C ends any command with 130: click's 1 would be a negative answer."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(EX_INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [(n, c) for n, c in sorted(self.commands.items()) if not c.hidden]
        room = formatter.width - 6 - max(len(name) for name, _ in own)
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(room)) for name, one in own])
        brought = [(name, _told(entries)) for name, entries in self._brought().items()]
        if brought:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(brought)

    def _brought(self) -> Mapping[str, list[EntryPoint]]:
        # A look opens a file of every installed distribution, 7 ms: our own commands do without.
        from importlib.metadata import entry_points

        found: dict[str, list[EntryPoint]] = {}
        for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name):
            if entry.name not in self.commands:
                found.setdefault(entry.name, []).append(entry)
        return found


def _load(name: str, entries: list[EntryPoint]) -> click.Command:
    from sidecar.contract import in_one_line
    from sidecar.interrupt import Interrupted
    from sidecar.registry import Registry

    if len(entries) > 1:
        both = " and ".join(sorted(map(_distribution, entries)))
        fail(f"the command `{name}` is offered twice, by {both}; uninstall one", EX_CONFIG)
    plugin = f"({_distribution(entries[0])})"
    try:
        brought = Registry().commands_of(entries[0])
        found = [c for c in brought if isinstance(c, click.Command) and c.name == name]
    except Interrupted:
        raise
    except BaseException as error:  # noqa: BLE001  # a guest's: not even its SystemExit is ours
        why = in_one_line(error)
        fail(f"the plugin for the command `{name}` {plugin} cannot be loaded: {why}", EX_CONFIG)
    if not found:
        fail(
            f"the plugin {plugin[1:-1]} brings no command `{name}`: its `register_commands` must "
            "return it",
            EX_CONFIG,
        )
    return found[0]


def _told(entries: list[EntryPoint]) -> str:
    return f"Brought by {' and '.join(sorted(map(_distribution, entries)))}."


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
