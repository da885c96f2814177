"""Logging in to an MCP server with OAuth: the SDK's flow, with what it leaves out.

It lets one request through at a time (mcp 2.3: its lock is held until the answer has begun), forgets over a restart
when a token ends and where it is renewed, and logs in anew where renewing would do.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, cast

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.auth.oauth2 import OAuthContext
from mcp.client.auth.utils import issuers_match
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, ValidationError

from agentrt.bridges.mcp.endpoint import HttpEndpoint, OAuth
from agentrt.bridges.mcp.loopback import Callback, open_browser
from agentrt.bridges.mcp.tokens import Login, TokenStore
from agentrt.errors import AuthenticationError
from agentrt.wire.text import unmistakable

__all__ = ["OAuthLogin"]

_UNAUTHORIZED, _FORBIDDEN = 401, 403
_LONG_AGO = 1.0
_SHOWN = 300

logger = logging.getLogger("agentrt.mcp")


class OAuthLogin(httpx2.Auth):
    """Logs in to one server, and renews the login.

    Args:
        endpoint: The server; its ``auth`` is an `OAuth`.
        name: The server's name.
        store: Keeps logins.
    """

    def __init__(self, endpoint: HttpEndpoint, name: str, store: TokenStore) -> None:
        self._oauth: OAuth = endpoint.auth
        self._name = name
        self._callback: Callback | None = None
        self._kept = kept = _Kept(endpoint.place, self._oauth, store)
        if self._oauth.grant == "client_credentials":
            self._provider: OAuthClientProvider = ClientCredentialsOAuthProvider(
                endpoint.place,
                kept,
                cast("str", self._oauth.client_id),
                cast("str", self._oauth.client_secret),
                scope=self._oauth.scope,
                issuer=self._oauth.issuer,
            )
        else:
            about = OAuthClientMetadata(
                client_name="agentrt", redirect_uris=[AnyUrl("http://127.0.0.1/callback")], scope=self._oauth.scope
            )
            self._provider = OAuthClientProvider(
                endpoint.place, about, kept, self._show, self._wait, self._oauth.client_metadata_url
            )
        self._context = kept.context = self._provider.context

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request with the login, after logging in if need be.

        Raises:
            AuthenticationError: The login failed, or needs a person and there is none.
        """
        context = self._context
        if not self._kept.was_read:
            context.current_tokens = await self._kept.get_tokens()
        tokens = context.current_tokens
        if tokens is not None and context.is_token_valid():  # requests don't wait for each other
            request.headers["authorization"] = f"Bearer {tokens.access_token}"
            response = yield request
            if not _is_refused(response):
                return
            del request.headers["authorization"]
            if (
                response.status_code == _UNAUTHORIZED
            ):  # it ended before it said, so it is renewed, where that is possible
                self._kept.ended = tokens.access_token
                if tokens is context.current_tokens:
                    context.token_expiry_time = _LONG_AGO
        async with aclosing(self._provider.async_auth_flow(request)) as flow:
            try:
                outgoing = await anext(flow)
                while True:
                    response = yield outgoing
                    if outgoing is request and _is_refused(response):
                        await self._make_ready(response)
                    outgoing = await flow.asend(response)
            except StopAsyncIteration:
                return
            except (OAuthFlowError, ValidationError) as error:
                # The rest of the text may hold what came from the authorization server, tokens too.
                raise self._failed(unmistakable(str(error).partition("\n")[0][:_SHOWN])) from None
            finally:
                if self._callback is not None:
                    await self._callback.aclose()
                    self._callback = None

    async def _make_ready(self, response: httpx2.Response) -> None:
        """Get ready for a login: a person, and an address for the browser to come back to."""
        told = response.headers.get("www-authenticate", "")
        if self._oauth.scope and "scope=" not in told:
            response.headers["www-authenticate"] = f'{told + "," if told else "Bearer"} scope="{self._oauth.scope}"'
        if self._oauth.grant == "client_credentials" or self._callback is not None:
            return
        if self._oauth.on_browser is None and not (
            sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()
        ):
            raise self._failed("a person has to log in, and there is no terminal")
        context = self._context
        known = context.client_info.redirect_uris if context.client_info is not None else None
        self._callback = await Callback.opened(self._oauth.redirect_port, (known[0].port or 0) if known else 0)
        address = AnyUrl(self._callback.address)
        context.client_metadata.redirect_uris = [address]
        if self._oauth.client_id is None and known and address not in known:
            context.client_info = None  # registered for another port

    async def _show(self, url: str) -> None:
        metadata = self._context.oauth_metadata
        if self._oauth.issuer and not (metadata and issuers_match(str(metadata.issuer), self._oauth.issuer)):
            raise OAuthFlowError(f"the server leads to another authorization server than {self._oauth.issuer}")
        assert self._callback is not None
        self._callback.expect(url)
        logger.warning("the MCP server %r asks you to log in: %s", self._name, url)
        open_browser(url, self._oauth.on_browser)

    async def _wait(self) -> AuthorizationCodeResult:
        assert self._callback is not None
        came = await self._callback.wait()
        if came is None:
            raise OAuthFlowError("nobody logged in in time")
        if "code" not in came:
            told = f"{came.get('error', 'no code')} {came.get('error_description', '')}".strip()
            raise OAuthFlowError(f"the login was refused: {told}")
        return AuthorizationCodeResult(code=came["code"], state=came.get("state"), iss=came.get("iss"))

    def _failed(self, why: str) -> AuthenticationError:
        advice = "check client_id= and client_secret="
        if self._oauth.grant == "authorization_code":
            advice = f"run `agentrt mcp login {self._name}`"
        return AuthenticationError(
            f"the login to the MCP server {self._name!r} failed: {why} — {advice}", status=_UNAUTHORIZED, told=why
        )


def _is_refused(response: httpx2.Response) -> bool:
    told = response.headers.get("www-authenticate", "")
    return response.status_code == _UNAUTHORIZED or (
        response.status_code == _FORBIDDEN and "insufficient_scope" in told
    )


class _Kept:
    """The SDK's storage, over a store of ours: with it goes what the SDK needs to renew a login after a restart."""

    context: OAuthContext

    def __init__(self, server: str, oauth: OAuth, store: TokenStore) -> None:
        self._server = server
        self._oauth = oauth
        self._store = store
        self.was_read = False
        self.ended: str | None = None
        """The access token that the server refused last."""

    async def _load(self) -> Login | None:
        return await self._store.load(self._server, self._oauth.principal)

    async def _save(self, tokens: OAuthToken | None) -> None:
        context = self.context
        issuer = str(context.oauth_metadata.issuer) if context.oauth_metadata else context.auth_server_url
        await self._store.save(
            Login(
                server=self._server,
                issuer=issuer or self._server,
                principal=self._oauth.principal,
                tokens=_dumped(tokens),
                client=None if self._oauth.client_id else _dumped(context.client_info),
                expires_at=time.time() + tokens.expires_in if tokens and tokens.expires_in else None,
                metadata=_dumped(context.oauth_metadata),
                resource=_dumped(context.protected_resource_metadata),
            )
        )

    async def get_tokens(self) -> OAuthToken | None:
        login = await self._load()
        self.was_read = True
        if login is None:
            return None
        context = self.context
        try:
            tokens = OAuthToken.model_validate(login.tokens) if login.tokens else None
            metadata = OAuthMetadata.model_validate(login.metadata) if login.metadata else None
            resource = ProtectedResourceMetadata.model_validate(login.resource) if login.resource else None
        except ValidationError:  # it is from another version, or somebody's own store made it
            return None
        context.oauth_metadata = metadata or context.oauth_metadata
        context.protected_resource_metadata = resource or context.protected_resource_metadata
        ended = tokens is not None and tokens.access_token == self.ended
        context.token_expiry_time = _LONG_AGO if ended else login.expires_at
        return tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        await self._save(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        if self._oauth.client_id:
            return OAuthClientInformationFull(
                client_id=self._oauth.client_id,
                client_secret=self._oauth.client_secret,
                token_endpoint_auth_method="client_secret_basic" if self._oauth.client_secret else "none",
                issuer=self._oauth.issuer,
            )
        login = await self._load()
        with suppress(ValidationError):
            return OAuthClientInformationFull.model_validate(login.client) if login and login.client else None
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:  # noqa: ARG002 - the context has it
        await self._save(None)


def _dumped(model: Any) -> dict[str, Any] | None:
    if model is None:
        return None
    dumped: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped


class _NoTrace(logging.Filter):
    """Keeps from the log what the SDK writes there of a failed login: a trace whose text may hold tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        return True


logging.getLogger("mcp.client.auth.oauth2").addFilter(_NoTrace())
