"""HTTP: one client, its retries (``retries.py``), its providers (``providers.py``), the response under way (``stream.py``)."""

from agentrt.client.client import Client
from agentrt.client.stream import ResponseStream

__all__ = ["Client", "ResponseStream"]
