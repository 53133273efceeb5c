"""Which kind each sample becomes: by weight, distinct in a passage, and the same whatever stands around it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.backends.llm_extractive import ExtractiveLLM
from datagen.backends.protocols import LLMReply, LLMRequest
from datagen.errors import ConfigError
from datagen.generation.extractive.plan import Ask, Plan, Sample, check_kinds, write_queries
from datagen.generation.outcome import Source
from datagen.generation.row_plan import row_id
from datagen.settings.generate import GenerateConfig

KIND_A, KIND_B, KIND_C = "keywords", "title_body", "inverse_cloze"
TEXT = "Gout is a kind of arthritis that hurts. Crystals of uric acid grow in the joints of the foot. Rest helps a bit."


def _plan(seed: int = 42, **values: Any) -> Plan:  # Any: settings of all kinds
    return Plan(GenerateConfig(**values), seed)


def _sources(number: int) -> list[Source]:
    return [Source(f"d{n}", None, f"{TEXT} Number {n} is special.", None) for n in range(number)]


def _ask_scripted(fails: Mapping[str, str] | None = None, **constant: str) -> Ask:
    """Answers with a query that names kind and take, or with `constant`; kinds in `fails` fail with that reason."""

    def ask(requests: Sequence[LLMRequest]) -> dict[str, LLMReply]:
        replies = {}
        for request in requests:
            kind = request.slots["kind"]
            query = f"{kind} {request.slots['take']} of {request.slots['text'][-20:]}"
            text = json.dumps({"query": query, **constant})
            error = (fails or {}).get(kind)
            replies[request.row_id] = LLMReply(request.row_id, "" if error else text, error)
        return replies

    return ask


def _ask_extractive(requests: Sequence[LLMRequest]) -> dict[str, LLMReply]:
    async def collect() -> dict[str, LLMReply]:
        llm = ExtractiveLLM(GenerateConfig())
        return {request.row_id: await llm.complete(request) for request in requests}

    return asyncio.run(collect())


def _fate(sample: Sample) -> tuple[object, ...]:
    return (sample.number, sample.kind, sample.take, sample.tried, sample.written)


def test_kinds_are_drawn_by_weight() -> None:
    plan = _plan(queries_per_passage=1, mix={KIND_A: 3, KIND_B: 1, KIND_C: 0})
    kinds = Counter(sample.kind for sample in write_queries(_sources(4000), plan, _ask_scripted()))
    assert kinds[KIND_A] / 4000 == pytest.approx(0.75, abs=0.02)
    assert set(kinds) == {KIND_A, KIND_B}


def test_samples_of_a_passage_differ_in_kind_while_kinds_last() -> None:
    samples = write_queries(_sources(50), _plan(queries_per_passage=7), _ask_scripted())
    for start in range(0, len(samples), 7):
        of_one = samples[start : start + 7]
        assert len({sample.kind for sample in of_one[:5]}) == 5
        assert [sample.take for sample in of_one] == [0] * 5 + [1] * 2
        assert len({sample.written for sample in of_one}) == 7


def test_sample_falls_back_to_the_next_kind_and_remembers_why() -> None:
    plan = _plan(queries_per_passage=2, mix={KIND_A: 1, KIND_B: 1, KIND_C: 1})
    for sample in write_queries(_sources(60), plan, _ask_scripted({KIND_B: "no_title"})):
        assert sample.written is not None
        assert sample.kind in (KIND_A, KIND_C)
        order = plan.order(sample.source.doc_id)
        assert sample.tried == ({KIND_B: "no_title"} if order[sample.number] == KIND_B else {})


def test_fallback_gives_each_sample_another_kind() -> None:
    plan = _plan(queries_per_passage=2, mix={KIND_A: 1, KIND_B: 1, KIND_C: 1})
    samples = write_queries(_sources(60), plan, _ask_scripted({KIND_B: "no_title"}))
    kinds = [{first.kind, second.kind} for first, second in zip(samples[::2], samples[1::2], strict=True)]
    assert kinds == [{KIND_A, KIND_C}] * 60


def test_sample_fails_when_no_kind_works_with_the_reason_of_the_first() -> None:
    plan = _plan(queries_per_passage=1, mix={KIND_A: 1, KIND_B: 1})
    samples = write_queries(_sources(40), plan, _ask_scripted({KIND_A: "reason_a", KIND_B: "reason_b"}))
    assert all(sample.written is None and len(sample.tried) == 2 for sample in samples)
    for sample in samples:
        assert sample.reason == f"reason_{'a' if plan.order(sample.source.doc_id)[0] == KIND_A else 'b'}"


def test_missing_reply_is_a_failure_of_its_row_alone() -> None:
    plan = _plan(queries_per_passage=1, mix={KIND_A: 1})
    lost = row_id("d3", 0, 42)

    def ask(requests: Sequence[LLMRequest]) -> dict[str, LLMReply]:
        replies = _ask_scripted()(requests)
        return {row_id: reply for row_id, reply in replies.items() if row_id != lost}

    samples = write_queries(_sources(6), plan, ask)
    assert [sample.reason for sample in samples if sample.written is None] == ["no_reply"]
    assert sum(sample.written is not None for sample in samples) == 5


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param("word", "too_few_words", id="short"),
        pytest.param("word " * 41, "too_many_words", id="long"),
        pytest.param(TEXT.upper() + "!", "copies_passage", id="copy"),
        pytest.param("Gout: " + TEXT, "copies_passage", id="copy-with-title"),
        pytest.param("", "no_query", id="blank"),
    ],
)
def test_bad_query_is_refused_with(reply: str, reason: str) -> None:
    plan = _plan(queries_per_passage=1, mix={KIND_A: 1})
    source = Source("d", "Gout", TEXT, None)
    (sample,) = write_queries([source], plan, _ask_scripted(query=reply))
    assert (sample.written, sample.reason) == (None, reason)


def test_query_that_the_passage_has_already_is_refused() -> None:
    plan = _plan(queries_per_passage=3, mix={KIND_A: 1, KIND_B: 1})
    samples = write_queries(_sources(1), plan, _ask_scripted(query="The same, always!"))
    assert [sample.written is not None for sample in samples] == [True, False, False]
    assert samples[1].reason == "repeats_own_query"


def test_a_generator_that_never_gives_a_good_query_is_asked_a_limited_number_of_times() -> None:
    asked: list[LLMRequest] = []

    def ask(requests: Sequence[LLMRequest]) -> dict[str, LLMReply]:
        asked.extend(requests)
        return {request.row_id: LLMReply(request.row_id, "no JSON") for request in requests}

    write_queries(_sources(1), _plan(queries_per_passage=2), ask)
    assert len(asked) == 2 + 2 * 5


def test_kept_cloze_sentences_have_their_share() -> None:
    plan = _plan(cloze_keep=0.25)
    samples = [plan.samples(source)[0] for source in _sources(4000)]
    kept = [plan.request(sample).slots["keep_sentence"] for sample in samples]
    assert kept.count("yes") / 4000 == pytest.approx(0.25, abs=0.02)


def test_request_holds_texts_only() -> None:
    plan = _plan()
    request = plan.request(plan.samples(Source("d", None, TEXT, None))[0])
    assert request.row_id == row_id("d", 0, 42)
    assert request.slots["title"] == ""
    assert all(isinstance(value, str) for value in request.slots.values())


def test_query_id_is_the_same_in_every_version() -> None:
    assert row_id("d1", 0, 42) == "g-ef6c1c9d500573c8"


@settings(max_examples=25)
@given(st.permutations(range(12)), st.integers(0, 11), st.integers(0, 3))
def test_fate_of_a_passage_does_not_depend_on_the_others(order: list[int], removed: int, seed: int) -> None:
    sources, plan = _sources(12), _plan(seed, queries_per_passage=3)
    whole: dict[str, list[tuple[object, ...]]] = {source.doc_id: [] for source in sources}
    for sample in write_queries(sources, plan, _ask_extractive):
        whole[sample.source.doc_id].append(_fate(sample))
    rest = [sources[number] for number in order if number != removed]
    samples = write_queries(rest, plan, _ask_extractive)
    assert [sample.source.doc_id for sample in samples[::3]] == [source.doc_id for source in rest]
    for sample in samples:
        assert _fate(sample) == whole[sample.source.doc_id][sample.number]


def test_samples_do_not_depend_on_the_order_of_replies() -> None:
    def backwards(requests: Sequence[LLMRequest]) -> dict[str, LLMReply]:
        return dict(reversed(_ask_extractive(requests).items()))

    plan = _plan(queries_per_passage=4)
    first, second = (write_queries(_sources(8), plan, ask) for ask in (_ask_extractive, backwards))
    assert [_fate(sample) for sample in first] == [_fate(sample) for sample in second]


def test_another_seed_gives_other_kinds() -> None:
    orders = [[_plan(seed).order(f"d{n}") for n in range(20)] for seed in (1, 2)]
    assert orders[0] != orders[1]


def test_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="unknown query kind in generate.mix 'poem': choose one of inverse_cloze, key"
    ):
        check_kinds({"keywords": 1.0, "poem": 0.0})
