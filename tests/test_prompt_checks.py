"""What the recipes that come with datagen draw, and which answers they refuse."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

import pytest

from datagen.generation.outcome import Source
from datagen.generation.reading.ladder import read_answer
from datagen.generation.recipes.format import IN_WORDS, VARIABLES
from datagen.generation.recipes.load import Recipe, load_recipe

PASSAGE = (
    "Water boils at 100 °C at sea level. The higher the place, the lower the pressure of the air,\n"
    "and the lower the boiling point: at 3,000 m it boils at about 90 °C."
)
LINKED = "Eggs need longer in the mountains.\nCooks there use pots that keep the steam in."
OTHER = "Salt lowers the freezing point of water."
QUERY = "when does water boil in the mountains"
EXTRA = {
    "query": QUERY,
    "query_id": "q1",
    "linked_id": "d2",
    "linked_text": LINKED,
    "other_text": OTHER,
    "task": "Given a question about physics, retrieve passages that answer it.",
    "topic": "boiling",
}
LABEL = Source("l1", None, "customer complaint", "en", {"query": "The lamp came broken.", "other_text": "praise"})
LABELLED = {"input_text": "Nobody answers the phone.", "label": "customer complaint", "misleading_label": "praise"}
GERMAN = "In den Bergen kocht das Wasser schon bei weniger als hundert Grad, weil die Luft dort dünner ist."
SOURCE = Source("d1", "Boiling point", PASSAGE, "en", EXTRA)
BARE = Source("d1", None, PASSAGE, None, {"query": QUERY, "task": EXTRA["task"]})

load_once = cache(load_recipe)


@pytest.fixture(scope="module")
def corpus() -> Recipe:
    return load_recipe("corpus")


def test_corpus_draws_every_kind_of_query_by_its_weight(corpus: Recipe) -> None:
    kinds = corpus.spec.slots["query_type"].values
    told = corpus.variables(SOURCE)
    counts = Counter(corpus.kind(corpus.draw(5, f"row {number}", told)) for number in range(20_000))
    expected = {kind: 20_000 * weight / sum(kinds.values()) for kind, weight in kinds.items()}
    chi_square = sum((counts[kind] - wanted) ** 2 / wanted for kind, wanted in expected.items())
    assert set(counts) == set(expected)
    assert chi_square < 29.6  # 0.1 % of chance, 10 degrees of freedom


def test_corpus_asks_for_two_passages_only_where_there_are_two(corpus: Recipe) -> None:
    alone = [corpus.draw(5, f"row {number}", corpus.variables(BARE)) for number in range(500)]
    assert "multi_hop" not in {slots["query_type"] for slots in alone}
    followed = [corpus.draw(5, f"row {number}", corpus.variables(SOURCE)) for number in range(500)]
    for slots in followed:
        user = corpus.render(slots, corpus.variables(SOURCE))[1]["content"]
        assert (slots["query_type"] == "multi_hop") is corpus.links(slots) is (LINKED in user)
    assert any(corpus.links(slots) for slots in followed)


def test_corpus_explains_each_kind_in_words(corpus: Recipe) -> None:
    slot = corpus.spec.slots["query_type"]
    assert set(slot.in_words) == set(slot.values)
    assert "query_type" + IN_WORDS in (corpus.folder / "request.j2").read_text(encoding="utf-8")
    assert "text" in VARIABLES[corpus.spec.reads]


def test_corpus_has_many_personas_none_twice(corpus: Recipe) -> None:
    personas = next(choice.values for choice in corpus.choices if choice.name == "persona")
    lines = (corpus.folder / "personas.txt").read_text(encoding="utf-8").splitlines()
    assert len(personas) == sum(not line.startswith("#") for line in lines) >= 120
    assert max(map(len, personas)) < 70


def test_corpus_asks_for_a_negative_only_where_it_is_wanted(corpus: Recipe) -> None:
    told = corpus.variables(SOURCE)
    assert {corpus.draw(1, f"row {number}", told)["write_negative"] for number in range(200)} == {""}
    for wording in corpus.spec.prompts:
        slots = {**corpus.draw(1, "row", told), "wording": wording.label}
        assert "negative" not in corpus.render(slots, told)[1]["content"]
        assert '"negative"' in corpus.render({**slots, "write_negative": "yes"}, told)[1]["content"]
    answer = {"query": "q", "span": None, "negative": OTHER}
    assert corpus.written(answer, SOURCE, {"write_negative": "yes"}).negative == OTHER


@pytest.mark.parametrize(
    ("query", "kind", "reason"),
    [
        pytest.param("how hot is boiling water on a mountain", "question", "", id="good"),
        pytest.param("Water boils at 100 °C at sea level.", "claim", "copies_passage", id="copied-sentence"),
        pytest.param("boiling point", "keywords", "", id="words-of-the-passage-as-keywords"),
        pytest.param("What does the passage say about water?", "question", "names_the_passage", id="the-passage"),
        pytest.param("boiling water according to this article", "title", "names_the_passage", id="this-article"),
        pytest.param("what links both passages on water", "multi_hop", "names_the_passage", id="both-passages"),
        pytest.param("who is the author of Dune", "question", "", id="an-author-one-may-search-for"),
        pytest.param("the passage of time", "entity_phrase", "", id="another-passage"),
    ],
)
def test_corpus_checks(corpus: Recipe, query: str, kind: str, reason: str) -> None:
    assert corpus.check({"query": query, "span": None, "negative": None}, SOURCE, {"query_type": kind}) == reason


@pytest.mark.parametrize(
    ("name", "values", "slots", "reason"),
    [
        pytest.param(
            "corpus",
            {"query": "how hot is boiling water"},
            {"query_length": "in 15 to 30 words"},
            "other_length",
            id="short",
        ),
        pytest.param(
            "corpus",
            {"query": "how hot is boiling water"},
            {"query_length": "in at most 8 words"},
            "",
            id="short-enough",
        ),
        pytest.param(
            "corpus",
            {"query": GERMAN, "span": None},
            {"query_language": "same"},
            "other_language",
            id="not-the-passage's",
        ),
        pytest.param("corpus", {"query": "I cannot create a query for this."}, {}, "refused", id="refused"),
        pytest.param(
            "translate",
            {"query": GERMAN, "passage": GERMAN},
            {"trip": "there", "target_language": "de"},
            "",
            id="translated",
        ),
        pytest.param(
            "translate",
            {"query": GERMAN, "passage": OTHER},
            {"trip": "there", "target_language": "de"},
            "positive_in_other_language",
            id="not-translated",
        ),
        pytest.param(
            "translate",
            {"query": QUERY, "passage": GERMAN},
            {"trip": "there_and_back", "target_language": "de"},
            "positive_in_other_language",
            id="not-back",
        ),
        pytest.param(
            "paraphrase",
            {"paraphrase": f"You know what they say up there: {PASSAGE[46:]}"},
            {},
            "paraphrase_copies_passage",
            id="half-copied",
        ),
        pytest.param(
            "labels",
            {**LABELLED, "input_text": "No."},
            {"text_length": "over_200"},
            "other_length",
            id="far-too-short",
        ),
    ],
)
def test_checks_that_look_at_slots(
    name: str, values: dict[str, str | None], slots: dict[str, str], reason: str
) -> None:
    recipe = load_once(name)
    source = LABEL if name == "labels" else SOURCE
    assert recipe.check(values, source, slots) == reason


def test_corpus_keeps_a_row_whose_span_is_not_in_the_passage(corpus: Recipe) -> None:
    good = {"query": "q", "span": "the lower the pressure of the air, and the lower the boiling point"}
    assert corpus.written(good, SOURCE).span == good["span"].replace("air, and", "air,\nand")
    bad = {"query": "q", "span": "water freezes"}
    assert (corpus.check(bad, SOURCE), corpus.written(bad, SOURCE).span) == ("", None)
    assert [check.reason for check in corpus.optional_faults(bad, SOURCE)] == list(("span_not_in_passage",))


def test_corpus_schema_and_answer_model_agree(corpus: Recipe) -> None:
    fields = ["query", "span", "negative"]
    assert list(corpus.schema["properties"]) == list(corpus.answer_model.model_fields) == fields
    assert read_answer(json.dumps({"query": "q", "span": "s"}), corpus.answer_model).reason == "too_short"


@pytest.mark.parametrize(
    ("name", "source", "changed", "reason"),
    [
        pytest.param("labels", LABEL, {}, "", id="labels-good"),
        pytest.param("labels", LABEL, {"label": "complaint!"}, "label_changed", id="labels-other-label"),
        pytest.param(
            "labels", LABEL, {"input_text": "A Customer Complaint: no answer."}, "label_leak", id="labels-leak"
        ),
        pytest.param("labels", LABEL, {"misleading_label": "Customer complaint"}, "same_label", id="labels-same"),
        pytest.param(
            "hard-negatives", SOURCE, {"negative": PASSAGE}, "negative_copies_passage", id="hard-negatives-copied"
        ),
        pytest.param(
            "hard-negatives", SOURCE, {"negative": PASSAGE.replace("100", "90")}, "", id="hard-negatives-number"
        ),
        pytest.param(
            "hard-negatives",
            SOURCE,
            {"negative": "Ice melts at 0 °C. This does not answer the query."},
            "names_the_task",
            id="hard-negatives-talks",
        ),
        pytest.param("translate", SOURCE, {"passage": PASSAGE, "query": "quand"}, "not_translated", id="translate-not"),
        pytest.param("translate", SOURCE, {"passage": None, "query": "quand"}, "", id="translate-query-only"),
        pytest.param(
            "paraphrase", SOURCE, {"paraphrase": PASSAGE.upper()}, "paraphrase_copies_passage", id="paraphrase-copied"
        ),
        pytest.param(
            "augment",
            SOURCE,
            {"query": "flat dough", "passage": PASSAGE},
            "positive_copies_example",
            id="augment-copied",
        ),
        pytest.param("enrich", SOURCE, {"version": PASSAGE[:35]}, "version_copies_passage", id="enrich-copied"),
        pytest.param(
            "abstract",
            SOURCE,
            {"description": "a property of a liquid", "misleading_description": "A property of a liquid."},
            "same_description",
            id="abstract-same",
        ),
    ],
)
def test_checks_of_recipes(name: str, source: Source, changed: dict[str, str | None], reason: str) -> None:
    values = {**LABELLED, **changed} if name == "labels" else changed
    assert load_once(name).check(values, source) == reason


def test_labels_and_query_only_translations_keep_the_passage_of_the_pair_as_positive() -> None:
    assert load_recipe("labels").written(LABELLED, LABEL)[:4] == (LABELLED["input_text"], None, None, "praise")
    translated = {"query": "quand bout l'eau", "passage": None}
    assert load_recipe("translate").written(translated, SOURCE).passage is None


@pytest.mark.parametrize(
    ("trip", "languages"), [("there", ("de", "de")), ("there_and_back", ("en", "en"))], ids=["there", "there-and-back"]
)
def test_translations_have_the_language_that_they_end_in(trip: str, languages: tuple[str, str]) -> None:
    slots = {"trip": trip, "target_language": "de", "side": "both", "manner": "native"}
    assert load_once("translate").languages(SOURCE, slots) == languages


def test_hard_negatives_and_versions_are_no_queries() -> None:
    written = load_recipe("hard-negatives").written({"change": None, "negative": OTHER}, SOURCE)
    assert (written.query, written.negative) == ("", OTHER)
    written = load_recipe("enrich").written({"version": OTHER}, SOURCE)
    assert (written.query, written.passage) == ("", OTHER)
