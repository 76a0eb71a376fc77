"""Pages, filters and flow are what plain SQL says, whatever the rows."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from app.feed.counts import Counts
from app.postgres.connections import connect

hypothesis = pytest.importorskip("hypothesis", reason="requirements-dev.txt brings it")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

PROPERTY = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
START = datetime(2026, 3, 1, tzinfo=UTC)
# Clocks that change by an hour, by half an hour, at midnight; offsets of quarters; and the date line.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Havana",
]


@pytest.fixture
def sql(database_url):
    with closing(connect(database_url, application_name="test", timezone="UTC")) as connection:
        yield connection.cursor()


@pytest.fixture
def session_ids(client):
    return [client.post("/api/sessions", json={"session_name": name}).json["id"] for name in ("a", "b")]


def get(client, path, **query):
    response = client.get(path, query_string={name: value for name, value in query.items() if value is not None})
    assert response.status_code == 200, response.json
    return response


def write(sql, session_ids, moves, is_more=False):
    if not is_more:
        sql.execute("delete from people_movements")
    for person, (session, direction, minute) in enumerate(moves):
        sql.execute(
            "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
            " values (%s, %s, %s, %s)",
            [session_ids[session], person, direction, START + timedelta(minutes=minute)],
        )


def moves(minutes, most=25):
    return st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["in", "out"]), minutes), max_size=most)


def crowds(minutes):
    """Moves of several persons within few quarters of an hour, hence counts that are held at 0 within a quarter."""
    near = st.tuples(
        minutes, st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["in", "out"]), st.integers(0, 40)))
    )
    return st.lists(near, max_size=4).map(
        lambda groups: [(session, direction, at + after) for at, group in groups for session, direction, after in group]
    )


def fold(sql):
    Counts(lambda: sql.connection, silence_seconds=3600).update(sql.connection)


@PROPERTY
@given(
    moves=moves(st.integers(0, 5)),  # so that many have the same time
    limit=st.integers(1, 30),
    order=st.sampled_from(["movement_time", "-movement_time"]),
    session=st.sampled_from([None, 0, 1]),
    direction=st.sampled_from([None, "in", "out"]),
    span=st.tuples(st.none() | st.integers(-1, 6), st.none() | st.integers(-1, 6)),
)
def test_pages_show_every_matching_row_once_in_order(
    client, sql, session_ids, moves, limit, order, session, direction, span
):
    write(sql, session_ids, moves)
    chosen = {
        "session_id": None if session is None else session_ids[session],
        "direction": direction,
        "from": None if span[0] is None else (START + timedelta(minutes=span[0])).isoformat(),
        "to": None if span[1] is None else (START + timedelta(minutes=span[1])).isoformat(),
    }
    falling = "desc" if order[0] == "-" else "asc"
    sql.execute(
        "select id::text from people_movements where (%(session_id)s is null or session_id = %(session_id)s::uuid)"
        " and (%(direction)s is null or movement_direction = %(direction)s::movement_direction)"
        " and (%(from)s is null or movement_time >= %(from)s::timestamptz)"
        f" and (%(to)s is null or movement_time < %(to)s::timestamptz) order by movement_time {falling}, id {falling}",
        chosen,
    )
    wanted = [row for (row,) in sql.fetchall()]
    page = get(client, "/api/movements", limit=limit, order=order, count="true", **chosen)
    assert page.json["total"] == len(wanted)
    pages = [page]
    while token := pages[-1].json["next"]:
        pages.append(get(client, "/api/movements", limit=limit, order=order, after=token, **chosen))
    assert [[row["id"] for row in page.json["items"]] for page in pages] == [
        wanted[start : start + limit] for start in range(0, max(1, len(wanted)), limit)
    ]
    for earlier, later in pairwise(pages):
        back = client.get(link(later, "prev"))
        assert back.json["items"] == earlier.json["items"]


def link(response, relation):
    [target] = [part.split(">")[0].strip(" <") for part in response.headers.getlist("Link") if f'"{relation}"' in part]
    return target


@PROPERTY
@given(
    moves=moves(st.integers(0, 60 * 24 * 12)) | crowds(st.integers(0, 60 * 24 * 9)),
    later=moves(st.integers(0, 60 * 24 * 12), most=5),
    day=st.sampled_from(
        [START, datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 4, 3, tzinfo=UTC), datetime(2026, 10, 2, tzinfo=UTC)]
    ),
    bucket=st.sampled_from(["hour", "day", "week"]),
    zone=st.sampled_from(ZONES),
    session=st.sampled_from([None, 0]),
    span=st.tuples(st.integers(0, 60 * 24 * 6), st.integers(0, 60 * 24 * 6)),
    is_folded=st.booleans(),
)
def test_flow_is_what_plain_sql_counts(
    client, sql, session_ids, moves, later, day, bucket, zone, session, span, is_folded
):
    write(sql, session_ids, moves)
    sql.execute("update people_movements set movement_time = movement_time + (%s - %s)", [day, START])
    if is_folded:
        fold(sql)
    write(
        sql,
        session_ids,
        [(at, direction, minute + (day - START) // timedelta(minutes=1)) for at, direction, minute in later],
        is_more=True,
    )
    since, until = day + timedelta(minutes=span[0]), day + timedelta(minutes=span[0] + span[1])
    chosen = {"session_id": None if session is None else session_ids[session]}
    query = {"from": since.isoformat(), "to": until.isoformat(), "bucket": bucket, "tz": zone}
    buckets = get(client, "/api/analytics/flow", **query, **chosen).json
    sql.execute(
        "select date_trunc('minute', movement_time), date_trunc(%(bucket)s, movement_time, %(zone)s),"
        " count(*) filter (where movement_direction = 'in'), count(*) filter (where movement_direction = 'out')"
        " from people_movements where (%(session)s is null or session_id = %(session)s::uuid)"
        " and movement_time < %(until)s group by 1, 2 order by 1",
        {"bucket": bucket, "zone": zone, "session": chosen["session_id"], "until": until},
    )
    minutes = sql.fetchall()
    sql.execute("select date_trunc(%s, %s, %s)", [bucket, since, zone])
    [(first,)] = sql.fetchall()
    starts = [datetime.fromisoformat(found["start"]) for found in buckets]
    assert starts == sorted(set(starts))
    assert (starts[:1] == [first]) is (since < until)
    wanted = dict.fromkeys(starts, (0, 0))
    for _, start, entered, exited in minutes:
        if start >= first:
            wanted[start] = (wanted[start][0] + entered, wanted[start][1] + exited)
    assert {start: (found["entered"], found["exited"]) for start, found in zip(starts, buckets, strict=True)} == wanted
    peaks, last = occupancy(minutes, zone)
    for number, (start, found) in enumerate(zip(starts, buckets, strict=True)):
        end = min(until, starts[number + 1]) if number + 1 < len(starts) else until
        if bucket != "hour" or zone != "Australia/Lord_Howe":  # there, hours overlap when clocks are set back by half
            assert found["occupancy"] == last(end - timedelta(microseconds=1)), (start, buckets)
        assert found["peak"] == max([peak for _, at, peak in peaks if at == start] + [found["occupancy"]])


def occupancy(minutes, zone):
    """What was inside after each minute, and a function that says what was inside at any moment."""
    inside, day, known = 0, None, []
    for minute, start, entered, exited in minutes:
        today = minute.astimezone(ZoneInfo(zone)).date()
        inside = max(0, (inside if today == day else 0) + entered - exited)
        day = today
        known.append((minute, start, inside))

    def at(moment):
        today = moment.astimezone(ZoneInfo(zone)).date()
        same_day = [
            count
            for minute, _, count in known
            if minute <= moment and minute.astimezone(ZoneInfo(zone)).date() == today
        ]
        return same_day[-1] if same_day else 0

    return known, at


@PROPERTY
@given(
    moves=crowds(st.integers(0, 60 * 24 * 2)),
    later=moves(st.integers(0, 60 * 24 * 2), most=3),
    zone=st.sampled_from(ZONES),
    is_folded=st.booleans(),
)
def test_statistics_are_what_plain_sql_counts(client, sql, session_ids, moves, later, zone, is_folded):
    write(sql, session_ids, moves)
    if is_folded:
        fold(sql)
    write(sql, session_ids, later, is_more=True)
    found = get(client, f"/api/sessions/{session_ids[0]}/statistics", tz=zone).json
    sql.execute(
        "select date_trunc('minute', movement_time), null, count(*) filter (where movement_direction = 'in'),"
        " count(*) filter (where movement_direction = 'out') from people_movements where session_id = %s group by 1"
        " order by 1",
        [session_ids[0]],
    )
    minutes = sql.fetchall()
    known, _ = occupancy(minutes, zone)
    assert (found["entered"], found["exited"]) == (sum(row[2] for row in minutes), sum(row[3] for row in minutes))
    assert found["peak"] == max((inside for *_, inside in known), default=0)
    ends = [minute for minute, *_ in known[1:]] + [minute + timedelta(minutes=1) for minute, *_ in known[-1:]]
    lasted = [(end - minute) / timedelta(minutes=1) for (minute, *_), end in zip(known, ends, strict=True)]
    spent = sum(inside * minutes for (*_, inside), minutes in zip(known, lasted, strict=True))
    assert found["average"] == pytest.approx(spent / sum(lasted) if lasted else 0, abs=0.001)
    assert found["first_movement"] == (known[0][0].isoformat() if known else None)
    assert found["last_movement"] == (known[-1][0].isoformat() if known else None)
