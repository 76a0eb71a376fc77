"""The app under a server that gives away no sockets: everything goes through the response."""

from __future__ import annotations

from wsgi import app

_answer = app.wsgi_app


def _without_socket(environ, start_response):
    environ.pop("gunicorn.socket", None)
    return _answer(environ, start_response)


app.wsgi_app = _without_socket  # type: ignore[method-assign]
