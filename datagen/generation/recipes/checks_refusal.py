"""Refusals: what a model writes in place of the query, passage or label that it was asked for.

Real people write `I'm sorry, but I can't find my card`, so no single word tells. An English text counts signs: an
apology, somebody who cannot or will not, a verb of writing or helping that this is said of, words of the task (query,
passage, request), an AI that speaks of itself, rules, something that is missing; enough of them make a refusal, whatever
the wording. What people say of their own things counts against it. Other languages, and what has no such signs, are
phrases. `benchmarks/README.md` has the figures, on sentences that were written before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from datagen.generation.recipes.checks_wording import Listed, Phrases, phrases, tidied

_MOST_CHARACTERS = 400
"""Whoever refuses does so at the beginning."""
_OPENING = 250
"""Signs are looked for among so many characters, in so many sentences."""
_SENTENCES = 2
_ENOUGH = 3


def is_refusal(text: str) -> bool:
    """Whether a text is a refusal, says that nothing could be written, or is a placeholder."""
    beginning = text[:_MOST_CHARACTERS]
    return _REFUSALS.stands_in(beginning) or count_signs(beginning) >= _ENOUGH


def count_signs(text: str) -> int:
    """The points of an English text for its signs of a refusal, those against it taken off; 3 make one."""
    tidy = tidied(text)[:_OPENING]
    if not any(map(tidy.__contains__, _MARKS)):
        return 0
    opening = " ".join(_SENTENCE_ENDS.split(tidy)[:_SENTENCES])
    return sum(points for points, sign in _SIGNS if sign.search(opening))


_SENTENCE_ENDS = re.compile(r"(?<=[.!?]) ")
_MARKS = (
    "can't", "cannot", "can not", "n't ", " not ", "not ", "no ", "nothing", "unable", "decline", "refus", "denied",
    "sorry", "apolog", "beyond", "outside", "please", "missing", "empty", "blank", "lack", "insufficient", "without",
    "prevent", "forbid", "prohibit", "violat", "unclear", "need more", "pass on", "language model", "avoid", "against", "incapable", "prefer", "unethical",
    "impossible", "wrong",
    "too short", "incomplete", "cut off",
)  # fmt: skip
"""One of these stands in each text that has signs enough."""
_MODAL = (
    r"(?:can(?:no|')t|can not|could(?:n't| not)|w(?:on't|ill not)|wouldn't|would not|should(?:n't| not)|must not|may not"
    r"|(?:(?:would|'d) )?(?:rather|prefer) not(?: to)?|(?:do not|don't) (?:wish|want|intend) to|have nothing to"
    r"|(?:am |was |'ve been |have been )?(?:asked|told|instructed|programmed|trained|designed) not to"
    r"|(?:do not|don't) (?:\w+ )?(?:think|believe) (?:that )?(?:i|we) (?:can|could|should|may|am able to))"
)
_STATE = (
    r"(?:(?:am|'m|are|'re|was|were|have been|haven't been|wasn't|weren't|aren't|feel|'ve been|do|don't|did|didn't)"
    r"(?: \w+ly| currently| just)?(?: not)?(?: going to be| feel| be)? "
    r"(?:(?:not )?(?:able|willing|allowed|permitted|authori[sz]ed|comfortable|going|equipped|prepared|qualified"
    r"|designed|programmed|trained|instructed|meant|capable|supposed|in a position|at liberty|here)|unable|incapable"
    r"|unwilling|prohibited|forbidden))"
)
_DECLINES = (
    r"(?:(?:must|have to|'ll have to|will have to|need to|going to have to|would like to|'d like to|choose to|prefer to"
    r"|want to)? ?(?:\w+ly )?(?:decline|refuse|pass on|refrain|abstain)\b|must avoid\b)"
)
_I = r"(?:\b(?:i|we)(?: \w+ly| also| still| just| really)?|(?:^|[,;] |\b(?:and|but|so|therefore|then) )(?:i )?)"
_NEGATED = r"(?=[^.]*(?:\bnot\b|n't|\bun|\bincap|prohibited|forbidden))"
_UNWILLING = (
    rf"(?:^\W*(?:unable|not able|not allowed|not possible)\b|{_I} ?(?:{_MODAL}|{_DECLINES})|\b(?:i|we) ?{_NEGATED}{_STATE}"
    r"|\b(?:inappropriate|unethical|irresponsible|wrong|illegal|impossible|appropriate|possible|right|ethical|safe|able) "
    r"for (?:me|us) to"
    r"|\b(?:not|isn't|nothing|never|beyond|outside|exceeds)\b[^.?!]{0,25}? (?:what |that |which )?(?:i|we)"
    r"(?:'m| am|'re| are)? ?(?:\w+ly )?(?:can|could|will|would|may|able|allowed|willing|permitted|do)\b"
    r"|\b(?:beyond|outside) (?:of )?(?:my|our) (?:\w+ )?(?:abilit|capabilit|scope|competence|purpose|power|role))"
)
_WRITING = (
    r"(?:assist|help(?:ing)? (?:you|with|out|here|there|on)|help(?=[.!,]|$)|fulfi|compl(?:y|ying)|generat|engag"
    r"|writ(?:e|ing)|compos|formulat|discuss|craft|come up with|comment on|talk about|speak about|respond|cooperat)"
)
_GIVING = (
    r"(?:provid|creat|produc|answer|giv(?:e|ing)|shar(?:e|ing)|offer|continu|proceed|process|complete|handle|support|perform"
    r"|do (?:this|that|so|it)|suggest|make|form|say|comment|advise|execute|understand|browse|search|express)"
)
_TASK = (
    r"\b(?:requests?|prompts?|instructions?|quer(?:y|ies)|questions?|content|topics?|passages?|excerpts?|inputs?"
    r"|conversation|advice|guidance|such (?:an? )?\w+|(?:this|that|these|those) (?:kind|sort|type)s?"
    r"|(?:do|doing|with|to|on|about|of|write|generate|produce|create|answer|share|say|provide|refuse|decline) "
    r"(?:this|that|it|here|anything))\b"
)
_AI = (
    r"(?:\bas (?:an?|your) (?:\w+ ){0,2}?(?:ai|artificial intelligence|language model|llm|chatbot|assistant(?=\W*(?:$|,|i\b|my\b)))\b"
    r"|\bi(?:'m| am) (?:just |only |merely |simply )?an? (?:\w+ ){0,2}?(?:ai|language model|llm|chatbot|assistant(?! \w+er\b))\b"
    r"|\bmy (?:training|programming|knowledge|developers|creators)\b)"
)
_RULES = r"(?:guidelines?|polic(?:y|ies)|programming|training|principles|instructions|rules|restrictions|safeguards)"
_INPUT = r"(?:passages?|texts?|documents?|excerpts?|articles?|contexts?|inputs?|messages?|details?|information|content)"
_TO_WRITE = rf"(?:to (?:\w+ ){{0,2}}?(?:{_WRITING}|{_GIVING}|ask|search)|(?:for|as) (?:an? )?(?:\w+ )?(?:quer|question))"
_LACKS = (
    rf"(?:\b(?:no|not enough|not any|insufficient|too little|need (?:to (?:see|read) )?(?:some |the )?(?:more|full|whole)|lack(?:s|ing)?(?: of)?"
    rf"|without (?:more|further|any|the|a))|(?:not|n't) (?:see|have|find|enough|any)(?: any| enough| a| the)?) "
    rf"(?:\w+ ){{0,2}}?{_INPUT}\b"
)
_FAULTY = (
    rf"(?:the|this|your|that) (?:\w+ )?{_INPUT} (?:\w+ ){{0,3}}?(?:is|was|are|were|seems?|appears?|looks?|does|did|has"
    rf"|contains|lacks|gives|provides|offers|got|includes)(?: to be| to have been)?(?:n't| not)?(?: \w+){{0,3}}? ?"
    rf"(?:empty|missing|blank|too short|cut off|incomplete|unclear|insufficient|unreadable|corrupted|enough|nothing|no\b"
    rf"|contain|mention|provide|include|give|offer|have)"
)
_ASKS = (
    r"(?:^|[.,!?;] |\b(?:and|so|but) )(?:(?:could|can|would|will) you )?(?:please |kindly )?"
    r"(?:provide|share|paste|send|clarify|resend|supply|specify|upload|let me know|rephrase)\b"
)


def _sign(points: int, pattern: str) -> tuple[int, re.Pattern[str]]:
    return points, re.compile(pattern)


_SIGNS = (
    _sign(
        1,
        r"^\W*(?:(?:oh|oops|hmm+|well|ah|hi|hello)\b\W*)?(?:(?:i'?m|i am|we're|we are|my) )?"
        r"(?:(?:very|so|really|truly|terribly|deeply|sincere) )?"
        r"(?:sorry|apologi|unfortunately|regret|(?:i |we )(?:\w+ )?(?:apologi|regret)|afraid"
        r"|thank(?:s| you) for|(?:i|we) (?:\w+ )?(?:appreciate|understand (?:that|your|you))|while (?:i|we)\b)|\bsorry\W*$",
    ),
    _sign(1, _UNWILLING),
    _sign(2, rf"{_UNWILLING}(?: to)?(?: \w+){{0,3}}?(?: to)? {_WRITING}"),
    _sign(1, rf"{_UNWILLING}(?: to)?(?: \w+){{0,3}}?(?: to)? {_GIVING}"),
    _sign(2, rf"{_I} ?{_DECLINES}\W*(?:$|(?:this|that|it|your \w+|the request|on this)\b)"),
    _sign(1, _TASK),
    _sign(1, rf"^(?:{_WRITING}|{_GIVING})\w* .*{_UNWILLING}"),
    _sign(1, rf"{_UNWILLING}(?: to)?(?: \w+){{0,3}}?(?: to)? (?:{_WRITING}|{_GIVING})\w*(?: with| to)?(?: (?:this|that|it|here|you))?\W*$"),
    _sign(2, _AI),
    _sign(1, rf"{_AI}.*\b(?:i|do|have|me|my)\b.*(?:\bno\b|\bnot\b|n't\b)"),
    _sign(
        1,
        r"\b(?:harmful|unsafe|inappropriate|unethical|offensive|illegal|dangerous|sensitive)\b"
        r"|\b(?:safety|ethical|legal|privacy|moral) reasons\b|\bgood conscience\b",
    ),
    _sign(2, rf"\b(?:against|violat\w*|breach\w*)\b[^.?!]{{0,25}} {_RULES}"),
    _sign(2, rf"\b{_RULES} (?:\w+ )?(?:do not|don't|does not|doesn't|prevent|forbid|prohibit|restrict|keep|stop)"),
    _sign(1, rf"\b(?:my|our|usage|content|safety|openai's|the) (?:\w+ )?{_RULES}\b"),
    _sign(2, _LACKS),
    _sign(2, _FAULTY),
    _sign(
        1,
        rf"^(?:\w+ly,? |i'm afraid |it (?:seems|looks like|appears)(?: that)? |since |as )?{_FAULTY}|{_LACKS}\W*$"
        rf"|{_LACKS}[^.?]{{0,60}} {_TO_WRITE}|(?:{_LACKS})(?<=passage)|^\W*no text\b",
    ),
    _sign(2, r"\b(?:nothing|anything|no(?:t any)? \w+)\b[^.?]{0,40}\b(?:ask(?:ed)?|search(?:ed)?|queried|quer(?:y|ies)|questions?)\b"),
    _sign(2, rf"{_ASKS}[^.]{{0,40}}\b(?:{_INPUT}|quer(?:y|ies)|questions?|request|mean|want|another)\b"),
    _sign(1, r"\b(?:instead|something else|anything else|another (?:topic|passage|question|text))\b"
             r"|\bbut (?:i|we)(?:'d| would| can|'m| am)\b"),
    _sign(2, r"\b(?:not|isn't) (?:something|a \w+|anything) (?:that |which )?(?:i|we|can be)\b"),
    _sign(2, r"^\W*(?:\w+ly,? )?(?:this|that|it)(?:'s| is) (?:beyond|outside)|\b(?:beyond|outside)(?: of)? (?:my|our|the|what i) (?:\w+ )?(?:scope|abilit|capabilit|area|expertise|role|purpose|"
             r"(?:can|may)\b)"),
    _sign(3, rf"\b(?:not|n't|n't think it(?:'s| is| would be)|inappropriate|unethical|wrong) "
             rf"(?:possible |appropriate |right |ethical |advisable |allowed )?(?:for me )?to {_WRITING}\w* (?:\w+ )?"
             rf"(?:about|on|such|this|that|quer|question)"),
    _sign(3, r"\b(?:not sure|unclear|(?:don't|do not|didn't) understand) what (?:is being asked|you|the (?:request|task|question))"),
    _sign(2, r"\bapologi\w+ for (?:the|any) (?:confusion|inconvenience|misunderstanding|error)"),
    _sign(3, r"\b(?:i|we) (?:(?:don't|do not) have|have no) (?:any )?(?:personal|(?:access to )?(?:real-time|external)|feelings|beliefs|emotions|opinions)"),
    _sign(2, r"\b(?:i|we) (?:don't|do not) know enough|\bnothing to (?:write|ask|say|search|work with)"
             r"|\bhave no (?:answer|query|question)"),
    _sign(2, r"\b(?:answer|quer(?:y|ies)|questions?|requests?|text|content) (?:cannot|can't|can not|could not|couldn't) be\b"),
    _sign(1, r"\b(?:this|that|it)(?: is|'s| would be) (?:not |im)(?:possible|appropriate|allowed|permitted)\W*$"),
    _sign(1, r"\b(?:not|n't|im)\W*possible\W*$"),
    _sign(3, r"\b(?:i|we) (?:(?:do not|don't) have|have no|lack)(?: the)? (?:ability|capability|capacity|means) to\b"),
    _sign(
        2,
        r"\b(?:requests?|quer(?:y|ies)|questions?|prompts?|topics?) (?:is|was|has been|seems|appears|may be|could be)(?: not| too)? "
        r"(?:unclear|ambiguous|vague|denied|rejected|flagged|harmful|inappropriate|unsafe|unethical|appropriate|allowed)",
    ),
    _sign(2, r"^\W*request (?:denied|refused|rejected|declined)"),
    _sign(2, r"\bno (?:\w+ )?(?:quer(?:y|ies)|questions?|answers?) (?:\w+ )?(?:can|could|fits?|is|was|be|were|are|available|possible)\b"),
    _sign(-2, rf"\bmy (?!{_RULES}|\w+ (?:guidelines|polic)|apolog|knowledge|abilit|capabilit|scope|area|expertise|role|purpose|developers|creators)\w"),
    _sign(-2, r"^\W*(?:what|how|why|who|which|where|when|is|are|does|did|do|was|has|have|should|may|if) "),
    _sign(-1, rf"^(?!.*{_ASKS}).*\?$"),
)


def _tongues() -> Iterator[Phrases]:
    """Of other languages: somebody who cannot, and what the task was; without a question, and without `my`."""
    for marks, unable, task, own in _TONGUES:
        yield phrases(marks, rf"^(?=[^?？؟]{{0,90}}?(?:{unable}))(?=[^?？؟]{{0,160}}?(?:{task}))(?!.*(?:{own}))[^?？؟]*$")


_TONGUES = (
    (
        "kann_ darf_ möglich lage werde_ möchte_ enthält genug genügend ausreichend",
        r"\bich (?:kann|darf|werde|möchte)\b[^.]{0,60}\b(?:nicht|keine?[nrs]?)\b"
        r"|\b(?:kann|darf|werde|möchte) ich\b[^.]{0,60}\b(?:nicht|keine?[nrs]?)\b"
        r"|\bmir\b[^.]{0,20} nicht (?:möglich|erlaubt|gestattet)|\bnicht in der lage|nicht (?:genug|genügend|ausreichend)",
        r"helfen|beantworten|formulieren|generieren|verfassen|diskutieren|besprechen|auskunft|anfrage|\bfragen?\b|inhalt"
        r"|thema|\btext|information",
        r"\bmeine?[nmrs]?\b",
    ),
    (
        "ne_p ne_suis impossible pas_assez suffisamment",
        r"\bje ne (?:peux|puis|suis pas (?:en mesure|capable|autorisé)|souhaite|vais pas)|\bm'est impossible"
        r"|\bpas (?:assez|suffisamment) d'",
        r"aider|répondre|rédiger|écrire|générer|formuler|fournir|discuter|demande|requête|question|contenu|\bsujet|\btexte"
        r"|information",
        r"\b(?:mon|ma|mes)\b",
    ),
    (
        "no_p no_me no_estoy no_tengo no_hay no_d no_contiene incapaz",
        r"\bno (?:puedo|podemos|me es posible|me está permitido|estoy (?:autorizad|capacitad|en condiciones)|debo)"
        r"|\bno (?:tengo|hay|contiene) suficiente|\bsoy incapaz",
        r"ayudar|responder|escribir|redactar|generar|formular|proporcionar|hablar|solicitud|consulta|pregunta|contenido"
        r"|\btema|información|\btexto|\bhacerlo",
        r"\bmis?\b",
    ),
    (
        "não_",
        r"\bnão (?:posso|consigo|podemos|me é (?:possível|permitido)|estou autorizad|devo|sou capaz)"
        r"|\bnão (?:tenho|há|contém) (?:informaç|context|dados|texto)\w* suficiente",
        r"ajudar|responder|escrever|redigir|gerar|formular|fornecer|compartilhar|falar|pedido|solicitação|consulta|pergunta"
        r"|conteúdo|assunto|\btema|informaç|\btexto|\bdados",
        r"\b(?:meus?|minhas?)\b",
    ),
    (
        "non_ impossibile",
        r"\bnon (?:posso|possiamo|sono (?:in grado|autorizzat)|mi è (?:possibile|permesso)|ho abbastanza"
        r"|ci sono abbastanza)|\bmi è impossibile",
        r"aiutar|risponder|scriver|generar|formular|fornir|parlar|richiesta|domanda|\bquery|contenuto|argomento|informazion"
        r"|\btesto|\bfarlo",
        r"\b(?:mio|mia|miei|mie)\b",
    ),
    (
        "niet geen onvoldoende",
        r"\bik (?:kan|mag|wil|zal|ben)\b[^.]{0,50}\b(?:niet|geen)\b|\b(?:kan|mag|wil|zal) ik\b[^.]{0,50}\b(?:niet|geen)\b"
        r"|\bniet (?:genoeg|voldoende)|\bonvoldoende",
        r"helpen|beantwoorden|schrijven|\bvraag|verzoek|zoekopdracht|inhoud|onderwerp|\btekst|informatie|\bdoen\b",
        r"\bmijn\b",
    ),
    (
        "nie_",
        r"\bnie (?:mogę|możemy|jestem w stanie|wolno mi|potrafię|będę|ma wystarczając)",
        r"pomóc|odpowiedzieć|napisać|wygenerować|sformułować|spełnić|zapytani|pytani|prośb|treści|temat|tekst|informacj",
        r"\bmoj|\bmój",
    ),
    (
        "не_ недостаточно нельзя",
        r"\bне (?:могу|можем|смогу|буду|вправе|в состоянии|имею (?:права|возможности))|\bнедостаточно|\bмне нельзя",
        r"помочь|ответить|выполнить|написать|создать|составить|сгенерировать|обсуждать|предоставить|запрос|вопрос|текст"
        r"|\bтем[аеуы]\b|информац",
        r"\bмо(?:й|я|е|ю|и|его|ей|их)\b",
    ),
    (
        "mem mam mıyoruz miyoruz ıyorum iyorum uyorum üyorum değil",
        r"[ae]m[ae]m\b|[ae]m[ıiuü]yor(?:um|uz)|mümkün değil",
        r"\biste[kğ]|\btale[pb]|\bsoru|\bsorgu|\bkonu|\bmet[ni]|içeri[kğ]|yardımcı|yanıt|cevap",
        r"\bbenim\b",
    ),
    (
        "không_",
        r"\b(?:tôi|mình|chúng tôi) không (?:thể|được phép|có đủ)",
        r"giúp|hỗ trợ|trả lời|viết|tạo|yêu cầu|câu hỏi|nội dung|văn bản|thông tin",
        r"của tôi",
    ),
    (
        "tidak tak_",
        r"\b(?:saya|kami) (?:tidak|tak) (?:dapat|bisa|mampu|boleh|diizinkan|memiliki cukup)",
        r"membantu|menjawab|menulis|membuat|memberikan|melanjutkan|memenuhi|permintaan|pertanyaan|konten|topik|teks"
        r"|informasi",
        r"\b(?:akun|kartu) saya\b",
    ),
    (
        "لا_ لست لن_ غير_",
        r"لا (?:أستطيع|يمكنني|يمكننا|أقدر)|لست قادر|غير قادر|لن أتمكن",
        r"مساعد|إجابة|كتابة|طلب|سؤال|موضوع|محتوى|النص|معلومات|تقديم",
        r"حسابي|بطاقتي",
    ),
    (
        "नहीं असमर्थ",
        r"(?:मैं|हम)[^।]*(?:नहीं (?:कर|दे|लिख|बना|बता)|असमर्थ)",
        r"मदद|सहायता|उत्तर|जवाब|अनुरोध|प्रश्न|सवाल|सामग्री|विषय|जानकारी",
        r"मेर[ाेी]",
    ),
    (
        "无法 不能 無法 拒绝 不便 没办法 超出",
        r"我们?(?:无法|不能|無法|没办法|不便|拒绝)|^\W*(?:无法|不能|無法)(?:为您|为你|提供|回答|完成|生成)|超出了?我",
        r"帮助|帮您|帮你|协助|回答|提供|完成|生成|撰写|编写|写|讨论|请求|問題|问题|内容|话题|信息|查询|能力|范围",
        r"我的(?!能力|职责|范围)",
    ),
    (
        "できません かねます 控えさせ",
        r"できません|かねます|控えさせて",
        r"回答|答え|応え|手伝い|支援|作成|生成|提供|リクエスト|依頼|要望|質問|トピック|対応",
        r"私の",
    ),
    (
        "없습 없어 못합 불가",
        r"수 없(?:습니다|어요|음)|못합니다|불가(?:능)?합니다",
        r"답변|도와|도움|제공|작성|생성|요청|질문|내용|주제|정보",
        r"(?:제|내) (?:카드|계정)",
    ),
)
"""Of each language: marks, somebody who cannot or something that is too little, words of the task, and `my`."""


_REFUSALS = Listed(
    phrases(
        "n/a none null nil not_ no_ undefined todo tbd [ query question placeholder",
        r"^\W*(?:n ?/ ?a|none|null|nil|undefined|todo|tbd|placeholder|query|question|your query"
        r"|not (?:applicable|available|possible|provided)"
        r"|no (?:answer|query|question|output|response|label)(?: possible| available| provided)?"
        r"|(?:answer|query|question) (?:not available|unavailable|not possible|not found))\W*$",
        r"^\[[^\]]*(?:query|question|text|insert|redacted|removed|placeholder)[^\]]*\]\W*$",
    ),
    *_tongues(),
    phrases(
        "leid leider entschuldigung sprachmodell intelligenz als_ki",
        r"^\W*(?:es tut mir (?:sehr )?leid|tut mir leid|leider|entschuldigung)\b[^.?!]{0,40}\bkann (?:ich|diese)\b"
        r"[^?]*\bnicht\b",
        r"^\W*(?:es )?tut mir (?:sehr )?leid\b[^.?!]{0,10}\b(?:aber )?ich kann\b",
        r"\bals (?:eine? )?(?:ki|künstliche intelligenz|(?:großes )?sprachmodell)\b(?:-\w+)?[^?]{0,30}\b(?:ich|mir)\b",
    ),
    phrases(
        "désolé navré en_tant_qu",
        r"^\W*(?:je suis (?:vraiment )?)?(?:désolée?|navrée?)\b[^.?!]{0,30}\bje ne (?:peux|suis)\b",
        r"\ben tant qu(?:e |')(?:une? )?(?:ia\b|intelligence artificielle|assistant|modèle de langage)",
    ),
    phrases(
        "lo_siento lamenta disculp perdón desculp lamento infelizmente sinto_muito como_",
        r"^\W*(?:lo siento|lamentablemente|disculpa|perdón|lamento)\b[^.?!]{0,30}\bno "
        r"(?:puedo|me es posible|es posible)\b",
        r"^\W*(?:desculp[ea]|lamento|infelizmente|sinto muito)\b[^.?!]{0,30}\bnão (?:posso|consigo|é possível)\b",
        r"\bcomo (?:una? |uma )?(?:ia\b|intelig[eê]ncia artificial|modelo de (?:lenguaje|linguagem))",
    ),
    phrases(
        "dispiace purtroppo spiacente come_",
        r"^\W*(?:mi dispiace|purtroppo|spiacente)\b[^.?!]{0,30}\bnon (?:posso|sono in grado)\b",
        r"\bcome (?:una? |un')?(?:ia\b|intelligenza artificiale|modello linguistico)",
    ),
    phrases(
        "spijt helaas taalmodel sorry als_ai",
        r"^\W*(?:het spijt me|sorry|helaas)\b[^.?!]{0,20}\b(?:ik kan|kan ik)\b[^?]*\bniet\b",
        r"\bals (?:een )?(?:ai|taalmodel|kunstmatige intelligentie)\b[^?]{0,30}\bik\b",
    ),
    phrases(
        "przepraszam przykro niestety",
        r"^\W*(?:przepraszam|przykro mi|niestety)\b[^.?!]{0,30}\bnie (?:mogę|jestem w stanie)\b",
    ),
    phrases(
        "извините простите сожалению жаль сожалею модель интеллект",
        r"^\W*(?:извините|простите|к сожалению|мне жаль|сожалею)[^.?!]{0,30}\bне (?:могу|в состоянии|смогу)",
        r"\bкак (?:языковая модель|искусственный интеллект)\b",
    ),
    phrases(
        "üzgünüm maalesef özür", r"^\W*(?:üzgünüm|maalesef|özür dilerim)\b[^.?!]{0,60}(?:[ıiuü]yorum|yamam|yemem)"
    ),
    phrases("xin_lỗi rất_tiếc", r"^\W*(?:xin lỗi|rất tiếc)\b[^.?!]{0,20}(?:tôi|mình) không thể"),
    phrases("maaf", r"^\W*(?:mohon )?maaf\b[^.?!]{0,20}\b(?:saya|kami) (?:tidak|tak) (?:dapat|bisa)\b"),
    phrases("عذر آسف للأسف", r"^\W*(?:عذرا|عذرًا|آسف|أعتذر|للأسف)[^.?!؟]{0,30}لا (?:أستطيع|يمكنني|يمكن)"),
    phrases("कीजि करें क्षमा खेद", r"^\W*(?:माफ़? ?क[ीर]|क्षमा कर|मुझे खेद है|खेद है)[^.?!।]{0,60}(?:नहीं कर|असमर्थ|नहीं दे|नहीं लिख)"),
    phrases(
        "抱歉 对不起 對不起 不好意思 作为 作為",
        r"^\W*(?:很抱歉|抱歉|对不起|對不起|不好意思)[，,。\s]*(?:但)?我?(?:无法|不能|無法|没办法)",
        r"作[为為](?:一个|一名|一個)?(?:ai|人工智能|人工智慧|大?型?语言模型|語言模型)",
    ),
    phrases(
        "申し訳 すみません ごめん として",
        r"^\W*(?:申し訳(?:ありません|ございません|ない)|すみません|ごめんなさい)[^？?]{0,40}(?:できません|できかね|お答えでき)",
        r"(?:ai|人工知能|言語モデル)(?:アシスタント)?として",
    ),
    phrases(
        "죄송 미안 로서 때문에",
        r"^\W*(?:죄송|미안)[^?]{0,40}(?:수 없|못합|불가)|수 없\w{0,3} 죄송",
        r"(?:ai|인공지능|언어 모델)(?:로서|이기 때문에)",
    ),
)
