"""Config: every setting of the feed, read from the environment once.

Invariant: a Config that exists is valid. ``Config.from_environ`` reports all problems together, each by the name of its
variable; nothing else in the project reads settings from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import inf
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote, urlsplit
from zoneinfo import available_timezones

Word = TypeVar("Word", bound=str)
CHECKOUT = Path(__file__).resolve().parent.parent  # installed, this folder of the wheel, which has the same layout
IS_INSTALLED = not (CHECKOUT / "pyproject.toml").exists()
COMMAND = "people-feed" if IS_INSTALLED else "./run flask"  # what people type before the name of a command
START = "people-feed" if IS_INSTALLED else "./run"
# How the paths begin that the feed serves: with a prefix that begins so, nobody could tell whether a proxy strips it.
OWN_PATHS = (
    "account", "admin", "alerts", "api", "assets", "kiosk", "live", "login", "metrics", "sessions", "setup",
    "system",
)  # fmt: skip


_LOOPBACK = re.compile(r"(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|::1")


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's alone."""
    return _LOOPBACK.fullmatch(host.lower()) is not None


class ConfigError(ValueError):
    """One or more settings are wrong; the message names each and says what would be right."""


@dataclass(frozen=True)
class Config:
    """The settings. Units are in the names; ``docs/reference/settings.md`` explains each."""

    host: str = "127.0.0.1"
    port: int = 8000
    url_prefix: str = ""  # the path that the feed is mounted below, such as /people
    workers: int = 1
    data_dir: Path = Path("~/.local/share/people-feed") if IS_INSTALLED else CHECKOUT / ".data"
    database_url: str | None = field(default=None, repr=False)  # None: the embedded PostgreSQL below data_dir
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    access: Literal["users", "open"] = "users"
    local_access: Literal["none", "read", "ingest", "admin"] = "none"
    admin_password_file: Path | None = None
    secret_key_file: Path | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    user_header: str = ""  # in which a trusted proxy names the user
    oidc_issuer: str | None = None
    oidc_client_id: str = ""
    oidc_client_secret_file: Path | None = None
    oidc_role: Literal["viewer", "operator", "admin"] | None = None
    heartbeat_seconds: float = 15.0
    retry_seconds: float = 2.0
    queue_frames: int = 1000
    ring_bytes: int = 16 * 1024 * 1024
    max_streams: int = 5000
    max_streams_per_address: int = 1000
    stuck_seconds: float = 30.0
    listener_check_seconds: float = 5.0
    session_silence_seconds: float = 3600.0
    clock_margin_seconds: float = 120.0
    time_zone: str = "UTC"
    retention_hours: float = 72.0
    retention_bytes: int = 4 * 1024**3
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    readings_retention_days: float | None = 30.0  # None: for ever; so the next one
    minutes_retention_days: float | None = 730.0

    @property
    def bind(self) -> str:
        """Where gunicorn listens: ``127.0.0.1:8000`` or ``[::1]:8000``."""
        return _address(self.host, self.port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the feed, as far as the settings say."""
        return is_loopback(self.host) and not self.trusted_proxies

    @property
    def url(self) -> str:
        """Where this machine reaches the feed, also if it listens on every address."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{_address(host, self.port)}{self.url_prefix}"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Config:
        """Read the settings; empty variables count as unset.

        Raises:
            ConfigError: names every variable that is wrong.
        """
        return _Reader(environ).config()


_RETENTION_UNITS = {"h": 1.0, "d": 24.0}
_DAYS = {"d": 1, "y": 365}
_SIZE_UNITS = {"MB": 1024**2, "GB": 1024**3}


class _Reader:
    """Reads one environment; collects what is wrong with it instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name: value.strip() for name, value in environ.items() if value.strip()}
        self._problems: list[str] = []

    def config(self) -> Config:
        default = Config()
        retention_hours, retention_bytes = self._retention(default)
        readings_days, minutes_days = self._metrics_retention(default)
        config = Config(
            host=self._environ.get("HOST", default.host),
            port=self._integer("PORT", default.port, 0, 65535),
            url_prefix=self._url_prefix(),
            workers=self._integer("WEB_CONCURRENCY", default.workers, 1, 64),
            data_dir=self._folder("DATA_DIR", default.data_dir),
            database_url=self._database_url(),
            cors_origins=self._origins(),
            allowed_hosts=self._hosts(),
            access=self._word("ACCESS", default.access, ("users", "open")),
            local_access=self._word("LOCAL_ACCESS", default.local_access, ("none", "read", "ingest", "admin")),
            admin_password_file=self._file("ADMIN_PASSWORD_FILE", least_bytes=12),
            secret_key_file=self._file("SECRET_KEY_FILE", least_bytes=32),
            trusted_proxies=self._networks("TRUSTED_PROXIES"),
            user_header=self._user_header(),
            oidc_issuer=self._oidc_issuer(),
            oidc_client_id=self._environ.get("OIDC_CLIENT_ID", ""),
            oidc_client_secret_file=self._file("OIDC_CLIENT_SECRET_FILE"),
            oidc_role=self._oidc_role(),
            heartbeat_seconds=self._seconds("HEARTBEAT_SECONDS", default.heartbeat_seconds),
            retry_seconds=self._seconds("RETRY_SECONDS", default.retry_seconds),
            queue_frames=self._integer("QUEUE_FRAMES", default.queue_frames, 1, 1_000_000),
            ring_bytes=self._integer("RING_BYTES", default.ring_bytes, 0, 16 * 1024**3),
            max_streams=self._integer("MAX_STREAMS", default.max_streams, 1, 1_000_000),
            max_streams_per_address=self._integer(
                "MAX_STREAMS_PER_ADDRESS", default.max_streams_per_address, 1, 1_000_000
            ),
            stuck_seconds=self._seconds("STUCK_SECONDS", default.stuck_seconds),
            listener_check_seconds=self._seconds("LISTENER_CHECK_SECONDS", default.listener_check_seconds),
            session_silence_seconds=self._seconds("SESSION_SILENCE_SECONDS", default.session_silence_seconds),
            clock_margin_seconds=self._seconds("CLOCK_MARGIN_SECONDS", default.clock_margin_seconds),
            time_zone=self._time_zone(default.time_zone),
            retention_hours=retention_hours,
            retention_bytes=retention_bytes,
            log_format=self._word("LOG_FORMAT", default.log_format, ("text", "json")),
            log_level=self._word("LOG_LEVEL", default.log_level, ("debug", "info", "warning", "error")),
            readings_retention_days=readings_days,
            minutes_retention_days=minutes_days,
        )
        if self._problems:
            raise ConfigError("\n".join(self._problems))
        return config

    def _wrong(self, name: str, wanted: str) -> None:
        shown = "***" if name in ("DATABASE_URL", "DB_PASSWORD") else repr(self._environ.get(name, ""))
        self._problems.append(f"{name}={shown} is wrong: it must be {wanted}.")

    def _integer(self, name: str, default: int, least: int, most: int) -> int:
        text = self._environ.get(name, str(default))
        if re.fullmatch(r"[0-9]{1,12}", text) and least <= int(text) <= most:
            return int(text)
        self._wrong(name, f"a whole number from {least} to {most}")
        return default

    def _seconds(self, name: str, default: float) -> float:
        text = self._environ.get(name, str(default))
        if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) and float(text) > 0:
            return float(text)
        self._wrong(name, "a number of seconds above 0, such as 15 or 0.5")
        return default

    def _url_prefix(self) -> str:
        # gunicorn's own name for it serves as well.
        name = "SCRIPT_NAME" if "SCRIPT_NAME" in self._environ and "URL_PREFIX" not in self._environ else "URL_PREFIX"
        prefix = self._environ.get(name, "")
        if prefix and not re.fullmatch(r"(/[A-Za-z0-9_~-]+)+", prefix):
            self._wrong(
                name, "a path such as /people: letters, digits, - _ ~, a / before each part and none at the end"
            )
        elif prefix and prefix.split("/")[1] in OWN_PATHS:
            self._wrong(name, f"a path whose first part is none of the feed's own: {', '.join(OWN_PATHS)}")
        return prefix

    def _time_zone(self, default: str) -> str:
        zone = self._environ.get("TIME_ZONE", default)
        if zone != default and zone not in available_timezones() - {"localtime", "Factory"}:
            self._wrong("TIME_ZONE", "the name of a time zone, such as Europe/Berlin")
        return zone

    def _folder(self, name: str, default: Path) -> Path:
        folder = Path(self._environ.get(name, default))
        try:
            folder = folder.expanduser()
        except RuntimeError:
            self._wrong(name, f"a folder by its whole path: {folder} is below a home that does not exist")
        if folder.exists() and not folder.is_dir():
            self._wrong(name, "a folder")
        return folder.absolute()

    def _origins(self) -> tuple[str, ...]:
        origins = tuple(
            part.strip().rstrip("/") for part in self._environ.get("CORS_ORIGINS", "").split(",") if part.strip()
        )
        if not all(origin == "*" or re.fullmatch(r"https?://[^/\s?#]+", origin) for origin in origins):
            self._wrong("CORS_ORIGINS", "origins separated by commas, such as https://desk.example.org, or *")
        return origins

    def _hosts(self) -> tuple[str, ...]:
        hosts = tuple(
            part.strip().lower() for part in self._environ.get("ALLOWED_HOSTS", "").split(",") if part.strip()
        )
        if not all(re.fullmatch(r"[a-z0-9_.-]+|[0-9a-f.]*(?::[0-9a-f.]*){2,}", host) for host in hosts):
            self._wrong(
                "ALLOWED_HOSTS", "names or addresses without port, separated by commas, such as feed.example.org"
            )
        return hosts

    def _word(self, name: str, default: Word, words: tuple[Word, ...]) -> Word:
        text = self._environ.get(name, default)
        for word in words:
            if word == text:
                return word
        self._wrong(name, f"one of {', '.join(words)}")
        return default

    def _file(self, name: str, least_bytes: int = 1) -> Path | None:
        if name not in self._environ:
            return None
        file = Path(self._environ[name]).expanduser().absolute()
        try:
            if len(file.read_bytes().strip()) >= least_bytes:
                return file
        except OSError:
            pass
        self._wrong(name, f"a file that can be read, with {least_bytes} bytes or more in it")
        return None

    def _networks(self, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
        try:
            return tuple(ip_network(part.strip()) for part in self._environ.get(name, "").split(",") if part.strip())
        except ValueError:
            self._wrong(name, "addresses or networks separated by commas, such as 127.0.0.1 or 10.1.0.0/16")
            return ()

    def _oidc_issuer(self) -> str | None:
        issuer = self._environ.get("OIDC_ISSUER")
        if issuer and not re.fullmatch(r"https://[^\s?#]+|http://(?:localhost|127\.0\.0\.1)[^\s?#]*", issuer):
            self._wrong("OIDC_ISSUER", "the address of the provider, such as https://login.example.org/realms/site")
        elif issuer and not {"OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET_FILE"} <= set(self._environ):
            self._wrong("OIDC_ISSUER", "set together with OIDC_CLIENT_ID and OIDC_CLIENT_SECRET_FILE")
        return issuer

    def _oidc_role(self) -> Literal["viewer", "operator", "admin"] | None:
        roles: tuple[Literal["viewer", "operator", "admin"], ...] = ("viewer", "operator", "admin")
        return self._word("OIDC_ROLE", roles[0], roles) if "OIDC_ROLE" in self._environ else None

    def _user_header(self) -> str:
        header = self._environ.get("USER_HEADER", "")
        if header and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", header):
            self._wrong("USER_HEADER", "the name of a header, such as X-Remote-User")
        elif header and "TRUSTED_PROXIES" not in self._environ:
            self._wrong("USER_HEADER", "set together with TRUSTED_PROXIES: nobody else may name a user")
        return header

    def _retention(self, default: Config) -> tuple[float, int]:
        hours, size = default.retention_hours, default.retention_bytes
        for part in self._environ.get("CHANGE_LOG_RETENTION", "").split(","):
            match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(h|d|MB|GB)", part.strip())
            if match and match[2] in _RETENTION_UNITS and float(match[1]) > 0:
                hours = float(match[1]) * _RETENTION_UNITS[match[2]]
            elif match and match[2] in _SIZE_UNITS and float(match[1]) > 0:
                size = int(float(match[1]) * _SIZE_UNITS[match[2]])
            elif part.strip():
                self._wrong("CHANGE_LOG_RETENTION", "an age, a size, or both, such as 72h, 3d, or 72h,4GB")
        return hours, size

    def _metrics_retention(self, default: Config) -> tuple[float | None, float | None]:
        text = self._environ.get("METRICS_RETENTION", "")
        parts = [part.strip() for part in text.split(",")] if text else []
        matches = [re.fullmatch(r"([0-9]{1,4})\s*(d|y)|forever", part) for part in parts]
        ages = [float(match[1]) * _DAYS[match[2]] if match[1] else inf for match in matches if match]
        readings = ages[0] if ages else default.readings_retention_days or inf
        # Minutes that would go before the readings that they are made of are kept as long as these.
        minutes = ages[1] if len(ages) > 1 else max(default.minutes_retention_days or inf, readings)
        if not all(matches) or len(matches) > 2 or not 1 <= readings <= minutes:
            self._wrong(
                "METRICS_RETENTION",
                "how long single readings are kept and, after a comma, for at least as long, their minutes, in days or"
                " years or forever, such as 30d,2y",
            )
        return None if readings == inf else readings, None if minutes == inf else minutes

    def _database_url(self) -> str | None:
        url = self._environ.get("DATABASE_URL")
        if url is None:
            return self._database_url_of_parts()
        scheme, _, rest = url.partition("://")
        if scheme not in ("postgresql", "postgres", "postgresql+psycopg2") or not _splits(url):
            self._wrong("DATABASE_URL", "postgresql://user:password@host:port/database, where a % is written %25")
        return f"postgresql://{rest}"

    def _database_url_of_parts(self) -> str | None:
        given = [name for name in ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD") if name in self._environ]
        if not given:
            return None
        if "DB_HOST" not in given:
            self._problems.append(f"DB_HOST is missing, though {given[0]} is set.")
        host = quote(self._environ.get("DB_HOST", ""), safe=":")
        user, password = (quote(self._environ.get(name, ""), safe="") for name in ("DB_USER", "DB_PASSWORD"))
        name = quote(self._environ.get("DB_NAME", ""), safe="")
        port = self._integer("DB_PORT", 5432, 1, 65535)
        login = f"{user}:{password}@" if password else f"{user}@" if user else ""
        if host.startswith("%2F"):  # a folder: the Unix socket in it
            return f"postgresql://{login}/{name}?host={host}&port={port}"
        return f"postgresql://{login}{f'[{host}]' if ':' in host else host}:{port}/{name}"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _splits(url: str) -> bool:
    if re.search(r"%(?![0-9A-Fa-f]{2})", url):
        return False
    try:
        return bool(urlsplit(url).port or True)
    except ValueError:
        return False
