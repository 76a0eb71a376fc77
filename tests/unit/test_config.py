from pathlib import Path

import pytest

from app import create_app
from app.config import OWN_PATHS, Config, ConfigError


def test_an_empty_environment_gives_the_defaults():
    assert Config.from_environ({}) == Config()


def test_an_empty_variable_counts_as_unset():
    assert Config.from_environ({"PORT": "", "DATABASE_URL": " "}) == Config()


def test_a_folder_below_nobodys_home_is_named():
    with pytest.raises(ConfigError, match=r"^DATA_DIR='~no-such-user/feed' is wrong: .* home that does not exist"):
        Config.from_environ({"DATA_DIR": "~no-such-user/feed"})


def test_all_problems_are_reported_together_by_name():
    with pytest.raises(ConfigError) as caught:
        Config.from_environ({"PORT": "70000", "HEARTBEAT_SECONDS": "-1", "WEB_CONCURRENCY": "two", "DB_NAME": "x"})
    for name in ("PORT", "HEARTBEAT_SECONDS", "WEB_CONCURRENCY", "DB_HOST"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hours", "size"),
    [
        ("72h", 72, Config.retention_bytes),
        ("3d", 72, Config.retention_bytes),
        ("2GB", Config.retention_hours, 2 * 1024**3),
        ("0.5d, 100MB", 12, 100 * 1024**2),
    ],
)
def test_retention_is_an_age_or_a_size_or_both(text, hours, size):
    config = Config.from_environ({"CHANGE_LOG_RETENTION": text})
    assert (config.retention_hours, config.retention_bytes) == (hours, size)


@pytest.mark.parametrize(
    ("text", "readings", "minutes"),
    [
        ("", 30, 730),
        ("7d", 7, 730),
        ("90d, 5y", 90, 1825),
        ("4y", 1460, 1460),
        ("30d,forever", 30, None),
        ("forever", None, None),
    ],
)
def test_readings_are_kept_for_a_while_and_their_minutes_no_shorter(text, readings, minutes):
    config = Config.from_environ({"METRICS_RETENTION": text})
    assert (config.readings_retention_days, config.minutes_retention_days) == (readings, minutes)


@pytest.mark.parametrize("text", ["30", "0d", "1h", "2y,30d", "forever,2y", "1d,2d,3d", "30d,", "-1d", "ever", ",2y"])
def test_a_retention_of_readings_that_means_nothing_is_refused(text):
    with pytest.raises(ConfigError, match=r"METRICS_RETENTION=.* such as 30d,2y"):
        Config.from_environ({"METRICS_RETENTION": text})


@pytest.mark.parametrize("text", ["72", "h", "-1h", "0d", "3 weeks", "1e3h", "nan"])
def test_a_retention_that_is_neither_is_refused(text):
    with pytest.raises(ConfigError, match="CHANGE_LOG_RETENTION"):
        Config.from_environ({"CHANGE_LOG_RETENTION": text})


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({"DB_HOST": "db"}, "postgresql://db:5432/"),
        (
            {"DB_HOST": "db", "DB_PORT": "6", "DB_NAME": "a/b", "DB_USER": "u@x", "DB_PASSWORD": "p:/?"},
            "postgresql://u%40x:p%3A%2F%3F@db:6/a%2Fb",
        ),
        ({"DB_HOST": "::1", "DB_NAME": "x"}, "postgresql://[::1]:5432/x"),
        (
            {"DB_HOST": "/run/postgresql", "DB_USER": "u", "DB_NAME": "x"},
            "postgresql://u@/x?host=%2Frun%2Fpostgresql&port=5432",
        ),
    ],
)
def test_the_parts_of_a_database_become_its_url(parts, url):
    assert Config.from_environ(parts).database_url == url


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_a_database_url_may_have_any_of_the_usual_schemes(scheme):
    assert Config.from_environ({"DATABASE_URL": f"{scheme}://h/d"}).database_url == "postgresql://h/d"


@pytest.mark.parametrize("url", ["mysql://h/d", "h/d", "postgresql://h:x/d", "postgresql://u:pa%ss@h/d"])
def test_a_database_url_of_another_kind_is_refused_without_showing_it(url):
    with pytest.raises(ConfigError) as caught:
        Config.from_environ({"DATABASE_URL": url})
    assert "DATABASE_URL" in str(caught.value)
    assert url not in str(caught.value)


def test_a_password_is_not_shown_with_the_settings():
    assert "sesame" not in repr(Config.from_environ({"DATABASE_URL": "postgresql://u:sesame@h/d"}))


def test_origins_are_a_list_without_trailing_slashes():
    config = Config.from_environ({"CORS_ORIGINS": "https://a.example/, http://b:8080"})
    assert config.cors_origins == ("https://a.example", "http://b:8080")


def test_an_origin_with_a_path_is_refused():
    with pytest.raises(ConfigError, match="CORS_ORIGINS"):
        Config.from_environ({"CORS_ORIGINS": "https://a.example/desk"})


def test_a_data_dir_becomes_absolute():
    assert Config.from_environ({"DATA_DIR": "here"}).data_dir == Path.cwd() / "here"


@pytest.mark.parametrize("prefix", ["/people", "/a/b", "/People-2_x~"])
def test_a_prefix_is_part_of_the_feeds_url(prefix):
    assert Config.from_environ({"URL_PREFIX": prefix}).url == f"http://127.0.0.1:8000{prefix}"


@pytest.mark.parametrize(
    "prefix",
    ["people", "/", "/people/", "//people", "/a//b", "/a/../b", "/.", "/a b", "/a.b", "/a?b", "/ä", "https://x/people"],
)
@pytest.mark.parametrize("name", ["URL_PREFIX", "SCRIPT_NAME"])
def test_a_prefix_that_is_no_path_is_refused(name, prefix):
    with pytest.raises(ConfigError, match=f"^{name}=.* is wrong: it must be a path such as /people: "):
        Config.from_environ({name: prefix})


@pytest.mark.parametrize("prefix", ["/api", "/live/people"])
def test_a_prefix_that_looks_like_a_path_of_the_feed_is_refused(prefix):
    with pytest.raises(ConfigError, match="none of the feed's own: account, admin, alerts, api"):
        Config.from_environ({"URL_PREFIX": prefix})


def test_the_feeds_own_paths_are_those_that_it_serves():
    app = create_app(Config(database_url="postgresql://h/d"))
    served = {rule.rule.split("/")[1] for rule in app.url_map.iter_rules()}
    assert served - {"", "favicon.svg", "favicon.ico"} == set(OWN_PATHS)


def test_the_setting_goes_before_the_name_that_gunicorn_knows():
    assert Config.from_environ({"URL_PREFIX": "/people", "SCRIPT_NAME": "/other"}).url_prefix == "/people"
    assert Config.from_environ({"SCRIPT_NAME": "/other"}).url_prefix == "/other"
