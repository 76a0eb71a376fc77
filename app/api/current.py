"""The feed and the access of the app that serves the current request."""

from __future__ import annotations

from flask import current_app

from app.access.access import Access
from app.feed.feed import Feed


def current_feed() -> Feed:
    """The feed that ``create_app`` put together for this app."""
    feed: Feed = current_app.extensions["feed"]
    return feed


def current_access() -> Access:
    """What judges who is let in."""
    access: Access = current_app.extensions["access"]
    return access
