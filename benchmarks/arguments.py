"""Arguments of the benchmarks: what every script checks before it starts anything.

Invariant: a wrong value ends the script with a sentence that says what would be right, and status 2.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring, word for word."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """The type of a list such as ``pace-100,idle``, each one of the known names."""
    wanted = list(known)

    def split(text: str) -> list[str]:
        given = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in given if name not in wanted]
        if unknown or not given:
            what = f"unknown: {', '.join(unknown)}" if unknown else "nothing is named"
            raise argparse.ArgumentTypeError(f"{what}. Choose from {', '.join(wanted)}, separated by commas.")
        return given

    return split


def count(text: str) -> int:
    """The type of a whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1.")
    return int(text)


def amount(text: str) -> float:
    """The type of a number above 0: seconds, minutes, a rate."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0.")
    return number
