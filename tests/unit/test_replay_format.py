"""The CalIt2 format: what is read, what is refused, and how counts become movements."""

from __future__ import annotations

import pytest

from app.cli.replay import MalformedFileError, read_counts


def _read(tmp_path, text):
    file = tmp_path / "counts.data"
    file.write_bytes(text.encode())
    return read_counts(file)


def test_seven_is_out_and_nine_is_in(tmp_path):
    [interval] = _read(tmp_path, "7,07/24/05,00:30:00,2\n9,07/24/05,00:30:00,3")
    assert interval.counts == {"out": 2, "in": 3}


def test_movements_are_spread_over_the_half_hour_before(tmp_path):
    [interval] = _read(tmp_path, "9,07/24/05,12:30:00,3\n7,07/24/05,12:30:00,1\n")
    assert [f"{time:%H:%M} {direction}" for time, direction in interval.movements()] == [
        "12:05 in",
        "12:15 in",
        "12:15 out",
        "12:25 in",
    ]


def test_lines_in_any_order_are_read_in_the_order_of_time(tmp_path):
    intervals = _read(tmp_path, "9,07/25/05,00:30:00,1\r\n\r\n9,07/24/05,23:30:00,1\r\n")
    assert [interval.end.day for interval in intervals] == [24, 25]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("9,07/24/05,00:30:00", "expected 4 fields (flow id, date, time, count), found 3"),
        ("8,07/24/05,00:30:00,1", "flow id '8' is neither 7 (out) nor 9 (in)"),
        ("9,24/07/05,00:30:00,1", "'24/07/05', '00:30:00' is not a date and time as MM/DD/YY,HH:MM:SS"),
        ("9,07/24/05,25:30:00,1", "'07/24/05', '25:30:00' is not a date and time as MM/DD/YY,HH:MM:SS"),
        ("9,07/24/05,00:30:00,-1", "count '-1' is not a whole number from 0 to 100000"),
        ("9,07/24/05,00:30:00,1.5", "count '1.5' is not a whole number from 0 to 100000"),
        ("9,07/24/05,00:30:00,100001", "count '100001' is not a whole number from 0 to 100000"),
        ("9,07/24/05,00:00:00,1", "the count of people going in at 07/24/05 00:00:00 appears twice"),
    ],
)
def test_a_malformed_line_is_named_with_what_is_wrong(tmp_path, line, complaint):
    with pytest.raises(MalformedFileError) as refused:
        _read(tmp_path, f"9,07/24/05,00:00:00,1\n{line}\n")
    assert str(refused.value) == f"{tmp_path / 'counts.data'}, line 2: {complaint}"


@pytest.mark.parametrize("text", ["", "\n\n", "Größe"])
def test_a_file_without_counts_is_refused(tmp_path, text):
    with pytest.raises(MalformedFileError):
        _read(tmp_path, text)
