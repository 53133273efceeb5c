"""Phrases that give an answer away as useless: a refusal, or words for a passage that whoever searches has not seen.

Real people write `I'm sorry, but I can't find my card` and `what is a table of contents`: a phrase is listed only where
next to no real query has it. The patterns see a text in lower case, with plain apostrophes and single spaces; each is
tried only on texts that hold one of its marks, because finding those costs next to nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MOST_CHARACTERS = 400
"""Whoever refuses does so at the beginning."""
_TIDY = str.maketrans("’‘", "''")


class _Phrases(NamedTuple):
    marks: tuple[str, ...]
    """Pieces of text, one of which stands in whatever the pattern matches."""
    pattern: re.Pattern[str]


def depends_on_passage(text: str) -> bool:
    """Whether a text speaks of a passage, a table or an author that only the generator has seen."""
    return _DEPENDENCE.stands_in(text)


def is_refusal(text: str) -> bool:
    """Whether a text is a refusal, says that nothing could be written, or is a placeholder."""
    return _REFUSALS.stands_in(text[:_MOST_CHARACTERS])


class _Listed:
    """Groups of phrases; the marks of all of them are looked for at once, for texts of ASCII those of ASCII alone."""

    def __init__(self, *groups: _Phrases) -> None:
        self._groups = groups
        marks = list(dict.fromkeys(mark for group in groups for mark in group.marks))
        self._marks = {True: list(filter(str.isascii, marks)), False: marks}

    def stands_in(self, text: str) -> bool:
        """Whether one of the phrases stands in a text."""
        tidy = " ".join((text if text.isascii() else text.translate(_TIDY)).lower().split())
        if not any(map(tidy.__contains__, self._marks[tidy.isascii()])):
            return False
        return any(
            any(map(tidy.__contains__, group.marks)) and group.pattern.search(tidy) is not None
            for group in self._groups
        )  # fmt: skip


def _phrases(marks: str, *patterns: str) -> _Phrases:
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return _Phrases(tuple(mark.replace("_", " ") for mark in marks.split()), re.compile(joined))


_TEXT = "(?:passage|text|article|document|excerpt|paragraph|snippet|context|extract)"
_PART = "(?:section|abstract|study|paper|report|table|figure|chart|diagram|graph|image|list|data|information)"
_WRITER = "(?:authors?|writers?|speaker|narrator)"
_SHOWN = "(?:above|below|given|provided|following|preceding|previous|attached|accompanying|aforementioned)"
_SAYS = (
    "(?:say|state|mention|describe|discuss|explain|suggest|claim|argue|indicate|imply|conclude|note|report|refer|list"
    "|cover|tell|highlight|outline)"
)
_DEPENDENCE = _Listed(
    _phrases(
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
    _phrases(
        "table figure chart diagram graph image list data information section abstract study paper report chapter",
        rf"\bthe {_SHOWN} {_PART}s?\b(?! (?:to|for|of|as)\b)",
        rf"\bthe {_PART}s? (?:above|below)\b",
        r"\b(?:in|by|from) (?:the|this) (?:table|figure|chart|diagram)(?=[?.!,;:]|$| (?:above|below|shown|provided))",
        rf"\b(?:in|of|from|by) (?:this|these) {_PART}s?\b(?= ?(?:[?.!,;:]|$))",
        rf"\b(?:this|the present|the current) (?:study|paper|report|section|chapter) (?:{_SAYS}(?:s|d|es|ed)?|finds?"
        r"|found|shows?|showed|aims?|investigates?|examines?|presents?)\b",
    ),
    _phrases(
        "according_to based described_in mentioned_in stated_in discussed_in shown_in noted_in provided_in",
        rf"\b(?:according to|based (?:up)?on|(?:described|mentioned|stated|discussed|shown|noted|provided) in) "
        rf"(?:the|this|these) (?:{_SHOWN} )?(?:{_TEXT}s?|{_PART}s?|{_WRITER})\b(?! (?:of|on|by|for|published)\b)",
    ),
    _phrases(
        "author writer speaker narrator",
        rf"\b(?:does|do|did|would) the {_WRITER} (?:\w+ly )?(?:{_SAYS}|mean|think|believe|draw|present|recommend)\b",
    ),
    _phrases(
        "text abschnitt artikel passage absatz auszug autor verfasser",
        r"\b(?:in|laut|nach|gemäß|aus|von) (?:diese[mnrs]|dem|der|des)? ?(?:(?:obigen|vorliegenden|gegebenen) )?"
        r"(?:text|abschnitt|artikel|passage|absatz|auszug|autor|verfasser|text(?:ab|aus)schnitt)(?:e?s|en)?\b"
        r"(?! (?:of|in|from|and|or|to|messages?)\b)",
        r"\b(?:sagt|nennt|beschreibt|erwähnt|erklärt) (?:der|dieser) (?:text|artikel|abschnitt|autor|verfasser)\b",
    ),
    _phrases(
        "texte passage extrait paragraphe auteur",
        r"\b(?:dans|selon|d'après) ?(?:ce|cet|cette|le|la|l')? ?(?:texte|passage|extrait|paragraphe|auteur)s?\b",
        r"\b(?:dit|décrit|mentionne|explique) (?:le|ce|l')(?: ?)(?:texte|passage|extrait|auteur)\b",
        r"\bde ce (?:texte|passage)\b",
    ),
    _phrases(
        "texto pasaje fragmento párrafo extracto autor trecho parágrafo excerto",
        r"\b(?:en|según|de acuerdo con) ?(?:este|el)? ?(?:texto|pasaje|fragmento|párrafo|extracto|autor)\b",
        r"\b(?:no|neste|nesse|segundo o|de acordo com o|conforme o) (?:texto|trecho|parágrafo|excerto|autor)\b",
    ),
    _phrases(
        "testo brano passaggio paragrafo autore",
        r"\b(?:nel|nell'|in|secondo|dal) ?(?:questo|il|lo|l')? ?(?:testo|brano|passaggio|paragrafo|autore)\b",
    ),
    _phrases(
        "tekst passage alinea fragment auteur",
        r"\b(?:in|volgens|uit) (?:deze|dit|de|het) (?:bovenstaande )?(?:tekst|passage|alinea|fragment|auteur)\b",
    ),
    _phrases(
        "tekś tekst fragment autora akapi",
        r"\b(?:w|według|zgodnie z) ?(?:tym|tego|powyższym|powyższego)? ?"
        r"(?:tekście|tekstu|tekstem|fragmencie|fragmentu|fragmentem|autora|akapicie|akapitu)\b",
    ),
    _phrases(
        "текст отрыв абзац автор",
        r"\b(?:в|из|согласно|по мнению) ?(?:этом|этого|этому|данном|данного|данному|приведенном|приведённом)? ?"
        r"(?:текст|отрывк|абзац|автор)[а-я]{0,2}\b",
    ),
    _phrases("metin metne pasaj paragra parça", r"\b(?:bu|yukarıdaki|verilen) (?:met[ni]|pasaj|paragra|parça)\w*"),
    _phrases("đoạn bài_viết văn_bản", r"\b(?:trong|theo) (?:đoạn văn|bài viết|văn bản|đoạn trích)"),
    _phrases(
        "teks bacaan paragraf artikel kutipan",
        r"\b(?:dalam|menurut|berdasarkan) (?:teks|bacaan|paragraf|artikel|kutipan)(?: ini| di atas| tersebut)?\b",
    ),
    _phrases("نص فقرة مقطع مقال", r"(?:في|حسب|وفقا ل|وفقًا ل|وفق) ?(?:هذا |هذه )?(?:لنص|النص|الفقرة|المقطع|المقال)\b"),
    _phrases(
        "अनुच्छेद गद्यांश लेख पाठ परिच्छेद",
        r"(?:इस|उपरोक्त|दिए गए) (?:अनुच्छेद|गद्यांश|लेख|पाठ|परिच्छेद)(?= |[?।]|$)|(?:अनुच्छेद|गद्यांश) (?:के अनुसार|में)",
    ),
    _phrases(
        "文 段 材料 作者 選段 选段",
        r"(?:这|该|此|本|上述|以上|给定的?|所给的?|這|該)[段篇]?(?:文字|文章|文本|段落|短文|材料|文档|选段|選段)"
        r"|(?:根据|按照|依据|根據)(?:上文|文章|文本|文中|原文|短文|材料|作者|段落|本文|选段)|文中(?:提到|所述|说)",
        r"(?:この|その|上記の|次の|以下の|本)(?:文章|文|テキスト|記事|段落|一節|文書)(?![字化学])|(?:文章|本文)(?:によると|によれば|の中で)",
    ),
    _phrases("テキスト 記事 著者", r"(?:この|上記の|次の|以下の)(?:テキスト|記事)|著者(?:によると|によれば)"),
    _phrases(
        "글 지문 본문 문서 단락 기사 텍스트",
        r"(?:이|위|윗|위의|해당|주어진) ?(?:글|지문|본문|문서|단락|기사|텍스트)(?:에서|에|은|는|의|을|를)",
        r"(?:본문|지문)에 따르면",
    ),
)

_SORRY = (
    r"(?:(?:i'?m|i am|we're|we are) )?(?:(?:very|so|really|truly|terribly) )?(?:sorry"
    r"|(?:i |we |my )?(?:apologi[sz]e|apologies|regret)|unfortunately|regrettably"
    r"|(?:i'm|i am) afraid)\b"
)
_CANNOT = (
    r"(?:cannot|can't|can not|could not|couldn't|(?:won't|will not)(?: be able to)?"
    r"|(?:am|are|'m|'re) (?:not able|unable) to|(?:must|have to|need to) (?:decline|refuse) to"
    r"|(?:do not|don't) have (?:access|the (?:ability|capability|means)) to)"
)
_DOES = (
    r"(?:assist|help|provid|generat|creat|writ|fulfil|comply|answer|produc|offer|discuss|respond|engag|formulat|compos"
    r"|continu|proceed|search|access|do (?:that|this|so)\b)"
)
_PRODUCT = (
    r"(?:quer(?:y|ies)|questions?|content|requests?|texts?|passages?|examples?|responses?|search(?:es)?|advice|guidance"
    r"|assistance)"
)
_INPUT = r"(?:passage|text|document|content|input|excerpt|article|context)"
_REFUSALS = _Listed(
    _phrases(
        "sorry apolog regret",
        rf"^\W*{_SORRY}[^.?!]{{0,40}}?\b(?:i|we) ?(?:{_CANNOT}|(?:do not|did not|don't|didn't) understand)\b",
    ),
    _phrases(
        "sorry apolog regret unfortunately afraid",
        rf"^\W*{_SORRY}[^.?!]{{0,60}}?\b(?:i|we) ?{_CANNOT} (?:\w+ ){{0,3}}?{_DOES}",
        rf"^\W*{_SORRY}[^.?!]{{0,40}}?\bno (?:\w+ )?{_PRODUCT}\b",
        rf"^\W*{_SORRY}[^.?!]{{0,30}}?\b(?:i don't feel|that goes against|this (?:request|content|topic|{_INPUT})"
        rf"|there(?:'s| is) (?:no|not)|the (?:\w+ )?(?:request|{_INPUT}))\b",
    ),
    _phrases(
        "cannot can't can_not could_not couldn't won't will_not not_able unable decline refuse have_the have_access",
        rf"^\W*(?:i|we) ?{_CANNOT} (?:\w+ ){{0,2}}?(?:fulfil|comply|generat|formulat|assist|discuss|engage (?:in|with)"
        r"|(?:help|continue|proceed) (?:you )?with)\w*[^?]*$",
        rf"(?:^\W*|, )(?:i|we) ?{_CANNOT} (?:writ|creat|generat|produc|formulat|compos|provid)\w* "
        r"(?:about|such|this|that|anything)\b",
        rf"^\W*(?:i|we) ?{_CANNOT} (?:\w+ ){{0,2}}?(?:creat|writ|provid|produc|answer|compos)\w* "
        rf"(?:(?!my\b)\w+ ){{0,3}}?{_PRODUCT}\b",
        r"^\W*i (?:won't|will not|refuse to|must refuse to|decline to) (?:write|create|generate|answer|do) "
        r"(?:this|that|it|any)\b",
        rf"\b{_CANNOT} (?:\w+ )?(?:fulfil\w*|comply with|assist with|help with|complete|process) (?:this|that|your) "
        r"(?:\w+ )?(?:request|task|instruction|prompt|query)s?\b",
        r"^\W*unable to (?:generat|creat|writ|produc|formulat|answer|compl|provid)\w*(?: \w+){0,6}\W*$",
    ),
    _phrases(
        "not_be could_be can_be cannot_be not_possible impossible",
        rf"^\W*(?:no |an? |the |your |this )?(?:\w+ )?{_PRODUCT} (?:cannot|can|could|could not) be (?:\w+ly )?"
        r"(?:generated|created|written|produced|formulated|derived|made|provided|answered|completed|fulfilled)\b[^?]*$",
        rf"^\W*it(?:'s| is) (?:not possible|impossible) (?:for me to {_DOES}|to (?:generat|creat|writ|formulat)\w*)",
    ),
    _phrases(
        "comfortable instructed programmed provide share paste",
        r"^\W*i(?:'m| am| do| don't)(?: not)? (?:feel )?comfortable (?:with )?"
        r"(?:writ|creat|generat|discuss|provid|answer)",
        r"^\W*i (?:have been|was|am) (?:instructed|programmed|designed) (?:not )?to\b",
        r"^\W*(?:(?:could|can|would) you )?(?:please )?(?:provide|share|paste) (?:me )?(?:with )?"
        rf"(?:the|a|your|more|some) (?:\w+ )?{_INPUT}\b",
    ),
    _phrases(
        "ai_ ai, artificial language_model assistant",
        r"\bas (?:an?|your) (?:\w+ ){0,2}(?:ai|artificial intelligence|language model|virtual assistant"
        r"|ai[- ]\w+)\b[^?]{0,40}\b(?:i|my|me)\b",
        r"\bi(?:'m| am) (?:just |only )?an? (?:ai|(?:large )?language model|ai \w+|virtual assistant)\b",
    ),
    _phrases(
        "guideline polic programming principles",
        r"\b(?:against|violates?|violating) (?:my|our|the|content|usage|safety) (?:\w+ ){0,2}"
        r"(?:guidelines|polic(?:y|ies)|programming|principles)\b",
    ),
    _phrases(
        "passage text document content input excerpt article",
        rf"^\W*(?:the|this|your) (?:\w+ )?{_INPUT} (?:(?:provided|given|above) )?"
        r"(?:(?:does|did)(?: not|n't)|is (?:too|empty|not|incomplete|unclear|missing|insufficient)"
        r"|lacks|has no|contains no|provides no|appears to be empty)\b",
    ),
    _phrases(
        "information context content detail",
        r"^\W*(?:there (?:is no|is not enough|isn't enough|is insufficient)|i (?:would )?need more"
        r"|i (?:do not|don't) have (?:enough|sufficient)|not enough|insufficient|no relevant) "
        r"(?:\w+ )?(?:information|context|content|detail)\w*\b[^?]*$",
    ),
    _phrases(
        "n/a none null nil not_ no_ undefined todo tbd [ query question placeholder",
        r"^\W*(?:n ?/ ?a|none|null|nil|undefined|todo|tbd|placeholder|query|question|your query"
        r"|not (?:applicable|available|possible|provided)"
        r"|no (?:answer|query|question|output|response|label)(?: possible| available| provided)?"
        r"|(?:answer|query|question) (?:not available|unavailable|not possible|not found))\W*$",
        r"^\[[^\]]*(?:query|question|text|insert|redacted|removed|placeholder)[^\]]*\]\W*$",
    ),
    _phrases(
        "kann_ puis peux puedo posso ik_kan mogę могу смогу",
        r"^\W*(?:ich kann|dazu kann ich|hier kann ich|das kann ich) (?:leider )?"
        r"(?:keine?n?|nicht|dabei|diese[rsn]?|dazu)\b"
        r"[^?]*(?:anfrage|frage|suchanfrage|inhalt|text|nicht (?:helfen|beantworten|erfüllen))",
        r"^\W*je ne (?:peux|puis)(?: malheureusement)? pas (?:vous |t')?(?:aider|répondre|"
        r"(?:générer|créer|fournir|rédiger|écrire|formuler) (?:de|une|un|ce|cette) "
        r"(?:requête|question|contenu|texte|réponse|demande))",
        r"^\W*no puedo (?:ayudar|responder|cumplir|(?:generar|crear|escribir|proporcionar|formular) "
        r"(?:una?|esta|este|esa|ese) (?:consulta|pregunta|contenido|texto|respuesta|solicitud))",
        r"^\W*non posso (?:aiutar|rispondere|(?:generare|creare|scrivere|fornire|formulare) (?:una?|questa?|questo) "
        r"(?:query|domanda|contenuto|testo|risposta|richiesta))",
        r"^\W*não posso (?:ajudar|responder|(?:gerar|criar|escrever|fornecer) (?:uma?|esta|este|essa|esse) "
        r"(?:consulta|pergunta|conteúdo|texto|resposta))",
        r"^\W*ik kan (?:hier|je|u|dit|deze|geen|daar)\b[^?]*(?:niet (?:mee )?helpen|vraag|zoekopdracht|verzoek)",
        r"^\W*nie mogę (?:pomóc|odpowiedzieć|(?:wygenerować|utworzyć|napisać) (?:zapytania|pytania|treści|tekstu))",
        r"^\W*я не (?:могу|смогу) (?:помочь|ответить|выполнить|(?:создать|написать|составить) (?:запрос|вопрос|текст))",
    ),
    _phrases(
        "leid leider entschuldigung sprachmodell intelligenz als_ki",
        r"^\W*(?:es tut mir (?:sehr )?leid|tut mir leid|leider|entschuldigung)\b[^.?!]{0,40}\bkann (?:ich|diese)\b"
        r"[^?]*\bnicht\b",
        r"^\W*(?:es )?tut mir (?:sehr )?leid\b[^.?!]{0,10}\b(?:aber )?ich kann\b",
        r"\bals (?:eine? )?(?:ki|künstliche intelligenz|(?:großes )?sprachmodell)\b(?:-\w+)?[^?]{0,30}\b(?:ich|mir)\b",
    ),
    _phrases(
        "désolé navré en_tant_qu",
        r"^\W*(?:je suis (?:vraiment )?)?(?:désolée?|navrée?)\b[^.?!]{0,30}\bje ne (?:peux|suis)\b",
        r"\ben tant qu(?:e |')(?:une? )?(?:ia\b|intelligence artificielle|assistant|modèle de langage)",
    ),
    _phrases(
        "lo_siento lamenta disculp perdón desculp lamento infelizmente sinto_muito como_",
        r"^\W*(?:lo siento|lamentablemente|disculpa|perdón|lamento)\b[^.?!]{0,30}\bno "
        r"(?:puedo|me es posible|es posible)\b",
        r"^\W*(?:desculp[ea]|lamento|infelizmente|sinto muito)\b[^.?!]{0,30}\bnão (?:posso|consigo|é possível)\b",
        r"\bcomo (?:una? |uma )?(?:ia\b|intelig[eê]ncia artificial|modelo de (?:lenguaje|linguagem))",
    ),
    _phrases(
        "dispiace purtroppo spiacente come_",
        r"^\W*(?:mi dispiace|purtroppo|spiacente)\b[^.?!]{0,30}\bnon (?:posso|sono in grado)\b",
        r"\bcome (?:una? |un')?(?:ia\b|intelligenza artificiale|modello linguistico)",
    ),
    _phrases(
        "spijt helaas taalmodel sorry als_ai",
        r"^\W*(?:het spijt me|sorry|helaas)\b[^.?!]{0,20}\b(?:ik kan|kan ik)\b[^?]*\bniet\b",
        r"\bals (?:een )?(?:ai|taalmodel|kunstmatige intelligentie)\b[^?]{0,30}\bik\b",
    ),
    _phrases(
        "przepraszam przykro niestety",
        r"^\W*(?:przepraszam|przykro mi|niestety)\b[^.?!]{0,30}\bnie (?:mogę|jestem w stanie)\b",
    ),
    _phrases(
        "извините простите сожалению жаль сожалею модель интеллект",
        r"^\W*(?:извините|простите|к сожалению|мне жаль|сожалею)[^.?!]{0,30}\bне (?:могу|в состоянии|смогу)",
        r"\bкак (?:языковая модель|искусственный интеллект)\b",
    ),
    _phrases(
        "üzgünüm maalesef özür", r"^\W*(?:üzgünüm|maalesef|özür dilerim)\b[^.?!]{0,60}(?:[ıiuü]yorum|yamam|yemem)"
    ),
    _phrases("xin_lỗi rất_tiếc", r"^\W*(?:xin lỗi|rất tiếc)\b[^.?!]{0,20}(?:tôi|mình) không thể"),
    _phrases("maaf", r"^\W*(?:mohon )?maaf\b[^.?!]{0,20}\b(?:saya|kami) (?:tidak|tak) (?:dapat|bisa)\b"),
    _phrases("عذر آسف للأسف", r"^\W*(?:عذرا|عذرًا|آسف|أعتذر|للأسف)[^.?!؟]{0,30}لا (?:أستطيع|يمكنني|يمكن)"),
    _phrases("कीजि करें क्षमा खेद", r"^\W*(?:माफ़? ?क[ीर]|क्षमा कर|मुझे खेद है|खेद है)[^.?!।]{0,60}(?:नहीं कर|असमर्थ|नहीं दे|नहीं लिख)"),
    _phrases(
        "抱歉 对不起 對不起 不好意思 作为 作為",
        r"^\W*(?:很抱歉|抱歉|对不起|對不起|不好意思)[，,。\s]*(?:但)?我?(?:无法|不能|無法|没办法)",
        r"作[为為](?:一个|一名|一個)?(?:ai|人工智能|人工智慧|大?型?语言模型|語言模型)",
    ),
    _phrases(
        "申し訳 すみません ごめん として",
        r"^\W*(?:申し訳(?:ありません|ございません|ない)|すみません|ごめんなさい)[^？?]{0,40}(?:できません|できかね|お答えでき)",
        r"(?:ai|人工知能|言語モデル)(?:アシスタント)?として",
    ),
    _phrases(
        "죄송 미안 로서 때문에",
        r"^\W*(?:죄송|미안)[^?]{0,40}(?:수 없|못합|불가)|수 없\w{0,3} 죄송",
        r"(?:ai|인공지능|언어 모델)(?:로서|이기 때문에)",
    ),
)
