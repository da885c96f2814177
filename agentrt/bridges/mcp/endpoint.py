"""Where an MCP server is reached over HTTP, and how one logs in there. Nothing here connects, or imports what does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from agentrt.errors import UsageError

if TYPE_CHECKING:
    from agentrt.bridges.mcp.tokens import TokenStore

__all__ = ["HttpEndpoint", "OAuth", "place_of"]

_MIB = 2**20


def place_of(url: str) -> str:
    """Give an address as it may be shown: without user, password, query and fragment, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True, kw_only=True)
class OAuth:
    """How to log in with OAuth 2.1, as MCP's authorization page describes it (revisions 2025-06-18 and later).

    Without arguments the server is asked where to log in, agentrt registers itself there, and a browser opens.

    Args:
        client_id: A client that is registered already.
        client_secret: Its secret. Never shown.
        scopes: What to ask for where the server names nothing; default what the server offers.
        client_metadata_url: Address of a client metadata document, used as the id where the server takes that.
        redirect_port: Port on 127.0.0.1 that the browser comes back to; default any that is free.
        principal: Whose login it is, so that several people's are kept apart.
        grant: ``"client_credentials"`` for programs: no browser; needs ``client_id``, ``client_secret``, ``issuer``.
        issuer: The one authorization server that the client and its secret belong to. A server that leads elsewhere
            is refused.
        on_browser: Shows a person the address to log in at; default the browser, where there is a terminal.
        store: Keeps the login, an `agentrt.bridges.mcp.tokens.TokenStore`; default a file in the user's data folder.
    """

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scopes: Sequence[str] | str | None = None
    client_metadata_url: str | None = None
    redirect_port: int = 0
    principal: str = "default"
    grant: Literal["authorization_code", "client_credentials"] = "authorization_code"
    issuer: str | None = None
    on_browser: Callable[[str], object] | None = field(default=None, repr=False, compare=False)
    store: TokenStore | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.grant not in ("authorization_code", "client_credentials"):
            raise UsageError(f"grant= is 'authorization_code' or 'client_credentials', not {self.grant!r:.100}")
        if self.grant == "client_credentials" and not (self.client_id and self.client_secret and self.issuer):
            raise UsageError(
                "grant='client_credentials' needs client_id=, client_secret= and issuer=: without the issuer, the MCP "
                "server would decide who is told the secret"
            )
        if self.client_secret and not (self.client_id and self.issuer):
            raise UsageError(
                "client_secret= needs client_id= and issuer=, the authorization server that both belong to: without "
                "it, the MCP server would decide who is told the secret"
            )
        parts = urlsplit(self.client_metadata_url or "https://_/_")
        if parts.scheme != "https" or parts.path in ("", "/"):
            raise UsageError("client_metadata_url= is an https:// address with a path")

    @property
    def scope(self) -> str | None:
        """The scopes as OAuth writes them."""
        return self.scopes if self.scopes is None or isinstance(self.scopes, str) else " ".join(self.scopes)


@dataclass(frozen=True, kw_only=True)
class HttpEndpoint:
    """An MCP server's address.

    Args:
        url: The address; http or https. It is shown without its query, which may hold a key.
        headers: Headers for each request. Never shown.
        auth: A bearer token, an `OAuth`, or an ``httpx2.Auth``. Never shown.
        sse: Whether it speaks the HTTP+SSE transport of revision 2024-11-05.
        max_body: Bytes of one answer at most, unpacked.
        private_hosts: Which hosts on private networks the login may go to: names, or True for all. The server's own
            address needs no mention. Only matters where ``auth`` makes requests of its own.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    auth: Any = field(default=None, repr=False)
    sse: bool = False
    max_body: int = 32 * _MIB
    private_hosts: bool | tuple[str, ...] = False

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            named = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        except (ValueError, TypeError, AttributeError):
            named = None
        if not named:
            raise UsageError("the url of an MCP server is a full address, such as https://example.com/mcp")
        for name, value in self.headers.items():
            if not isinstance(value, str) or not (name + value).isprintable():  # pyright: ignore[reportUnnecessaryIsInstance] - a user's dict
                raise UsageError(f"the header {name!r} needs a text of one line as its value")

    def __repr__(self) -> str:
        """Show which host it is on; the rest, the path too, may hold secrets."""
        return f"HttpEndpoint({self.origin!r})"

    @property
    def origin(self) -> str:
        """Which host it is on."""
        parts = urlsplit(self.place)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def place(self) -> str:
        """The address as it may be shown."""
        return place_of(self.url)
