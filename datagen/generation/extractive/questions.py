"""Questions made from a typed span of a passage: a definition, a date, a number, a place, a name (English).

The rules of a clause's verb look for a span in the rest, or in the subject, and turn the clause round. A clause
that no rule fits gives no question: a missing question costs nothing, an ungrammatical one does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from datagen.generation.extractive.clauses import (
    DATE,
    NUMBER,
    QUANTITY,
    Clause,
    as_topic,
    cut_clause,
    cut_rest,
    short_rest,
)
from datagen.generation.extractive.english import PAST_TENSES, PERSONAL_DEEDS, one_of
from datagen.generation.sentences import Sentence
from datagen.generation.words import WordStatistics, words


class Question(NamedTuple):
    """A question, the piece of the passage that answers it, and the phrase that says what it is about."""

    query: str
    span: str
    topic: str


Rule: TypeAlias = Callable[[Clause], Question | None]


def ask_all(text: str, sentences: Sequence[Sentence], statistics: WordStatistics) -> list[Question]:
    """Every question the rules can make from a text and its sentences, each once.

    A question about something that many passages of the corpus name is left out.
    """
    found: dict[str, Question] = {}
    for question in [*_clause_questions(sentences, statistics), *_spelt_out(text)]:
        if statistics.specific_words(words(question.topic)) and question.query.count('"') % 2 == 0:
            found.setdefault(question.query, question)
    return list(found.values())


def _clause_questions(sentences: Sequence[Sentence], statistics: WordStatistics) -> Iterator[Question]:
    for sentence in sentences:
        if sentence.is_prose and sentence.is_standalone and not sentence.text.endswith("?"):
            clause = cut_clause(sentence, statistics)
            rules = _RULES.get(clause.verb, ()) if clause else ()
            yield from (question for rule in rules if clause and (question := rule(clause)))


def _about(clause: Clause, frame: str, span: str) -> Question | None:
    """The frame with the clause's topic put in, if it has one; `the race` of a past event is not one."""
    told_once = frame.startswith(("How", "When")) or (clause.verb in _OF_THE_PAST and not frame.startswith("Who"))
    if clause.topic is None or (told_once and _BARE.fullmatch(clause.topic)):
        return None
    return Question(frame.replace("{}", clause.topic), span, clause.topic)


_OF_THE_PAST = frozenset(("was", "were", *PAST_TENSES))
_BARE = re.compile(r"the [a-z]+")
_NO_STATISTICS = WordStatistics()
"""For a phrase from inside a sentence: all its capitals are kept."""


_ACRONYM = re.compile(r"\(([A-Z]{2,6})\)")
_JOINING_WORDS = frozenset(("of", "the", "and", "for", "in", "or", "to", "with"))


def _spelt_out(text: str) -> Iterator[Question]:
    """`low-density lipoprotein (LDL)` answers what LDL stands for, in a text that goes on to speak of LDL."""
    for match in _ACRONYM.finditer(text):
        acronym, before = match[1], text[max(0, match.start() - 120) : match.start()].rstrip()
        phrase = _phrase_of(acronym, before) if text.count(acronym) > 2 else None
        if phrase:
            yield Question(f"What does {acronym} stand for?", phrase, acronym)


def _phrase_of(acronym: str, before: str) -> str | None:
    """The end of a text whose words have these initials; joining words need not have one."""
    starts, letters = [match.start() for match in re.finditer(r"[^\W_][\w'’]*", before)], acronym.lower()
    while starts and letters:
        start = starts.pop()
        if before[start].lower() == letters[-1]:
            letters = letters[:-1]
        elif before[start:].partition(" ")[0] not in _JOINING_WORDS:
            return None
    return before[start:] if not letters else None


_NUMBERED = re.compile(rf"{QUANTITY}(?P<number>{NUMBER}) (?P<noun>[a-z].+)")
_KIND_END = re.compile(r" (?:that|caused|called|known|in which|including|used|available|involved|currently|with) ")
_PART_END = re.compile(r" (?:that|of|in|with|called|known|per) ")
_COUNTED = re.compile(
    rf"^{QUANTITY}(?P<number>{NUMBER})(?P<share> percent of| ?% of| percent| ?%| out of \S+| in [\d,.]+)? "
    r"(?P<noun>[^,;:]+)$",
    re.IGNORECASE,
)
_COUNTED_WORDS = 4
_PLURAL = re.compile(r"(?:[\w-]+ ){0,3}(?:\w+[^su\W]s|classes|people|children|women|men|data)\b")


def _there_are(clause: Clause) -> Question | None:
    match = _NUMBERED.match(clause.rest)
    if clause.subject != "There" or match is None or match["number"] == "one":
        return None
    noun = as_topic(_KIND_END.split(f"{cut_rest(match['noun'])} ", maxsplit=1)[0].strip(), _NO_STATISTICS)
    return Question(f"How many {noun} are there?", clause.rest, noun) if noun and " " in noun else None


def _counted(clause: Clause) -> Question | None:
    """`About 30 percent of adults with asthma have ...` answers a question about the share."""
    match = _COUNTED.match(clause.subject)
    rest = short_rest(clause.rest) if match else None
    if match is None or rest is None or (match["number"].lower() in ("one", "half") and not match["share"]):
        return None
    share, noun = match["share"] or "", match["noun"].removeprefix("all ")
    percent = "%" in share or "percent" in share
    whole = as_topic(noun, _NO_STATISTICS) and len(f"{noun} {rest}".split()) >= _COUNTED_WORDS
    if not whole or not (percent or (_PLURAL.match(noun) and clause.verb not in ("is", "was", "has"))):
        return None
    opening = "What percentage of" if percent else "How many"
    return Question(f"{opening} {noun} {clause.verb} {rest}?", clause.subject, noun)


def _has_number(clause: Clause) -> Question | None:
    match = _NUMBERED.match(clause.rest)
    if match is None or match["number"] in ("one", "half"):
        return None
    noun = _PART_END.split(f"{cut_rest(match['noun'])} ", maxsplit=1)[0].strip()
    do = "does" if clause.verb == "has" else "do"
    return _about(clause, f"How many {noun} {do} {{}} have?", clause.rest) if len(noun.split()) <= 4 else None


_PERSON = (
    r"(?:(?:Dr|Mr|Mrs|Ms|Prof|Sir|Professor|President|Saint)\.? )?[A-Z][\w'’-]+(?: (?:[A-Z]\.|de|van|von|der|la))*"
    r"(?: [A-Z][\w'’-]+){1,2}"
)
_ONE_THING = re.compile(
    r"(?:an?|any|the (?:medical )?(?:name|term) (?:for|used)|one of the|the most \w+ (?:form|type|kind) of)\s"
)
_NO_DEFINITION = re.compile(
    r"an? (?:\w+ )?(?:result|lot|number|few|variety|higher|greater|lower|bit|possible|chance|risk|known|major|"
    r"important|example|combination|typical|good|useful|valuable|relatively|necessary|rather|massive|vital|finding)\b"
)
_NO_ADJECTIVE = (
    r"(?:on|of|the|in|to|for|about|made|given|drawn|left|most|more|less|not|such|still|other|one|\w+(?:ed|ly))"
)
_SOME_THINGS = re.compile(
    rf"(?:(?!{_NO_ADJECTIVE} )[\w-]+ ){{0,2}}[a-z]{{2,}}[^\Wsiu]s "
    r"(?:that|which|of|in|under|made|used|with|found|on|caused|characterized)\b"
)
_AGENT = re.compile(
    r"an? (?:[\w-]+ ){0,3}(?:member|\w+(?:er|or|ist|ian|man|woman)|king|queen|president|poet|athlete|chef)\b"
)


def _definition(clause: Clause) -> Question | None:
    """`A goiter is an enlargement of ...` answers what a goiter is."""
    singular = clause.verb in ("is", "was") and _ONE_THING.match(clause.rest) and not _NO_DEFINITION.match(clause.rest)
    plural = clause.verb == "are" and _SOME_THINGS.match(clause.rest) and len(clause.subject.split()) <= 3
    if not (singular or plural):
        return None
    asked = "Who" if re.fullmatch(_PERSON, clause.subject) and _AGENT.match(clause.rest) else "What"
    return _about(clause, f"{asked} {clause.verb} {{}}?", clause.rest)


def _meaning(clause: Clause) -> Question | None:
    do = "does" if clause.verb.split()[0].endswith("s") else "do"
    verb = clause.verb.replace("refers", "refer").replace("stands", "stand")
    return _about(clause, f"What {do} {{}} {verb}?", clause.rest)


_ADVERBS = (
    r"(?:(?:usually|often|typically|generally|most often|commonly|sometimes|mainly|primarily|also|always|frequently|"
    r"currently|first|originally) )*"
)
_BY_CAUSE = re.compile(rf"(?:(?:thought|believed) to be )?{_ADVERBS}caused by (?P<span>.+)")
_CAUSING = re.compile(
    r"(?:Mutations?|Changes|Variants|Deletions?|Defects?|An? (?:mutation|deletion)) (?:in|of) (?!th(?:is|at|ese|ose) )"
)


def _cause(clause: Clause) -> Question | None:
    match = _BY_CAUSE.match(clause.rest)
    return _about(clause, "What causes {}?", match["span"]) if match else None


def _caused(clause: Clause) -> Question | None:
    """`Mutations in the G6PD gene cause X` answers what causes X."""
    effect = as_topic(cut_rest(clause.rest), _NO_STATISTICS) if _CAUSING.match(clause.subject) else None
    return Question(f"What causes {effect}?", clause.subject, effect) if effect else None


_COMMONNESS = re.compile(
    r"(?P<among>(?:estimated|thought|believed|reported|known) to (?:affect|occur in|be present in) |"
    rf"(?:found|diagnosed|present|seen) in |in )?(?P<span>{QUANTITY}{NUMBER}(?: ?%| percent| in | per | out of |"
    r" people| individuals| newborns| infants| births| live births| males| females| men| women| children| families|"
    r" Americans| cases).*)"
)


def _commonness(clause: Clause) -> Question | None:
    match = _COMMONNESS.match(clause.rest)
    if match is None or (clause.verb in _FORMS_OF_BE and not match["among"]):
        return None
    be = "are" if clause.verb in ("affect", "occur", "are") else "is"
    return _about(clause, f"How common {be} {{}}?", match["span"])


_YEAR = re.compile(r"(?:1[0-9]|20)\d\d")
_DATED = re.compile(rf"(?P<what>.*?) ?\b(?:in|on|since|until) (?P<date>{DATE})(?P<agent> by .*)?")
_PARTICIPLE = re.compile(
    r"(?:first |originally )?(?:\w+ed|built|born|won|written|held|made|begun|found|drawn|sold|bought)\b"
)


def _find_date(rest: str) -> re.Match[str] | None:
    return _DATED.match(cut_rest(rest)) if _YEAR.search(rest) else None


def _when_passive(clause: Clause) -> Question | None:
    dated = None if clause.date else _find_date(clause.rest)
    if not (clause.date or dated):
        return None
    what = short_rest(f"{dated['what']}{dated['agent'] or ''}" if dated else clause.rest)
    date = dated["date"] if dated else clause.date or ""
    return _about(clause, f"When {clause.verb} {{}} {what}?", date) if what and _PARTICIPLE.match(what) else None


def _when_active(clause: Clause) -> Question | None:
    dated = None if clause.date else _find_date(clause.rest)
    if not (clause.date or dated):
        return None
    what = short_rest(dated["what"] if dated else clause.rest)
    date = dated["date"] if dated else clause.date or ""
    return _about(clause, f"When did {{}} {PAST_TENSES[clause.verb]} {what}?", date) if what else None


_PLACED = re.compile(
    rf"(?P<what>{_ADVERBS}(?:located|situated|found|born|held|founded|headquartered|buried|stored|based(?= in| at))) "
    r"(?P<span>(?:in|on|at|near|inside|outside|along|behind|under|above|below|within|around|throughout) "
    rf"(?!{QUANTITY}{NUMBER}\b)(?!people|patients|children|individuals|men|women|most|many|all|about)[A-Za-z].*)"
)
_DONE = re.compile(
    rf"(?P<what>{_ADVERBS}(?:inherited|diagnosed|treated|transmitted|spread|measured|prevented|managed|made|formed|"
    r"produced|performed|detected|confirmed)) (?P<span>(?:by|with|using|through|in an?|from|based on) .+)"
)


def _where(clause: Clause) -> Question | None:
    match = _PLACED.match(clause.rest)
    return _about(clause, f"Where {clause.verb} {{}} {match['what']}?", match["span"]) if match else None


def _manner(clause: Clause) -> Question | None:
    match = _DONE.match(clause.rest)
    return _about(clause, f"How {clause.verb} {{}} {match['what']}?", match["span"]) if match else None


_BY_PERSON = re.compile(
    rf"(?P<first>first )?(?P<verb>written|{one_of(PERSONAL_DEEDS - {'wrote'})}) (?:in {DATE} )?by (?P<span>{_PERSON})"
)
_NO_PERSON = re.compile(
    r"\b(?:The|University|Institutes?|Company|Society|Association|Center|Agency|United|States|Disease)\b"
)


def _who_passive(clause: Clause) -> Question | None:
    match = _BY_PERSON.match(clause.rest)
    if match is None or _NO_PERSON.search(match["span"]):
        return None
    past = match["verb"].replace("written", "wrote")
    return _about(clause, f"Who {match['first'] or ''}{past} {{}}?", match["span"])


def _who_active(clause: Clause) -> Question | None:
    rest = short_rest(clause.rest)
    named = clause.verb in PERSONAL_DEEDS and re.fullmatch(_PERSON, clause.subject)
    if not named or _NO_PERSON.search(clause.subject) or rest is None or rest.startswith("that ") or " " not in rest:
        return None
    return Question(f"Who {clause.verb} {rest}?", clause.subject, rest)


_SIZE = re.compile(rf"(?P<span>{QUANTITY}{NUMBER} [a-z]+) (?P<kind>long|tall|wide|high|deep|old|thick)\b")
_AMOUNT = re.compile(rf"(?:for |from )?(?P<span>{QUANTITY}(?:[$€£]\s?)?{NUMBER} ?[A-Za-z%]+.*)")


def _size(clause: Clause) -> Question | None:
    match = _SIZE.match(clause.rest)
    return _about(clause, f"How {match['kind']} {clause.verb} {{}}?", match["span"]) if match else None


def _amount(clause: Clause) -> Question | None:
    match, base = _AMOUNT.match(clause.rest), clause.verb.removesuffix("s")
    opening = "How much" if base in ("cost", "weigh") else "How long"
    do = "do" if base == clause.verb else "does"
    return _about(clause, f"{opening} {do} {{}} {base}?", match["span"]) if match else None


_FORMS_OF_BE = ("is", "are", "was", "were")
_BE: tuple[Rule, ...] = (
    *(_there_are, _counted, _cause, _who_passive, _when_passive, _where, _manner, _commonness, _size, _definition),
)
_RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(_FORMS_OF_BE, _BE),
    **dict.fromkeys(("has", "have"), (_counted, _has_number)),
    **dict.fromkeys(("live", "develop", "can", "may", "will"), (_counted,)),
    **dict.fromkeys(("cause", "causes", "can cause", "may cause"), (_caused,)),
    **dict.fromkeys(("affect", "affects", "occur", "occurs"), (_commonness,)),
    **dict.fromkeys(("cost", "costs", "weigh", "weighs", "last", "lasts", "take", "takes"), (_amount,)),
    **dict.fromkeys(("refer to", "refers to", "stand for", "stands for"), (_meaning,)),
    **dict.fromkeys(PAST_TENSES, (_who_active, _when_active)),
}
