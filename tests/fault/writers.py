"""Writers: seeded programs that write all four tables as the cameras' programs do, and as nobody should.

Invariant: what a writer does next follows from its seed alone, whatever becomes of its transactions: it remembers the
ids that it meant to write, not those that it wrote. What really happened stands in the change log.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import psycopg2
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

# Sessions that everyone writes to and clients filter by.
LASTING = [str(UUID(int=number)) for number in range(1, 9)]
TABLES = ("sessions", "people_movements", "realtime_metrics", "alert_logs")
_KEPT = 250  # rows of one table that a writer lets stand
_LETTERS = 'aäß€𝄞\\"\n'  # one to four bytes in UTF-8, and what JSON escapes


def insert_lasting_sessions(cursor: Cursor) -> None:
    """Make the sessions that last, where they are not there."""
    execute_values(
        cursor,
        "insert into sessions (id, session_name) values %s on conflict do nothing",
        [(session, f"Door {session[-1]}") for session in LASTING],
    )


class Stopped(Exception):
    """No more is to be written."""


class Pace:
    """How fast all writers together may go: ``rate`` changes a second on average, after a pause faster than that."""

    def __init__(self, rate: float, debt_seconds: float = 30.0) -> None:
        self._rate = rate
        self._debt_seconds = debt_seconds
        self._begun = time.monotonic()
        self._state = threading.Condition()
        self._is_paused = True
        self._is_stopped = False
        self._active = 0
        self.changes = 0
        self.counts: Counter[str] = Counter()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A stretch that a pause waits for. Waits for its own turn.

        Raises:
            Stopped: no turn comes any more.
        """
        with self._state:
            while self._is_paused or self._is_ahead():
                if self._is_stopped:
                    raise Stopped
                self._state.wait(0.05)
            self._active += 1
        try:
            yield
        finally:
            with self._state:
                self._active -= 1
                self._state.notify_all()

    def count(self, kind: str, changes: int = 0) -> None:
        """Note what a transaction was and how many changes it made."""
        with self._state:
            self.counts[kind] += 1
            self.changes += changes

    def pause(self) -> None:
        """Let the transactions end and begin none."""
        with self._state:
            self._is_paused = True
            self._state.wait_for(lambda: not self._active)

    def go_on(self) -> None:
        with self._state:
            self._is_paused = False
            self._state.notify_all()

    def stop(self) -> None:
        with self._state:
            self._is_stopped = self._is_paused = True
            self._state.notify_all()

    def _is_ahead(self) -> bool:
        due = (time.monotonic() - self._begun) * self._rate
        debt = (due - self.changes) / self._rate
        if debt > self._debt_seconds:  # no more of an outage is made up for
            self._begun += debt - self._debt_seconds
        return self.changes > due


class Writer(threading.Thread):
    """One program with one connection."""

    def __init__(self, number: int, seed: int, url: str, pace: Pace, *, prepares: bool = False) -> None:
        super().__init__(name=f"writer {number}", daemon=True)
        self._prepared = f"writer {number}" if prepares else None
        self._random = random.Random(f"{seed}/writer/{number}")
        self._url = url
        self._pace = pace
        self._connection: psycopg2.extensions.connection | None = None
        self._ids: dict[str, list[str]] = {table: [] for table in TABLES}
        self._person = number * 1_000_000
        self._changes = 0

    def run(self) -> None:
        with suppress(Stopped):
            while True:
                with self._pace.transaction():
                    self._write()
        self._disconnect()

    def _write(self) -> None:
        plan = self._plan()
        try:
            plan()
        except psycopg2.Error as error:
            self._pace.count(f"failed ({type(error).__name__})")
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> psycopg2.extensions.connection:
        if self._connection is None:
            time.sleep(0.05)  # spares the loop while the database is away
            self._connection = psycopg2.connect(self._url, application_name="writer", connect_timeout=5)
            self._forget_prepared(self._connection)
        return self._connection

    def _forget_prepared(self, connection: psycopg2.extensions.connection) -> None:
        """What was prepared outlives everything but this."""
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select gid from pg_prepared_xacts where gid = %s", (self._prepared,))
            if cursor.fetchall():
                cursor.execute("rollback prepared %s", (self._prepared,))

    def _plan(self) -> Callable[[], None]:
        """The next transaction, with all that chance decides about it decided now."""
        steps = [self._step() for _ in range(self._random.choice((1, 1, 2, 3, 5, 8)))]
        naps = [self._random.uniform(0.02, 1.0) if self._random.random() < 0.03 else 0.0 for _ in steps]
        lot = self._random.random()
        if lot < 0.25:
            return lambda: self._run_alone(steps)
        is_rolled_back, is_prepared = lot < 0.33, lot > 0.95 and self._prepared is not None
        level = self._random.choices(("read committed", "repeatable read", "serializable"), (8, 1, 1))[0]
        savepoint = self._random.randrange(len(steps)) if self._random.random() < 0.2 else None
        return lambda: self._run_together(steps, naps, savepoint, level, is_rolled_back, is_prepared)

    def _run_alone(self, steps: list[Callable[[Cursor], None]]) -> None:
        connection = self._connected()
        connection.autocommit = True
        with connection.cursor() as cursor:
            for step in steps:
                self._changes = 0
                step(cursor)
                self._pace.count("single statement", self._changes)

    def _run_together(
        self,
        steps: list[Callable[[Cursor], None]],
        naps: list[float],
        savepoint: int | None,
        level: str,
        is_rolled_back: bool,
        is_prepared: bool,
    ) -> None:
        connection = self._connected()
        connection.autocommit = False
        self._changes = 0
        with connection.cursor() as cursor:
            cursor.execute(f"set transaction isolation level {level}")
            for number, (step, nap) in enumerate(zip(steps, naps, strict=True)):
                before = self._changes
                if number == savepoint:
                    cursor.execute("savepoint here")
                step(cursor)
                if number == savepoint:
                    cursor.execute("rollback to savepoint here")
                    self._changes = before
                    self._pace.count("savepoint rolled back")
                if nap:
                    time.sleep(nap)  # others overtake
            if is_prepared:
                cursor.execute("prepare transaction %s", (self._prepared,))
                connection.rollback()  # psycopg2 thinks that it is in a transaction
                connection.autocommit = True
                time.sleep(naps[0])
                cursor.execute("commit prepared %s", (self._prepared,))
                self._pace.count("prepared", self._changes)
                return
        if is_rolled_back:
            connection.rollback()
            self._pace.count("rolled back")
        else:
            connection.commit()
            self._pace.count("committed", self._changes)

    def _step(self) -> Callable[[Cursor], None]:
        steps, weights = zip(*_STEPS, strict=True)
        make = self._random.choices(steps, weights)[0]
        statement, values = make(self)

        def step(cursor: Cursor) -> None:
            if isinstance(values, list):
                execute_values(cursor, statement, values, page_size=1000)
                self._changes += len(values)
            else:
                cursor.execute(statement, values)
                self._changes += max(0, cursor.rowcount)

        return step

    # Each of these returns a statement and its values (a list of tuples: many rows).

    def _insert_movements(self, count: int = 1):
        rows = []
        for _ in range(count):
            self._person += 1
            numbers = [round(self._random.uniform(-5, 2000), self._random.choice((0, 1, 3))) for _ in range(6)]
            rows.append(
                (
                    self._new("people_movements"),
                    self._session(),
                    self._person,
                    self._random.choice(("in", "out")),
                    *numbers,
                    self._random.random(),
                    self._person % 1000,
                )
            )
        return (
            "insert into people_movements (id, session_id, person_id, movement_direction, centroid_x, centroid_y,"
            " bounding_box_x1, bounding_box_y1, bounding_box_x2, bounding_box_y2, confidence_score, frame_number)"
            " values %s",
            rows,
        )

    def _insert_bulk(self):
        return self._insert_movements(self._random.randint(50, 250))

    def _insert_metric(self):
        row = (
            self._new("realtime_metrics"),
            self._session(),
            self._random.randrange(300),
            self._random.random() * 30,
            self._random.choice(("detecting", "tracking", "waiting")),
        )
        return (
            "insert into realtime_metrics (id, session_id, current_people_count, fps_current, detection_status)"
            " values %s",
            [row],
        )

    def _insert_alert(self):
        session = self._session() if self._random.random() < 0.9 else None
        row = (
            self._new("alert_logs"),
            session,
            "occupancy",
            self._text(self._random.randrange(60)),
            self._random.randrange(100),
            self._random.random() < 0.2,
        )
        return (
            "insert into alert_logs (id, session_id, alert_type, alert_message, current_value, is_resolved) values %s",
            [row],
        )

    def _insert_large_alert(self):
        """A payload around the 8000 bytes that NOTIFY refuses."""
        text = self._text(self._random.randint(3000, 5000))
        row = (self._new("alert_logs"), self._session(), "large", text, 1, False)
        return (
            "insert into alert_logs (id, session_id, alert_type, alert_message, current_value, is_resolved) values %s",
            [row],
        )

    def _insert_session(self):
        return "insert into sessions (id, session_name) values %s", [(self._new("sessions"), self._text(12))]

    def _update_session(self):
        row = self._random.choice(LASTING) if self._random.random() < 0.5 else self._old("sessions")
        status = self._random.choice(("active", "completed", "error", "cancelled"))
        return "update sessions set status = %s, total_frames = %s where id = %s", (
            status,
            self._random.randrange(1000),
            row,
        )

    def _resolve_alert(self):
        return (
            "update alert_logs set is_resolved = not is_resolved, resolved_at = now() where id = %s",
            (self._old("alert_logs"),),
        )

    def _update_metric(self):
        return "update realtime_metrics set current_people_count = %s where id = %s", (
            self._random.randrange(300),
            self._old("realtime_metrics"),
        )

    def _move_movement(self):
        """To another session: subscribers of both hear of it."""
        return "update people_movements set session_id = %s where id = %s", (
            self._random.choice(LASTING),
            self._old("people_movements"),
        )

    def _rename_movement(self):
        """A row that gets another key."""
        old = self._old("people_movements")
        return "update people_movements set id = %s where id = %s", (self._new("people_movements"), old)

    def _touch_metrics(self):
        """An UPDATE that changes nothing is no change."""
        return "update realtime_metrics set fps_current = fps_current where id = %s", (self._old("realtime_metrics"),)

    def _delete_one(self):
        table = self._random.choice(list(self._ids))
        return f"delete from {table} where id = %s", (self._old(table),)

    def _delete_oldest(self):
        table = max(self._ids, key=lambda name: len(self._ids[name]))
        rows = self._ids[table]
        surplus = max(1, len(rows) - _KEPT)
        gone, self._ids[table] = rows[:surplus], rows[surplus:]
        return f"delete from {table} where id = any(%s::uuid[])", (gone,)

    def _new(self, table: str) -> str:
        row = str(UUID(int=self._random.getrandbits(128)))
        self._ids[table].append(row)
        return row

    def _old(self, table: str) -> str:
        rows = self._ids[table]
        return self._random.choice(rows) if rows else str(UUID(int=0))  # no row has it

    def _session(self) -> str:
        own = self._ids["sessions"]
        return self._random.choice(own) if own and self._random.random() < 0.02 else self._random.choice(LASTING)

    def _text(self, length: int) -> str:
        return "".join(self._random.choices(_LETTERS, k=length))


_STEPS: list[tuple[Callable[[Writer], tuple], float]] = [
    (Writer._insert_movements, 30),
    (Writer._insert_bulk, 0.4),
    (Writer._insert_metric, 25),
    (Writer._insert_alert, 12),
    (Writer._insert_large_alert, 0.5),
    (Writer._insert_session, 2),
    (Writer._update_session, 6),
    (Writer._resolve_alert, 14),
    (Writer._update_metric, 6),
    (Writer._move_movement, 5),
    (Writer._rename_movement, 1),
    (Writer._touch_metrics, 2),
    (Writer._delete_one, 5),
    (Writer._delete_oldest, 4),
]
