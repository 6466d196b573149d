"""The embedded servers and the supervisor: real processes, really killed."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from recommender.config import embedded, ports
from recommender.config.embedded.account import SYSTEM_DIR
from recommender.config.embedded.postgres import Postgres, postgres_of
from recommender.config.embedded.process import is_alive, wait_for
from recommender.config.embedded.valkey import valkey_of
from recommender.config.env import PROJECT_DIR, OperatorError
from recommender.config.supervisor import remove_leftovers

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender.config.embedded.postgres.SYNC_NEW_DATA", False)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder in a folder that others can't enter, as below root's home."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "data"
    yield folder
    embedded.delete(folder)


def asked(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def modes(folder: Path) -> dict[Path, int]:
    return {parent: parent.stat().st_mode for parent in folder.parents}


def test_data_survives_a_restart_and_no_parent_folder_changes(data_dir: Path) -> None:
    before = modes(data_dir)
    servers = embedded.start(data_dir)
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    redis.Redis.from_url(servers.redis_url).set("queued", "task")
    servers.stop()
    with pytest.raises(psycopg.OperationalError):
        asked(servers.database_url, "SELECT 1")

    again = embedded.start(data_dir)
    assert asked(again.database_url, "SELECT answer FROM kept") == 42
    assert redis.Redis.from_url(again.redis_url).get("queued") == b"task"
    again.stop()
    assert modes(data_dir) == before


def test_the_databases_are_as_durable_as_a_shop_needs(data_dir: Path) -> None:
    servers = embedded.start(data_dir, need_valkey=False)
    assert asked(servers.database_url, "SHOW fsync") == "on"
    assert asked(servers.database_url, "SHOW synchronous_commit") == "on"
    assert asked(servers.database_url, "SHOW full_page_writes") == "on"
    assert asked(servers.database_url, "SHOW data_checksums") == "on"
    assert asked(servers.database_url, "SHOW listen_addresses") == ""
    servers.stop()


def test_only_the_owner_reaches_the_databases(data_dir: Path) -> None:
    servers = embedded.start(data_dir)
    postgres, valkey = postgres_of(data_dir), valkey_of(data_dir)
    assert stat.S_IMODE(postgres.socket_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(valkey.socket.stat().st_mode) == 0o700
    if (
        os.geteuid() == 0
    ):  # PostgreSQL's own user can't enter the folder, so its data lies elsewhere
        assert (data_dir / "postgres").readlink().is_relative_to(SYSTEM_DIR)
        assert postgres.data.stat().st_uid != 0
    servers.stop()


def test_two_commands_share_the_servers_and_the_last_one_stops_them(data_dir: Path) -> None:
    first = embedded.start(data_dir)
    second = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import sys; from pathlib import Path; from recommender.config import embedded;"
                f"servers = embedded.start(Path({str(data_dir)!r})); print('up', flush=True); sys.stdin.read();"
                "servers.stop()"
            ),
        ],
        cwd=PROJECT_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert second.stdout is not None
    assert second.stdout.readline() == "up\n"
    first.stop()
    assert asked(first.database_url, "SELECT 1") == 1
    second.communicate("")
    assert postgres_of(data_dir).running_pid() is None
    assert valkey_of(data_dir).running_pid() is None


def test_servers_of_a_killed_command_are_adopted(data_dir: Path) -> None:
    code = (
        "import os; from pathlib import Path; from recommender.config import embedded;"
        f"embedded.start(Path({str(data_dir)!r})); os.kill(os.getpid(), 9)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=PROJECT_DIR, check=False).returncode == -9
    )
    left = postgres_of(data_dir).running_pid()
    assert left is not None
    servers = embedded.start(data_dir)
    assert postgres_of(data_dir).running_pid() == left
    servers.stop()
    assert wait_for(lambda: not is_alive(left), 5)


def test_killed_servers_come_back(data_dir: Path) -> None:
    servers = embedded.start(data_dir)
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    for server in (postgres_of(data_dir), valkey_of(data_dir)):
        os.kill(server.running_pid() or 0, signal.SIGKILL)
    # A killed process takes a moment to be gone; `up` asks every second.
    revived: set[str] = set()

    def all_back() -> bool:
        revived.update(servers.revive())
        return len(revived) == 2

    assert wait_for(all_back, 10)
    assert servers.revive() == []
    assert asked(servers.database_url, "SELECT answer FROM kept") == 42
    servers.stop()


def test_a_stale_pid_that_a_stranger_has_by_now_is_no_obstacle(data_dir: Path) -> None:
    servers = embedded.start(data_dir, need_valkey=False)
    postgres = postgres_of(data_dir)
    os.kill(postgres.running_pid() or 0, signal.SIGKILL)
    assert wait_for(lambda: not postgres.running_pid(), 10)
    stranger = subprocess.Popen(
        ["sleep", "60"], cwd="/", **(postgres.account.popen_arguments() if postgres.account else {})
    )
    pid_file = postgres.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines(keepends=True)
    pid_file.write_text(f"{stranger.pid}\n" + "".join(lines[1:]))
    try:
        assert postgres.running_pid() is None
        assert servers.revive() == ["PostgreSQL"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        servers.stop()


def test_damaged_valkey_data_is_put_aside(data_dir: Path) -> None:
    servers = embedded.start(data_dir, need_postgres=False)
    redis.Redis.from_url(servers.redis_url).set("a", "b")
    servers.stop()
    for file in (data_dir / "valkey" / "appendonlydir").iterdir():
        file.write_bytes(b"\x00broken" * 40)
    servers = embedded.start(data_dir, need_postgres=False)
    assert redis.Redis.from_url(servers.redis_url).ping()
    assert len(list(data_dir.glob("valkey-damaged-*"))) == 1
    servers.stop()


def test_data_of_another_major_version_is_refused_untouched(data_dir: Path) -> None:
    embedded.start(data_dir, need_valkey=False).stop()
    version = postgres_of(data_dir).data / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(
        OperatorError, match=r"made by PostgreSQL 17, but PostgreSQL 18 is installed"
    ):
        embedded.start(data_dir, need_valkey=False)
    assert version.read_text() == "17\n"


def test_an_initdb_that_was_killed_leaves_nothing_that_looks_whole(data_dir: Path) -> None:
    from recommender.config.env import make_data_dir

    make_data_dir(data_dir)
    postgres = postgres_of(data_dir)
    draft = postgres.data.with_name("postgres.making")
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    servers = embedded.start(data_dir, need_valkey=False)
    assert asked(servers.database_url, "SELECT 1") == 1
    assert not draft.exists()
    servers.stop()


def test_a_full_disk_is_said_with_the_number(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommender.config.embedded.postgres.ROOM_FOR_NEW_DATA", 2**60)
    with pytest.raises(
        OperatorError, match=r"is full: \d+ MB are free and PostgreSQL needs \d+ MB"
    ):
        embedded.start(data_dir)
    assert valkey_of(data_dir).running_pid() is None


@pytest.mark.parametrize("name", ["x" * 120, "a, b 'c\" %41é"])
def test_a_long_or_odd_path_gets_its_sockets_elsewhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "data"
    servers = embedded.start(folder)
    try:
        assert asked(servers.database_url, "SELECT 1") == 1
        assert redis.Redis.from_url(servers.redis_url).ping()
    finally:
        servers.stop()
        sockets = postgres_of(folder).socket_dir
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        embedded.delete(folder)
    assert not sockets.exists()


def test_deleting_a_folder_stops_the_servers_of_a_folder_inside_it(data_dir: Path) -> None:
    inside = data_dir / "bench"
    embedded.start(data_dir, need_postgres=False).stop()
    code = (  # as a benchmark that was killed leaves them
        "import os, sys; from pathlib import Path; from recommender.config import embedded;"
        "embedded.start(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(inside)], cwd=PROJECT_DIR, check=False)
    pids = [postgres_of(inside).running_pid(), valkey_of(inside).running_pid()]
    assert all(pid is not None and is_alive(pid) for pid in pids)
    embedded.delete(data_dir)
    assert not any(pid is not None and is_alive(pid) for pid in pids)
    assert not data_dir.exists()


def test_temporary_servers_are_quick_and_leave_nothing() -> None:
    started = time.monotonic()
    with embedded.temporary() as servers:
        took = time.monotonic() - started
        socket_path = Path(
            redis.Redis.from_url(servers.redis_url).connection_pool.connection_kwargs["path"]
        )
        assert asked(servers.database_url, "SHOW fsync") == "off"
    assert took < 10  # under a second on an idle machine
    assert not socket_path.parent.exists()


def test_temporary_servers_of_a_killed_run_are_removed_by_the_next() -> None:
    code = (
        "import os; from recommender.config import embedded;"
        "running = embedded.temporary(); servers = running.__enter__();"
        "print(servers.redis_url, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, capture_output=True, text=True, check=False
    )
    folder = Path(killed.stdout.strip().removeprefix("unix://").partition("?")[0]).parent
    assert folder.exists()
    with embedded.temporary():
        assert not folder.exists()


# --------------------------------------------------------------------------------------- supervisor


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_is_said_with_its_holder() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(
            OperatorError,
            match=rf"Port {port} is taken by process {os.getpid()} .*--port {port + 1}",
        ):
            ports.check_port("127.0.0.1", port)
    ports.check_port("127.0.0.1", free_port())


SUPERVISED = """
import signal, sys
from pathlib import Path
from recommender.config import supervisor
from recommender.config.programs import Program
from recommender.config.supervisor import Supervisor
supervisor.FIRST_PAUSE_SECONDS = 0.05
def program(name, code):
    return Program(name, [sys.executable, "-c", code], 36, [(signal.SIGTERM, 1.0)])
programs = [
    program("steady", "import time; print('here', flush=True); time.sleep(60)"),
    program("stubborn", "import signal, time; signal.signal(15, signal.SIG_IGN);"
            "print('here', flush=True); time.sleep(60)"),
    program("crashing", "import sys; sys.exit('no')"),
]
def on_ready(): print("ready", flush=True)
data_dir, count = Path(sys.argv[1]), int(sys.argv[2])
def ready():
    return count < 3 and all("here" in (data_dir / "logs" / f"{p.name}.log").read_text() for p in programs[:count])
sys.exit(Supervisor(programs[:count], data_dir=data_dir, environ={}).run(ready=ready, on_ready=on_ready))
"""


@pytest.fixture
def supervised(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "logs").mkdir()
    return tmp_path


def supervise(data_dir: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, str(data_dir), str(count)],
        cwd=PROJECT_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )


def children_of(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_process_even_a_stubborn_one(
    supervised: Path, signum: signal.Signals
) -> None:
    supervisor = supervise(supervised, 2)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "ready\n"
    children = children_of(supervisor.pid)
    assert len(children) == 2
    supervisor.send_signal(signum)
    assert supervisor.wait(timeout=15) == 0
    assert not any(is_alive(child) for child in children)
    assert "here" in (supervised / "logs" / "steady.log").read_text()
    supervisor.stdout.close()


def test_a_killed_child_is_started_again(supervised: Path) -> None:
    supervisor = supervise(supervised, 1)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "ready\n"
    (child,) = children_of(supervisor.pid)
    os.kill(child, signal.SIGKILL)
    assert "steady was killed by SIGKILL; it is started again" in supervisor.stdout.readline()
    assert wait_for(lambda: bool(set(children_of(supervisor.pid)) - {child}), 5)
    supervisor.terminate()
    assert supervisor.wait(timeout=15) == 0
    supervisor.stdout.close()


def test_what_never_starts_ends_it_with_the_log(supervised: Path) -> None:
    supervisor = supervise(supervised, 3)
    output, _ = supervisor.communicate(timeout=60)
    assert supervisor.returncode == 1
    assert "crashing ended unexpectedly (exit code 1) 5 times in a row; Vitrine stops." in output
    assert output.rstrip().endswith("no")


WITH_AN_END = """
import signal, sys
from pathlib import Path
from recommender.config.programs import Program
from recommender.config.supervisor import Supervisor
data_dir, code = Path(sys.argv[1]), sys.argv[2]
stop = [(signal.SIGTERM, 5.0)]
log = data_dir / "ends.txt"
steady = ("import signal, sys, time, pathlib; at_end = pathlib.Path(sys.argv[1]);"
          "signal.signal(15, lambda *_: (at_end.open('a').write('steady '), sys.exit()));"
          "print('here', flush=True); time.sleep(60)")
programs = [
    Program("steady", [sys.executable, "-c", steady, str(log)], 36, stop),
    Program("errand", [sys.executable, "-c", code, str(log)], 36, stop, waits=True, once=True),
]
def ready(): return "here" in (data_dir / "logs" / "steady.log").read_text()
supervisor = Supervisor(programs, data_dir=data_dir, environ={})
def every_second():
    if supervisor._running[1].child is None and supervisor._running[1].started_at:
        print("over", flush=True)
sys.exit(supervisor.run(ready=ready, on_ready=lambda: print("ready", flush=True), every_second=every_second))
"""


def with_an_end(data_dir: Path, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WITH_AN_END, str(data_dir), code],
        cwd=PROJECT_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('done')", []),
        ("import sys; sys.exit('no bread')", ["errand ended unexpectedly", "no bread"]),
    ],
)
def test_what_has_an_end_is_not_started_again(supervised: Path, code: str, said: list[str]) -> None:
    supervisor = with_an_end(supervised, code)
    assert supervisor.stdout is not None
    lines = iter(supervisor.stdout.readline, "")
    told = "".join(line for line in iter(lambda: next(lines), "over\n"))
    assert all(words in told for words in ("ready", *said))
    assert len(children_of(supervisor.pid)) == 1
    supervisor.terminate()
    assert supervisor.wait(timeout=15) == 0
    supervisor.stdout.close()
    assert len((supervised / "logs" / "errand.log").read_text().splitlines()) == 1


def test_what_has_an_end_is_stopped_before_what_it_needs(supervised: Path) -> None:
    code = (
        "import signal, sys, time, pathlib; at_end = pathlib.Path(sys.argv[1]);"
        "signal.signal(15, lambda *_: (at_end.open('a').write('errand '), sys.exit()));"
        "print('here', flush=True); time.sleep(60)"
    )
    supervisor = with_an_end(supervised, code)
    errand = supervised / "logs" / "errand.log"
    assert wait_for(lambda: errand.exists() and "here" in errand.read_text(), 15)
    supervisor.terminate()
    assert supervisor.wait(timeout=15) == 0
    assert supervisor.stdout is not None
    supervisor.stdout.close()
    assert (supervised / "ends.txt").read_text() == "errand steady "


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_no_process_outlives_a_killed_supervisor(supervised: Path) -> None:
    supervisor = supervise(supervised, 2)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "ready\n"
    steady, stubborn = sorted(children_of(supervisor.pid))
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    assert wait_for(lambda: not is_alive(steady), 5)  # told by the kernel
    assert is_alive(stubborn)
    assert remove_leftovers(supervised) == 1  # the next start
    assert wait_for(lambda: not is_alive(stubborn), 5)


def test_postgres_is_recognised_by_its_folder_and_not_by_its_number(data_dir: Path) -> None:
    servers = embedded.start(data_dir, need_valkey=False)
    running = postgres_of(data_dir)
    elsewhere = Postgres(
        programs=running.programs,
        data=running.data.parent / "other",
        socket_dir=running.socket_dir,
        log=running.log,
        account=running.account,
    )
    elsewhere.data.mkdir()
    (elsewhere.data / "postmaster.pid").write_text((running.data / "postmaster.pid").read_text())
    assert elsewhere.running_pid() is None
    (elsewhere.data / "postmaster.pid").unlink()
    elsewhere.data.rmdir()
    servers.stop()
