"""Refusals in other languages than English, and placeholders: what `checks_refusal` knows as phrases.

Of most languages two patterns: somebody who cannot, and words of the task; of many also an apology with `cannot`. A
text with a question mark, or with `my`, is somebody who really asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from datagen.generation.recipes.checks_wording import Listed, Phrases, phrases


def _tongues() -> Iterator[Phrases]:
    """Of other languages: somebody who cannot, and what the task was; without a question, and without `my`."""
    for marks, unable, task, own in _TONGUES:
        yield phrases(
            marks, rf"^(?=[^?？؟]{{0,90}}?(?:{unable}))(?=[^?？؟]{{0,160}}?(?:{task}))(?!.*(?:{own}))[^?？؟]*$"
        )


_TONGUES = (
    (
        "kann_ darf_ möglich lage werde_ möchte_ enthält genug genügend ausreichend",
        r"\bich (?:kann|darf|werde|möchte)\b[^.]{0,60}\b(?:nicht|keine?[nrs]?)\b"
        r"|\b(?:kann|darf|werde|möchte) ich\b[^.]{0,60}\b(?:nicht|keine?[nrs]?)\b"
        r"|\bmir\b[^.]{0,20} nicht (?:möglich|erlaubt|gestattet)|\bnicht in der lage"
        r"|nicht (?:genug|genügend|ausreichend)",
        r"helfen|beantworten|formulieren|generieren|verfassen|diskutieren|besprechen|auskunft|darüber|hierzu|dazu"
        r"|anfrage|\bfragen?\b|inhalt"
        r"|thema|\btext|information",
        r"\bmeine?[nmrs]?\b",
    ),
    (
        "ne_p ne_suis impossible pas_assez suffisamment",
        r"\bje ne (?:peux|puis|suis pas (?:en mesure|capable|autorisé)|souhaite|vais pas)|\bm'est impossible"
        r"|\bpas (?:assez|suffisamment) d'",
        r"aider|répondre|continuer|traiter"
        r"|rédiger|écrire|générer|formuler|fournir|discuter|demande|requête|question|contenu|\bsujet|\btexte"
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
        r"\bnão (?:posso|consigo|podemos|me é (?:possível|permitido)|tenho permissão|estou autorizad|devo|sou capaz)"
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
        r"\bik (?:kan|mag|wil|zal|ben)\b[^.]{0,50}\b(?:niet|geen)\b"
        r"|\b(?:kan|mag|wil|zal) ik\b[^.]{0,50}\b(?:niet|geen)\b"
        r"|\bniet (?:genoeg|voldoende)|\bonvoldoende",
        r"helpen|beantwoorden|schrijven|\bvraag|verzoek|zoekopdracht|inhoud|onderwerp|\btekst|informatie|\bdoen\b",
        r"\bmijn\b",
    ),
    (
        "nie_",
        r"\bnie (?:mogę|możemy|jestem w stanie|wolno mi|potrafię|będę|ma wystarczając)",
        r"pomóc|odpowiedzieć|na?pisać|wygenerować|sformułować|spełnić|zapytani|pytani|prośb|treści|temat|tekst|informacj",
        r"\bmoj|\bmój",
    ),
    (
        "не_ недостаточно нельзя",
        r"\bне (?:могу|можем|смогу|буду|вправе|в состоянии|имею (?:права|возможности))|\bнедостаточно|\bмне нельзя",
        r"помочь|ответить|писать|выполнить|написать|создать|составить|сгенерировать|обсуждать|предоставить|запрос|вопрос|текст"
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
        "无法 不能 無法 拒绝 不便 没办法 超出 足够 不足",
        r"我们?(?:无法|不能|無法|没办法|不便|拒绝)|^\W*(?:无法|不能|無法)(?:为您|为你|提供|回答|完成|生成)|超出了?我|没有足够|信息不足",
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


KNOWN_REFUSALS = Listed(
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
    phrases("üzgünüm maalesef özür", r"^\W*(?:üzgünüm|maalesef|özür dilerim)\b[^.?!]{0,60}(?:[ıiuü]yorum|yamam|yemem)"),
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
"""What is one whatever else a text says."""
