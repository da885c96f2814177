"""The machine under a driver that does whatever a driver may do, held against a ledger of its own."""

import os
import random
from collections import Counter

import pytest

from agentrt.core.loop import LEGAL
from tests.machine.player import Player


def play(seed, number):
    """Play one run; the same seed and number give the same run."""
    player = Player(random.Random(f"{seed}/{number}"))
    try:
        player.play()
    except BaseException:
        print(f"seed {seed}, run {number}, step {player.steps}: {player.state.to_json()}")
        raise
    return player


@pytest.mark.parametrize("least", [3_000, pytest.param(120_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_whatever_happens_in_whatever_order_the_rules_hold(least):
    seed = os.environ.get("AGENTRT_SEED") or random.randrange(2**32)
    print("seed", seed)
    steps, runs, seen, reached = 0, 0, Counter(), set()
    while steps < least:
        player = play(seed, runs)
        runs, steps = runs + 1, steps + player.steps
        seen += player.seen
        reached |= player.reached
    print(f"{steps} steps in {runs} runs:", dict(seen))
    if least > 100_000:  # the table promises nothing that does not happen
        assert reached == {(phase, event, then) for (phase, event), move in LEGAL.items() for then in move.to}
