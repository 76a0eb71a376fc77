"""Worker: gunicorn's gevent worker, with a share of its connections for each address.

Invariant: one address cannot take all the places that requests are served in. gunicorn limits a worker's connections,
but not whose they are: 5 600 bodies that never end used to silence REST and health for everyone. Streams give their
place back once they are handed over, so the share is for requests, and for streams only where they stay with gunicorn.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network

_DETAIL = b'{"title":"Service Unavailable","status":503,"detail":"Your address has too many requests open here."}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_DETAIL), _DETAIL)
)


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """``share`` is how many connections an address may have with this worker; None: as many as there are."""

    share: int | None = None
    trusted: Sequence[Network] = ()  # proxies, which are many clients

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)
        self._connections: Counter[str] = Counter()

    def run(self) -> None:
        """Serve until told to leave."""
        # How many connections are accepted at a turn of the loop. gevent would take a hundred before the streams are
        # served again; with one, ten thousand clients that come back at once take a third longer.
        StreamServer.max_accept = 8
        super().run()

    def handle(self, listener: socket.socket, client: socket.socket, addr: tuple[str, int] | str) -> None:
        """Serve a connection, unless its address has its share already."""
        address = addr[0] if isinstance(addr, tuple) else ""  # a Unix socket is one address, the proxy's
        if (
            self.share is not None
            and address
            and self._connections[address] >= self.share
            and not self._is_proxy(address)
        ):
            self._refuse(client, address)
            return
        self._connections[address] += 1
        try:
            super().handle(listener, client, addr)
        finally:
            self._connections[address] -= 1
            if not self._connections[address]:
                del self._connections[address]

    def _is_proxy(self, address: str) -> bool:
        from app.rest.proxies import is_within

        return is_within(address, self.trusted)

    def _refuse(self, client: socket.socket, address: str) -> None:
        log.debug("%s has %s connections and is refused another", address, self.share)
        with contextlib.suppress(OSError), client:
            client.setblocking(False)
            client.send(_REFUSAL)
            client.shutdown(socket.SHUT_WR)
