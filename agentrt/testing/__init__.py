"""A test kit for agents: scripted providers, cassettes, a clock, and a network that is blocked. No model, no key.

See ``docs/testing.md``. The fixtures for pytest are in ``agentrt.testing.plugin``.
"""

from agentrt.testing.cassette import Cassette, CassetteMissError
from agentrt.testing.clock import FakeClock
from agentrt.testing.model import ScriptedModel
from agentrt.testing.network import NetworkBlockedError, no_network
from agentrt.testing.server import Recorded, ResponsesServer
from agentrt.testing.turns import Turn, call, calls, http_error, raw, say

__all__ = [
    "Cassette",
    "CassetteMissError",
    "FakeClock",
    "NetworkBlockedError",
    "Recorded",
    "ResponsesServer",
    "ScriptedModel",
    "Turn",
    "call",
    "calls",
    "http_error",
    "no_network",
    "raw",
    "say",
]
