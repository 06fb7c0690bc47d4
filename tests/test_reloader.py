"""The reloader where a stranger cancels it: what was asked for is loaded when it runs anew."""

from __future__ import annotations

import asyncio

from sidecar.config import load
from sidecar.registry import Registry
from sidecar.reload import Reloader
from sidecar.testing import ManualClock

TEXT = "providers: {console: {}}\nchains: {sms: [console]}\n"


class Applied:
    """Applies after it was let go."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, config):
        self.begun.set()
        await self.let_go.wait()
        return {}


async def test_a_reload_that_was_cut_off_is_done_by_the_next_run(tmp_path):
    path = tmp_path / "providers.yaml"
    path.write_text(TEXT)
    config = load(path, environ={}, provider_class=Registry().provider_class)
    clock, apply = ManualClock(), Applied()
    reloader = Reloader(config, lambda: config, apply, clock)
    running = asyncio.create_task(reloader.run())
    ended = asyncio.create_task(reloader.ended())
    await asyncio.sleep(0)
    reloader.ask()
    await apply.begun.wait()
    running.cancel()
    await asyncio.wait({running})
    await asyncio.wait({ended}, timeout=10)
    assert ended.done(), "nobody waits for ever for a reload that was cut off"
    apply.begun.clear()
    apply.let_go.set()
    clock.advance(5)
    running = asyncio.create_task(reloader.run())
    await asyncio.wait_for(apply.begun.wait(), 10)
    await reloader.ended()
    assert reloader.state.loaded_at == clock.time()
    running.cancel()


def watches():
    return [task for task in asyncio.all_tasks() if task.get_name() == "watch configuration"]


async def test_a_cancelled_look_at_the_files_is_begun_anew(tmp_path):
    path = tmp_path / "providers.yaml"
    path.write_text(TEXT)
    config = load(path, environ={}, provider_class=Registry().provider_class)
    apply = Applied()
    reloader = Reloader(config, lambda: config, apply, ManualClock())
    running = asyncio.create_task(reloader.run())
    await asyncio.sleep(0)
    (watching,) = watches()
    watching.cancel()
    await asyncio.wait({watching})
    assert watches() == []
    apply.let_go.set()
    reloader.ask()
    await reloader.ended()
    assert len(watches()) == 1
    running.cancel()
