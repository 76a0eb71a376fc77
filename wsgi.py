"""What gunicorn serves: ``gunicorn wsgi:app``, or ``./run``."""

from app import create_app
from app.config import ConfigError

try:
    app = create_app()
except ConfigError as error:
    raise SystemExit(str(error)) from None
