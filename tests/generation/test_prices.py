from __future__ import annotations

from pathlib import Path

import pytest

from datagen.backends.protocols import Usage
from datagen.errors import ConfigError
from datagen.generation.runtime.prices import Price, load_prices

OWN = """
as_of: 2026-11-01
currency: USD
models:
  my-model: {input: 1, output: 2}
  my-*: {input: 3, output: 4}
  my-mod*: {input: 5, output: 6}
  gpt-4o-mini: {input: 7, output: 8}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(OWN.replace("2026-11-01", '"2026-11-01"'), encoding="utf-8")
    return path


def test_shipped_prices_load_with_their_date() -> None:
    prices = load_prices()
    assert prices.currency == "USD"
    assert set(prices.as_of) == set(prices.models)
    assert all(price.output > price.input > 0 for price in prices.models.values())


@pytest.mark.parametrize(
    ("model", "input_price"),
    [
        pytest.param("gpt-4o-mini", 0.15, id="name"),
        pytest.param("openai:gpt-4o-mini", 0.15, id="with-lane"),
        pytest.param("gpt-4o-mini-2024-07-18", 0.15, id="dated"),
        pytest.param("gpt-4o-2024-05-13", 5.0, id="exact-name-of-an-old-version"),
        pytest.param("gpt-4o-mini-audio-preview", None, id="another-model"),
        pytest.param("vllm:Qwen/Qwen3-8B", None, id="unknown"),
        pytest.param("", None, id="empty"),
    ],
)
def test_find_knows_names_and_dated_versions(model: str, input_price: float | None) -> None:
    price = load_prices().find(model)
    assert (price.input if price else None) == input_price


@pytest.mark.parametrize(
    ("model", "input_price"),
    [("my-model", 1), ("my-model-2", 5), ("my-other", 3), ("openai:my-other", 3), ("gpt-4o-mini", 7), ("gpt-4o", 2.5)],
)
def test_own_file_lies_over_the_shipped_one_exact_names_first_then_the_longest_pattern(
    own: Path, model: str, input_price: float
) -> None:
    prices = load_prices(own)
    price = prices.find(model)
    assert price is not None
    assert price.input == input_price
    assert prices.as_of["my-model"] == "2026-11-01"


def test_a_file_in_another_currency_stands_alone(own: Path) -> None:
    own.write_text(own.read_text(encoding="utf-8").replace("USD", "EUR"), encoding="utf-8")
    prices = load_prices(own)
    assert (prices.currency, prices.find("gpt-4o")) == ("EUR", None)


def test_cost_counts_both_directions_cache_and_batch() -> None:
    price = Price(input=1, output=10, cached_input=0.5, batch_discount=0.25)
    usage = Usage(2_000_000, 100_000)
    assert price.cost(usage) == pytest.approx(3.0)
    assert price.cost(usage, batch=True) == pytest.approx(2.25)
    assert price.cost(usage, cached_tokens=1_000_000) == pytest.approx(2.5)
    assert Price(input=1, output=10).cost(usage, batch=True, cached_tokens=1_000_000) == pytest.approx(3.0)
    assert price.cost(Usage()) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("models: {}", "'as_of' is missing", id="no-date"),
        pytest.param("[1]", "must hold `name: value` lines, not list", id="list"),
        pytest.param("a: [", "is not YAML", id="no-yaml"),
        pytest.param(
            "as_of: x\nmodels: {m: {input: -1, output: 1}}",
            "'models.m.input' is -1: it must be greater than or equal to 0",
            id="negative",
        ),
        pytest.param(
            "as_of: x\nmodels: {m: {input: 1, output: 1, batch: 1}}",
            "unknown key 'models.m.batch': choose among input, output, cached_input, batch_discount",
            id="unknown-key",
        ),
        pytest.param("as_of: x\nmodels: {m: 3}", "'models.m' is 3", id="no-section"),
    ],
)
def test_wrong_files_are_refused_with_their_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_prices(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read .*nowhere.yaml"):
        load_prices(tmp_path / "nowhere.yaml")
