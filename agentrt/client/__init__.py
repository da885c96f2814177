"""HTTP: `Client` and its other endpoints, retries (``retries.py``), providers (``providers.toml``), streams.

How a request travels: ``client.py`` makes it and tries again, ``transport.py`` sends it (over ``pool.py``, or a client
of the user's) under its clocks, ``http.py`` makes errors of statuses, ``stream.py`` reads what comes.
"""

from agentrt.client.client import Client
from agentrt.client.http import PreparedRequest
from agentrt.client.providers import Provider
from agentrt.client.stream import ResponseStream

__all__ = ["Client", "PreparedRequest", "Provider", "ResponseStream"]
