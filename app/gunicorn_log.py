"""Log: gunicorn's, in the format of our own lines, without the tickets in addresses of streams.

Who reads an access log could use such a ticket for a minute.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from gunicorn.glogging import Logger

_TICKET = re.compile(r"([?&]ticket=)[^&\s\"]*")


class Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Hides the value of ``ticket`` wherever a line of the access log may show it.

    ``line_format`` takes the place of gunicorn's own formats; None leaves them.
    """

    line_format: logging.Formatter | None = None

    def atoms(self, *arguments: Any, **named: Any) -> dict[str, Any]:  # noqa: ANN401 - gunicorn's
        """What a line of the access log is made of."""
        atoms: dict[str, Any] = super().atoms(*arguments, **named)
        return {name: _hidden(value) for name, value in atoms.items()}

    def _set_handler(self, log: logging.Logger, output: Any, fmt: logging.Formatter, stream: Any = None) -> None:  # noqa: ANN401 - gunicorn's
        super()._set_handler(log, output, self.line_format or fmt, stream)


def _hidden(value: object) -> object:
    return _TICKET.sub(r"\1***", value) if isinstance(value, str) and "ticket=" in value else value
