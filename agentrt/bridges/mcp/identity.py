"""Who we say we are."""

from __future__ import annotations

import functools
from importlib.metadata import version

from mcp_types import Implementation

__all__ = ["client_info"]


@functools.cache
def client_info() -> Implementation:
    """Give the name and the version that servers are told."""
    return Implementation(name="agentrt", version=version("agentrt"))
