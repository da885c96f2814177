"""What all HTTP clients for MCP servers have in common."""

from __future__ import annotations

import ssl
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

__all__ = ["no_cookies", "tls"]


@cache
def tls() -> ssl.SSLContext:
    """Give the context of all connections: to load the certificates takes 20 ms."""
    return httpx2.create_ssl_context()


def no_cookies() -> CookieJar:
    """Give a jar that keeps nothing."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
