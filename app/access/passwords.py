"""Passwords: which are accepted, and how they are kept.

Invariant: a password is hashed in a thread, two at a time: scrypt takes 80 ms and 32 MB, and in the loop it would stop
all streams of the worker that long. A user that does not exist takes as long as one that does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

from werkzeug.security import check_password_hash, generate_password_hash

LEAST = 12
MOST = 256
# What zxcvbn takes for guessed in a day at ten thousand tries a second: words, names, dates, keyboard walks, and what
# others used most, with the usual substitutions. Longer ones cost it too much time, and no guesser gets that far.
_LEAST_GUESSES = 10**10
_LOOKED_AT = 72
_AT_ONCE = 2
_WAITING = 50

T = TypeVar("T")


class Busy(Exception):
    """Too many passwords wait to be hashed."""


def objection(password: str, *about: str) -> str | None:
    """Why a password is not accepted, as the rest of a sentence; None if it is.

    Args:
        about: what an attacker would try first, such as the user's name.
    """
    if len(password) < LEAST:
        return f"should have {LEAST} characters or more"
    if len(password) > MOST:
        return f"may have {MOST} characters at most"
    if "\0" in password or any("\ud800" <= sign <= "\udfff" for sign in password):
        return "may hold only what can be typed, as UTF-8"
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # its lists take 30 ms and 20 MB

    inputs = [*about, "people", "counting", "feed", "camera"]
    if zxcvbn(password[:_LOOKED_AT], user_inputs=inputs, max_length=_LOOKED_AT)["guesses"] < _LEAST_GUESSES:
        return "is too easy to guess: use several words that do not belong together"
    return None


def hashed(password: str) -> str:
    """What is stored of a password: scrypt, with a salt of its own. Takes 80 ms."""
    return generate_password_hash(password, method="scrypt")


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether the password is the one that was hashed. Takes 80 ms, also where there is no hash."""
    return check_password_hash(password_hash or _nobody(), password) and password_hash is not None


@cache
def _nobody() -> str:
    return hashed("")


def in_thread(work: Callable[..., T], *arguments: str | None) -> T:
    """Hash in one of the worker's threads, while its loop goes on.

    Raises:
        Busy: too many others wait already.
    """
    import gevent
    from gevent.lock import BoundedSemaphore

    turn: BoundedSemaphore = _turn(BoundedSemaphore)
    if _Waiting.number >= _WAITING:
        raise Busy
    _Waiting.number += 1
    try:
        with turn:
            done: T = gevent.get_hub().threadpool.apply(work, arguments)
            return done
    finally:
        _Waiting.number -= 1


class _Waiting:
    number = 0


@cache
def _turn(kind: Callable[[int], T]) -> T:
    return kind(_AT_ONCE)
