"""Shown: text that others have written, as it may be printed."""

from __future__ import annotations


def shown(text: str) -> str:
    """The text on one line, without what a terminal would obey: nobody forges a line of a list by a name."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
