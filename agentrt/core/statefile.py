"""The JSON form of a run's state, and how older versions are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from agentrt.core.limits import Limits
from agentrt.core.pending import Pending
from agentrt.core.state import VERSIONS, Meter, RunState, Thread, Verdict
from agentrt.errors import UsageError
from agentrt.wire.items import Item, item_view
from agentrt.wire.responses import Usage

__all__ = ["state_in", "state_out"]


def state_out(state: RunState) -> dict[str, Any]:
    """Give a state as JSON values."""
    return {
        "version": max(VERSIONS),
        **state.__dict__,
        "limits": state.limits.__dict__,
        "meter": _meter_out(state.meter),
        "threads": {name: _thread_out(thread) for name, thread in state.threads.items()},
    }


def state_in(raw: dict[str, Any]) -> RunState:
    """Read a state; what is wrong with it raises ValueError, TypeError, KeyError, AttributeError or UsageError."""
    version = raw.pop("version", None)
    if version not in VERSIONS:
        raise UsageError(
            f"the state has version {version!r}, but this agentrt reads {sorted(VERSIONS)}; "
            "install the agentrt that wrote it"
        )
    read: dict[str, Any] = {
        **raw,
        "limits": Limits(**raw["limits"]),
        "meter": _meter_in(raw["meter"]),
        "threads": {name: _thread_in(thread) for name, thread in raw["threads"].items()},
        "notes": tuple(raw.get("notes", ())),
    }
    state = RunState(**read)
    _check(state)
    return state


def _check(state: RunState) -> None:
    """Refuse what no run can have come to, as a file may have been damaged."""
    if "main" not in state.threads or not isinstance(state.run_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("there is no main thread, or no run_id")
    for thread in state.threads.values():
        if thread.parent is not None and (thread.parent not in state.threads or thread.limits is None):
            raise ValueError("a thread has no parent")
        if any(thread.verdicts[position].ask is None for position in thread.waiting):
            raise ValueError("a call waits for nothing")


def _meter_out(meter: Meter) -> dict[str, Any]:
    return {**meter.__dict__, "usage": meter.usage._asdict()}


def _meter_in(raw: dict[str, Any]) -> Meter:
    read: dict[str, Any] = {**raw, "usage": Usage(**raw["usage"])}
    return Meter(**read)


def _thread_out(thread: Thread) -> dict[str, Any]:
    return {
        **thread.__dict__,
        "items": [item.raw for item in thread.items],
        "calls": _texts(thread.calls, lambda item: item.raw),
        "outputs": _texts(thread.outputs, lambda item: item.raw),
        "verdicts": _texts(thread.verdicts, _verdict_out),
        "edited": _texts(thread.edited, dict),
        "handed": sorted(thread.handed),
        "waiting": sorted(thread.waiting),
        "decided": sorted(thread.decided),
        "limits": None if thread.limits is None else thread.limits.__dict__,
        "meter": _meter_out(thread.meter),
    }


def _thread_in(raw: dict[str, Any]) -> Thread:
    if isinstance(raw.get("outside"), bool):  # version 2
        raw["outside"] = raw["anchor"] if raw["outside"] else None
    if isinstance(raw.get("last"), bool):  # version 3
        raw["last"] = "max_turns" if raw["last"] else None
    calls: dict[int, Item] = _numbers(raw["calls"], item_view)
    handoff = raw.get("handoff")
    read: dict[str, Any] = {
        **raw,
        "items": tuple(item_view(item) for item in raw["items"]),
        "calls": calls,
        "outputs": _numbers(raw["outputs"], item_view),
        "verdicts": _numbers(raw.get("verdicts", {}), _verdict_in),
        "edited": _numbers(raw.get("edited", {}), dict),
        "handed": frozenset(raw.get("handed", calls)),  # before version 4 all were handed out
        "waiting": frozenset(raw.get("waiting", ())),
        "decided": frozenset(raw.get("decided", ())),
        "handoff": None if handoff is None else (handoff[0], handoff[1]),
        "limits": None if raw.get("limits") is None else Limits(**raw["limits"]),
        "meter": _meter_in(raw["meter"]) if "meter" in raw else Meter(),
    }
    return Thread(**read)


def _verdict_out(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict; what is as in most of them is left out."""
    plain = {part.name: part.default for part in fields(Verdict)}
    told = {name: value for name, value in verdict.__dict__.items() if value != plain[name]}
    if verdict.ask is not None:
        told["ask"] = verdict.ask.__dict__
    if verdict.begin is not None:
        told["begin"] = _thread_out(verdict.begin)
    return told


def _verdict_in(raw: dict[str, Any]) -> Verdict:
    ask, begin = raw.pop("ask", None), raw.pop("begin", None)
    return Verdict(
        **raw, ask=None if ask is None else Pending(**ask), begin=None if begin is None else _thread_in(begin)
    )


def _texts(values: Mapping[int, Any], write: Callable[[Any], Any]) -> dict[str, Any]:
    return {str(index): write(value) for index, value in values.items()}


def _numbers(raw: Mapping[str, Any], read: Callable[[Any], Any]) -> dict[int, Any]:
    return {int(index): read(value) for index, value in raw.items()}
