"""The peer from Flask: flask-sse on Redis, under gunicorn's gevent worker."""

from __future__ import annotations

import os

from flask import Flask
from flask_sse import sse

app = Flask(__name__)
app.config["REDIS_URL"] = os.environ["PEER_REDIS_URL"]
app.register_blueprint(sse, url_prefix="/sse")
