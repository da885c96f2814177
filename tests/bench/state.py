"""What the machine itself costs: a step of a wide reply, and the state of a long run as JSON.

python tests/bench/state.py
"""

import time

from agentrt import Limits, RunState
from agentrt.core.loop import step
from agentrt.core.protocol import ModelReplied, Start, ToolReturned
from agentrt.core.state import MAIN, Thread, Verdict
from agentrt.wire.compose import message_item
from agentrt.wire.items import item_view
from agentrt.wire.responses import Response

WIDE, LONG, BOUND_MS = 128, 200, 20.0
USER = item_view({"type": "message", "role": "user", "content": "go"})


def call(number):
    return {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": "f", "arguments": "{}"}


def fresh(*, parallel=True):
    limits = Limits(max_turns=LONG + 1, calls={"f": 10**6})
    return RunState("run", limits, threads={MAIN: Thread(items=(USER,), given=1, parallel=parallel)})


def reply(state, turn, calls, verdicts):
    output = [message_item(f"msg_{turn}", "Let me look that up, and then the next one. " * 4), *calls]
    response = Response({"id": f"resp_{turn}", "status": "completed", "output": output})
    return step(state, ModelReplied(turn, response, verdicts=verdicts))


def returned(effect):
    output = {"type": "function_call_output", "call_id": effect.call.raw["call_id"], "output": "ok " * 60}
    return ToolReturned(effect.turn, effect.position, output)


def wide(*, parallel):
    """Answer all calls of one wide reply; give µs per ToolReturned."""
    verdicts = {position: Verdict("f", lane="a" if position % 2 else None) for position in range(1, WIDE + 1)}
    best = float("inf")
    for _ in range(20):
        state, _ = step(fresh(parallel=parallel), Start())
        state, effects = reply(state, 1, [call(number) for number in range(WIDE)], verdicts)
        begun = time.perf_counter()
        while state.threads[MAIN].phase == "tools":
            state, more = step(state, returned(effects.pop(0)))
            effects += more
        best = min(best, time.perf_counter() - begun)
    return best / WIDE * 1e6


def long_run():
    state, _ = step(fresh(), Start())
    for turn in range(1, LONG):
        state, effects = reply(state, turn, [call(turn)], {1: Verdict("f", effect="pure")})
        state, _ = step(state, returned(effects[0]))
    return state


def best_of(work, times=20):
    best = float("inf")
    for _ in range(times):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best * 1e3


def main():
    print(f"{WIDE} calls at once:      {wide(parallel=True):6.1f} µs per ToolReturned")
    print(f"{WIDE} calls in a row:     {wide(parallel=False):6.1f} µs per ToolReturned")
    state = long_run()
    text = state.to_json()
    out, back = best_of(state.to_json), best_of(lambda: RunState.from_json(text))
    print(f"{LONG} turns, {len(text) / 1000:.0f} kB:      {out:6.2f} ms to_json, {back:.2f} ms from_json")
    assert out + back <= BOUND_MS, f"more than {BOUND_MS} ms"


if __name__ == "__main__":
    main()
