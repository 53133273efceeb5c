from __future__ import annotations

import pytest

from datagen.generation.recipes.checks_language import fits_passage, identify, is_in_language
from datagen.generation.recipes.language_names import Language, find_language

QUERIES = {
    "de": "wie verlängere ich einen verlorenen Reisepass im Ausland",
    "fr": "quels sont les symptômes d'une carence en fer",
    "es": "cuáles son los síntomas de la falta de hierro",
    "it": "perché le foglie cadono in autunno",
    "pt": "preço médio de um apartamento em Lisboa",
    "nl": "waarom vallen bladeren in de herfst",
    "pl": "jakie są objawy niedoboru żelaza",
    "sv": "varför faller löven på hösten",
    "tr": "yurt dışında kaybolan pasaport nasıl yenilenir",
    "ru": "почему осенью опадают листья",
    "ar": "لماذا تتساقط الأوراق في الخريف",
    "hi": "आयरन की कमी के लक्षण क्या हैं",
    "zh": "秋天树叶为什么会掉下来",
    "ja": "秋に葉が落ちるのはなぜですか",
    "ko": "가을에 나뭇잎이 떨어지는 이유",
    "vi": "tại sao lá rụng vào mùa thu",
    "en": "what are the symptoms of iron deficiency",
}


def language(name: str) -> Language:
    found = find_language(name)
    assert found is not None
    return found


@pytest.mark.parametrize("code", QUERIES)
def test_query_is_in_its_own_language(code: str) -> None:
    assert is_in_language(QUERIES[code], language(code))


@pytest.mark.parametrize("code", QUERIES)
def test_query_is_in_hardly_any_other_language(code: str) -> None:
    others = [other for other in QUERIES if other != code and is_in_language(QUERIES[code], language(other))]
    assert len(others) <= 1
    assert "en" not in others


@pytest.mark.parametrize(
    ("text", "name", "fits"),
    [
        pytest.param("Panthers defense", "German", True, id="two-words"),
        pytest.param("iPhone 15 Pro Max", "Chinese", True, id="a-name-in-Latin-letters"),
        pytest.param("how do leaves turn brown", "Chinese", False, id="a-sentence-in-Latin-letters"),
        pytest.param("почему", "English", False, id="one-word-in-another-script"),
        pytest.param("2024 – 2025", "Greek", True, id="no-letters"),
        pytest.param("", "Greek", True, id="empty"),
        pytest.param("bharat ke pehle rashtrapati kaun the", "Romanized Hindi", True, id="romanised"),
        pytest.param("भारत के पहले राष्ट्रपति कौन थे", "Romanized Hindi", False, id="not-romanised"),
        pytest.param("who was the first president of this country", "Romanized Hindi", False, id="English-instead"),
        pytest.param("who was the first president of this country", "Xhosa", False, id="English-for-one-not-known"),
        pytest.param("hvem var den første konge af Danmark", "Norwegian", True, id="a-near-relative"),
        pytest.param("ko je bio prvi kralj Srbije", "Serbian", True, id="one-of-two-scripts"),
    ],
)
def test_text_fits_a_language(text: str, name: str, fits: bool) -> None:
    assert is_in_language(text, language(name)) is fits


@pytest.mark.parametrize(
    ("name", "code", "scripts"),
    [
        pytest.param("German", "de", ("Latn",), id="name"),
        pytest.param(" english ", "en", ("Latn",), id="small-letters"),
        pytest.param("pt-BR", "pt", ("Latn",), id="region"),
        pytest.param("deu_Latn", "de", ("Latn",), id="three-letters"),
        pytest.param("zh-Hant", "zh", ("Hani",), id="script"),
        pytest.param("Chinese (traditional)", "zh", ("Hani",), id="aside"),
        pytest.param("sr", "sr", ("Cyrl", "Latn"), id="two-scripts"),
        pytest.param("sr-Latn", "sr", ("Latn",), id="one-of-two-scripts"),
        pytest.param("hi-Latn", "hi", ("Latn",), id="romanised-code"),
        pytest.param("Hindi in Latin letters", "hi", ("Latn",), id="romanised-name"),
        pytest.param("Norwegian (Bokmål)", "no", ("Latn",), id="variety"),
    ],
)
def test_language_is_found_by_name_and_code(name: str, code: str, scripts: tuple[str, ...]) -> None:
    found = language(name)
    assert (found.code, found.scripts) == (code, scripts)
    assert found.romanised is (code == "hi")


def test_unknown_language_is_none() -> None:
    assert find_language("Klingon") is None
    assert find_language("qq") is None


def test_passage_is_identified_when_that_is_sure() -> None:
    assert identify("Die Loire entspringt im Zentralmassiv und mündet in den Atlantischen Ozean.") == "de"
    assert identify("xyz") == ""


def test_anything_fits_a_passage_whose_language_is_not_known() -> None:
    assert fits_passage("wo mündet die Loire in das Meer", "A-17 / 24.3 / B", None)
