"""`no_network`: tests that can't reach beyond this machine, and say where they tried to."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio

from agentrt.errors import AgentrtError

__all__ = ["NetworkBlockedError", "no_network"]


class NetworkBlockedError(AgentrtError):
    """A connection was to be opened, or a name looked up, where `no_network` forbids it.

    It is no OSError, so that nobody takes it for a network that fails and tries again.

    Args:
        host: Where it was to go.
        port: The port, as it was given; None where there is none.
    """

    def __init__(self, host: str, port: int | str | None) -> None:
        self.host = host
        self.port = port
        super().__init__(
            f"the network is blocked, and this went to {host} (port {port}): play the provider with ResponsesServer or "
            "ScriptedModel, or replay it with Cassette (all in agentrt.testing)"
        )


@contextmanager
def no_network(*, loopback: bool = True) -> Generator[None, None, None]:
    """Let every connection and every name lookup that leaves this machine raise `NetworkBlockedError`.

    It holds for all threads of this process, for asyncio, trio and plain sockets; not for other processes, and not for
    libraries that open sockets without Python's ``socket``. Unix sockets are free. Blocks may be nested; the strictest
    one counts.

    Args:
        loopback: Whether this machine's own addresses may be reached, as tests with a `ResponsesServer` need it.
    """
    with _lock:
        if not _rules:
            _patch()
        _rules.append(loopback)
    try:
        yield
    finally:
        with _lock:
            _rules.remove(loopback)
            if not _rules:
                _restore()


_lock = threading.Lock()
_rules: list[bool] = []
_undo: list[Callable[[], None]] = []


def _check(host: object, port: Any, *, numeric: bool) -> None:
    """Raise where a host may not be reached; ``numeric`` where only its address counts, which goes nowhere yet."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else "" if host is None else str(host)
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        own = name.lower() in ("", "localhost")
    else:
        if numeric:
            return
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        own = (mapped or address).is_loopback or (mapped or address).is_unspecified
    if not (own and all(_rules)):
        raise NetworkBlockedError(name, port)


def _check_address(sock: socket.socket, address: Any) -> None:
    if sock.family == getattr(socket, "AF_UNIX", None):
        return
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise NetworkBlockedError(str(address), None)
    match address:
        case (host, port, *_):
            _check(host, port, numeric=False)
        case _:
            pass  # the socket itself will complain


def _patch() -> None:
    for name in ("connect", "connect_ex", "sendto", "sendmsg"):
        if hasattr(socket.socket, name):
            _replace(socket.socket, name, _checked_method(name, getattr(socket.socket, name)))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        _replace(socket, name, _checked_lookup(getattr(socket, name)))
    _replace(socket, "create_connection", _checked_create(socket.create_connection))
    _replace(anyio, "connect_tcp", _checked_connect(anyio.connect_tcp))


def _replace(owner: Any, name: str, value: Any) -> None:
    own = owner.__dict__.get(name)

    def undo() -> None:
        if own is None:  # it is inherited
            delattr(owner, name)
        else:
            setattr(owner, name, own)

    setattr(owner, name, value)
    _undo.append(undo)


def _restore() -> None:
    while _undo:
        _undo.pop()()


def _checked_method(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: socket.socket, *args: Any) -> Any:
        # sendmsg's address is its fourth argument; without one the socket is connected already.
        if args and (name != "sendmsg" or len(args) > 3):  # noqa: PLR2004 - see above
            _check_address(self, args[-1])
        return original(self, *args)

    return method


def _checked_lookup(original: Callable[..., Any]) -> Callable[..., Any]:
    def lookup(host: Any, *args: Any, **more: Any) -> Any:
        _check(host, args[0] if args else more.get("port"), numeric=True)
        return original(host, *args, **more)

    return lookup


def _checked_create(original: Callable[..., Any]) -> Callable[..., Any]:
    """Check before there is a socket, which would be left open: it is closed after an OSError only."""

    def create_connection(address: Any, *args: Any, **more: Any) -> Any:
        _check(address[0], address[1], numeric=False)
        return original(address, *args, **more)

    return create_connection


def _checked_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    """Check before anyio begins a task for each address: what is raised there comes out in a group."""

    async def connect_tcp(remote_host: Any, remote_port: Any, *args: Any, **more: Any) -> Any:
        _check(remote_host, remote_port, numeric=False)
        return await original(remote_host, remote_port, *args, **more)

    return connect_tcp
