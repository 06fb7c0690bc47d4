"""The same script and the same clock give the same trail, byte for byte."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.replay import STEPS, play

scripts = st.lists(st.sampled_from(sorted(STEPS)), max_size=12)


@settings(max_examples=40)
@given(plan=st.fixed_dictionaries({"a": scripts, "b": scripts}), seed=st.integers(0, 2**16))
def test_the_same_script_clock_and_seed_give_the_same_log(plan, seed):
    first = asyncio.run(play(plan, seed))
    assert asyncio.run(play(plan, seed)) == first
    assert first[-1][0]
