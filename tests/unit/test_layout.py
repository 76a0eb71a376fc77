"""The layout: imports go one way, without circles, and what has to stay light does."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import defaultdict

import pytest

from app.config import CHECKOUT

# Each floor may import the floors before it, and itself. Rooms on the same floor do not know each other.
FLOORS = (
    ("app.config",),
    ("app.postgres", "app.logs"),
    ("app.feed", "app.rest", "app.access"),
    ("app.monitoring",),
    ("app.api", "app.cli", "app.website", "app.arbiter", "app.gunicorn_log", "app.gunicorn_worker"),
    ("app",),
    ("wsgi",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module):
    """The room that a module belongs to: the longest name in FLOORS that its own begins with."""
    return max((room for room in LEVEL if f"{module}.".startswith(f"{room}.")), key=len)


def is_module(name):
    path = CHECKOUT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@functools.cache
def imports_of(module, source):
    """The project's own modules that a module imports, wherever in it, in type-checking blocks too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            deeper = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else node.module for name in deeper]
        else:
            continue
        found += [name for name in names if name.partition(".")[0] in ("app", "wsgi")]
    return found


def modules():
    for path in [CHECKOUT / "wsgi.py", *sorted((CHECKOUT / "app").rglob("*.py"))]:
        if "node_modules" not in path.parts:
            name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path.read_text()


def arrows(sources):
    return {(module, target) for module, source in sources for target in imports_of(module, source)}


def upward(found):
    """The arrows that lead up, or to the neighbouring room on the same floor."""
    return sorted(
        (module, target)
        for module, target in found
        if LEVEL[room_of(target)] > LEVEL[room_of(module)]
        or (LEVEL[room_of(target)] == LEVEL[room_of(module)] and room_of(target) != room_of(module))
    )


def circles(found):
    """Modules that reach themselves."""
    targets = defaultdict(set)
    for module, target in found:
        targets[module].add(target)

    def reaches(start):
        seen, to_see = set(), list(targets[start])
        while to_see:
            module = to_see.pop()
            if module not in seen:
                seen.add(module)
                to_see += targets[module]
        return seen

    return sorted(module for module in list(targets) if module in reaches(module))


def test_every_module_is_found():
    assert {"wsgi", "app", "app.feed.hub", "app.postgres.tables", "app.cli"} <= {name for name, _ in modules()}


def test_imports_go_down():
    assert upward(arrows(modules())) == []


def test_no_module_imports_itself_by_way_of_others():
    assert circles(arrows(modules())) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app.postgres.tables", "from app.feed.change import Change"),
        ("app.feed.hub", "def f():\n    from app.rest import lists"),
        ("app.rest.rows", "import app.api.sessions"),
        ("app.cli.tail", "from app.api import sse"),
        ("app.config", "from app import create_app"),
    ],
)
def test_an_import_that_goes_up_or_across_is_seen(module, source):
    assert len(upward(arrows([*modules(), (module, source)]))) == 1


def test_a_circle_is_seen():
    assert "app.feed.ring" in circles(arrows([*modules(), ("app.feed.ring", "from app.feed import hub")]))


def imported_by(module):
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_feed_knows_no_flask():
    assert {"flask", "flask_sqlalchemy", "app.rest"}.isdisjoint(imported_by("app.feed.feed"))


def test_the_rest_machinery_knows_no_table():
    tables = ("sessions", "people_movements", "realtime_metrics", "alert_logs", "alert_thresholds", "change_log")
    for name, source in modules():
        if name.startswith("app.rest"):
            words = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
            assert words.isdisjoint(tables), name
            assert not any(
                target == "app.feed" or target.startswith("app.feed.") for target in imports_of(name, source)
            )


def test_a_worker_boots_without_describing_anything():
    """The OpenAPI document is made when asked for; its library would double the time to boot."""
    assert {"flask_openapi3", "tqdm"}.isdisjoint(imported_by("wsgi"))


def test_a_command_boots_without_the_endpoints():
    assert {"app.api", "app.feed", "pydantic", "gevent"}.isdisjoint(imported_by("app.cli, app.cli.stats"))
