"""A recipe in words, for a person who wants to know what it asks for before paying for it."""

from __future__ import annotations

from collections.abc import Iterator

from datagen.backends.protocols import Usage
from datagen.generation.recipes.answer_schema import OutputField
from datagen.generation.recipes.asides import Chooser
from datagen.generation.recipes.load import Recipe
from datagen.generation.recipes.slot_choices import WORDING, Choice, Slot
from datagen.generation.recipes.templates import Messages
from datagen.generation.runtime.prices import Price

ROWS_PRICED = 1000
TOKENS_OF_A_CHARACTER = 0.25
"""Of English; other languages and scripts take up to several times as many."""
TOKENS_OF_A_WORD = 1.4

_ROWS_RENDERED = 50
_MOST_VALUES = 12
_MOST_CHARACTERS = 60
_SAMPLES = {
    "title": "Boiling point of water",
    "text": "Water boils at 100 °C at sea level. The higher the place, the lower the pressure of the air, and the "
    "lower the boiling point: at 3,000 m it is about 90 °C. Food then takes longer to cook, which is why expeditions "
    "carry pressure cookers. A pinch of salt raises the boiling point by less than a tenth of a degree.",
    "language": "en",
    "linked_text": "A pressure cooker keeps the steam in. At twice the pressure of the air, water boils at 120 °C, so "
    "that beans are done in a third of the time, on a mountain as well as at the sea.",
    "other_text": "Salt is won from brine, from mines and from the sea, where the sun does the work.",
    "query": "why does pasta take longer in the mountains",
    "task": "Given a question about cooking, find a text that answers it.",
    "topic": "kitchen tools",
}


def describe_recipe(recipe: Recipe, price: Price | None = None, currency: str = "USD") -> str:
    """What a recipe draws, asks and expects: slots with weights, a sample prompt, the answer, an estimate of the cost.

    Args:
        recipe: with its parts and brainstorm, which are described in turn.
        price: of the model that would be asked; without one the estimate is in tokens alone.
        currency: of the price.
    """
    blocks = [f"{recipe.name}: {recipe.spec.description}\nfiles: {recipe.folder}"]
    shares = _shares(recipe)
    if recipe.parts:
        blocks.append("parts: " + ", ".join(f"{name} {100 * share:.3g} %" for name, share in shares.items()))
    for part in recipe.parts.values():
        blocks.append(f"=== {part.name}, {100 * shares[part.name]:.3g} % of the rows: {part.spec.description}")
        blocks += _blocks(part)
    if not recipe.parts:
        blocks += _blocks(recipe)
    if recipe.brainstorm is not None:
        blocks.append(f"=== brainstorm: {recipe.brainstorm.spec.description}")
        blocks += _blocks(recipe.brainstorm)
    blocks.append(_estimate(recipe, price, currency))
    return "\n\n".join(blocks)


def estimate_tokens(recipe: Recipe) -> Usage:
    """Tokens of `ROWS_PRICED` rows, guessed from lengths: of prompts about a short passage, and of a usual answer."""
    parts = recipe.parts or {recipe.name: recipe}
    shares = _shares(recipe)
    read = sum(shares[name] * _prompt_tokens(part) for name, part in parts.items())
    wrote = sum(shares[name] * _answer_tokens(part) for name, part in parts.items())
    return Usage(round(read * ROWS_PRICED), round(wrote * ROWS_PRICED))


def _blocks(recipe: Recipe) -> Iterator[str]:
    spec = recipe.spec
    slots = [_describe_slot(choice, spec.slots.get(choice.name)) for choice in recipe.choices]
    yield "\n".join([f"reads: {spec.reads}", "slots:", *(f"  {line}" for line in slots)])
    variables = _variables(recipe)
    row = recipe.draw(0, "sample", variables)
    yield f"a sample prompt:\n\n{_as_text(recipe.render(row, variables))}"
    roles = {**spec.roles, **({"tasks": spec.tasks} if spec.tasks else {})}
    fields = [
        _describe_field(name, field, [role for role, named in roles.items() if named == name])
        for name, field in spec.output.items()
    ]
    sample = recipe.templates.sample_reply(_user_file(recipe, row[WORDING]))
    yield "\n".join(["the expected answer:", *(f"  {line}" for line in fields), *([f"  {sample}"] if sample else [])])
    if recipe.chooser:
        yield from _choice(recipe, recipe.chooser)
    if spec.checks:
        yield "checks: " + ", ".join(
            f"{check.reason} ({check.field}{', left out' if check.leave_out else ''})" for check in spec.checks
        )


def _choice(recipe: Recipe, chooser: Chooser) -> Iterator[str]:
    """What is asked first where a run wants two steps."""
    variables, offered = _variables(recipe), chooser.spec.offered
    shown = [
        f"{name} (of {offered[name]} offered{', the nearest to the passage' if name == chooser.spec.nearest else ''})"
        if name in offered
        else name
        for name in chooser.spec.slots
    ]
    question = chooser.render(chooser.offer(0, "sample", variables), variables)
    tokens = sum(len(message["content"]) for message in question) * TOKENS_OF_A_CHARACTER
    yield (
        f"on request (--two-step) a first question, about {round(tokens, -1):,.0f} tokens a row more, lets the model "
        f"choose {', '.join(shown)}:\n\n{_as_text(question)}"
    )


def _describe_slot(choice: Choice, slot: Slot | None) -> str:
    weights = sorted(choice.weights.items(), key=lambda pair: (-round(pair[1], 9), pair[0]))
    shown = [f"{_shortened(value)} {100 * share:.3g} %" for value, share in weights]
    more = f", … ({len(shown):,} in all)" if len(shown) > _MOST_VALUES else ""
    notes = [f"only where {name} is {' or '.join(sorted(values))}" for name, values in choice.when]
    notes += [f"in {100 * choice.share:.3g} % of the rows"] if choice.share < 1 else []
    notes += [f"needs {choice.needed}"] if choice.needed else []
    notes += [f"{value} needs {variable}" for value, variable in choice.needs]
    notes += [f"never as {choice.unlike}"] if choice.unlike else []
    notes += [f"from {slot.values_from}"] if slot and slot.values_from else []
    said = f"  [{'; '.join(notes)}]" if notes else ""
    return f"{choice.name}: {', '.join(shown[:_MOST_VALUES])}{more}{said}"


def _describe_field(name: str, field: OutputField, roles: list[str]) -> str:
    limits = [
        f"{limit.replace('_', ' ')} {value}"
        for limit, value in field.model_dump(exclude={"type", "required", "description", "choices"}).items()
        if value is not None
    ]
    limits += [f"one of {', '.join(field.choices)}"] if field.choices else []
    facts = [field.type if field.required else f"{field.type} or null", *limits]
    facts += [f"the {role}" for role in roles if role != name]
    return f"{name}: {', '.join(facts)}" + (f" ({field.description})" if field.description else "")


def _estimate(recipe: Recipe, price: Price | None, currency: str) -> str:
    usage = estimate_tokens(recipe)
    said = (
        f"estimate: {ROWS_PRICED:,} rows read about {round(usage.prompt_tokens, -3):,} tokens and write about "
        f"{round(usage.completion_tokens, -3):,}"
    )
    if price is not None:
        said += f", which costs about {price.cost(usage):,.2f} {currency}"
    return said + "; guessed from lengths in English, without what is asked again: --dry-run asks a few rows"


def _prompt_tokens(recipe: Recipe) -> float:
    variables = _variables(recipe)
    draws = [recipe.draw(0, f"estimate {number}", variables) for number in range(_ROWS_RENDERED)]
    sizes = [sum(len(message["content"]) for message in recipe.render(row, variables)) for row in draws]
    return sum(sizes) / len(sizes) * TOKENS_OF_A_CHARACTER


def _answer_tokens(recipe: Recipe) -> float:
    names = sum(len(name) + 6 for name in recipe.spec.output) * TOKENS_OF_A_CHARACTER
    if recipe.spec.answer_words:
        return names + recipe.spec.answer_words * TOKENS_OF_A_WORD
    samples = [recipe.templates.sample_reply(wording.user) for wording in recipe.spec.prompts]
    return max(names, sum(map(len, samples)) / len(samples) * TOKENS_OF_A_CHARACTER)


def _variables(recipe: Recipe) -> dict[str, str]:
    """A sample of what a row is made of."""
    return {name: _SAMPLES.get(name, recipe.name) for name in recipe.variable_names}


def _shares(recipe: Recipe) -> dict[str, float]:
    weights = recipe.spec.parts or {recipe.name: 1.0}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def _user_file(recipe: Recipe, label: str) -> str:
    return next(wording.user for wording in recipe.spec.prompts if wording.label == label)


def _as_text(messages: Messages) -> str:
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
