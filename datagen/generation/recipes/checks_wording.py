"""Phrases that give an answer away as useless: words for a passage that whoever searches has not seen.

Real people write `what is a table of contents`: a phrase is listed only where next to no real query has it.
The patterns see a text in lower case, with plain apostrophes and single spaces; each is
tried only on texts that hold one of its marks, because finding those costs next to nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TIDY = str.maketrans("’‘", "''")


class Phrases(NamedTuple):
    """Patterns, and the marks without which none of them matches."""

    marks: tuple[str, ...]
    """Pieces of text, one of which stands in whatever the pattern matches."""
    pattern: re.Pattern[str]


def depends_on_passage(text: str) -> bool:
    """Whether a text speaks of a passage, a table or an author that only the generator has seen."""
    return _DEPENDENCE.stands_in(text)


class Listed:
    """Groups of phrases; the marks of all of them are looked for at once, for texts of ASCII those of ASCII alone."""

    def __init__(self, *groups: Phrases) -> None:
        """Take the groups, from `phrases`."""
        self._groups = groups
        marks = list(dict.fromkeys(mark for group in groups for mark in group.marks))
        self._marks = {True: list(filter(str.isascii, marks)), False: marks}

    def stands_in(self, text: str) -> bool:
        """Whether one of the phrases stands in a text."""
        tidy = tidied(text)
        if not any(map(tidy.__contains__, self._marks[tidy.isascii()])):
            return False
        return any(
            any(map(tidy.__contains__, group.marks)) and group.pattern.search(tidy) is not None
            for group in self._groups
        )  # fmt: skip


def tidied(text: str) -> str:
    """A text in lower case, with plain apostrophes and single spaces."""
    return " ".join((text if text.isascii() else text.translate(_TIDY)).lower().split())


def phrases(marks: str, *patterns: str) -> Phrases:
    """Patterns with their marks, which stand between spaces and have `_` for a space."""
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return Phrases(tuple(mark.replace("_", " ") for mark in marks.split()), re.compile(joined))


_TEXT = "(?:passage|text|article|document|excerpt|paragraph|snippet|context|extract)"
_PART = "(?:section|abstract|study|paper|report|table|figure|chart|diagram|graph|image|list|data|information)"
_WRITER = "(?:authors?|writers?|speaker|narrator)"
_SHOWN = "(?:above|below|given|provided|following|preceding|previous|attached|accompanying|aforementioned)"
_SAYS = (
    "(?:say|state|mention|describe|discuss|explain|suggest|claim|argue|indicate|imply|conclude|note|report|refer|list"
    "|cover|tell|highlight|outline)"
)
_DEPENDENCE = Listed(
    phrases(
        "passage text article document excerpt paragraph snippet context extract",
        rf"\b(?:this|these|both|each) (?:{_SHOWN} )?{_TEXT}s?\b(?! (?:of|type|format|editor|field|message)s?\b)",
        rf"\bthe {_SHOWN} {_TEXT}s?\b",
        rf"\bthe {_TEXT}s? (?:above|below|provided|presented|shown)\b(?! (?:by|at|in|to)\b)",
        rf"\b(?:in|from|by|per|within|throughout|of) the (?:{_SHOWN} )?(?:passage|excerpt|snippet)s?\b",
        rf"\b(?:does|do|did|would|can|how|why|what|that|which) the {_TEXT} (?:\w+ly )?{_SAYS}(?:s|d|es|ed)?\b",
        rf"(?:^|[.?!:;] ?)the (?:passage|text|article|excerpt|paragraph) (?:\w+ly )?{_SAYS}(?:s|d|es|ed)?\b",
        r"\bthe (?:passage|excerpt)'s\b",
        r"\b(?:first|second|third|last|final|opening|two|three) (?:passage|paragraph|excerpt)s?\b",
        r"</?(?:passage|text|document|context)\b",
    ),
    phrases(
        "table figure chart diagram graph image list data information section abstract study paper report chapter",
        rf"\bthe {_SHOWN} {_PART}s?\b(?! (?:to|for|of|as)\b)",
        rf"\bthe {_PART}s? (?:above|below)\b",
        r"\b(?:in|by|from) (?:the|this) (?:table|figure|chart|diagram)(?=[?.!,;:]|$| (?:above|below|shown|provided))",
        rf"\b(?:in|of|from|by) (?:this|these) {_PART}s?\b(?= ?(?:[?.!,;:]|$))",
        rf"\b(?:this|the present|the current) (?:study|paper|report|section|chapter) (?:{_SAYS}(?:s|d|es|ed)?|finds?"
        r"|found|shows?|showed|aims?|investigates?|examines?|presents?)\b",
    ),
    phrases(
        "according_to based described_in mentioned_in stated_in discussed_in shown_in noted_in provided_in",
        rf"\b(?:according to|based (?:up)?on|(?:described|mentioned|stated|discussed|shown|noted|provided) in) "
        rf"(?:the|this|these) (?:{_SHOWN} )?(?:{_TEXT}s?|{_PART}s?|{_WRITER})\b(?! (?:of|on|by|for|published)\b)",
    ),
    phrases(
        "author writer speaker narrator",
        rf"\b(?:does|do|did|would) the {_WRITER} (?:\w+ly )?(?:{_SAYS}|mean|think|believe|draw|present|recommend)\b",
    ),
    phrases(
        "text abschnitt artikel passage absatz auszug autor verfasser",
        r"\b(?:in|laut|nach|gemäß|aus|von) (?:diese[mnrs]|dem|der|des)? ?(?:(?:obigen|vorliegenden|gegebenen) )?"
        r"(?:text|abschnitt|artikel|passage|absatz|auszug|autor|verfasser|text(?:ab|aus)schnitt)(?:e?s|en)?\b"
        r"(?! (?:of|in|from|and|or|to|messages?)\b)",
        r"\b(?:sagt|nennt|beschreibt|erwähnt|erklärt) (?:der|dieser) (?:text|artikel|abschnitt|autor|verfasser)\b",
    ),
    phrases(
        "texte passage extrait paragraphe auteur",
        r"\b(?:dans|selon|d'après) ?(?:ce|cet|cette|le|la|l')? ?(?:texte|passage|extrait|paragraphe|auteur)s?\b",
        r"\b(?:dit|décrit|mentionne|explique) (?:le|ce|l')(?: ?)(?:texte|passage|extrait|auteur)\b",
        r"\bde ce (?:texte|passage)\b",
    ),
    phrases(
        "texto pasaje fragmento párrafo extracto autor trecho parágrafo excerto",
        r"\b(?:en|según|de acuerdo con) ?(?:este|el)? ?(?:texto|pasaje|fragmento|párrafo|extracto|autor)\b",
        r"\b(?:no|neste|nesse|segundo o|de acordo com o|conforme o) (?:texto|trecho|parágrafo|excerto|autor)\b",
    ),
    phrases(
        "testo brano passaggio paragrafo autore",
        r"\b(?:nel|nell'|in|secondo|dal) ?(?:questo|il|lo|l')? ?(?:testo|brano|passaggio|paragrafo|autore)\b",
    ),
    phrases(
        "tekst passage alinea fragment auteur",
        r"\b(?:in|volgens|uit) (?:deze|dit|de|het) (?:bovenstaande )?(?:tekst|passage|alinea|fragment|auteur)\b",
    ),
    phrases(
        "tekś tekst fragment autora akapi",
        r"\b(?:w|według|zgodnie z) ?(?:tym|tego|powyższym|powyższego)? ?"
        r"(?:tekście|tekstu|tekstem|fragmencie|fragmentu|fragmentem|autora|akapicie|akapitu)\b",
    ),
    phrases(
        "текст отрыв абзац автор",
        r"\b(?:в|из|согласно|по мнению) ?(?:этом|этого|этому|данном|данного|данному|приведенном|приведённом)? ?"
        r"(?:текст|отрывк|абзац|автор)[а-я]{0,2}\b",
    ),
    phrases("metin metne pasaj paragra parça", r"\b(?:bu|yukarıdaki|verilen) (?:met[ni]|pasaj|paragra|parça)\w*"),
    phrases("đoạn bài_viết văn_bản", r"\b(?:trong|theo) (?:đoạn văn|bài viết|văn bản|đoạn trích)"),
    phrases(
        "teks bacaan paragraf artikel kutipan",
        r"\b(?:dalam|menurut|berdasarkan) (?:teks|bacaan|paragraf|artikel|kutipan)(?: ini| di atas| tersebut)?\b",
    ),
    phrases("نص فقرة مقطع مقال", r"(?:في|حسب|وفقا ل|وفقًا ل|وفق) ?(?:هذا |هذه )?(?:لنص|النص|الفقرة|المقطع|المقال)\b"),
    phrases(
        "अनुच्छेद गद्यांश लेख पाठ परिच्छेद",
        r"(?:इस|उपरोक्त|दिए गए) (?:अनुच्छेद|गद्यांश|लेख|पाठ|परिच्छेद)(?= |[?।]|$)|(?:अनुच्छेद|गद्यांश) (?:के अनुसार|में)",
    ),
    phrases(
        "文 段 材料 作者 選段 选段",
        r"(?:这|该|此|本|上述|以上|给定的?|所给的?|這|該)[段篇]?(?:文字|文章|文本|段落|短文|材料|文档|选段|選段)"
        r"|(?:根据|按照|依据|根據)(?:上文|文章|文本|文中|原文|短文|材料|作者|段落|本文|选段)|文中(?:提到|所述|说)",
        r"(?:この|その|上記の|次の|以下の|本)(?:文章|文|テキスト|記事|段落|一節|文書)(?![字化学])|(?:文章|本文)(?:によると|によれば|の中で)",
    ),
    phrases("テキスト 記事 著者", r"(?:この|上記の|次の|以下の)(?:テキスト|記事)|著者(?:によると|によれば)"),
    phrases(
        "글 지문 본문 문서 단락 기사 텍스트",
        r"(?:이|위|윗|위의|해당|주어진) ?(?:글|지문|본문|문서|단락|기사|텍스트)(?:에서|에|은|는|의|을|를)",
        r"(?:본문|지문)에 따르면",
    ),
)
