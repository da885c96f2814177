"""HTTP: one client, its retries (``retries.py``), providers (``providers.py``), streams (``stream.py``)."""

from agentrt.client.client import Client
from agentrt.client.stream import ResponseStream

__all__ = ["Client", "ResponseStream"]
