"""Logs: what a process says, as text for people or as JSON for machines.

Invariant: a line says when, how bad it is, who says it, and what. In JSON these are fields, a traceback is one too, and
so a line is always one line. Lines that belong to a request have its id in ``request``.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

from app.config import Config

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up(config: Config, *, level: str | None = None) -> None:
    """Say what is at least as bad as ``level``, by default as the settings say, on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(config) or logging.Formatter(_TEXT))
    logging.basicConfig(handlers=[handler], level=(level or config.log_level).upper())


def formatter(config: Config) -> logging.Formatter | None:
    """The formatter of JSON lines; None where lines are text."""
    if config.log_format == "text":
        return None
    # Imported when asked for: commands boot without it.
    from pythonjsonlogger.json import JsonFormatter

    class Formatter(JsonFormatter):
        def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
            request = request_id.get()
            return log_data if request is None else log_data | {"request": request}

    return Formatter(
        "{levelname}{name}{process}{message}",
        style="{",
        timestamp="time",
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
    )
