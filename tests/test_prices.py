"""What a response costs: own prices first, else the list prices of genai-prices; and nothing is ever fetched."""

import math
import subprocess
import sys

import pytest

from agentrt.errors import MissingExtraError, UsageError
from agentrt.prices import Price, check_priced, cost_of, read_prices
from agentrt.wire.responses import Usage

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def test_input_and_output_are_priced_per_million_tokens():
    assert cost_of("m", Usage(1000, 10), {"m": Price(2, 8)}) == pytest.approx(0.00208)
    assert cost_of("m", Usage(1000, 10), {"m": (2, 8)}) == pytest.approx(0.00208)


def test_cached_tokens_are_a_part_of_the_input_and_reasoning_a_part_of_the_output():
    usage = Usage(1_000_000, 500_000, cached_tokens=400_000, reasoning_tokens=300_000)
    assert cost_of("m", usage, {"m": Price(10, 20, 1)}) == pytest.approx(6 + 0.4 + 10)
    assert cost_of("m", usage, {"m": Price(10, 20)}) == pytest.approx(10 + 10)
    assert cost_of("m", usage, {"m": (10, 20, 0)}) == pytest.approx(6 + 10)


@pytest.mark.parametrize(
    "dated", ["gpt-5-2026-03-05", "gpt-5-20260305", "gpt-5-0613", "gpt-5@20260305", "gpt-5-latest"]
)
def test_a_name_stands_for_its_dated_versions(dated):
    assert cost_of(dated, MILLION, {"gpt-5": (1, 2)}) == 3


def test_the_exact_name_wins_over_the_one_without_date():
    assert cost_of("gpt-5-2026-03-05", MILLION, {"gpt-5": (1, 2), "gpt-5-2026-03-05": (3, 4)}) == 7


@pytest.mark.parametrize("other", ["gpt-5-pro", "gpt-5.4", "gpt-50", "gpt-5-1", "gpt-5-pro-2026-03-05", "gp"])
def test_a_name_does_not_stand_for_another_model(other):
    assert cost_of(other, MILLION, {"gpt-5": (1000, 1000)}) != 2000


@pytest.mark.parametrize(
    "value",
    [
        (1,),
        (1, 2, 3, 4),
        (),
        (-1, 2),
        (1, math.inf),
        (math.nan, 1),
        ("1", 2),
        (True, 2),
        (None, 2),
        Price(1, None),
        3,
        None,
        {"input": 1, "output": 2},
        (None, None, None),
    ],
    ids=repr,
)
def test_what_is_no_price_is_refused_by_the_models_name(value):
    for use in (
        read_prices,
        lambda table: cost_of("my-model", Usage(), table),
        lambda table: check_priced(["my-model"], table),
    ):
        with pytest.raises(UsageError, match="price of 'my-model' must be Price"):
            use({"my-model": value})


def test_a_table_that_is_none_or_has_other_keys_is_refused():
    with pytest.raises(UsageError, match="takes a mapping"):
        read_prices([("m", (1, 2))])
    with pytest.raises(UsageError, match="price of 7 must be"):
        read_prices({7: (1, 2)})
    assert read_prices({"m": (1, 2), "n": Price(1, 2, 0.5)}) == {"m": Price(1, 2), "n": Price(1, 2, 0.5)}


def test_no_model_has_no_cost():
    assert cost_of(None, MILLION, {"m": (1, 2)}) is None


@pytest.mark.parametrize("provider", ["local", "ollama", "llamacpp", "lmstudio", "vllm"])
def test_a_server_on_ones_own_machine_charges_nothing_unless_the_table_says_so(provider):
    assert cost_of("gpt-5.4", MILLION, None, provider) == 0
    assert cost_of("m", MILLION, {"m": (1, 2)}, provider) == 3
    check_priced(["m"], None, provider)


def test_the_library_knows_list_prices_also_of_dated_names_and_through_resellers():
    pytest.importorskip("genai_prices", reason="the extra prices")
    price = cost_of("gpt-5.4", MILLION, None)
    assert price > 0
    for provider in ("openai", "azure", "cometapi", "somebody"):
        assert cost_of("gpt-5.4-2026-03-05", MILLION, {"other": (1, 2)}, provider) == price
    assert cost_of("grok-4", MILLION, None, "xai") > 0
    assert cost_of("anthropic/claude-sonnet-4.5", MILLION, None, "openrouter") > 0
    check_priced(["gpt-5.4", "grok-4"], None)


def test_the_library_too_takes_cached_tokens_for_a_part_of_the_input():
    pytest.importorskip("genai_prices", reason="the extra prices")
    plain, cached = (cost_of("gpt-5.4", Usage(10_000, cached_tokens=count), None) for count in (0, 10_000))
    assert 0 < cached < plain
    assert cost_of("gpt-5.4", Usage(10_000, cached_tokens=20_000, cache_write_tokens=9), None) == cached


def test_every_listed_model_is_priced_or_unknown_whatever_a_server_counts():
    snapshots = pytest.importorskip("genai_prices.data_snapshot", reason="the extra prices")
    odd = Usage(10, 3, cached_tokens=50, reasoning_tokens=90, cache_write_tokens=70)
    known = 0
    for provider in snapshots.get_snapshot().providers:
        for model in provider.models:
            for usage in (odd, MILLION, Usage()):
                cost = cost_of(model.id, usage, None, provider.id)
                assert cost is None or cost >= 0
                known += cost is not None
    assert known > 1000


def test_a_limit_on_cost_needs_a_price_for_every_model():
    pytest.importorskip("genai_prices", reason="the extra prices")
    with pytest.raises(UsageError, match=r"price of 'no-such-model'.*prices=\{'no-such-model'") as caught:
        check_priced(["gpt-5.4", "no-such-model"], None)
    assert not isinstance(caught.value, MissingExtraError)
    with pytest.raises(UsageError, match="'whisper-large-v3'"):  # listed, but by the hour
        check_priced(["whisper-large-v3"], None, "groq")
    check_priced(["no-such-model"], {"no-such-model": (0, 0)})
    check_priced([], None)


def test_without_the_extra_only_the_users_own_prices_count():
    script = """
import sys
from agentrt.errors import MissingExtraError
from agentrt.prices import check_priced, cost_of
from agentrt.wire.responses import Usage

sys.modules["genai_prices"] = None  # as if it were not installed
assert cost_of("gpt-5.4", Usage(1000, 10), None) is None
assert cost_of("m", Usage(1000, 10), {"m": (2, 8)}) == 0.00208
check_priced(["m"], {"m": (2, 8)})
try:
    check_priced(["m", "gpt-5.4"], {"m": (2, 8)})
except MissingExtraError as error:
    assert "gpt-5.4" in str(error) and "pip install 'agentrt[prices]'" in str(error), error
else:
    raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr


def test_no_price_is_ever_fetched():
    pytest.importorskip("genai_prices", reason="the extra prices")
    script = """
import socket, sys, threading
sys.addaudithook(lambda name, args: (_ for _ in ()).throw(AssertionError(name)) if name.startswith("socket.") else None)
from agentrt.prices import check_priced, cost_of
from agentrt.wire.responses import Usage
check_priced(["gpt-5.4"], None, "openai")
assert cost_of("gpt-5.4", Usage(1000, 10), None) > 0
assert threading.active_count() == 1
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr


def test_the_library_is_loaded_when_the_first_price_is_asked_for():
    script = "import sys, agentrt.prices; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "False"
