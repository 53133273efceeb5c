"""The LLM-free generator: five kinds of query cut out of, or turned round from, the passage itself.

Deterministic, no weights, no network. Its known flaw is lexical copying; the stage reports how much.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from datagen.generation.extractive.english import LEAD_INS, WEAK_ENDINGS, one_of
from datagen.generation.extractive.parsing import Written
from datagen.generation.extractive.questions import ask_all
from datagen.generation.sentences import Sentence, cut_out, split_sentences, tidy
from datagen.generation.slots import shuffled, uniform
from datagen.generation.words import WordStatistics, words


class Choice(NamedTuple):
    """Everything that decides among the queries of one kind for one passage."""

    seed: str
    """Fixes the order of the possible queries."""
    take: int
    """Which of them, counted from 0."""
    keep_sentence: bool
    """Whether an inverse-cloze passage keeps its sentence."""
    min_words: int
    max_words: int


@dataclass(frozen=True)
class Passage:
    """A passage and what is worked out from it, each part on first use."""

    title: str
    text: str
    statistics: WordStatistics

    @cached_property
    def sentences(self) -> list[Sentence]:
        """All sentences in order."""
        return split_sentences(self.text)

    @cached_property
    def sentence_words(self) -> list[list[str]]:
        """The words of each sentence."""
        return [words(sentence.text) for sentence in self.sentences]

    @cached_property
    def terms(self) -> Counter[str]:
        """How often each content word stands in title and text, in the order of first use."""
        empty = self.statistics.empty_words
        return Counter(word for part in (words(self.title), *self.sentence_words) for word in part if word not in empty)

    @cached_property
    def weights(self) -> dict[str, float]:
        """Of each content word: rarity in the corpus times saturating frequency here, as BM25 scores a passage."""
        rarity = self.statistics.rarity
        return {term: rarity(term) * count * 2.2 / (count + 1.2) for term, count in self.terms.items()}

    def weigh(self, piece: Iterable[str]) -> float:
        """How much of what the passage is about a piece of it says: the summed weight of its different terms."""
        return sum(self.weights.get(word, 0.0) for word in dict.fromkeys(piece))

    def is_specific(self, piece: Iterable[str]) -> bool:
        """Whether a piece of the passage has two words or more that few passages share."""
        return len(self.statistics.specific_words(piece)) >= _MIN_SPECIFIC_WORDS


Writer = Callable[[Passage, Choice], Written | None]


def write_inverse_cloze(passage: Passage, choice: Choice) -> Written | None:
    """A sentence of the passage; the positive is the passage without it, unless it is kept (Lee et al. 2019).

    Sentences that lean on others or name nothing rare serve only when there are no better ones.
    """
    longest = choice.max_words
    if not choice.keep_sentence:
        longest = min(longest, len(passage.text.split()) - _MIN_REMAINDER_WORDS)
    shortest = max(choice.min_words, _MIN_CLOZE_WORDS)
    fitting: list[tuple[bool, Sentence]] = []
    for sentence, piece in zip(passage.sentences, passage.sentence_words, strict=True):
        if sentence.is_prose and shortest <= len(sentence.text.split()) <= longest:
            fitting.append((sentence.is_standalone and passage.is_specific(piece), sentence))
    if len(passage.sentences) < 2 or choice.take >= len(fitting):
        return None
    mixed = [fitting[number] for number in shuffled(len(fitting), choice.seed, "inverse_cloze")]
    _, chosen = sorted(mixed, key=lambda judged: not judged[0])[choice.take]
    remainder = None if choice.keep_sentence else cut_out(passage.text, chosen)
    return Written(_without_lead_in(chosen.text), remainder, chosen.text)


def write_title(passage: Passage, choice: Choice) -> Written | None:
    """The title; where there is none, the heading or first sentence of the text, or the beginning of it."""
    title = tidy(passage.title) or _pseudo_title(passage)
    if choice.take or not title or words(title) == words(passage.text):
        return None
    return Written(title, None, title) if _fits(title, choice) else None


def write_salient_sentence(passage: Passage, choice: Choice) -> Written | None:
    """The sentence that says most of what the passage is about for its length.

    The first sentence, which a title query is likely to repeat, must be better than the others by a tenth.
    """
    scored: list[tuple[float, int, str]] = []
    for number, (sentence, piece) in enumerate(zip(passage.sentences, passage.sentence_words, strict=True)):
        usable = sentence.is_prose and sentence.is_standalone and not sentence.text.endswith("?")
        if usable and _fits(sentence.text, choice, _MIN_SALIENT_WORDS) and passage.is_specific(piece):
            score = passage.weigh(piece) / (len(piece) + _LENGTH_PRIOR)
            scored.append((-score / (1.1 if number == 0 else 1), number, sentence.text))
    if len(passage.sentences) < 2 or choice.take >= len(scored):
        return None
    chosen = sorted(scored)[choice.take][2]
    return Written(_without_lead_in(chosen), None, chosen)


def write_keywords(passage: Passage, choice: Choice) -> Written | None:
    """Three to six of the passage's heaviest terms in mixed order, as people type them into a search box.

    The heaviest term is always there; a further query of the same passage moves on among the others.
    """
    count = min(3 + int(uniform(choice.seed, "keyword_count", choice.take) * 4), choice.max_words)
    ranked = _rank_keywords(passage, choice.take * 2 + count)
    chosen = ranked[:1] + ranked[1 + 2 * choice.take :][: count - 1]
    if len(chosen) < max(_MIN_KEYWORDS, choice.min_words):
        return None
    order = shuffled(len(chosen), choice.seed, "keywords", choice.take)
    return Written(" ".join(_as_written(passage.text, chosen[number]) for number in order))


def write_question(passage: Passage, choice: Choice) -> Written | None:
    """A who, when, where, how many, how much or what question with its answer in the passage."""
    questions = [q for q in ask_all(passage.text, passage.sentences, passage.statistics) if _fits(q.query, choice)]
    order = shuffled(len(questions), choice.seed, "typed_span_question")
    if choice.take >= len(questions):
        return None
    question = questions[order[choice.take]]
    return Written(question.query, None, question.span)


WRITERS: dict[str, tuple[Writer, str]] = {
    "inverse_cloze": (write_inverse_cloze, "no_sentence"),
    "title_body": (write_title, "no_title"),
    "salient_sentence": (write_salient_sentence, "no_salient_sentence"),
    "keywords": (write_keywords, "no_keywords"),
    "typed_span_question": (write_question, "no_typed_span"),
}
"""Each kind's writer, and the reason when it can write nothing (more) for a passage."""
KINDS = tuple(WRITERS)

_MIN_SPECIFIC_WORDS = 2
_MIN_CLOZE_WORDS = 5
_MIN_SALIENT_WORDS = 6
_MIN_REMAINDER_WORDS = 8
_LENGTH_PRIOR = 8
_MIN_KEYWORDS = 3
_HEAD_GAIN = 2.0
_VERB_LOSS = 0.5
_STEM_LETTERS = 7
_VERBAL = re.compile(r".{3,}(?:ly|ed|ing|ings)").fullmatch
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_LIST_OPENING = re.compile(r"(?<=\w): .*$|:$")
_LEAD_IN = re.compile(rf"^{one_of(LEAD_INS)}, ")
_TITLE_WORDS = 16
_DANGLING = re.compile(rf"(?:[\s,;:–—-]+{one_of(WEAK_ENDINGS)})+$|[\s,;:–—-]+$", re.IGNORECASE)
_PAUSE = re.compile(r"[,;:]\s|\s[–—-]{1,2}\s|\s(?=\(|which |that |who |because |although |when |where |but )")


def _fits(text: str, choice: Choice, at_least: int = 1) -> bool:
    return max(choice.min_words, at_least) <= len(text.split()) <= choice.max_words


def _pseudo_title(passage: Passage) -> str:
    """The first sentence when it is short; else its beginning, up to a pause if there is one."""
    if not passage.sentences:
        return ""
    first = _LIST_OPENING.sub("", passage.sentences[0].text)
    if len(first.split()) <= _TITLE_WORDS:
        return _DANGLING.sub("", first)
    beginning = " ".join(first.split()[:_TITLE_WORDS])
    pauses = [match.start() for match in _PAUSE.finditer(beginning)]
    whole = [stop for stop in pauses if len(beginning[:stop].split()) >= _TITLE_WORDS // 2]
    beginning = beginning[: whole[-1]] if whole else beginning
    return _DANGLING.sub("", _close(beginning))


def _close(text: str) -> str:
    """The text before a bracket that is opened and not closed."""
    return text[: text.rfind("(")] if text.count("(") > text.count(")") else text


def _without_lead_in(sentence: str) -> str:
    """`For example, cows do` as `Cows do`, and a sentence in brackets without them."""
    bare = _LEAD_IN.sub("", sentence[1:-1] if _IN_BRACKETS.fullmatch(sentence) else sentence)
    return bare[:1].upper() + bare[1:]


def _rank_keywords(passage: Passage, enough: int) -> list[str]:
    """The heaviest terms, of `gene` and `genes` only one; terms of title and first sentence gain, likely verbs lose."""
    head = {*words(passage.title), *(passage.sentence_words[0] if passage.sentences else ())}
    weights = {
        term: weight * (_HEAD_GAIN if term in head else 1) * (_VERB_LOSS if _VERBAL(term) else 1)
        for term, weight in passage.weights.items()
        if len(term) > 2 and not term[0].isdigit()
    }
    kept: dict[str, str] = {}
    for term in sorted(weights, key=lambda term: -weights[term]):
        kept.setdefault(term.rstrip("s")[:_STEM_LETTERS], term)
        if len(kept) == enough:
            break
    return list(kept.values())


def _as_written(text: str, term: str) -> str:
    """Small letters, but for names that mix them, such as `mRNA` or `BRCA1`."""
    start = text.lower().find(term)
    written = text[start : start + len(term)]
    is_plain = written.istitle() or written[1:].islower()
    return written if written.lower() == term and not is_plain else term
