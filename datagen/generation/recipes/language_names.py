"""Languages by code and by name, the scripts they are written in, and which of them short texts cannot tell apart."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

LATIN = "Latn"

SCRIPTS = {
    LATIN: r"A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff", "Cyrl": r"\u0400-\u052f",
    "Grek": r"\u0370-\u03ff\u1f00-\u1fff", "Arab": r"\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "Hebr": r"\u0590-\u05ff", "Armn": r"\u0530-\u058f", "Geor": r"\u10a0-\u10ff", "Ethi": r"\u1200-\u137f",
    "Deva": r"\u0900-\u097f", "Beng": r"\u0980-\u09ff", "Guru": r"\u0a00-\u0a7f", "Gujr": r"\u0a80-\u0aff",
    "Orya": r"\u0b00-\u0b7f", "Taml": r"\u0b80-\u0bff", "Telu": r"\u0c00-\u0c7f", "Knda": r"\u0c80-\u0cff",
    "Mlym": r"\u0d00-\u0d7f", "Sinh": r"\u0d80-\u0dff", "Thai": r"\u0e00-\u0e7f", "Laoo": r"\u0e80-\u0eff",
    "Tibt": r"\u0f00-\u0fff", "Mymr": r"\u1000-\u109f", "Khmr": r"\u1780-\u17ff", "Thaa": r"\u0780-\u07bf",
    "Hang": r"\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f", "Hani": r"\u3400-\u9fff\uf900-\ufaff",
    "Jpan": r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff",
}  # fmt: skip
"""The letters of each script, as a set in a regular expression; Latin is that of the languages named here."""

_SCRIPTS_OF = {
    "Cyrl": "ru uk be bg mk mn ky tg tt ba cv os ab ce kv sah", "Cyrl Latn": "sr kk", "Latn Cyrl": "uz az bs tk",
    "Grek": "el", "Arab": "ar fa ur ps ug ckb arz pnb azb mzn", "Arab Deva": "sd ks", "Hebr": "he yi", "Armn": "hy",
    "Geor": "ka xmf", "Ethi": "am ti", "Deva": "hi mr ne sa bh mai new gom dty bho", "Beng": "bn as bpy",
    "Guru Arab": "pa", "Latn Arab": "ku", "Gujr": "gu", "Orya": "or", "Taml": "ta", "Telu": "te", "Knda": "kn",
    "Mlym": "ml", "Sinh": "si", "Thai": "th", "Laoo": "lo", "Tibt": "bo dz", "Mymr": "my", "Khmr": "km",
    "Hang": "ko", "Hani": "zh wuu yue", "Jpan": "ja", "Thaa": "dv",
}  # fmt: skip
"""Languages by the scripts they are written in; all others are written in Latin letters."""

_RELATED = (
    "da no nn nb", "hr sr bs sh", "cs sk", "id ms min jv su", "pt gl mwl", "es gl ast an", "ca oc es", "fr oc",
    "nl af vls li fy", "uk be rue", "bg mk", "hi mr ne sa bh mai new gom dty", "fa mzn lrc ps", "ur pnb fa", "ar arz",
    "zh wuu yue", "tr az azb", "de als bar nds lb pfl frr", "it scn lmo pms vec nap eml co sc", "kk ky tt ba",
    "ga gd gv", "bn as bpy", "tl ceb pam ilo war bcl", "en sco", "pa pnb", "ku ckb diq", "uz tk",
)  # fmt: skip

WELL_KNOWN = frozenset(
    "ar bg bn ca cs da de el en es et fa fi fr he hi hu hy id it ja ka ko lt lv mk ml mr nl no pl pt ro ru sk sl sr sv "
    "ta te th tr uk ur vi zh".split()
)
"""Languages of which the identifier has seen enough to be believed."""

_NAMES = """
    af Afrikaans, sq Albanian, am Amharic, ar Arabic, hy Armenian, as Assamese, az Azerbaijani|Azeri, ba Bashkir,
    eu Basque, be Belarusian, bn Bengali|Bangla, bs Bosnian, br Breton, bg Bulgarian, my Burmese, ca Catalan,
    ceb Cebuano, zh Chinese|Mandarin, hr Croatian, cs Czech, da Danish, nl Dutch|Flemish, en English, eo Esperanto,
    et Estonian, tl Filipino|Tagalog, fi Finnish, fr French, gl Galician, ka Georgian, de German, el Greek,
    gu Gujarati, ht Haitian Creole, ha Hausa, he Hebrew, hi Hindi, hu Hungarian, is Icelandic, ig Igbo, id Indonesian,
    ga Irish, it Italian, ja Japanese, jv Javanese, kn Kannada, kk Kazakh, km Khmer, rw Kinyarwanda, ko Korean,
    ku Kurdish|Kurmanji, ckb Sorani, ky Kyrgyz, lo Lao, la Latin, lv Latvian, lt Lithuanian, lb Luxembourgish,
    mk Macedonian, mg Malagasy, ms Malay, ml Malayalam, mt Maltese, mr Marathi, mn Mongolian, ne Nepali, no Norwegian,
    oc Occitan, or Odia|Oriya, om Oromo, ps Pashto, fa Persian|Farsi, pl Polish, pt Portuguese, pa Punjabi, ro Romanian,
    ru Russian, sa Sanskrit, gd Scottish Gaelic, sr Serbian, sd Sindhi, si Sinhala|Sinhalese, sk Slovak, sl Slovenian,
    so Somali, es Spanish|Castilian, su Sundanese, sw Swahili, sv Swedish, tg Tajik, ta Tamil, tt Tatar, te Telugu,
    th Thai, bo Tibetan, ti Tigrinya, tr Turkish, tk Turkmen, uk Ukrainian, ur Urdu, ug Uyghur, uz Uzbek, vi Vietnamese,
    cy Welsh, fy Western Frisian|Frisian, xh Xhosa, yi Yiddish, yo Yoruba, zu Zulu
    """
_THREE_LETTERS = """
    ara ar, ben bn, bul bg, cat ca, ces cs, cmn zh, dan da, deu de, ell el, eng en, est et, fas fa, fin fi, fra fr,
    heb he, hin hi, hun hu, ind id, ita it, jpn ja, kor ko, lav lv, lit lt, nld nl, nno no, nob no, nor no, pes fa,
    pol pl, por pt, ron ro, rus ru, slk sk, slv sl, spa es, srp sr, swe sv, tam ta, tel te, tha th, tur tr, ukr uk,
    urd ur, vie vi, zho zh
    """
_OTHER_CODES = {"nb": "no", "nn": "no", "fil": "tl", "iw": "he"}
_CODE = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_][a-z0-9]+)*")
_ROMANISED = re.compile(r"romani[sz]ed|in latin (?:letters|script)|transliterated|\(latin\)")
_ASIDE = re.compile(r"\(.*?\)|romani[sz]ed|in latin (?:letters|script)|transliterated|simplified|traditional|brazilian")
_HANS = {"hans": "Hani", "hant": "Hani", "kore": "Hang"}


class Language(NamedTuple):
    """A language as it is to be written."""

    code: str
    """As the identifier calls it."""
    scripts: tuple[str, ...]
    relatives: frozenset[str]
    """The language itself, and those that a short text cannot be told apart from."""
    romanised: bool = False
    """In Latin letters though it has a script of its own."""


@lru_cache(maxsize=512)
def find_language(name: str) -> Language | None:
    """A language by its code (`de`, `zh-Hant`, `hi_Latn`, `deu`) or its English name (`German`, `Romanized Hindi`).

    None when it is not known.
    """
    plain = name.strip().lower()
    coded = _CODE.fullmatch(plain)
    code = coded and _code_of(coded[1])
    if coded and code:
        return _language(code, coded[2] or "")
    code = _CODES.get(" ".join(_ASIDE.sub(" ", plain).split()))
    return _language(code, LATIN.lower() if _ROMANISED.search(plain) else "") if code else None


def _code_of(code: str) -> str | None:
    code = _SHORT.get(code, code)
    code = _OTHER_CODES.get(code, code)
    return code if code in _KNOWN else None


def _language(code: str, script: str) -> Language:
    usual = next((tuple(scripts.split()) for scripts, codes in _SCRIPTS_OF.items() if code in codes.split()), (LATIN,))
    named = _HANS.get(script, script.title())
    scripts = (named,) if named in SCRIPTS else usual
    relatives = frozenset({code}.union(*(group.split() for group in _RELATED if code in group.split())))
    return Language(code, scripts, relatives, scripts == (LATIN,) and LATIN not in usual)


def _read_names() -> dict[str, str]:
    entries = (entry.split(maxsplit=1) for entry in " ".join(_NAMES.split()).split(", "))
    return {name.lower(): code for code, names in entries for name in names.split("|")}


_CODES = _read_names()
_SHORT = dict(pair.split() for pair in _THREE_LETTERS.split(","))
_KNOWN = frozenset(_CODES.values()).union(*(codes.split() for codes in _SCRIPTS_OF.values()))
