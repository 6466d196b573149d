"""Everything that can be set from outside, read once from the environment variables into one typed object."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

PROJECT_DIR = Path(__file__).resolve().parents[2]

DATABASE_NAME = "vitrine"
DATABASE_USER = "vitrine"

EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104

MOST_CALLS = 1_000_000_000

T = TypeVar("T")


class OperatorError(Exception):
    """What the person who runs Vitrine can put right; the text is the sentence that they read."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable as the documentation shows it."""

    name: str
    default: str
    meaning: str


SETTINGS = (
    Setting(
        "VITRINE_DATA_DIR",
        ".vitrine in the project folder",
        "where databases, artifacts, logs and keys are kept",
    ),
    Setting(
        "DATABASE_URL",
        "its own PostgreSQL",
        "postgresql://user:password@host:5432/name of a server to use instead",
    ),
    Setting(
        "REDIS_URL", "its own Valkey", "redis://host:6379/0 of a Redis or Valkey to use instead"
    ),
    Setting(
        "VITRINE_HOST",
        "127.0.0.1",
        "address to listen on; 0.0.0.0 for every network of the machine",
    ),
    Setting("VITRINE_PORT", "8000", "port to listen on"),
    Setting("VITRINE_PUBLIC_URL", "http://HOST:PORT", "address under which browsers reach Vitrine"),
    Setting(
        "SECRET_KEY", "made once, kept in the data folder", "signs sessions and recommendation ids"
    ),
    Setting(
        "ALLOWED_HOSTS",
        "this machine and the public address",
        "host names to answer for, separated by commas",
    ),
    Setting("DEBUG", "false", "true shows errors in full; only on a developer's machine"),
    Setting("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR"),
    Setting("VITRINE_WEB_WORKERS", "one per core, at most 4", "web processes"),
    Setting("VITRINE_WEB_THREADS", "2", "requests that one web process answers at the same time"),
    Setting(
        "VITRINE_WORKER_CONCURRENCY",
        "2",
        "background tasks at the same time, besides an import and a training",
    ),
    Setting(
        "VITRINE_ADDRESS_CALLS_PER_MINUTE",
        "6000",
        "event posts from one browser's address, which a whole office or mobile network may share",
    ),
    Setting(
        "VITRINE_PUBLISHABLE_CALLS_PER_MINUTE", "120000", "event posts with one publishable key"
    ),
    Setting(
        "VITRINE_SECRET_CALLS_PER_MINUTE",
        "60000",
        "calls with one secret key, for events, products and shoppers",
    ),
    Setting("VITRINE_IMPORT_MAX_MB", "200", "megabytes that a product feed may have, as it comes"),
    Setting(
        "VITRINE_IMPORT_ALLOWED_HOSTS",
        "none",
        "hosts of the shop's own network that feeds may be fetched from, separated by commas",
    ),
    Setting("VITRINE_ADMIN_EMAIL", "asked at the first start", "the first member's e-mail address"),
    Setting("VITRINE_ADMIN_PASSWORD", "asked at the first start", "the first member's password"),
    Setting("VITRINE_STORE_NAME", "asked at the first start", "name of the first store"),
    Setting("VITRINE_STORE_CURRENCY", "USD", "currency of the first store, as in ISO 4217"),
    Setting("VITRINE_STORE_TIMEZONE", "UTC", "time zone of the first store, as in Europe/Berlin"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The settings of this process.

    ``database_url`` and ``redis_url`` are always set: without a server of their own choice they
    name the sockets of the embedded servers of ``data_dir``, whether these run or not.
    """

    data_dir: Path
    database_url: str
    redis_url: str
    embedded_postgres: bool
    embedded_valkey: bool
    host: str
    port: int
    public_url: str
    allowed_hosts: tuple[str, ...]
    debug: bool
    log_level: str
    web_workers: int
    web_threads: int
    worker_concurrency: int
    address_calls_per_minute: int
    publishable_calls_per_minute: int
    secret_calls_per_minute: int
    import_max_mb: int
    import_allowed_hosts: tuple[str, ...]
    admin_email: str | None
    admin_password: str | None
    store_name: str | None
    store_currency: str
    store_timezone: str
    explicit_secret_key: str | None

    @property
    def broker_url(self) -> str:
        """The same server as ``redis_url``, in the form that Celery understands."""
        return broker_url(self.redis_url)

    @property
    def artifacts_dir(self) -> Path:
        return self.data_dir / "artifacts"

    @property
    def imports_dir(self) -> Path:
        return self.data_dir / "imports"

    @property
    def kernels_dir(self) -> Path:
        """Where numba keeps what `recommender.engine.online.kernel` compiles."""
        return self.data_dir / "kernels"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def secret_key(self) -> str:
        """SECRET_KEY, or else the one in the data folder, which is made at the first call."""
        return self.explicit_secret_key or _kept_secret_key(self.data_dir)

    @property
    def database_config(self) -> dict[str, Any]:
        """``database_url`` as an entry of Django's DATABASES."""
        return database_config(self.database_url)


def from_environ(environ: Mapping[str, str] | None = None) -> Environment:
    """Read the settings; OperatorError says in a sentence which one is wrong."""
    values = os.environ if environ is None else environ
    data_dir = (
        Path(values.get("VITRINE_DATA_DIR") or PROJECT_DIR / ".vitrine").expanduser().absolute()
    )
    embedded_database, embedded_redis = _embedded_addresses(data_dir)
    cores = os.cpu_count() or 1
    host = values.get("VITRINE_HOST") or "127.0.0.1"
    port = _number(values, "VITRINE_PORT", 8000, low=1, high=65535)
    public_url = _read(values, "VITRINE_PUBLIC_URL", local_address(host, port), _http_url)
    return Environment(
        data_dir=data_dir,
        database_url=_read(values, "DATABASE_URL", embedded_database, _postgres_url),
        redis_url=_read(values, "REDIS_URL", embedded_redis, _redis_url),
        embedded_postgres=not values.get("DATABASE_URL"),
        embedded_valkey=not values.get("REDIS_URL"),
        host=host,
        port=port,
        public_url=public_url,
        allowed_hosts=_read(values, "ALLOWED_HOSTS", _local_hosts(host, public_url), _names),
        debug=_read(values, "DEBUG", False, _flag),
        log_level=_read(values, "LOG_LEVEL", "INFO", _log_level),
        web_workers=_number(values, "VITRINE_WEB_WORKERS", min(cores, 4), low=1, high=256),
        web_threads=_number(values, "VITRINE_WEB_THREADS", 2, low=1, high=512),
        worker_concurrency=_number(values, "VITRINE_WORKER_CONCURRENCY", 2, low=1, high=256),
        address_calls_per_minute=_number(
            values, "VITRINE_ADDRESS_CALLS_PER_MINUTE", 6_000, low=1, high=MOST_CALLS
        ),
        publishable_calls_per_minute=_number(
            values, "VITRINE_PUBLISHABLE_CALLS_PER_MINUTE", 120_000, low=1, high=MOST_CALLS
        ),
        secret_calls_per_minute=_number(
            values, "VITRINE_SECRET_CALLS_PER_MINUTE", 60_000, low=1, high=MOST_CALLS
        ),
        import_max_mb=_number(values, "VITRINE_IMPORT_MAX_MB", 200, low=1, high=10_000),
        import_allowed_hosts=_read(values, "VITRINE_IMPORT_ALLOWED_HOSTS", (), _names),
        admin_email=values.get("VITRINE_ADMIN_EMAIL") or None,
        admin_password=values.get("VITRINE_ADMIN_PASSWORD") or None,
        store_name=values.get("VITRINE_STORE_NAME") or None,
        store_currency=_read(values, "VITRINE_STORE_CURRENCY", "USD", _currency),
        store_timezone=values.get("VITRINE_STORE_TIMEZONE") or "UTC",
        explicit_secret_key=values.get("SECRET_KEY") or None,
    )


def settings_table() -> str:
    """All settings as a Markdown table for the documentation."""
    rows = [f"| `{s.name}` | {s.default} | {s.meaning} |" for s in SETTINGS]
    return "\n".join(["| variable | without it | meaning |", "|---|---|---|", *rows])


def local_address(host: str, port: int) -> str:
    """The address to type into a browser on this machine for a server that listens on ``host``."""
    if host in EVERY_INTERFACE:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def postgres_socket_url(socket_dir: Path) -> str:
    return f"postgresql://{DATABASE_USER}@/{DATABASE_NAME}?host={quote(str(socket_dir), safe='')}"


def valkey_socket_url(socket: Path) -> str:
    return f"unix://{quote(str(socket))}?db=0"


def broker_url(redis_url: str) -> str:
    """Turn a redis-py address into Celery's: only the form of unix sockets differs."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = dict(parse_qsl(parts.query)).get("db", "0")
    return f"redis+socket://{parts.path}?virtual_host={database}"


# A machine or network that is gone without a word: libpq alone would wait for minutes.
PATIENCE = {"connect_timeout": "3", "tcp_user_timeout": "10000"}


def database_config(url: str) -> dict[str, Any]:
    """Turn postgresql://user:password@host:port/name?option=value into an entry of Django's DATABASES.

    A ``host`` among the options names the folder of a unix socket, as libpq has it; the other
    options (``sslmode``, ``target_session_attrs``, …) are handed to libpq.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or parts.hostname or "",
        "PORT": options.pop("port", None) or str(parts.port or ""),
        "OPTIONS": {**PATIENCE, **options},
        # Opening a connection costs more than most requests; one that PostgreSQL closed is replaced.
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }


# ------------------------------------------------------------------------------------------ data folder

PRIVATE_FOLDERS = ("run", "logs", "valkey", "artifacts", "imports", "kernels")


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder with its private subfolders; what is there already stays as it is.

    Root's data folder may be walked through by others (711), because PostgreSQL runs as a user of
    its own and keeps its data inside; everything else in it is closed.
    """
    with operator_errors(f"the data folder {data_dir}"):
        if not data_dir.exists():
            data_dir.parent.mkdir(parents=True, exist_ok=True)
            data_dir.mkdir(exist_ok=True)
            data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
            (data_dir / ".gitignore").write_text("*\n")
        for name in PRIVATE_FOLDERS:
            folder = data_dir / name
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
        _check_writable(data_dir)


class operator_errors:  # noqa: N801  (reads as a verb: with operator_errors("the data folder …"))
    """Say what the operating system refused while working on ``subject`` in a sentence."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise OperatorError(os_error_sentence(error, self.subject)) from error


def os_error_sentence(error: OSError, subject: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: there is no room left for {subject}. Free at least 1 GB and start again."
    if error.errno == errno.EROFS:
        return f"The disk of {subject} is read-only. Set VITRINE_DATA_DIR to a folder that can be written."
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"This user may not write {error.filename or subject} ({subject}). Start Vitrine as the user who owns it,"
            " or set VITRINE_DATA_DIR to a folder of your own."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{error.filename or subject} is in the way of {subject}: move it, or set VITRINE_DATA_DIR."
    return f"The system refused {subject}: {error.strerror or error}."


def _check_writable(data_dir: Path) -> None:
    # Really written, because os.access() knows nothing of a read-only disk as root.
    probe = data_dir / "run" / f".probe-{os.getpid()}"
    probe.write_bytes(b"vitrine")
    probe.unlink()


def _kept_secret_key(data_dir: Path) -> str:
    path = data_dir / "secret_key"
    if not path.exists():
        make_data_dir(data_dir)
        # Written aside and linked, so that two processes that start together agree on one key.
        draft = data_dir / "run" / f".secret_key-{os.getpid()}-{secrets.token_hex(4)}"
        with operator_errors(f"the secret key {path}"):
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(50))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
    try:
        return path.read_text().strip()
    except PermissionError as error:
        raise OperatorError(
            f"This user may not read {path}. Start Vitrine as the user who owns it, or set SECRET_KEY."
        ) from error


def _embedded_addresses(data_dir: Path) -> tuple[str, str]:
    """Where the embedded servers of this folder listen: as noted at their start, or else the usual place."""
    usual = {
        "database_url": postgres_socket_url(data_dir / "postgres"),
        "redis_url": valkey_socket_url(data_dir / "run" / "valkey.sock"),
    }
    try:
        noted = json.loads((data_dir / "run" / "servers.json").read_text())
    except (OSError, ValueError):
        noted = {}
    found = {**usual, **noted}
    return found["database_url"], found["redis_url"]


# ----------------------------------------------------------------------------------------- single values


def _read(values: Mapping[str, str], name: str, default: T, parse: Callable[[str], T]) -> T:
    text = values.get(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        raise OperatorError(f"{name} is {_shown(name, text)}, but must be {error}.") from error


def _shown(name: str, text: str) -> str:
    """The value for an error message, without a password that may be in it."""
    if name.endswith("_URL"):
        parts = urlsplit(text)
        return repr(text.replace(f":{parts.password}@", ":…@") if parts.password else text)
    return repr(text)


def _number(values: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return _read(values, name, default, parse)


def _flag(text: str) -> bool:
    known = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in known:
        raise ValueError("true or false")
    return known[text.lower()]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _log_level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("DEBUG, INFO, WARNING or ERROR")
    return text.upper()


def _currency(text: str) -> str:
    if not (len(text) == 3 and text.isascii() and text.isalpha()):
        raise ValueError("three letters, as in EUR")
    return text.upper()


def _url(text: str, schemes: tuple[str, ...], example: str) -> str:
    parts = urlsplit(text)
    try:
        parts.port  # noqa: B018  (raises for a port that is none)
    except ValueError:
        raise ValueError(f"an address as in {example}") from None
    if parts.scheme not in schemes:
        raise ValueError(f"an address as in {example}")
    return text


def _postgres_url(text: str) -> str:
    url = _url(text, ("postgres", "postgresql"), "postgresql://user:password@host:5432/name")
    if not urlsplit(url).path.strip("/"):
        raise ValueError(
            "an address that ends in the database's name, as in postgresql://user:password@host:5432/name"
        )
    return url


def _redis_url(text: str) -> str:
    return _url(text, ("redis", "rediss", "unix"), "redis://host:6379/0")


def _http_url(text: str) -> str:
    url = _url(text, ("http", "https"), "https://shop.example.com").rstrip("/")
    if urlsplit(url).path or not urlsplit(url).hostname:
        raise ValueError("an address without a path, as in https://shop.example.com")
    return url


def _local_hosts(host: str, public_url: str) -> tuple[str, ...]:
    names = ["localhost", "127.0.0.1", "[::1]", urlsplit(public_url).hostname or ""]
    if host not in EVERY_INTERFACE:
        names.append(f"[{host}]" if ":" in host else host)
    return tuple(dict.fromkeys(name for name in names if name))
