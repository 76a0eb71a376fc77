"""Config: every setting of the feed, read from the environment once.

Invariant: a Config that exists is valid. ``Config.from_environ`` reports all problems together, each by the
name of its variable; nothing else in the project reads the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent


class ConfigError(ValueError):
    """One or more settings are wrong; the message names each and says what would be right."""


@dataclass(frozen=True)
class Config:
    """The settings. Units stand in the names; ``docs/operations.md`` explains each."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    data_dir: Path = CHECKOUT / ".data"
    database_url: str | None = None  # None: the embedded PostgreSQL below data_dir
    cors_origins: tuple[str, ...] = ()
    heartbeat_seconds: float = 15.0
    retry_seconds: float = 2.0
    queue_frames: int = 1000
    ring_bytes: int = 16 * 1024 * 1024
    max_streams: int = 5000
    max_streams_per_address: int = 5000
    stuck_seconds: float = 30.0
    listener_check_seconds: float = 5.0
    retention_hours: float = 72.0
    retention_bytes: int = 4 * 1024**3

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Config:
        """Read the settings; empty variables count as unset.

        Raises:
            ConfigError: names every variable that is wrong.
        """
        return _Reader(environ).config()
