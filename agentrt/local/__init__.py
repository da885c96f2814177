"""The embedded model: SmolLM2-135M-Instruct through llama.cpp, for a first look without a key.

It is a tiny demonstration model. It calls the right tool on simple tasks, not more; ``docs/local.md`` has the figures.
``weights.py`` fetches it, ``engine.py`` runs it, ``prompt.py`` asks it, ``transport.py`` lets it speak the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

__all__ = ["open_transport"]


def open_transport(base_url: str) -> httpx2.AsyncBaseTransport:
    """Give the transport for a ``local://`` address.

    Raises:
        UsageError: The address names a model that is not embedded.
    """
    from agentrt.errors import UsageError  # noqa: PLC0415 - the module stays empty until it is used
    from agentrt.local.transport import LocalTransport  # noqa: PLC0415

    name = base_url.removeprefix("local://").strip("/")
    if name != "smollm2":
        raise UsageError(
            f"there is no embedded model {name!r}; use local://smollm2 (AGENTRT_LOCAL_MODEL names another GGUF)"
        )
    return LocalTransport()
