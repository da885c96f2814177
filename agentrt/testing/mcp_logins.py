"""How the client of MCP's conformance suite logs in: by agentrt's `OAuth`, or by what the SDK has for ``auth=``."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider, SignedJWTParameters
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from agentrt.bridges.mcp.endpoint import OAuth
from agentrt.bridges.mcp.tokens import FileTokenStore

__all__ = ["login_for"]

_CLIENT_METADATA = "https://conformance-test.local/client-metadata.json"
"""Where the suite pretends that a client's metadata document is."""
_SECONDS = 10.0


@asynccontextmanager
async def login_for(url: str, scenario: str, context: Mapping[str, Any]) -> AsyncGenerator[Any]:
    """Give the ``auth=`` of a scenario, which keeps its login as long as this is open.

    Args:
        url: The server's address.
        scenario: The suite's name for what is tried.
        context: What the suite tells: ids, secrets, keys.
    """
    if not scenario.startswith("auth/"):
        yield None
    elif "private_key_pem" in context:
        yield await _by_key(url, context)
    elif "idp_id_token" in context:
        yield await _by_employer(url, context)
    else:
        with tempfile.TemporaryDirectory() as folder:
            secret = context.get("client_secret")
            yield OAuth(
                client_id=context.get("client_id"),
                client_secret=secret,
                issuer=None if secret is None else context.get("issuer") or await _issuer(url),
                client_metadata_url=_CLIENT_METADATA,
                grant="client_credentials" if "client-credentials" in scenario else "authorization_code",
                on_browser=_browse,
                store=FileTokenStore(Path(folder) / "logins.json"),
            )


def _browse(url: str) -> None:
    """Be the person who logs in: the suite's pages lead on by themselves."""
    httpx2.get(url, follow_redirects=True, timeout=_SECONDS, trust_env=False)


async def _issuer(url: str) -> str:
    """Ask the server where to log in (RFC 9728). Users know it, and write it down; the suite doesn't always tell."""
    parts = urlsplit(url)
    async with httpx2.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
        told = await client.get(f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path}")
        return str(told.raise_for_status().json()["authorization_servers"][0])


async def _by_key(url: str, context: Mapping[str, Any]) -> httpx2.Auth:
    """Log in with a signed assertion in place of a secret (RFC 7523, section 2.2)."""
    client_id = str(context["client_id"])
    signed = SignedJWTParameters(
        issuer=client_id,
        subject=client_id,
        signing_algorithm=str(context.get("signing_algorithm", "ES256")),
        signing_key=str(context["private_key_pem"]),
    )
    return PrivateKeyJWTOAuthProvider(
        url, _Kept(), client_id, signed.create_assertion_provider(), issuer=await _issuer(url)
    )


async def _by_employer(url: str, context: Mapping[str, Any]) -> httpx2.Auth:
    """Log in with what an employer's identity provider says of a person (SEP-990)."""

    async def granted(audience: str, resource: str) -> str:
        """Exchange the identity token for a grant to this server (RFC 8693)."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "subject_token": context["idp_id_token"],
            "client_id": context["idp_client_id"],
            "audience": audience,
            "resource": resource,
        }
        async with httpx2.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            told = await client.post(str(context["idp_token_endpoint"]), data=form)
            return str(told.raise_for_status().json()["access_token"])

    return IdentityAssertionOAuthProvider(
        url,
        _Kept(),
        str(context["client_id"]),
        str(context["client_secret"]),
        await _issuer(url),
        granted,
        token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - the name of a way, no secret
    )


class _Kept:
    """Keeps a login in memory, as the SDK wants it kept."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info
