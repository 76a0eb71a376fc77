"""The app as in a worker that leaves: streams say how to come back and end, so a test can read them whole."""

from wsgi import app

app.extensions["feed"].hub.drain()
