"""`manage.py up`: everything that makes Vitrine run, in one terminal, until Ctrl-C."""

from __future__ import annotations

import getpass
import hashlib
import io
import os
import re
import resource
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ValidationError
from django.core.management import BaseCommand, call_command
from django.core.validators import validate_email
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from catalog.models import Member, Store, User
from catalog.selectors.demo_replays import replay_is_done
from catalog.services.stores import StoreRefused, store_create
from recommender.config import embedded, ports, programs
from recommender.config.embedded import FolderLock
from recommender.config.embedded.process import die_with_parent
from recommender.config.env import (
    PROJECT_DIR,
    Environment,
    OperatorError,
    from_environ,
    make_data_dir,
    operator_errors,
)
from recommender.config.progress import Progress
from recommender.config.supervisor import Supervisor, remove_leftovers
from recommender.models import Artifact
from recommender.services.strategies import store_recipes_install

# Written out, because asking the URL configuration would import every view of the project.
SHOP_PATH = "/shop/"
CONSOLE_PATH = "/console/"
DEMO_STORE = "demo"
DEMO_EMAIL = "demo@example.com"
# Of the households: their visits of four weeks are played within two minutes or three, beside an
# ordinary use. All of them takes `manage.py replay`.
DEMO_SHARE = 0.25
DEMO_PASSWORD = "demo-vitrine"  # noqa: S105  (shown on screen at every start of the demo)
BUSY = "Vitrine already runs from this folder ({holder}). Stop it there with Ctrl-C, or set VITRINE_DATA_DIR."


class Command(BaseCommand):
    help = "Run Vitrine: databases, web, beat, worker and trainer, until Ctrl-C."
    # The database may be empty, and the checks of the whole project cost a second.
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demo", action="store_true", help="with the demo shop and its data")
        parser.add_argument("--host", help="address to listen on (VITRINE_HOST)")
        parser.add_argument("--port", type=int, help="port to listen on (VITRINE_PORT)")
        parser.add_argument("--no-worker", action="store_true", help="without background tasks")
        parser.add_argument("--logs", action="store_true", help="show the processes' logs here too")

    def handle(self, *_args: Any, **options: Any) -> None:
        env = _environment(options["host"], options["port"])
        make_data_dir(env.data_dir)
        with FolderLock(env.data_dir / "run" / "up.lock", busy=BUSY) as lock:
            lock.note(f"process {os.getpid()}, {env.public_url}")
            sys.exit(
                self._run(
                    env, demo=options["demo"], work=not options["no_worker"], logs=options["logs"]
                )
            )

    def _run(self, env: Environment, *, demo: bool, work: bool, logs: bool) -> int:
        remove_leftovers(env.data_dir)
        ports.check_port(env.host, env.port)
        migrate()
        collect_static(env.data_dir)
        figures = prepare_demo(env) if demo else None
        plays = demo and not replay_is_done(store=demo_store(), share=DEMO_SHARE)
        if not demo or env.admin_email:
            ensure_first_member(env)
        connection.close()
        started = [programs.web(env)]
        if work:
            started += [programs.beat(env), programs.worker(env), programs.trainer(env)]
        if plays:
            started.append(programs.replay(env, store=DEMO_STORE, share=DEMO_SHARE))
        supervisor = Supervisor(
            started,
            data_dir=env.data_dir,
            environ=programs.child_environ(env),
            say=self._say,
            verbose=logs,
        )
        waiting = Progress("Starting " + ", ".join(program.name for program in started))

        def on_ready() -> None:
            waiting.close()
            self._say(welcome(env, demo=demo, figures=figures, plays=plays))

        def ready() -> bool:
            waiting.tick()
            return ports.answers(
                ports.connectable(env.host), env.port, host_header=ports.host_header(env)
            )

        def revive() -> None:
            try:
                for name in embedded.revive():
                    self._say(f"{name} had ended unexpectedly; it runs again.")
            except OperatorError as error:
                self._say(str(error))

        code = supervisor.run(ready=ready, on_ready=on_ready, every_second=revive)
        waiting.close()
        self._say("Vitrine has stopped.")
        return code

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


# ------------------------------------------------------------------------------------------- preparation


def migrate() -> None:
    """Apply the migrations that are missing; nothing is written, and no second lost, if there are none."""
    try:
        executor = MigrationExecutor(connection)
    except OperationalError as error:
        raise OperatorError(f"The database does not answer: {str(error).strip()}") from error
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        with Progress("Preparing the database", total=len(plan), unit="steps") as progress:
            call_command(
                "migrate",
                interactive=False,
                verbosity=1,
                no_color=True,
                stdout=_Counter(progress, r" OK"),
            )


def collect_static(data_dir: Path) -> None:
    """Collect and compress the static files, if any changed since the last time."""
    target = data_dir / "static"
    stamp = target / ".stamp"
    files = sorted(
        (path, found.stat().st_size, found.stat().st_mtime_ns)
        for finder in get_finders()
        for path, storage in finder.list(None)
        for found in [Path(storage.path(path))]
    )
    state = hashlib.sha256(repr(files).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == state:
        return
    with (
        operator_errors(f"the static files in {target}"),
        # How often a file is looked at depends on what it names: no total.
        Progress("Collecting static files", unit="files") as progress,
    ):
        call_command(
            "collectstatic",
            interactive=False,
            clear=True,
            verbosity=2,
            no_color=True,
            stdout=_Counter(progress, r"^(?:Copying|Post-processed)"),
        )
        stamp.write_text(state)


class _Counter(io.StringIO):
    """What a command would print, counted instead."""

    def __init__(self, progress: Progress, pattern: str) -> None:
        super().__init__()
        self._progress = progress
        self._pattern = re.compile(pattern, re.MULTILINE)

    def write(self, text: str) -> int:
        self._progress.advance(len(self._pattern.findall(text)))
        return len(text)


# ------------------------------------------------------------------------------------------------- demo


@dataclass(frozen=True, slots=True)
class Figures:
    """What importing and training the demo shop took."""

    seconds: float
    peak_bytes: int


def prepare_demo(env: Environment) -> Figures | None:
    """Import the demo shop and train on it, each once; an interrupted one is done again."""
    started = time.monotonic()
    imported = _once(
        env,
        "demo_import",
        ["--store-slug", DEMO_STORE, "--email", DEMO_EMAIL, "--password", DEMO_PASSWORD],
        done=Store.objects.filter(slug=DEMO_STORE).exists,
    )
    store_recipes_install(store=demo_store())
    trained = _once(
        env,
        "train",
        ["--store", DEMO_STORE],
        done=Artifact.objects.filter(store__slug=DEMO_STORE, serving=True).exists,
    )
    _once(env, "rollups", ["--store", DEMO_STORE], done=lambda: not imported)
    if not (imported and trained):
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return Figures(time.monotonic() - started, peak * unit)


def demo_store() -> Store:
    return Store.objects.get(slug=DEMO_STORE)


def _once(
    env: Environment, command: str, arguments: list[str], *, done: Callable[[], bool]
) -> bool:
    """Run a command in a process of its own, whose memory is free again afterwards; whether it had to run."""
    unfinished = env.data_dir / "run" / f"{command}.unfinished"
    if done() and not unfinished.exists():
        return False
    unfinished.touch()
    connection.close()
    finished = subprocess.run(
        [sys.executable, str(PROJECT_DIR / "manage.py"), command, *arguments],
        env={**os.environ, **programs.child_environ(env)},
        stdin=subprocess.DEVNULL,
        check=False,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    if finished.returncode != 0:
        raise OperatorError(
            f"`manage.py {command}` failed (see above). Start again to continue; `make clean` starts from nothing."
        )
    unfinished.unlink()
    return True


# ------------------------------------------------------------------------------- first member and store


def ensure_first_member(env: Environment) -> None:
    """Make the first member and store, from the environment or by asking."""
    if Member.objects.exclude(user__email=DEMO_EMAIL).exists():
        return
    email, password, name = env.admin_email, env.admin_password, env.store_name
    if not (email and password and name):
        if not sys.stdin.isatty():
            raise OperatorError(
                "There is no member yet: set VITRINE_ADMIN_EMAIL, VITRINE_ADMIN_PASSWORD and VITRINE_STORE_NAME, or"
                " run `manage.py up` in a terminal, where it asks for them."
            )
        print("Welcome. Vitrine needs a first member and a store.")
        email = email or _ask("E-mail address: ", _email)
        password = password or _ask_password(email)
        name = name or _ask("Name of the store: ", str.strip)
    try:
        _email(email)
        validate_password(password)
        with transaction.atomic():
            user = User.objects.filter(
                email=email.lower()
            ).first() or User.objects.create_superuser(email, password)
            store = store_create(
                name=name, currency=env.store_currency, time_zone=env.store_timezone, owner=user
            )
            store_recipes_install(store=store)
    except ValidationError as error:
        raise OperatorError(
            f"The first member can't be made: {' '.join(error.messages)}"
        ) from error
    except StoreRefused as error:
        raise OperatorError(f"The first store can't be made: {error}") from error


def _ask(question: str, read: Callable[[str], str]) -> str:
    while True:
        try:
            answer: str = read(input(question))
        except ValidationError as error:
            print(" ".join(error.messages))
            continue
        except EOFError:
            raise OperatorError("There was no answer, so Vitrine stops.") from None
        if answer:
            return answer


def _email(text: str) -> str:
    validate_email(text.strip())
    return text.strip()


def _ask_password(email: str) -> str:
    while True:
        password = getpass.getpass(f"Password for {email}: ")
        try:
            validate_password(password)
        except ValidationError as error:
            print(" ".join(error.messages))
            continue
        if password == getpass.getpass("The same once more: "):
            return password
        print("The two are different.")


# ---------------------------------------------------------------------------------------------- addresses


def welcome(env: Environment, *, demo: bool, figures: Figures | None, plays: bool = False) -> str:
    """The box with the addresses."""
    rows = []
    if demo:
        rows.append(("Shop", env.public_url + SHOP_PATH))
    rows.append(("Console", env.public_url + CONSOLE_PATH))
    if demo:
        rows.append(("Log in as", f"{DEMO_EMAIL}  password  {DEMO_PASSWORD}"))
    rows += [("Data", str(env.data_dir)), ("Stop", "Ctrl-C")]
    if plays:
        rows.append(("Traffic", "visits of the last four weeks are replayed now, see the console"))
    if figures:
        rows.append(
            (
                "First run",
                f"imported and trained in {figures.seconds:.0f} s, {_gib(figures.peak_bytes)} at most",
            )
        )
    lines = [f"{label:<10} {text}" for label, text in rows]
    if demo and not _is_loopback(env.host):
        lines.append(
            "Whoever reaches this address can log in like this: change the password in Settings."
        )
    width = max(len(line) for line in lines)
    bar = "─" * (width + 4)
    body = "\n".join(f"│  {line:<{width}}  │" for line in lines)
    return f"\n┌{bar}┐\n{body}\n└{bar}┘\n"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GB"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _environment(host: str | None, port: int | None) -> Environment:
    """The settings, with the command line above the environment."""
    chosen = {"VITRINE_HOST": host, "VITRINE_PORT": None if port is None else str(port)}
    return from_environ(
        {**os.environ, **{name: value for name, value in chosen.items() if value is not None}}
    )
