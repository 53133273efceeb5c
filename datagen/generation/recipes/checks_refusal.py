"""Refusals: what a model writes in place of the query, passage or label that it was asked for.

Real people write `I'm sorry, but I can't find my card`, so no single word tells. An English text counts signs: an
apology, somebody who cannot or will not, a verb of writing or helping that this is said of, words of the task (query,
passage, request), an AI that speaks of itself, rules, something missing; enough of them make a refusal, whatever the
wording. What people say of their own things counts against it. Other languages, and what has no such signs, are
in `refusal_phrases`. `benchmarks/README.md` has the figures, on sentences that were written before.
"""

from __future__ import annotations

import re

from datagen.generation.recipes.checks_wording import tidied
from datagen.generation.recipes.refusal_phrases import KNOWN_REFUSALS

_MOST_CHARACTERS = 400
"""Whoever refuses does so at the beginning."""
_OPENING = 250
"""Signs are looked for among so many characters, in so many sentences."""
_SENTENCES = 2
_ENOUGH = 3


def is_refusal(text: str) -> bool:
    """Whether a text is a refusal, says that nothing could be written, or is a placeholder."""
    beginning = text[:_MOST_CHARACTERS]
    return KNOWN_REFUSALS.stands_in(beginning) or count_signs(beginning) >= _ENOUGH


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
    "prevent", "forbid", "prohibit", "violat", "unclear", "need more", "pass on", "language model", "avoid", "against",
    "incapable", "prefer", "unethical", "ll pass", "will pass", "can only", "too sensitive", "declining",
    "impossible", "wrong",
    "too short", "incomplete", "cut off",
)  # fmt: skip
"""One of these stands in each text that has signs enough."""
_MODAL = (
    r"(?:can(?:no|')t|can not|could(?:n't| not)|w(?:on't|ill not)|wouldn't|would not|should(?:n't| not)|must not"
    r"|may not"
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
    r"|want to)? ?(?:\w+ly )?(?:decline|refuse|pass on|refrain|abstain)\b"
    r"|(?:'m|am|'ll|will) (?:going to )?(?:declin(?:e|ing)|refus(?:e|ing)|pass)\b|must avoid\b)"
)
_I = r"(?:\b(?:i|we)(?: \w+ly| also| still| just| really)?|(?:^|[,;] |\b(?:and|but|so|therefore|then) )(?:i )?)"
_NEGATED = r"(?=[^.]*(?:\bnot\b|n't|\bun|\bincap|prohibited|forbidden))"
_UNWILLING = (
    rf"(?:^\W*(?:error\W+)?(?:unable|not able|not allowed|not possible)\b|{_I} ?(?:{_MODAL}|{_DECLINES})"
    rf"|\b(?:i|we) ?{_NEGATED}{_STATE}"
    r"|\b(?:i|we) (?:do not|don't)(?= (?:write|engage|discuss|generate|provide|answer|assist|respond|produce|create"
    r"|share)\b)"
    r"|\b(?:too \w+|inappropriate|unethical|irresponsible|wrong|illegal|impossible|appropriate|possible|ethical|safe) "
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
    r"(?:\bas (?:an?|your) (?:\w+ ){0,2}?(?:ai|artificial intelligence|language model|llm|chatbot"
    r"|assistant(?=\W*(?:$|,|i\b|my\b)))\b"
    r"|\bi(?:'m| am) (?:just |only |merely |simply )?an? (?:\w+ ){0,2}?(?:ai|language model|llm|chatbot)\b"
    r"|\bmy (?:training|programming|knowledge|developers|creators)\b)"
)
_RULES = (
    r"(?:guidelines?|polic(?:y|ies)|programming|training|principles|instructions|rules|restrictions|safeguards|values"
    r"|ethics)"
)
_INPUT = r"(?:passages?|texts?|documents?|excerpts?|articles?|contexts?|inputs?|messages?|details?|information|content)"
_TO_WRITE = (
    rf"(?:to (?:\w+ ){{0,2}}?(?:{_WRITING}|{_GIVING}|ask|search)|(?:for|as) (?:an? )?(?:\w+ )?(?:quer|question))"
)
_LACKS = (
    rf"(?:\b(?:no|not enough|not any|insufficient|too little|need (?:to (?:see|read) )?(?:some |the )?"
    rf"(?:more|full|whole)|lack(?:s|ing)?(?: of)?"
    rf"|without (?:more|further|any|the|a))|(?:not|n't) (?:see|have|find|enough|any)(?: any| enough| a| the)?) "
    rf"(?:\w+ ){{0,2}}?{_INPUT}\b"
)
_FAULTY = (
    rf"(?:the|this|your|that) (?:\w+ )?{_INPUT} (?:\w+ ){{0,3}}?(?:is|was|are|were|seems?|appears?|looks?|does|did|has"
    rf"|contains|lacks|gives|provides|offers|got|includes)(?: to be| to have been)?(?:n't| not)?(?: \w+){{0,3}}? ?"
    rf"(?:empty|missing|blank|too short|cut off|incomplete|unclear|insufficient|unreadable|corrupted|enough|nothing"
    rf"|no\b|contain|mention|provide|include|give|offer|have|make sense)"
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
        r"|thank(?:s| you) for|(?:i|we) (?:\w+ )?(?:appreciate|understand (?:that|your|you))|while (?:i|we)\b)"
        r"|\bsorry\W*$",
    ),
    _sign(1, _UNWILLING),
    _sign(2, rf"{_UNWILLING}(?: to)?(?: \w+){{0,3}}?(?: to)? {_WRITING}"),
    _sign(1, rf"{_UNWILLING}(?: to)?(?: \w+){{0,3}}?(?: to)? {_GIVING}"),
    _sign(2, rf"{_I} ?{_DECLINES}\W*(?:$|(?:this|that|it|your \w+|the request|on this)\b)"),
    _sign(1, _TASK),
    _sign(1, rf"^(?:{_WRITING}|{_GIVING})\w* .*{_UNWILLING}"),
    _sign(
        1,
        rf"{_UNWILLING}(?: to)?(?: \w+){{0,3}}?(?: to)? (?:{_WRITING}|{_GIVING})\w*(?: with| to)?"
        rf"(?: (?:this|that|it|here|you))?\W*$",
    ),
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
    _sign(
        2,
        r"\b(?:nothing|anything|no(?:t any)? \w+)\b[^.?]{0,40}\b"
        r"(?:ask(?:ed)?|search(?:ed)?|queried|quer(?:y|ies)|questions?)\b",
    ),
    _sign(2, rf"{_ASKS}[^.]{{0,40}}\b(?:{_INPUT}|quer(?:y|ies)|questions?|request|mean|want|another)\b"),
    _sign(
        1,
        r"\b(?:instead|something else|anything else|another (?:topic|passage|question|text))\b"
        r"|\bbut (?:i|we)(?:'d| would| can|'m| am)\b",
    ),
    _sign(2, r"\b(?:not|isn't) (?:something|a \w+|anything) (?:that |which )?(?:i|we|can be)\b"),
    _sign(
        2,
        r"^\W*(?:\w+ly,? )?(?:this|that|it)(?:'s| is) (?:beyond|outside)"
        r"|\b(?:beyond|outside)(?: of)? (?:my|our|the|what i) "
        r"(?:\w+ )?(?:scope|abilit|capabilit|area|expertise|role|purpose|(?:can|may)\b)",
    ),
    _sign(
        3,
        rf"\b(?:not|n't|n't think it(?:'s| is| would be)|inappropriate|unethical|wrong) "
        rf"(?:possible |appropriate |right |ethical |advisable |allowed )?(?:for me )?to {_WRITING}\w* (?:\w+ )?"
        rf"(?:about|on|such|this|that|quer|question)",
    ),
    _sign(
        3,
        r"\b(?:not sure|unclear|(?:don't|do not|didn't) understand) what "
        r"(?:is being asked|you|the (?:request|task|question))"
        r"|\b(?:i|we) (?:do not|don't) understand (?:your|the (?:request|task|question|instruction|passage))",
    ),
    _sign(2, r"\bapologi\w+ for (?:the|any) (?:confusion|inconvenience|misunderstanding|error)"),
    _sign(
        3,
        r"\b(?:i|we) (?:(?:(?:don't|do not) have|have no) (?:any )?(?:personal|(?:access to )?(?:real-time|external)"
        r"|feelings|beliefs|emotions|opinions)|(?:(?:do not|don't) have|have no|lack)(?: the)? "
        r"(?:ability|capability|capacity|means) to"
        r"|have no (?:knowledge|information)|know nothing|can only (?:help|assist|answer|write|respond))\b",
    ),
    _sign(
        2,
        r"\b(?:i|we) (?:don't|do not) know enough|\bnothing to (?:write|ask|say|search|work with)"
        r"|\bhave no (?:answer|query|question)",
    ),
    _sign(
        2,
        r"\b(?:answer|quer(?:y|ies)|questions?|requests?|text|content) "
        r"(?:cannot|can't|can not|could not|couldn't) be\b",
    ),
    _sign(1, r"\b(?:this|that|it)(?: is|'s| would be) (?:not |im)(?:possible|appropriate|allowed|permitted)\W*$"),
    _sign(2, r"\b(?:not|n't|im)\W*possible\W*$"),
    _sign(2, r"^\W*(?:that|this|it) (?:would be|is|seems) (?:unethical|inappropriate|harmful|unsafe)\W*$"),
    _sign(
        2,
        r"\b(?:requests?|quer(?:y|ies)|questions?|prompts?|topics?) (?:is|was|has been|seems|appears|may be|could be)"
        r"(?: not| too)? (?:unclear|ambiguous|vague|denied|rejected|flagged|harmful|inappropriate|unsafe|unethical"
        r"|appropriate|allowed)",
    ),
    _sign(3, r"^\W*(?:passage|text|document|input|context) (?:missing|empty|not found|unavailable)\W*$"),
    _sign(2, r"^\W*request (?:denied|refused|rejected|declined)"),
    _sign(
        2,
        r"\bno (?:\w+ )?(?:quer(?:y|ies)|questions?|answers?) (?:\w+ )?"
        r"(?:can|could|fits?|is|was|be|were|are|available|possible)\b",
    ),
    _sign(
        -2,
        rf"\bmy (?!{_RULES}|\w+ (?:guidelines|polic)|apolog|knowledge|abilit|capabilit|scope|area|expertise|role"
        rf"|purpose|developers|creators)\w",
    ),
    _sign(-2, r"^\W*(?:what|how|why|who|which|where|when|is|are|does|did|do|was|has|have|should|may|if) "),
    _sign(-1, rf"^(?!.*{_ASKS}).*\?$"),
)
