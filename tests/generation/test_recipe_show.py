from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from datagen.generation.recipes.load import Recipe, list_recipes, load_recipe
from datagen.generation.recipes.show import describe_recipe, estimate_tokens
from datagen.generation.runtime.prices import Price

SPEC = {
    "description": "a recipe of the tests",
    "slots": {
        "kind": {"values": {"question": 3, "claim": 1}, "needs": {"claim": "title"}},
        "hard": {"values": ["very", "not"], "share": 0.25, "when": {"kind": ["claim"]}},
        "many": {"values": [f"v{number:02}" for number in range(20)]},
    },
    "prompts": [{"user": "ask.j2"}],
    "output": {"query": {"min_words": 2}, "span": {"required": False, "description": "a piece"}},
    "span": "span",
    "checks": [{"reason": "no_quote", "field": "span", "in_passage": True, "leave_out": True}],
}
PROMPT = (
    '{#\nVariables: text.\nSample reply: {"query": "a b",\n  "span": "c"}\n#}\n{{ text }}{{ kind }}{{ hard }}{{ many }}'
)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    home = tmp_path / "mine"
    home.mkdir()
    (home / "recipe.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False), encoding="utf-8")
    (home / "ask.j2").write_text(PROMPT, encoding="utf-8")
    return load_recipe("mine", tmp_path)


def test_description_holds_slots_prompt_answer_and_estimate(recipe: Recipe) -> None:
    text = describe_recipe(recipe)
    assert text.startswith(f"mine: a recipe of the tests\nfiles: {recipe.folder}\n")
    assert "kind: question 75 %, claim 25 %  [claim needs title]" in text
    assert "hard: not 50 %, very 50 %  [only where kind is claim; in 25 % of the rows]" in text
    assert "v11 5 %, … (20 in all)" in text
    assert "[user]\nWater boils at 100 °C" in text
    assert "query: text, min words 2" in text
    assert "span: text or null (a piece)" in text
    assert '{"query": "a b", "span": "c"}' in text
    assert "checks: no_quote (span, left out)" in text
    assert "1,000 rows read about" in text
    assert "costs" not in text


def test_estimate_is_in_money_where_a_price_is_given(recipe: Recipe) -> None:
    price = Price(input=1, output=10)
    usage = estimate_tokens(recipe)
    assert 60_000 < usage.prompt_tokens < 120_000
    assert 4_000 < usage.completion_tokens < 10_000
    assert f"costs about {price.cost(usage):,.2f} EUR" in describe_recipe(recipe, price, "EUR")


def test_usual_length_of_an_answer_goes_before_that_of_the_sample(recipe: Recipe) -> None:
    longer = recipe.spec.model_copy(update={"answer_words": 500})
    assert estimate_tokens(load_like(recipe, longer)).completion_tokens > 700_000


def load_like(recipe: Recipe, spec: object) -> Recipe:
    values = {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}
    return Recipe(**{**values, "spec": spec})


@pytest.mark.parametrize("name", sorted(list_recipes()))
def test_every_shipped_recipe_can_be_described(name: str) -> None:
    recipe = load_recipe(name)
    text = describe_recipe(recipe, Price(input=1, output=10))
    for part in (*recipe.parts.values(), *filter(None, [recipe.brainstorm])):
        assert f"=== {part.name}" in text
    assert "a sample prompt:" in text
    assert "costs about" in text
