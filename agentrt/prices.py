"""What a response costs: by the user's own prices, else by the list prices that the library genai-prices ships."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from agentrt.errors import MissingExtraError, UsageError
from agentrt.wire.responses import Usage

__all__ = ["Price", "Prices", "check_priced", "cost_of", "read_prices"]

_MILLION = 1_000_000
_OWN_MACHINE = frozenset({"llamacpp", "lmstudio", "local", "ollama", "vllm"})
_DATE = re.compile(r"[-@:](\d{4}(-?\d{2}){0,2}|latest)$")
"""What names of one model differ by: ``-2026-03-05``, ``-20260305``, ``-0613``, ``-latest``. Not any suffix, as
``gpt-5-pro`` costs twelve times what ``gpt-5`` does."""


class Price(NamedTuple):
    """What a model costs, in US dollars per million tokens.

    Attributes:
        input: Tokens read.
        output: Tokens written, reasoning included.
        cached_input: Tokens read from the prompt cache; None where they cost what others do.
    """

    input: float
    output: float
    cached_input: float | None = None


Prices = Mapping[str, Price | tuple[float, ...]]
"""Prices by the model's name. A name also stands for its dated versions, unless these have entries of their own."""


def read_prices(table: Prices) -> dict[str, Price]:
    """Check prices that a user wrote.

    Args:
        table: Prices by the model's name, each ``(input, output)`` or ``(input, output, cached_input)``.

    Raises:
        UsageError: One is no price.
    """
    if not isinstance(table, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"prices= takes a mapping, such as {{'gpt-5.4': Price(2.5, 15)}}, not {table!r:.100}")
    return {model: _read_price(model, value) for model, value in table.items()}


def cost_of(model: str | None, usage: Usage, table: Prices | None, provider: str | None = None) -> float | None:
    """Tell what a response costs.

    Without an entry in the table it is the list price of the model's vendor, which a reseller may undercut. A server
    on a machine of one's own charges nothing. Nothing is fetched.

    Args:
        model: The model's name.
        usage: The tokens of the response.
        table: The user's own prices, which go first.
        provider: The name of the provider's profile; None where the model's name must do.

    Returns:
        US dollars; None where the price isn't known.

    Raises:
        UsageError: The table's entry is no price.
    """
    if model is None:
        return None
    if table:
        key = model if model in table else _DATE.sub("", model)
        if key in table:
            return _cost(_read_price(key, table[key]), usage)
    return 0.0 if provider in _OWN_MACHINE else _listed_cost(model, usage, provider)


def check_priced(models: Sequence[str], table: Prices | None, provider: str | None = None) -> None:
    """Make sure that a run with a limit on its cost can know its cost.

    Args:
        models: The models that the run may ask, fallbacks included.
        table: The user's own prices.
        provider: The name of the provider's profile.

    Raises:
        MissingExtraError: The table has no price for a model, and the library with the list prices is not installed.
        UsageError: That library doesn't know the model either; or an entry of the table is no price.
    """
    prices = read_prices(table or {})
    for model in models:
        if cost_of(model, Usage(), prices, provider) is not None:
            continue
        if not _library_is_installed():
            raise MissingExtraError(f"a limit on cost without a price for {model!r} in prices=", "prices")
        raise UsageError(
            f"a limit on cost needs the price of {model!r}, which is not known; pass it in US dollars per million "
            f"tokens: prices={{{model!r}: Price(input=…, output=…)}}"
        )


def _read_price(model: object, value: object) -> Price:
    parts = cast("tuple[object, ...]", value) if isinstance(value, tuple) else ()
    told = parts[:2] if parts[2:] == (None,) else parts
    numbers = [part for part in told if isinstance(part, int | float) and not isinstance(part, bool)]
    right = len(numbers) == len(told) in (2, 3) and all(math.isfinite(part) and part >= 0 for part in numbers)
    if not (isinstance(model, str) and right):
        raise UsageError(
            f"the price of {model!r} must be Price(input, output, cached_input) in US dollars per million tokens, the "
            f"last may be left out; but it is {value!r:.100}"
        )
    return Price(*numbers)


def _cost(price: Price, usage: Usage) -> float:
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    dollars = (usage.input_tokens - cached) * price.input + cached * cached_price + usage.output_tokens * price.output
    return dollars / _MILLION


def _library_is_installed() -> bool:
    return importlib.util.find_spec("genai_prices") is not None


def _listed_cost(model: str, usage: Usage, provider: str | None) -> float | None:
    if not _library_is_installed():
        return None
    import genai_prices  # noqa: PLC0415 - an extra, and 60 ms that only its users pay

    cached = min(usage.cached_tokens, usage.input_tokens)
    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=min(usage.cache_write_tokens, usage.input_tokens - cached),
    )
    for seller in dict.fromkeys((provider, None)):  # a reseller that the library doesn't know: the vendor's list price
        try:
            found = genai_prices.calc_price(counts, model, provider_id=seller)
        except LookupError:
            continue
        if found.model_price.input_mtok is not None or found.model_price.output_mtok is not None:
            return float(found.total_price)
    return None
