"""What the environment variables mean, and what is said about wrong ones."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest

from recommender.config.env import (
    PATIENCE,
    PROJECT_DIR,
    SETTINGS,
    OperatorError,
    broker_url,
    database_config,
    from_environ,
    local_address,
    make_data_dir,
    settings_table,
)

# Told to a process of ours by the one that starts it.
SET_BY_US = {"VITRINE_PULSE_FILE", "VITRINE_SUPERVISOR"}


def test_without_any_variable_it_listens_on_this_machine_only() -> None:
    env = from_environ({})
    assert (env.host, env.port) == ("127.0.0.1", 8000)
    assert env.public_url == "http://127.0.0.1:8000"
    assert env.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert env.debug is False


def test_without_addresses_it_names_the_embedded_servers_of_the_data_folder(tmp_path: Path) -> None:
    env = from_environ({"VITRINE_DATA_DIR": str(tmp_path)})
    assert env.embedded_postgres
    assert env.embedded_valkey
    assert env.database_config["HOST"] == str(tmp_path / "postgres")
    assert env.redis_url == f"unix://{tmp_path}/run/valkey.sock?db=0"
    assert env.broker_url == f"redis+socket://{tmp_path}/run/valkey.sock?virtual_host=0"


def test_noted_addresses_of_running_servers_win_over_the_usual_place(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "servers.json").write_text(
        '{"redis_url": "unix:///run/short/valkey.sock?db=0"}'
    )
    assert from_environ({"VITRINE_DATA_DIR": str(tmp_path)}).redis_url.startswith(
        "unix:///run/short"
    )


def test_given_servers_are_used_as_they_are() -> None:
    env = from_environ({"DATABASE_URL": "postgresql://u@h/shop", "REDIS_URL": "redis://h:6379/2"})
    assert (env.embedded_postgres, env.embedded_valkey) == (False, False)
    assert env.broker_url == env.redis_url == "redis://h:6379/2"


def test_a_database_address_is_taken_apart_for_django() -> None:
    config = database_config("postgresql://me%40x:p%2Fw@db.example:5433/shop?sslmode=require")
    assert config["ENGINE"] == "django.db.backends.postgresql"
    assert (config["USER"], config["PASSWORD"]) == ("me@x", "p/w")
    assert (config["HOST"], config["PORT"], config["NAME"]) == ("db.example", "5433", "shop")
    assert config["OPTIONS"] == {**PATIENCE, "sslmode": "require"}


def test_the_folder_of_a_socket_is_djangos_host() -> None:
    config = database_config("postgresql://vitrine@/vitrine?host=%2Ftmp%2Fa%20b")
    assert (config["HOST"], config["PORT"], config["OPTIONS"]) == (
        "/tmp/a b",
        "",
        PATIENCE,
    )


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("rediss://:pw@h/1", "rediss://:pw@h/1"),
        ("unix:///tmp/v.sock", "redis+socket:///tmp/v.sock?virtual_host=0"),
        ("unix:///tmp/v.sock?db=3", "redis+socket:///tmp/v.sock?virtual_host=3"),
    ],
)
def test_celery_gets_the_same_server(redis_url: str, expected: str) -> None:
    assert broker_url(redis_url) == expected


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "VITRINE_PORT",
            "http",
            "VITRINE_PORT is 'http', but must be a whole number from 1 to 65535.",
        ),
        (
            "VITRINE_PORT",
            "65536",
            "VITRINE_PORT is '65536', but must be a whole number from 1 to 65535.",
        ),
        (
            "VITRINE_WEB_WORKERS",
            "0",
            "VITRINE_WEB_WORKERS is '0', but must be a whole number from 1 to 256.",
        ),
        ("DEBUG", "maybe", "DEBUG is 'maybe', but must be true or false."),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'loud', but must be DEBUG, INFO, WARNING or ERROR."),
        (
            "VITRINE_STORE_CURRENCY",
            "euro",
            "VITRINE_STORE_CURRENCY is 'euro', but must be three letters, as in EUR.",
        ),
        (
            "REDIS_URL",
            "http://h",
            "REDIS_URL is 'http://h', but must be an address as in redis://host:6379/0.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(name: str, value: str, sentence: str) -> None:
    with pytest.raises(OperatorError) as refused:
        from_environ({name: value})
    assert str(refused.value) == sentence


def test_a_wrong_address_is_shown_without_its_password() -> None:
    with pytest.raises(OperatorError) as refused:
        from_environ({"DATABASE_URL": "mysql://me:hunter2@h/x"})
    assert "hunter2" not in str(refused.value)
    assert "mysql://me:…@h/x" in str(refused.value)


def test_a_database_address_needs_a_name() -> None:
    with pytest.raises(OperatorError, match="ends in the database's name"):
        from_environ({"DATABASE_URL": "postgresql://h:5432/"})


def test_a_public_address_has_no_path() -> None:
    with pytest.raises(OperatorError, match="without a path"):
        from_environ({"VITRINE_PUBLIC_URL": "https://shop.example/vitrine"})
    env = from_environ({"VITRINE_PUBLIC_URL": "https://shop.example/"})
    assert env.public_url == "https://shop.example"
    assert "shop.example" in env.allowed_hosts


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("shop", "http://shop:80"),
    ],
)
def test_the_local_address_can_be_typed_into_a_browser(host: str, expected: str) -> None:
    assert local_address(host, 80) == expected


def test_the_secret_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    variables = {"VITRINE_DATA_DIR": str(tmp_path / "data")}
    first = from_environ(variables).secret_key
    assert len(first) >= 50
    assert from_environ(variables).secret_key == first
    assert stat.S_IMODE((tmp_path / "data" / "secret_key").stat().st_mode) == 0o600
    assert from_environ({**variables, "SECRET_KEY": "mine"}).secret_key == "mine"


def test_the_data_folder_is_closed_to_others_and_its_parent_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make_data_dir(tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) & 0o066 == 0
    assert stat.S_IMODE((tmp_path / "data" / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_a_data_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    make_data_dir(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_file_in_the_way_of_the_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(OperatorError, match=r"data/run is in the way of the data folder"):
        make_data_dir(tmp_path / "data")


def test_readme_and_documentation_have_the_whole_table_of_settings() -> None:
    for page in (PROJECT_DIR / "README.md", PROJECT_DIR / "docs" / "operations.md"):
        assert settings_table() in page.read_text(), (
            f"put what settings_table() says into {page.name}"
        )


class Recorder(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, **values: str) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def test_the_table_has_exactly_what_is_read_from_the_environment() -> None:
    environ = Recorder()
    from_environ(environ)
    assert environ.asked == {setting.name for setting in SETTINGS}


def test_every_variable_of_ours_that_the_code_names_is_in_the_table_or_set_by_us() -> None:
    """Also those that are only set for a process of ours, so that nobody looks for them in vain."""
    named = {
        name
        for app in ("catalog", "recommender", "analytics")
        for path in (PROJECT_DIR / app).rglob("*.py")
        for name in re.findall(r'"(VITRINE_[A-Z_]+)"', path.read_text())
    }
    assert named - {setting.name for setting in SETTINGS} == SET_BY_US
