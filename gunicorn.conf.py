"""How gunicorn serves the feed.

The arbiter, which gevent never patches, starts PostgreSQL, migrates and watches; workers serve. This file is run
again on HUP, so what has to live on is kept in ``app.arbiter``.
"""

import os
import signal

from app import arbiter, logs
from app.gunicorn_log import Log
from app.monitoring.slots import SLOT, slots

_config = arbiter.read_config(os.environ)
_LINGER_SECONDS = 1.0
_REQUESTS_PER_ADDRESS = 200

wsgi_app = "wsgi:app"
bind = _config.bind
backlog = 8192  # as many as the system allows: after a restart, all clients come at once
workers = _config.workers
worker_class = "app.gunicorn_worker.Worker"
# So that REST and health answer when all streams are taken, also where streams stay with gunicorn (TLS in it).
worker_connections = _config.max_streams + 500
preload_app = False  # preloaded, the app would be imported before gevent patches
control_socket_disable = True
# Where the feed is mounted is a setting. gunicorn would believe SCRIPT_NAME of any client on this machine.
forwarder_headers = ""
# Nor does it say which proxies are believed: TRUSTED_PROXIES does.
forwarded_allow_ips = ""
secure_scheme_headers = {}
logger_class = "app.gunicorn_log.Log"
Log.line_format = logs.formatter(_config)
graceful_timeout = 30
loglevel = _config.log_level


def on_starting(server):
    inherited = "GUNICORN_FD" in os.environ or "LISTEN_FDS" in os.environ
    slots.open()
    arbiter.start(_config, [] if inherited else server.cfg.address)


def when_ready(server):
    arbiter.greet(_config, [f"{listener}{_config.url_prefix}" for listener in server.LISTENERS])
    interrupt = server.handle_int

    def say_and_stop():
        print("\nStopping …", flush=True)
        interrupt()

    server.handle_int = say_and_stop  # gunicorn has no hook for this, and looks its handlers up by name


def on_reload(server):
    arbiter.reload(_config)


def on_exit(server):
    arbiter.stop()
    slots.close()


def pre_fork(server, worker):
    worker.slot = slots.take()


def child_exit(server, worker):
    slots.give_back(worker.slot)


def post_fork(server, worker):
    os.environ[SLOT] = str(worker.slot)
    # A worker that is told to leave before it has its own handlers would put the signal into its copy of the arbiter's
    # queue, and hold up the shutdown for the whole graceful_timeout.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def pre_request(worker, req):
    # A client that neither sends nor takes a byte for this long is cut; gunicorn itself would wait for good.
    req.unreader.sock.settimeout(_config.stuck_seconds)
    if req.method in ("GET", "HEAD", "DELETE", "OPTIONS") and req.body is not None and _announces_body(req):
        req.force_close()  # no view reads it


def post_request(worker, req, environ, resp):
    """Close a connection on which a body is unread: gunicorn would read all of it, without yielding, however long.

    The response is out already; a client that is still sending gets a moment to see it before the connection closes.
    """
    if not _announces_body(req):
        return
    import gevent

    from app.rest.body import IS_READ

    if environ.get(IS_READ):
        return
    try:
        with gevent.Timeout(_LINGER_SECONDS, TimeoutError):
            while req.body.read(65536):
                gevent.sleep(0)
    except Exception:
        worker.log.debug("an unread body did not end in time", exc_info=True)
        req.force_close()


def _announces_body(req):
    headers = dict(req.headers)
    return "TRANSFER-ENCODING" in headers or headers.get("CONTENT-LENGTH", "0").strip() != "0"


def post_worker_init(worker):
    import gevent

    from app.feed.periodic import Periodic

    # The app has read it. gunicorn would answer 500 to each request that comes without it.
    os.environ.pop("SCRIPT_NAME", None)
    feed = worker.wsgi.extensions["feed"]
    worker.flushing = Periodic("telling the figures", worker.wsgi.extensions["flush"].work)
    worker.flushing.start()
    reporter = worker.wsgi.extensions["reporter"]
    worker.reporting = Periodic("reporting", reporter.work, first_seconds=1.0, at_end=reporter.close)
    feed.start()
    worker.reporting.start()
    # Streams stay with gunicorn if TLS ends in it.
    worker.trusted = _config.trusted_proxies
    worker.share = _config.max_streams_per_address + _REQUESTS_PER_ADDRESS
    worker.worker_connections = feed.hub.max_streams + min(500, feed.hub.max_streams // 2)
    gevent.spawn(_drain_in_time, worker)


def worker_exit(server, worker):
    if getattr(worker, "wsgi", None):  # else it never came up
        worker.wsgi.extensions["feed"].stop()
        worker.reporting.stop()
        worker.flushing.stop()
        worker.wsgi.extensions["flush"].work()  # what the last streams got


def _drain_in_time(worker):
    """End the streams when the worker is told to leave, by TERM, HUP or max_requests: they would hold it for good.

    gunicorn has no hook for that, so this looks at what its own loop looks at.
    """
    import gevent

    while worker.alive:
        gevent.sleep(0.2)
    worker.wsgi.extensions["feed"].drain()
