"""Log: gunicorn's, without the tickets in addresses of streams: who reads an access log could use one for a minute."""

from __future__ import annotations

import re
from typing import Any

from gunicorn.glogging import Logger

_TICKET = re.compile(r"([?&]ticket=)[^&\s\"]*")


class Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Hides the value of ``ticket`` wherever a line of the access log may show it."""

    def atoms(self, *arguments: Any, **named: Any) -> dict[str, Any]:  # noqa: ANN401 - gunicorn's
        """What a line of the access log is made of."""
        atoms: dict[str, Any] = super().atoms(*arguments, **named)
        return {name: _hidden(value) for name, value in atoms.items()}


def _hidden(value: object) -> object:
    return _TICKET.sub(r"\1***", value) if isinstance(value, str) and "ticket=" in value else value
