"""Word lists of English that the rules of this package share; nothing here is looked up or downloaded."""

from __future__ import annotations

from collections.abc import Iterable


def one_of(words: Iterable[str]) -> str:
    """A pattern that matches any of the words, the longest first."""
    return "(?:" + "|".join(sorted(words, key=lambda word: (-len(word), word))) + ")"


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FUNCTION_WORDS = frozenset(
    _listed("""
    a about above after again all almost along also although always am among an and another any are around as at be
    became because become becomes been before being below between both but by called came can cannot could did do
    does doing done down due during each either else even ever every few for from further get gets getting given go
    goes had has have having he her here hers herself him himself his how however i if in include includes including
    into is it its itself just known least less like likely made mainly make makes making many may me might more
    most mostly much must my myself near neither no nor not now occur occurs of off often on once one only onto or
    other others our ours ourselves out over own per perhaps rather really s said same say says see seem seems seen
    several shall she should since so some sometimes such t than that the their theirs them themselves then there
    these they this those though through thus to together too toward towards two under until up upon us use used
    using usually very via was way ways we well were what when where whether which while who whom whose why will
    with within without would yet you your yours yourself
    """)
)
"""Words that say nothing about what a text is about."""

LEANING_WORDS = frozenset(
    _listed("""
    it its it's they their them this that these those he him his she her such here however also but and or nor yet
    so consequently therefore thus hence moreover furthermore additionally then later instead both neither other
    others another similarly finally specifically otherwise meanwhile accordingly likewise nevertheless nonetheless
    again first second third
    """)
)
"""A sentence that opens with one of these leans on the sentence before."""

OPENING_WORDS = _listed("""
    The This These Those It In A An If For He She They We You There However Some Most Many People When Although As At On
    To But And Its Their His Her Other After Because With Several Each While
    """)
"""A new sentence often opens with one of these, a name after an abbreviation never does."""

ABBREVIATIONS = _listed("""
    Dr Drs Mr Mrs Ms Prof St Sr Jr Gen Col Capt Lt Sgt Rev Hon Gov Sen Rep vs etc cf al Fig Figs fig figs Eq Eqs eq eqs
    No no Vol vol p pp ed eds Ch ch Sec sec Dept Univ Inc Ltd Co Corp Approx approx est ca Jan Feb Mar Apr Jun Jul Aug
    Sep Sept Oct Nov Dec Mt Ave Blvd min max viz resp sp spp subsp var Bros
    """)
"""Words that end in a full stop inside a sentence."""

LEAD_INS = (
    "For example", "For instance", "In addition", "In contrast", "In fact", "In general", "In particular",
    "However", "As a result", "In other words", "On the other hand", "In summary", "Furthermore", "Moreover",
    "Additionally",
    "Therefore", "Thus", "Specifically", "Similarly", "Consequently", "Finally", "Also", "Instead", "Conversely",
    "Overall",
)  # fmt: skip
"""What ties a sentence to the one before, in front of a comma, and can be left out."""

WEAK_ENDINGS = _listed("""
    a an the and or of in on at to for from by with as that which who is are was were be may can its their this
    these such most often usually also has have than into due because if when other one called known include
    includes both each no not only all some any more between during into through about after before over under
    whether whose where while
    """)
"""Words that a phrase cut short must not end with."""

PAST_TENSES = {
    "announced": "announce", "approved": "approve", "became": "become", "began": "begin", "bought": "buy",
    "built": "build", "composed": "compose", "created": "create", "defeated": "defeat", "described": "describe",
    "designed": "design", "developed": "develop", "died": "die", "directed": "direct", "discovered": "discover",
    "established": "establish", "founded": "found", "identified": "identify", "introduced": "introduce",
    "invented": "invent", "joined": "join", "launched": "launch", "left": "leave", "married": "marry",
    "moved": "move", "opened": "open", "painted": "paint", "proposed": "propose", "published": "publish",
    "received": "receive", "recorded": "record", "released": "release", "returned": "return", "signed": "sign",
    "started": "start", "won": "win", "wrote": "write",
}  # fmt: skip
"""Past tenses that a question with `did` can be made from, and their base forms."""

PERSONAL_DEEDS = frozenset(
    _listed("""
    built composed created described designed developed directed discovered founded identified introduced invented
    painted proposed published recorded won wrote
    """)
)
"""Past tenses of what people do, so that `who` asks for the subject."""

NO_TOPIC_FIRST = frozenset(
    _listed("""
    it they he she we you i this these those that there one ones some many most each another other others such both
    either if when while although though because since in on at for from by with without after before during as to
    of what who which how why where and but or so however also its their his her our your all no not until under
    among unless about once approximately only currently today rarely usually sometimes often occasionally certain
    several few more less still recently nothing anyone researcher researchers scientist scientists doctor doctors
    people patient patients women men children studies mutation mutations
    """)
)
"""A subject that opens with one of these cannot stand alone in a question."""

VAGUE_NOUNS = _listed("""
    condition disease disorder syndrome first second third other same most cause result exact following term name number
    goal risk aim purpose reason problem word best only main two three four latter former
    """)
"""`The` or `a` before one of these points to another sentence."""

NO_TOPIC_INSIDE = frozenset(
    _listed("""
    is are was were has have had do does can may will should must that which who whose when where if than because not
    this these such latter former following here above present after he she they we
    """)
)
"""A phrase with one of these inside is no plain noun phrase."""

NO_TOPIC_LAST = frozenset(_listed("of in on at and or the a an with by for to from also often usually only"))
"""A phrase that ends in one of these is cut off."""

MONTHS = _listed("January February March April May June July August September October November December")
