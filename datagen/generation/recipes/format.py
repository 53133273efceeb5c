"""What `recipe.yaml` may hold: what rows are made of, slots, prompts, the answer, and what its fields are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from datagen.generation.recipes.answer_schema import OutputField, check_name
from datagen.generation.recipes.checks import Check
from datagen.generation.recipes.slot_choices import GROUP, WORDING, Condition, Slot, as_condition
from datagen.generation.recipes.templates import ENDING
from datagen.settings.base import Settings

Reads: TypeAlias = Literal["passages", "tasks", "pairs", "nothing"]
Weight = Annotated[float, Field(ge=0)]

VARIABLES: Mapping[Reads, tuple[str, ...]] = {
    "passages": ("title", "text", "language", "linked_text"),
    "tasks": ("task", GROUP, "topic"),
    "pairs": ("query", "title", "text", "language", "other_text"),
    "nothing": (),
}
"""What the prompts of a recipe know of what it reads; what there is none of is empty."""
STORED_WITH_SLOTS = ("doc_id", "sample", "span", "tried")
"""What a row is stored with beside its slots, in the same place."""
IN_WORDS = "_in_words"
"""`{{ SLOT_in_words }}` is what `in_words` says of the slot's value, or else the value."""


class Wording(Settings):
    """One way to ask."""

    name: str = Field(default="", description="stored with the rows (default: the user prompt's file name)")
    system: str = Field(default="", description="template of the system message; none when empty")
    user: str = Field(description="template of the user message")
    weight: Weight = 1.0

    @property
    def label(self) -> str:
        """The value of the slot `wording`."""
        return self.name or self.user.removesuffix(ENDING)


class Choosing(Settings):
    """What a language model chooses for a row before it writes it, when a run asks for that: `generate.two_step`."""

    slots: tuple[str, ...] = Field(min_length=1, description="the slots that are chosen; the others are drawn as ever")
    offered: dict[str, Annotated[int, Field(ge=2, le=26)]] = Field(
        default={}, description="slot to how many of its values are shown, drawn by weight; of other slots all are"
    )
    nearest: str = Field(
        default="",
        description="one of `offered`: shown are the values nearest to the passage, where a teacher is there",
    )

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for name in self.offered:
            _check_known("a slot of choose.offered", name, self.slots, "chosen slots")
        _check_known("choose.nearest", self.nearest, self.offered, "offered slots")
        return self


class RecipeFile(Settings):
    """What `recipe.yaml` holds."""

    description: str = Field(min_length=1, description="one line for `datagen recipes`")
    reads: Reads = Field(default="passages", description="what a row is made of")
    parts: dict[str, Weight] = Field(
        default={}, description="sub-folders with recipes of their own, and the share of the rows that each gets"
    )
    slots: dict[str, Slot] = Field(default={}, description="choices drawn for each row, in this order")
    prompts: tuple[Wording, ...] = Field(default=(), description="wordings; one is drawn for each row")
    choose: Choosing | None = Field(
        default=None, description="what is chosen first, on request; asked with choose/request.j2"
    )
    output: dict[str, OutputField] = Field(default={}, description="the fields of an answer")
    query: str = Field(default="", description="the output field that is the query (default: query)")
    positive: str = Field(default="", description="the field that is the positive, where it is not the passage")
    negative: str = Field(default="", description="the field that is a written hard negative")
    span: str = Field(default="", description="the field that quotes the passage")
    tasks: str = Field(default="", description="in brainstorm: the field that lists tasks")
    instruction: str = Field(
        default="", description="the variable or slot whose value tells a retriever what to do for the query"
    )
    for_query: Literal["", "source"] = Field(
        default="", description="source: the row adds to the query of the pair that it reads, instead of having its own"
    )
    long_queries: bool = Field(
        default=False,
        description="queries are as long as passages: the limits of generate.max_query_words are not theirs",
    )
    variant: bool = Field(
        default=False, description="what is written is another version of the passage and stands beside it"
    )
    also_linked: Annotated[Condition, BeforeValidator(as_condition)] = Field(
        default={}, description="SLOT=VALUE: for these rows the linked passage is a positive, too"
    )
    negative_when: Annotated[Condition, BeforeValidator(as_condition)] = Field(
        default={}, description="SLOT=VALUE: for other rows a negative that is written all the same is left out"
    )
    query_language: str = Field(
        default="", description="the slot with the language of the query (default: the source's)"
    )
    passage_language: str = Field(default="", description="the slot with the language of what else is written")
    language_when: Annotated[Condition, BeforeValidator(as_condition)] = Field(
        default={}, description="SLOT=VALUE: in other rows what is written has the language of the source"
    )
    tally: str = Field(default="", description="the slot that the report counts by (default: the part)")
    checks: tuple[Check, ...] = ()
    answer_words: int = Field(
        default=0, ge=0, description="words of a usual answer, for the estimate of costs (default: as the sample reply)"
    )

    @property
    def query_field(self) -> str:
        """The output field that is the query; empty when none is written."""
        return self.query or ("" if self.for_query or self.tasks or self.variant else "query")

    @property
    def roles(self) -> dict[str, str]:
        """Role to output field, of those roles that one field has."""
        named = {"query": self.query_field, "positive": self.positive, "negative": self.negative, "span": self.span}
        return {role: name for role, name in named.items() if name}

    @model_validator(mode="after")
    def _parts_or_prompts(self) -> Self:
        own = ("reads", "slots", "prompts", "choose", "output", "checks")
        if not self.parts:
            for name in ("prompts", "output"):
                if not getattr(self, name):
                    raise ValueError(f"{name!r} is missing: a recipe without parts needs at least one")
        elif given := [name for name in own if name in self.model_fields_set]:
            raise ValueError(f"a recipe with parts has no {given[0]!r} of its own: each part states them")
        elif not sum(self.parts.values()):
            raise ValueError("at least one of the parts needs a weight above 0")
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for name in (*self.parts, *self.slots, *self.output):
            check_name(name)
        taken = {WORDING, *STORED_WITH_SLOTS, *VARIABLES[self.reads]}
        if wrong := [name for name in self.slots if name in taken or name.endswith(IN_WORDS)]:
            raise ValueError(f"a slot cannot be called {wrong[0]!r}: that name has a meaning of its own")
        labels = [wording.label for wording in self.prompts]
        if len(set(labels)) < len(labels):
            raise ValueError(f"two of the prompts have the same name: {', '.join(labels)}; give each its own `name`")
        return self

    @model_validator(mode="after")
    def _roles_fit(self) -> Self:
        if self.parts:
            return self
        for role, name in self.roles.items():
            self._find_field(role, name)
            if self.output[name].type != "text":
                raise ValueError(f"{role} is {name!r}, which must be a text, not a {self.output[name].type}")
        if self.query_field and not self.output[self.query_field].required:
            raise ValueError(f"the query field {self.query_field!r} must be a text that is required")
        if self.tasks:
            self._find_field("tasks", self.tasks)
            if self.output[self.tasks].type != "list of text" or not self.output[self.tasks].required:
                raise ValueError(f"the field of tasks {self.tasks!r} must be a list of text that is required")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        slots = (*self.slots, WORDING)
        _check_known("tally", self.tally, [*slots, GROUP], "slots")
        for role in ("query_language", "passage_language"):
            _check_known(role, getattr(self, role), slots, "slots")
        _check_known("instruction", self.instruction, [*slots, *VARIABLES[self.reads]], "slots and variables")
        for number, check in enumerate(self.checks):
            for name in check.fields:
                self._find_field(f"a field of checks.{number}", name)
            for name in check.slots:
                _check_known(f"a slot of checks.{number}", name, self.slots, "slots")
            if check.leave_out and self.output[check.field].required:
                raise ValueError(f"the check {check.reason!r} leaves {check.field!r} out, but that field is required")
        return self

    @model_validator(mode="after")
    def _choice_fits(self) -> Self:
        if self.choose is None:
            return self
        for name in self.choose.slots:
            _check_known("a slot of choose", name, self.slots, "slots")
            if self.slots[name].unlike:
                raise ValueError(f"the slot {name!r} has `unlike`, so it cannot be one of choose.slots")
        if self.choose.nearest and self.reads not in ("passages", "pairs"):
            raise ValueError(f"choose.nearest needs reads: passages or pairs, not {self.reads}: there is no passage")
        return self

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        if self.for_query and self.reads != "pairs":
            raise ValueError(f"for_query: source needs reads: pairs, not {self.reads}: no other row has a query")
        if self.variant and not self.positive:
            raise ValueError("variant: true needs `positive`: the field that holds the other version")
        if self.also_linked and self.reads != "passages":
            raise ValueError(f"also_linked needs reads: passages, not {self.reads}: no other row has a linked passage")
        return self

    def _find_field(self, where: str, name: str) -> None:
        if name not in self.output:
            raise ValueError(f"{where} is {name!r}, but the output has {', '.join(self.output)}")


def _check_known(where: str, name: str, known: Iterable[str], what: str) -> None:
    if name and name not in known:
        raise ValueError(f"{where} is {name!r}, but the {what} are {', '.join(known)}")
