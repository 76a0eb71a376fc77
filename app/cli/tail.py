"""flask tail: the changes of a topic as they happen, one per line, over the same stream that browsers use.

Invariant: every line is a change, once and in order: it resumes at its cursor after every interruption, and says
``reset`` where changes are missing. Lines go to stdout, messages about the connection to stderr.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit
from uuid import UUID

import click

from app.cli.database import current_config
from app.cli.event_stream import EventStream
from app.cli.own_keys import OwnKeys
from app.feed.change import TOPICS

_SILENCE_SECONDS = 60.0  # four heartbeats as they are set by default
# Sessions in a page, when it is looked for the one that an id begins.
_PAGE = 1000
_COLOURS = {"INSERT": "green", "UPDATE": "yellow", "DELETE": "red", "TEST": "cyan"}
# What the feed says of where it goes on.
_CONNECTED = {
    "live": "Connected: changes follow.",
    "resumed": "Connected: what has been missed comes first.",
    "reset": "reset: changes are missing before this line.",
}
# Columns that say little to a person who watches.
_DULL = {"id", "session_id", "created_at", "updated_at"}


class Refused(Exception):
    """The feed refuses this request, and asking again would not help."""


class _KeyWanted(Refused):
    """The feed wants a key, or another one."""


class Tail:
    """The messages of one stream, across its connections.

    Args:
        session: the id of a session, or how it begins.
        new_key: makes a key, where the feed asks for one.
    """

    def __init__(
        self,
        url: str,
        topic: str,
        session: str | None,
        after: str | None,
        *,
        key: str | None = None,
        new_key: Callable[[], str] | None = None,
    ) -> None:
        self._url = urlsplit(url)
        self._root = self._url.path.rstrip("/")
        self._topic = topic
        self._session = session
        self._cursor = after
        self._key = key
        self._new_key = new_key
        self.retry_seconds = 2.0

    def connection(self) -> Iterator[dict[str, Any]]:
        """The messages of one connection, until it ends.

        Raises:
            OSError, http.client.HTTPException: the feed is unavailable.
            Refused: it answers with a refusal; the message is its reason.
        """
        was_asked = False
        while True:
            try:
                yield from self._connection()
            except _KeyWanted:
                if self._new_key is None or was_asked:
                    raise
                self._key, was_asked = self._new_key(), True
            else:
                return

    def _connection(self) -> Iterator[dict[str, Any]]:
        if self._session is not None and len(self._session) < len(str(UUID(int=0))):
            self._session = self._whole_id(self._session)
        query = {} if self._session is None else {"session_id": self._session}
        headers = {} if self._cursor is None else {"Last-Event-ID": self._cursor}
        with self._answer(f"/api/sse/{self._topic}?{urlencode(query)}", "text/event-stream", headers) as response:
            yield from self._messages(response)

    def _whole_id(self, beginning: str) -> str:
        """The id of the session whose id begins so.

        Raises:
            Refused: there is none, or more than one.
        """
        found: list[str] = []
        page = ""
        while True:
            query = {"fields": "id", "limit": str(_PAGE), **({"after": page} if page else {})}
            with self._answer(f"/api/sessions?{urlencode(query)}", "application/json", {}) as response:
                listed = json.load(response)
            found += [row["id"] for row in listed["items"] if row["id"].startswith(beginning)]
            page = listed["next"] or ""
            if not page or len(found) > 1:
                break
        if not found:
            raise Refused(f"There is no session whose id begins with {beginning}.")
        if len(found) > 1:
            raise Refused(
                f"{beginning} begins the ids of several sessions, such as {found[0]} and {found[1]}: say more."
            )
        return found[0]

    @contextmanager
    def _answer(self, path: str, kind: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        connect = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = connect(self._url.netloc, timeout=_SILENCE_SECONDS)
        try:
            shown = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            connection.request("GET", f"{self._root}{path}", headers={**headers, **shown})
            response = connection.getresponse()
            if response.status >= 500:
                raise ConnectionError(f"it answers {response.status}")
            if response.status == 401:
                raise _KeyWanted(_reason(response))
            if response.status != 200:
                raise Refused(_reason(response))
            if response.headers.get_content_type() != kind:
                raise Refused(f"it answers {response.headers.get_content_type()}, so this is not the feed")
            yield response
        finally:
            connection.close()

    def _messages(self, response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        stream = EventStream(self._cursor or "")
        while piece := response.read1(65536):
            for event in stream.feed(piece):
                yield json.loads(event.data)
                self._cursor = event.last_event_id or self._cursor
            if stream.retry_ms is not None:
                self.retry_seconds = stream.retry_ms / 1000


def _reason(response: http.client.HTTPResponse) -> str:
    body = response.read(65536)
    try:
        problem = json.loads(body)
        wrong = [f"{one['field']}: {one['message']}" for one in problem.get("errors", [])]
        return "; ".join([str(problem["detail"]), *wrong])
    except (ValueError, KeyError, TypeError):
        return f"it answers {response.status}"


def line_of(change: dict[str, Any]) -> str:
    """A change for people: its id, the action, and what is worth knowing about the row."""
    row, old = change["data"] or {}, change["old_data"] or {}
    if change["action"] == "UPDATE":
        told = [f"{name}={_short(old.get(name))}→{_short(row[name])}" for name in row if row[name] != old.get(name)]
    else:
        told = [f"{name}={_short(value)}" for name, value in row.items() if name not in _DULL and value is not None]
    action = click.style(f"{change['action']:<6}", fg=_COLOURS.get(change["action"]), bold=True)
    session = click.style(str(row.get("session_id") or row.get("id") or "-"), dim=True)
    return f"{change['id']:>10} {action} {session} {' '.join(told)}"


def _short(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _show(message: dict[str, Any], *, as_json: bool) -> None:
    if message["type"] == "data":
        change = message["data"]
        _print(
            json.dumps(change, ensure_ascii=False) if as_json else f"{message['timestamp'][11:23]} {line_of(change)}"
        )
    elif message["type"] == "error":
        click.echo(message["message"], err=True)
    elif message["type"] == "connection":
        click.echo(_CONNECTED[message["data"]["status"]], err=True)


def _print(line: str) -> None:
    try:
        click.echo(line)
    except BrokenPipeError:  # our reader has left, as head does; the feed has not
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def follow(tail: Tail, *, as_json: bool = False) -> None:
    """Show changes until interrupted, over as many connections as it takes."""
    told = False
    while True:
        try:
            for message in tail.connection():
                told = False
                _show(message, as_json=as_json)
        except (OSError, http.client.HTTPException) as error:
            if not told:
                click.echo(f"The feed is unavailable ({error}); trying until it is back.", err=True)
            told = True
        time.sleep(tail.retry_seconds * random.uniform(0.5, 1))


class _SessionId(click.ParamType[str]):
    """The id of a session, or its first digits; without capitals, as the feed writes it."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(UUID(value))
        except ValueError:
            pass
        beginning = value.lower()
        if not re.fullmatch("[0-9a-f][0-9a-f-]*", beginning):
            self.fail(
                f"{value!r} is neither the id of a session nor the beginning of one, such as 3f2a9c01.", param, ctx
            )
        return beginning


class _Url(click.ParamType[str]):
    """Where a feed is."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not _is_url(value):
            guess = f"http://{value}"
            right = guess if "://" not in value and _is_url(guess) else "http://127.0.0.1:8000"
            self.fail(
                f"{value!r} is no URL of a feed: it begins with http:// or https://, as {right} does.", param, ctx
            )
        return value


def _is_url(text: str) -> bool:
    try:
        parts: SplitResult = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        return False


@click.command("tail")
@click.argument("topic", type=click.Choice(TOPICS))
@click.option("--session", type=_SessionId(), help="Only changes of this session; the first digits of its id will do.")
@click.option("--after", metavar="CURSOR", help="Start after this cursor instead of now.")
@click.option("--url", type=_Url(), help="The feed; by default the one at HOST and PORT.")
@click.option("--key", envvar="FEED_KEY", help="A key of scope read; for the feed of this machine one is made.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per line.")
def command(
    topic: str, session: str | None, after: str | None, url: str | None, key: str | None, as_json: bool
) -> None:
    """Show the changes of TOPIC as they happen, until Ctrl-C."""
    keys = OwnKeys()
    reading = Tail(
        url or current_config().url,
        topic,
        session,
        after,
        key=key,
        new_key=keys.new if key is None and url is None else None,
    )
    # Nothing is being written, so signals may interrupt the reading.
    # SIGINT, too: a shell that starts this in the background has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        follow(reading, as_json=as_json)
    except KeyboardInterrupt:
        return
    except Refused as error:
        raise click.ClickException(str(error)) from error
    finally:
        keys.revoke()
