"""How many tokens a text has, found by its words: each different word is given to the tokenizer once."""

from __future__ import annotations

import re
from collections.abc import Sequence

from datagen.backends.protocols import TokenCounter

_LONGEST_WORD = 64
_WORD = re.compile(rf"\s*\S{{1,{_LONGEST_WORD}}}|\s+")
_MOST_WORDS_KEPT = 300_000


class WordTokens:
    """Token counts of texts as the sum over their words, each with the white space before it.

    That sum is what a tokenizer gives that splits at white space first, as nearly all do; the others join tokens
    across it, so that the sum is at most too large. Words of more than 64 characters count in pieces.
    """

    def __init__(self, counter: TokenCounter) -> None:
        """Keep the counter; no word is known yet."""
        self._counter = counter
        self._known: dict[str, int] = {}
        self.own_marks = counter.own_marks

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the marks that a model puts around it."""
        words = [_WORD.findall(text) for text in texts]
        self._learn(words)
        tokens_of = self._known.__getitem__
        return [sum(map(tokens_of, found)) for found in words]

    def words(self, text: str, most: int) -> list[tuple[str, int]]:
        """The words of a text in order with their tokens; one of more than `most` tokens comes letter by letter."""
        found = _WORD.findall(text)
        self._learn([found])
        pieces = [piece for word in found for piece in ([word] if self._known[word] <= most else [*word])]
        self._learn([pieces])
        return [(piece, self._known[piece]) for piece in pieces]

    def _learn(self, words: Sequence[Sequence[str]]) -> None:
        wanted = set().union(*words)
        if len(self._known) > _MOST_WORDS_KEPT:
            self._known = {word: tokens for word, tokens in self._known.items() if word in wanted}
        new = [word for word in wanted if word not in self._known]  # a difference would walk all known words
        self._known.update(zip(new, self._counter.count(new), strict=True))
