"""What a login may be led to: an MCP server names where to log in, and must not thereby reach into a private network.

Server-side request forgery: the SDK fetches whatever address a 401 names (mcp 2.3, measured). Here each request is
looked at, those of the login too: its name is resolved once, all its addresses must be public, and the connection goes
to the very address that was looked at, so that a second answer of the resolver changes nothing.

`ipaddress.is_global` is no help: in Python 3.11 it is true for multicast, NAT64, 6to4 and Azure's 168.63.129.16.
Sources of the table: IANA's special-purpose address registries (RFC 6890), RFC 6052, RFC 3056, RFC 4380.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx2

from agentrt.bridges.mcp.answers import MAX_ERROR_BODY, OWN, body_of, with_body
from agentrt.bridges.mcp.endpoint import HttpEndpoint
from agentrt.bridges.mcp.shared import no_cookies, tls
from agentrt.errors import UnreachableError, UsageError

__all__ = ["Guard", "is_public"]

_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
_MAX_BODY = 1024 * 1024
_NOT_HTTPS = "is not https, which only a server on this machine may do without"
_REFUSED = 400

_PRIVATE_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' NAT, and clouds' own services
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host
            "169.254.0.0/16",  # link-local, and clouds' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast and above
        ),
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_PRIVATE_6 = tuple(
    map(IPv6Network, ("2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20"))
)
_TEREDO, _SIX_TO_FOUR = IPv6Network("2001::/32"), IPv6Network("2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public Internet, whatever it is wrapped in."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _PRIVATE_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _SIX_TO_FOUR:
        return is_public(IPv4Address(int(address) >> 80 & 0xFFFFFFFF))
    if address in _TEREDO:
        server, client = address.teredo or (None, None)
        return server is not None and client is not None and is_public(server) and is_public(client)
    return address in _PUBLIC_6 and not any(address in network for network in _PRIVATE_6)


async def resolved(host: str, port: int) -> list[str]:
    """Ask the system for a host's addresses."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for _, _, _, _, where in found]


class Guard(httpx2.AsyncBaseTransport):
    """Sends requests, each to the server that the user named or to a public address over https.

    Exceptions: a server whose address is ``localhost`` or a private number may be logged in to on that host, on
    loopback over http too; hosts that ``private_hosts`` names may be private. Behind a proxy of the environment it is
    the proxy that resolves names and connects, so there only addresses written as numbers are looked at.

    Args:
        endpoint: The server that the user named.
        resolve: Gives a host's addresses.
    """

    def __init__(self, endpoint: HttpEndpoint, *, resolve: Resolve = resolved) -> None:
        self._own = httpx2.URL(endpoint.url)
        number = _number(self._own.host)
        self._own_is_private = _is_local(self._own.host) or (number is not None and not is_public(number))
        self._allowed = endpoint.private_hosts
        self._resolve = resolve
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        self._open = httpx2.AsyncClient(verify=tls(), timeout=None, limits=limits, cookies=no_cookies())
        # No connection is used again: the next name at that address may have no certificate for it.
        self._pinned = httpx2.AsyncHTTPTransport(
            verify=tls(), trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request.

        Raises:
            UsageError: It leads to where it must not go.
            UnreachableError: The host has no address.
            ValueError: The answer to a request of the login is too big; says so.
        """
        own = OWN in request.extensions
        if not own:
            waits = {"connect": _SECONDS, "read": _ANSWER_SECONDS, "write": _ANSWER_SECONDS, "pool": _SECONDS}
            request.extensions = {**request.extensions, "timeout": waits}
        response = await self._sent(request)
        if own and response.status_code < _REFUSED:
            return response
        try:
            return with_body(response, await body_of(response, MAX_ERROR_BODY if own else _MAX_BODY, cut=own))
        finally:
            await response.aclose()

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if (url.scheme, url.host, url.port) == (self._own.scheme, self._own.host, self._own.port):
            return await self._open.send(request, stream=True, auth=None, follow_redirects=False)
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise _refused(url, "is no plain https address")
        if url.scheme == "http" and not self._is_own_host(url):
            raise _refused(url, _NOT_HTTPS)
        if _has_proxy(url):
            self._look(url, [url.host] if _number(url.host) is not None else ["127.0.0.1"] * _is_local(url.host))
            return await self._open.send(request, stream=True, auth=None, follow_redirects=False)
        addresses = self._look(url, await self._addresses(url))
        for address in addresses[:-1]:
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return await self._pinned.handle_async_request(_at(request, address))
        return await self._pinned.handle_async_request(_at(request, addresses[-1]))

    async def _addresses(self, url: httpx2.URL) -> list[str]:
        found: list[str] = []
        try:
            with anyio.fail_after(_SECONDS):
                found = await self._resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
        except (OSError, UnicodeError, TimeoutError) as error:
            raise _not_found(url) from error
        if not found:
            raise _not_found(url)
        return found

    def _look(self, url: httpx2.URL, addresses: list[str]) -> list[str]:
        """Give the addresses, all of which may be connected to."""
        numbers = [_number(address) for address in addresses]
        own = self._is_own_host(url)
        if url.scheme == "http" and not all(number is not None and number.is_loopback for number in numbers):
            raise _refused(url, _NOT_HTTPS)
        listed = self._allowed is True or (self._allowed is not False and url.host in self._allowed)
        if not (own or listed) and any(number is None or not is_public(number) for number in numbers):
            raise _refused(url, "is on a private network")
        return addresses

    def _is_own_host(self, url: httpx2.URL) -> bool:
        return self._own_is_private and url.host == self._own.host

    async def aclose(self) -> None:
        """Close what is open."""
        await self._open.aclose()
        await self._pinned.aclose()


def _at(request: httpx2.Request, address: str) -> httpx2.Request:
    """Give a request for the same host that goes to one address."""
    extensions = request.extensions
    if _number(request.url.host) is None:
        extensions = {**extensions, "sni_hostname": request.url.host}
    headers = request.headers.copy()
    headers["host"] = request.url.netloc.decode("ascii")
    url = request.url.copy_with(host=address)
    return httpx2.Request(request.method, url, headers=headers, stream=request.stream, extensions=extensions)


def _number(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _has_proxy(url: httpx2.URL) -> bool:
    proxies = getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.host)


def _refused(url: httpx2.URL, why: str) -> UsageError:
    shown = url.copy_with(userinfo=b"", query=None, fragment=None)
    return UsageError(
        f"the login leads to {shown}, which {why}, so nothing was sent there. If you trust it, name its host in "
        "private_hosts="
    )


def _not_found(url: httpx2.URL) -> UnreachableError:
    error = UnreachableError(f"the login leads to {url.host}, which has no address; check the server, and the network")
    error.sent = False
    error.repeatable = True
    return error
