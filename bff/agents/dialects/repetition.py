"""Whether one text repeats another: on purpose or by chance, whole or grown, white space aside."""

from __future__ import annotations

SURE_CHARACTERS = 5
"""Shorter text may be equal to what was said before by chance: a token."""
SURE_PAIR_CHARACTERS = 8
"""The same for two frames of one word, the second of which begins with the first, at the end."""


def is_sure(text: str, characters: int) -> bool:
    """Whether a text is long enough, and word enough, not to come twice by chance."""
    text = text.strip()
    return len(text) >= characters and any(character.isalnum() for character in text)


def is_sure_pair(text: str) -> bool:
    """Whether a text is one that another frame begins with on purpose: it is long, or words."""
    words = SURE_CHARACTERS if len(text.split()) > 1 else SURE_PAIR_CHARACTERS
    return is_sure(text, words)


def longest(text: str) -> int:
    """What is longer cannot be the same but for white space, and is not worth comparing."""
    return 2 * len(text) + 64


def missing(said: str, whole: str) -> str:
    """What `whole` has beyond `said`, where it repeats it but for white space; else all of it."""
    if whole.startswith(said):
        rest = whole[len(said) :]
        return "" if said and rest.isspace() else rest
    if len(said) > longest(whole):
        return "" if whole.strip() in said else whole
    have, wanted = squeezed(said), squeezed(whole)
    if wanted in have:
        return ""
    if not wanted.startswith(have):
        return whole
    left = len(have)
    for at, character in enumerate(whole):
        if left == 0:
            rest = whole[at:]
            return rest.lstrip() if said[-1:].isspace() else rest
        left -= not character.isspace()
    return ""


def squeezed(text: str) -> str:
    """The text without its white space, in which frames that say the same differ."""
    return "".join(text.split())
