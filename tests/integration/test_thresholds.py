"""Thresholds: what they watch, above or below, for how long, for whom; and all of it against a model."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.feed.counts import Counts
from app.postgres.connections import connect

# No sum of what the model waits comes near it, nor of a reading's own time: the real clock goes on beside.
SILENCE_SECONDS = 3625.0


class Site:
    """Doors in the database, looked after by hand: nothing happens unless a test says so."""

    def __init__(self, connection):
        self.sql = connection.cursor()
        self.counts = Counts(lambda: connection, silence_seconds=SILENCE_SECONDS)
        self._connection = connection

    def door(self):
        return self.one("insert into sessions (session_name) values ('door') returning id")

    def one(self, query, *values):
        self.sql.execute(query, values)
        return self.sql.fetchone()[0]

    def threshold(self, value, **fields):
        fields = {"threshold_name": "limit", "threshold_value": value} | fields
        marks = ", ".join(["%s"] * len(fields))
        return self.one(
            f"insert into alert_thresholds ({', '.join(fields)}) values ({marks}) returning id", *fields.values()
        )

    def read(self, door, people=0, *, later="0", **fields):
        fields = {"session_id": door, "current_people_count": people} | fields
        marks = ", ".join(["%s"] * len(fields))
        self.sql.execute(
            f"insert into realtime_metrics (timestamp, {', '.join(fields)})"
            f" values (clock_timestamp() + %s::interval, {marks})",
            (later, *fields.values()),
        )

    def move(self, door, *directions):
        self.sql.execute(
            "insert into people_movements (session_id, person_id, movement_direction)"
            " select %s, 1, unnest(%s)::movement_direction",
            (door, list(directions)),
        )

    def follow(self):
        while self.one("select number_changes(); select evaluate_alerts()"):
            pass

    def look(self):
        self.follow()
        self.counts.update(self._connection)

    def alerts(self):
        self.sql.execute(
            "select alert_type, current_value, is_resolved from alert_logs order by triggered_at, current_value"
        )
        return self.sql.fetchall()

    @contextmanager
    def unseen(self):
        """Statements that no trigger sees."""
        tables = ("sessions", "people_movements", "realtime_metrics")
        for table in tables:
            self.sql.execute(f"alter table {table} disable trigger user")
        yield
        for table in tables:
            self.sql.execute(f"alter table {table} enable trigger user")

    def wait(self, seconds):
        """Let time pass, by moving everything that happened back."""
        self.look()
        with self.unseen():
            for table, column in (
                ("alert_states", "since"),
                ("newest_readings", "taken_at"),
                ("session_reports", "reported_at"),
                ("silent_sessions", "ended_at"),
                ("sessions", "end_time"),
                ("sessions", "updated_at"),
                ("realtime_metrics", "timestamp"),
                ("people_movements", "movement_time"),
            ):
                self.sql.execute(f"update {table} set {column} = {column} - %s * interval '1 second'", (seconds,))

    def hush(self, door):
        """Make the last word of a door so old that silence ends it."""
        with self.unseen():
            moved = f"- interval '{2 * SILENCE_SECONDS} seconds'"
            self.sql.execute(
                f"update session_reports set reported_at = reported_at {moved} where session_id = %s", (door,)
            )
            self.sql.execute(f"update sessions set updated_at = updated_at {moved} where id = %s", (door,))


@pytest.fixture
def site(database_url):
    with closing(connect(database_url, application_name="test")) as connection:
        yield Site(connection)


@pytest.mark.parametrize(
    ("alert_type", "column"),
    [
        ("people_count", "current_people_count"),
        ("entered_per_minute", "people_entered_last_minute"),
        ("exited_per_minute", "people_exited_last_minute"),
        ("processing_latency_ms", "processing_latency_ms"),
        ("fps", "fps_current"),
        ("cpu_usage_percentage", "cpu_usage_percentage"),
        ("memory_usage_mb", "memory_usage_mb"),
    ],
)
@pytest.mark.parametrize(("direction", "calm", "reached"), [("above", 20, 30), ("below", 30, 29)])
def test_each_figure_of_a_reading_is_watched_above_and_below(site, alert_type, column, direction, calm, reached):
    site.threshold(30, alert_type=alert_type, direction=direction, resolve_margin=0)
    door = site.door()
    for value in (calm, reached, calm):
        site.read(door, **{column: value})
    site.follow()
    assert site.alerts() == [(alert_type, calm, True)]


def test_below_0_is_never_reached_and_below_1_is_an_empty_room(site):
    site.threshold(0, direction="below")
    site.threshold(1, direction="below")
    site.read(site.door(), 0)
    site.follow()
    assert site.alerts() == [("people_count", 0, False)]


def test_the_margin_is_on_the_calm_side(site):
    site.threshold(15, alert_type="fps", direction="below", resolve_margin=2)
    door = site.door()
    for fps in (15, 14.4, 16, 16.9):
        site.read(door, fps_current=fps)
    site.follow()
    assert site.alerts() == [("fps", 17, False)]
    site.read(door, fps_current=17)
    site.follow()
    assert site.alerts() == [("fps", 17, True)]


def test_well_known_names_without_a_type_mean_what_they_say(site):
    names = {
        "max_people_count": 50,
        "min_people_count": 0,
        "detection_accuracy_low": 80,
        "fps_low": 15,
        "cpu_usage_high": 90,
        "memory_usage_high": 80,
        "crowd": 1000,
    }
    for name, value in names.items():
        site.threshold(value, threshold_name=name)
    site.sql.execute("select threshold_name, alert_type, direction, type_from_name from alert_thresholds")
    assert set(site.sql.fetchall()) == {
        ("max_people_count", "people_count", "above", True),
        ("min_people_count", "people_count", "below", True),
        ("detection_accuracy_low", "unmeasured", "below", True),
        ("fps_low", "fps", "below", True),
        ("cpu_usage_high", "cpu_usage_percentage", "above", True),
        ("memory_usage_high", "unmeasured", "above", True),
        ("crowd", "people_count", "above", False),
    }
    door = site.door()
    site.read(door, 49, fps_current=24, cpu_usage_percentage=60, memory_usage_mb=900)
    site.look()
    assert site.alerts() == []
    site.read(door, 49, fps_current=9, cpu_usage_percentage=95, memory_usage_mb=900)
    site.look()
    assert sorted(site.alerts()) == [("cpu_usage_percentage", 95, False), ("fps", 9, False)]


def test_whoever_gives_a_type_or_changes_it_is_believed(site, client):
    given = client.post(
        "/api/thresholds", json={"threshold_name": "fps_low", "threshold_value": 3, "alert_type": "people_count"}
    ).json
    assert (given["alert_type"], given["direction"], given["type_from_name"]) == ("people_count", "above", False)
    read = client.post("/api/thresholds", json={"threshold_name": "fps_low", "threshold_value": 15}).json
    assert (read["alert_type"], read["direction"], read["type_from_name"]) == ("fps", "below", True)
    changed = client.patch(f"/api/thresholds/{read['id']}", json={"alert_type": "people_count"}).json
    assert (changed["alert_type"], changed["type_from_name"]) == ("people_count", False)


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        ({"is_total": True, "alert_type": "fps"}, "is_total", "A threshold on the total watches people_count"),
        ({"is_total": True, "session_id": "door"}, "is_total", "of no single session"),
        ({"alert_type": "no_signal_seconds", "direction": "below"}, "alert_type", "its direction is above"),
        ({"alert_type": "no_signal_seconds", "lasting_seconds": 5}, "alert_type", "its lasting_seconds 0"),
        ({"lasting_seconds": 86401}, "lasting_seconds", "less than or equal to 86400"),
        ({"direction": "sideways"}, "direction", "'above' or 'below'"),
        ({"alert_type": "by name"}, "alert_type", "'people_count'"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_a_sentence(client, site, fields, field, sentence):
    fields = {key: site.door() if value == "door" else value for key, value in fields.items()}
    row = {"threshold_name": "x", "threshold_value": 1} | fields
    response = client.post("/api/thresholds", json=row)
    # What contradicts itself is a conflict: a schema cannot say it, and a patch may contradict the row.
    assert response.status_code == (
        409 if field in ("is_total", "alert_type") and "by name" not in row.values() else 422
    )
    assert [(error["field"], sentence in error["message"]) for error in response.json["errors"]] == [(field, True)]
    assert client.get("/api/thresholds").json["items"] == []


def test_a_patch_cannot_make_what_a_post_may_not(client):
    row = client.post("/api/thresholds", json={"threshold_name": "all", "threshold_value": 1, "is_total": True}).json
    response = client.patch(f"/api/thresholds/{row['id']}", json={"alert_type": "fps"})
    assert response.status_code == 409
    assert client.get(f"/api/thresholds/{row['id']}").json == row


def test_people_counted_from_movements_raise_alerts_too(site):
    site.threshold(3, resolve_margin=0)
    site.threshold(4, alert_type="entered_per_minute")
    door = site.door()
    site.move(door, "in", "in")
    site.look()
    assert site.alerts() == []
    site.move(door, "in", "in", "out")
    site.look()
    assert sorted(site.alerts()) == [("entered_per_minute", 4, False), ("people_count", 3, False)]
    site.move(door, "out")
    site.look()
    assert sorted(site.alerts()) == [("entered_per_minute", 4, False), ("people_count", 2, True)]
    site.wait(90)
    site.look()
    assert sorted(site.alerts()) == [("entered_per_minute", 0, True), ("people_count", 2, True)]


def test_without_a_threshold_looking_writes_nothing(site):
    site.read(site.door(), 5)
    site.look()
    for is_written in (False, True):
        site.sql.execute("begin; select evaluate_alerts_of_now('UTC', '2 minutes', '1 hour')")
        assert site.one("select pg_current_xact_id_if_assigned() is not null") == is_written
        site.sql.execute("rollback")
        site.threshold(10, is_total=True)


def test_a_threshold_on_the_total_adds_the_doors_up(site):
    site.threshold(10, is_total=True)
    doors = [site.door() for _ in range(3)]
    site.read(doors[0], 6)
    site.move(doors[1], "in", "in", "in")
    site.look()
    assert site.alerts() == []
    site.read(doors[2], 1)
    site.look()
    assert site.alerts() == [("people_count", 10, False)]
    assert site.one("select count(*) from alert_logs where session_id is null") == 1
    site.sql.execute("update sessions set status = 'completed' where id = %s", (doors[0],))
    site.look()
    assert site.alerts() == [("people_count", 4, True)]


def test_what_has_to_last_raises_no_alert_before(site):
    site.threshold(10, lasting_seconds=600)
    door = site.door()
    site.read(door, 12)
    site.wait(500)
    site.read(door, 9)  # not reached, though within the margin: it starts over
    site.read(door, 13)
    site.wait(500)
    site.look()
    assert site.alerts() == []
    site.read(door, 14)
    site.wait(150)
    site.look()  # without another reading
    assert site.alerts() == [("people_count", 14, False)]


def test_what_had_lasted_by_the_next_reading_was_an_alert(site):
    site.threshold(10, lasting_seconds=600)
    door = site.door()
    site.read(door, 12)
    site.wait(700)
    site.read(door, 2)
    site.follow()
    assert site.alerts() == [("people_count", 2, True)]


def test_the_reading_that_brings_a_silent_door_back_raises_its_alert(site):
    site.threshold(10)
    door = site.door()
    site.read(door, 20)
    site.look()
    site.hush(door)
    site.look()
    assert site.alerts() == [("people_count", 20, True)]
    site.read(door, 30)
    site.follow()
    assert site.alerts() == [("people_count", 20, True), ("people_count", 30, False)]
    site.look()
    assert site.alerts() == [("people_count", 20, True), ("people_count", 30, False)]
    assert site.one("select status from sessions where id = %s", door) == "active"


@dataclass(eq=False)
class Threshold:
    id: str
    kind: str
    value: int
    direction: str
    lasting: int
    door: int | None
    is_total: bool
    active: bool = True
    margin: int = 2

    def reaches(self, value, margin=0):
        return value < self.value + margin if self.direction == "below" else value >= self.value - margin


@dataclass(eq=False)
class Alert:
    threshold: Threshold
    door: int | None
    value: int
    resolved: bool = False


@dataclass(eq=False)
class State:
    since: int
    value: int
    alert: Alert | None = None


@dataclass(eq=False)
class Door:
    id: str
    status: str = "active"
    readings: list[tuple[int, int]] = field(default_factory=list)  # the door's own time and people
    newest: tuple[int, int] = (-(10**9), 0)  # of now, that was evaluated
    heard: int | None = None  # reports that are not looked at yet
    reported: int | None = None
    ended: int | None = None  # by silence


# A reading's own time against the database's, in seconds, and what it is then.
LATE, MARGIN, HISTORY, AHEAD = -300, 60, -10_800, 25_200
KINDS = ("people_count", "fps")


class Watch(RuleBasedStateMachine):
    """A site, and what plain evaluation of its readings gives. Time stands still unless a rule lets it pass."""

    def __init__(self, site):
        super().__init__()
        self.site = site
        site.sql.execute("truncate sessions, alert_thresholds, alert_logs cascade")
        site.look()
        self.now = 0
        self.thresholds, self.queue, self.alerts, self.states, self.order = [], [], [], {}, 0
        self.last_row = None

    @initialize()
    def open(self):
        self.doors = [Door(self.site.door()) for _ in range(2)]
        self.add_threshold("people_count", 6, "above", 600, None)
        self.add_threshold("fps", 6, "below", 600, 0)

    @rule(
        kind=st.sampled_from(KINDS),
        value=st.integers(0, 9),
        direction=st.sampled_from(("above", "below")),
        lasting=st.sampled_from((0, 0, 600)),
        scope=st.sampled_from((None, 0, 1, "total")),
    )
    def add_threshold(self, kind, value, direction, lasting, scope):
        is_total, door = scope == "total", scope if scope != "total" else None
        kind = "people_count" if is_total else kind
        row = self.site.threshold(
            value,
            alert_type=kind,
            direction=direction,
            lasting_seconds=lasting,
            resolve_margin=2,
            is_total=is_total,
            session_id=None if door is None else self.doors[door].id,
        )
        self.thresholds.append(Threshold(row, kind, value, direction, lasting, door, is_total))

    @rule(pick=st.integers(0, 99), value=st.integers(0, 9))
    def edit_threshold(self, pick, value):
        if self.thresholds:
            threshold = self.thresholds[pick % len(self.thresholds)]
            self.site.sql.execute(
                "update alert_thresholds set threshold_value = %s where id = %s", (value, threshold.id)
            )
            threshold.value = value

    @rule(pick=st.integers(0, 99))
    def switch_threshold(self, pick):
        if self.thresholds:
            threshold = self.thresholds[pick % len(self.thresholds)]
            threshold.active = not threshold.active
            self.site.sql.execute(
                "update alert_thresholds set is_active = %s where id = %s", (threshold.active, threshold.id)
            )
            self._drop(threshold)

    @rule(pick=st.integers(0, 99))
    def delete_threshold(self, pick):
        if self.thresholds:
            threshold = self.thresholds.pop(pick % len(self.thresholds))
            self.site.sql.execute("delete from alert_thresholds where id = %s", (threshold.id,))
            self._drop(threshold)

    def _drop(self, threshold):
        for key in [key for key in self.states if key[0] is threshold]:
            self._end(key, None)

    @rule(
        readings=st.lists(
            st.tuples(
                st.integers(0, 1),
                st.integers(0, 12),
                st.integers(0, 12),
                st.sampled_from((0, 0, 0, LATE, MARGIN, HISTORY, AHEAD)),
            ),
            min_size=1,
            max_size=5,
        ),
        is_followed=st.booleans(),
    )
    def read(self, readings, is_followed):
        for door, people, fps, later in readings:
            self.order += 1  # two readings of one moment are never at the same microsecond
            self.last_row = self.site.one(
                "insert into realtime_metrics (session_id, timestamp, current_people_count, fps_current)"
                " values (%s, clock_timestamp() + %s * interval '1 second', %s, %s) returning id",
                self.doors[door].id,
                later,
                people,
                fps,
            )
            self.queue.append((door, self.now + later, self.order, people, fps, later))
        if is_followed:
            self.follow()

    @rule()
    def repeat(self):
        if self.last_row:
            self.site.sql.execute(
                "insert into realtime_metrics select * from realtime_metrics where id = %s on conflict (id) do nothing",
                (self.last_row,),
            )

    @rule(door=st.integers(0, 1))
    def stop(self, door):
        if self.doors[door].status == "active":
            self.site.sql.execute(
                "update sessions set status = 'completed', end_time = now() where id = %s", (self.doors[door].id,)
            )
            self.doors[door].status = "completed"

    @rule(door=st.integers(0, 1))
    def start(self, door):
        if self.doors[door].status == "completed":
            self.site.sql.execute(
                "update sessions set status = 'active', end_time = null where id = %s", (self.doors[door].id,)
            )
            self.doors[door].status = "active"

    @rule(door=st.integers(0, 1))
    def hush(self, door):
        self.look()
        self.site.hush(self.doors[door].id)
        one = self.doors[door]
        if one.reported is not None and one.status == "active":
            one.reported -= 2 * int(SILENCE_SECONDS)
        self.look()

    @rule(
        seconds=st.sampled_from((250, 650)),
        reading=st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(0, 12), st.just(0)),
    )
    def wait(self, seconds, reading):
        self.look()
        self.site.wait(seconds)
        self.now += seconds
        self.read([reading], is_followed=True)

    @rule()
    def follow(self):
        self.site.follow()
        self._follow()

    @rule()
    def look(self):
        self.site.look()
        self._follow()
        self._look()

    def _follow(self):
        for number, (index, taken, order, people, fps, later) in enumerate(self.queue):
            door = self.doors[index]
            if later in (HISTORY, AHEAD):
                continue
            before = [row[1:3] for row in self.queue[:number] if row[0] == index and row[5] not in (HISTORY, AHEAD)]
            is_newest = (taken, order) >= max([*before, door.newest])
            if is_newest and (door.status == "active" or door.ended is not None):
                for threshold in sorted(self.thresholds, key=lambda one: str(one.id)):
                    if not threshold.is_total and threshold.door in (None, index):
                        value = people if threshold.kind == "people_count" else fps
                        self._apply(threshold, index, value, self.now)
        for index, taken, order, people, _fps, later in self.queue:
            door = self.doors[index]
            door.readings.append((taken, order, people))
            if later != HISTORY:
                door.heard = self.now
            if later not in (HISTORY, AHEAD):
                door.newest = max(door.newest, (taken, order))
        self.queue = []

    def _look(self):
        for index, door in enumerate(self.doors):
            if door.heard is not None:
                door.reported, door.heard = door.heard, None
            if door.ended is not None and door.reported is not None and door.reported > door.ended:
                door.status, door.ended = "active", None
            if door.status == "active" and door.reported is not None and door.reported < self.now - SILENCE_SECONDS:
                door.status, door.ended = "error", door.reported
                self._calm(index)
            if door.status == "completed":
                self._calm(index)
            if door.status != "active":
                door.reported = None
        total = sum(self._people(door) or 0 for door in self.doors if door.status == "active")
        for threshold in self.thresholds:
            if threshold.is_total:
                self._apply(threshold, None, total, self.now)
        for index, door in enumerate(self.doors):
            if door.status == "active" and door.reported is not None and self._people(door) is None:
                for threshold in self.thresholds:
                    if threshold.kind == "people_count" and not threshold.is_total and threshold.door in (None, index):
                        self._apply(threshold, index, 0, self.now)
        for key, state in self.states.items():
            if state.alert is None and state.since + key[0].lasting <= self.now:
                self._raise(key, state)

    def _people(self, door):
        of_now = [row for row in door.readings if self.now - SILENCE_SECONDS <= row[0] <= self.now + 120]
        return max(of_now)[2] if of_now else None

    def _calm(self, index):
        for key in [key for key in self.states if key[1] == index]:
            self._end(key, None)

    def _apply(self, threshold, index, value, at):
        key = (threshold, index)
        state = self.states.get(key)
        if state is None:
            if threshold.active and threshold.reaches(value):
                self.states[key] = State(at, value)
                if not threshold.lasting:
                    self._raise(key, self.states[key])
            return
        if state.alert is None and state.since + threshold.lasting <= at:
            self._raise(key, state)
        if not threshold.reaches(value, threshold.margin if state.alert else 0):
            self._end(key, value)
        else:
            state.value = value
            if state.alert:
                state.alert.value = value

    def _raise(self, key, state):
        state.alert = Alert(key[0], key[1], state.value)
        self.alerts.append(state.alert)

    def _end(self, key, value):
        state = self.states.pop(key)
        if state.alert:
            state.alert.resolved = True
            state.alert.value = state.alert.value if value is None else value

    @invariant()
    def alerts_are_those_of_the_model(self):
        self.site.sql.execute("select session_id, alert_type, current_value, is_resolved from alert_logs")
        names = {door.id: index for index, door in enumerate(self.doors)} | {None: None}
        there = sorted(repr((names[row[0]], *row[1:4])) for row in self.site.sql.fetchall())
        here = sorted(repr((one.door, one.threshold.kind, one.value, one.resolved)) for one in self.alerts)
        assert there == here

    @invariant()
    def at_most_one_alert_is_open_for_a_threshold_and_a_session(self):
        self.site.sql.execute(
            "select 1 from alert_logs where not is_resolved and threshold_id is not null"
            " group by threshold_id, session_id having count(*) > 1"
        )
        assert self.site.sql.fetchall() == []


def test_alerts_are_exactly_those_of_a_model(site):
    run_state_machine_as_test(
        lambda: Watch(site),  # type: ignore[arg-type]  # it takes whatever makes a machine
        settings=settings(
            max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
