"""Sender: the body of a stream's response, which carries frames from the stream to the client.

Invariant: it gives its subscription back exactly once, in ``_give_back``, however the stream ends.

The first bytes go out through the server, with the head of the response. Then, where the server's socket can be taken
over, the request ends: nothing of the server, of Flask, or of the request's greenlet stays alive with the stream. From
then on a greenlet runs only while there is something that the hub cannot write itself. It handles everything that is
due and lets the client rest in the same step, so nothing that happens while it runs is missed, and anything that
happens while the client rests starts it again. A resting client is a few plain objects, 2 kB; a waiting greenlet would
take 17.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections.abc import Iterator

import gevent

from app.feed.client_socket import ClientSocket, Gone
from app.feed.hub import Hub
from app.feed.stream import Stream
from app.feed.subscription import Subscription

log = logging.getLogger(__name__)

_FAILED = "an error of ours"


class HandedOver(OSError):
    """The connection no longer belongs to the server. gunicorn silently drops a connection that is not connected."""

    def __init__(self) -> None:
        super().__init__(errno.ENOTCONN, "the stream continues without the server")


class Sender:
    """Brings ``stream`` to a client, by way of ``sock`` or, without one, of the WSGI server that iterates over it.

    Args:
        sock: the connection, if the server lets it be taken over.
        stuck_seconds: a client that reads no byte for this long is cut.
    """

    __slots__ = ("_began_at", "_client", "_hub", "_sock", "_stream", "_stuck_seconds", "_subscription")

    def __init__(
        self,
        hub: Hub,
        subscription: Subscription,
        stream: Stream,
        sock: socket.socket | None,
        *,
        stuck_seconds: float,
    ) -> None:
        self._hub = hub
        self._subscription = subscription
        self._stream = stream
        self._sock = sock
        self._stuck_seconds = stuck_seconds
        self._client: ClientSocket | None = None
        self._began_at = time.monotonic()
        log.info("a stream of %s began: %s", subscription.address, subscription.filter)

    def __iter__(self) -> Iterator[bytes]:
        """The response's bytes, as WSGI asks for them.

        Raises:
            HandedOver: after the first bytes, once the socket has been taken over.
        """
        subscription, stream = self._subscription, self._stream
        yield stream.first()
        if self._sock is not None:
            self._take_over(self._sock)
            raise HandedOver
        while (data := stream.next()) is not None:
            if data:
                yield data
            elif stream.may_rest:
                subscription.wait()

    def close(self) -> None:
        """End the response, as WSGI asks, even before its first byte. Does nothing once the socket is handed over."""
        if self._client is None:
            self._give_back()

    def start(self) -> None:
        """Send what is due, from the loop's next turn on."""
        gevent.spawn(self.run)

    def run(self) -> None:
        """Send what is due, in the current greenlet."""
        subscription, client = self._subscription, self._client
        assert client is not None
        try:
            while (data := self._stream.next()) is not None:
                if data or client.unsent:
                    client.write(data)
                elif self._stream.may_rest:
                    subscription.rest(self.start, client.send)
                    return
            if subscription.gone is None:
                client.end()
        except Gone as gone:
            subscription.leave(str(gone))
        except Exception:
            log.exception("a stream of %s failed and is cut", subscription.address)
            subscription.leave(_FAILED)
            client.cut()
        self._give_back()

    def _take_over(self, sock: socket.socket) -> None:
        subscription = self._subscription
        # A dead socket refuses here: then ``close`` gives the subscription back.
        self._client = subscription.client = ClientSocket(
            sock,
            is_chunked=subscription.is_chunked,
            stuck_seconds=self._stuck_seconds,
            on_gone=subscription.leave,
        )
        self._sock = None
        # Catching up can be slow, so it gets its own greenlet; a client that is current rests immediately.
        if self._stream.is_new:
            self.run()
        else:
            self.start()

    def _give_back(self) -> None:
        subscription, client = self._subscription, self._client
        self._hub.remove(subscription)
        if client is not None:
            subscription.client = None
            client.close()
        seconds = time.monotonic() - self._began_at
        why, text = self._end()
        self._hub.counts[f"closed {why}"] += 1
        log.info("a stream of %s ended after %.1f s: %s", subscription.address, seconds, text)

    def _end(self) -> tuple[str, str]:
        """Why it ended, as one of a few words, and as a text."""
        subscription = self._subscription
        if subscription.gone is not None:
            return "failed" if subscription.gone == _FAILED else "client", subscription.gone
        return ("expelled", "its access ended") if subscription.is_expelled else ("drained", "drained")
