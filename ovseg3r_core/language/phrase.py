"""What a free text asks for, read with a few rules of English: its wording, noun phrase and head noun.

English puts the head of a noun phrase last ("red office chair" is a chair), cuts the rest off with a
preposition ("the mug on the desk" is a mug), and leads in with a verb ("find me a mug"). A text that describes
a thing by its use ("something to sit on") has no head noun; only its whole wording counts.
"""

import re
from collections.abc import Container
from functools import lru_cache

from ovseg3r_core.checks import Rejected

MAX_TEXT = 1000
_MAX_HEAD_WORDS = 6  # no name of a thing is longer

_LEAD_IN = re.compile(
    r"^(?:please |can you |could you |i )*"
    r"(?:find|show|locate|get|fetch|bring|give|look for|search for|go to|drive to|take me to|need|want|see|"
    r"where is|where are|where s|is there|are there|do you see)\b(?: me| us)? "
)
_ARTICLE = re.compile(r"^(?:(?:a|an|the|any|some|my|your|our|his|her|their|this|that|these|those|all|every|one) )+")
_DESCRIPTION = re.compile(
    r"^(?:some|any)(?:thing|where|one|body)\b|^(?:thing|place|stuff|object|item|tool|device|machine|what|where|who|to)s?\b"
)
_CUT = re.compile(
    r" (?:on|in|at|by|near|under|below|beneath|above|over|behind|beside|between|against|inside|from|with|without|for|"
    r"of|to|that|which|next|close|left|right|standing|lying|sitting|hanging|please)\b.*"
)
_IRREGULAR = {"people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse", "feet": "foot"}


def clean(text: str) -> str:
    """The text without control characters and doubled spaces.

    Raises:
        Rejected: with reason `bad_query` when nothing is left, or more than 1000 characters were given.
    """
    if len(text) > MAX_TEXT:
        raise Rejected("bad_query", f"the text has {len(text)} characters; give at most {MAX_TEXT}")
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not plain:
        raise Rejected("bad_query", "the text is empty: name a thing, or say what it is for")
    return plain


def words(text: str) -> str:
    """Lower-case words with single spaces: what is left when punctuation and case do not count."""
    return " ".join(re.findall(r"\w+", text.casefold()))


@lru_cache(maxsize=1 << 14)
def key(text: str) -> str:
    """Equal for texts that differ only in case, punctuation, a leading article, or singular and plural."""
    return " ".join(_singular(word) for word in _ARTICLE.sub("", words(text)).split())


def wordings(text: str, names: Container[str]) -> list[str]:
    """The ways to read a text, most faithful first: as it stands, its noun phrase, its head noun.

    Args:
        names: keys of known names; the head is the longest end of the noun phrase that is one of them
            ("toaster oven" is not an oven where toaster ovens are known), else its last word.
    """
    asked = _ARTICLE.sub("", _LEAD_IN.sub("", words(text))) or text
    if _DESCRIPTION.search(asked):
        return [asked]
    phrase = _CUT.sub("", asked).split()
    ends = [" ".join(phrase[-count:]) for count in range(_MAX_HEAD_WORDS, 0, -1)]
    head = next((end for end in ends if key(end) in names), ends[-1])
    return list(dict.fromkeys([asked, " ".join(phrase), head]))


def _singular(word: str) -> str:
    """A stem that a noun shares with its plural; not always a word ("vase" and "vases" give "vas")."""
    word = _IRREGULAR.get(word, word)
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    elif word.endswith("y"):
        word = word[:-1] + "ie"
    if word.endswith(("se", "xe", "ze", "ve", "fe", "oe", "che", "she")):
        word = word[:-1]
    return word[:-1] + "f" if word.endswith("v") else word
