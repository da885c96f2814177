"""A test kit for agents: a scripted Responses server, without a model and without a key.

See ``docs/testing.md``.
"""

from agentrt.testing.server import Recorded, ResponsesServer
from agentrt.testing.turns import Turn, call, calls, http_error, raw, say

__all__ = ["Recorded", "ResponsesServer", "Turn", "call", "calls", "http_error", "raw", "say"]
