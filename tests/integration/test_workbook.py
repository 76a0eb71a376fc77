"""Exports that Excel opens: workbooks, and CSV with a byte order mark."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import UTC, datetime, timedelta

import openpyxl
import psycopg2
import pytest
from openpyxl.utils.escape import unescape

from app.rest import export
from app.rest.export import XLSX

# What people, or those who mean no good, name a session.
NAMES = (
    '=HYPERLINK("http://evil.test","Lối vào")',
    "https://evil.test/",
    "x" * 200,
    "Cửa chính tầng trệt",
    "🚪 door 👋🏽",
    "two\nlines",
    "<r><t>=1+1</t></r>",
    "<r></is></c><c r='A9'><f>1+1</f></c><c><is></r>",
    "_x0041_ & <b>\x01",
    "  spaces  ",
    "007",
)


@pytest.fixture(scope="module", autouse=True)
def rows(shared_client, shared_url):
    """A row of each kind and more, for tests that only read."""
    connection = psycopg2.connect(shared_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for number, name in enumerate(NAMES):
            cursor.execute(
                "insert into sessions (session_name, input_source, start_time) values (%s, '=1', %s) returning id",
                (name, datetime(2026, 1, 31, 12, number, 0, 250_000, UTC)),
            )
        [session] = cursor.fetchone() or ()
        cursor.execute(
            "insert into people_movements (session_id, person_id, movement_direction) values (%s, -7, 'in')", (session,)
        )
        cursor.execute(
            "insert into realtime_metrics (session_id, fps_current) values (%s, 24.5), (%s, null)",
            (session, session),
        )
        cursor.execute(
            "insert into alert_logs (session_id, alert_type, alert_message) values (%s, 'x', '+1')", (session,)
        )
        cursor.execute("insert into alert_thresholds (threshold_name, threshold_value) values ('@all', 3)")
    connection.close()


def read(response):
    assert (response.status_code, response.mimetype) == (200, XLSX)
    data = response.data
    response.close()
    return openpyxl.load_workbook(io.BytesIO(data))


def cells(sheet):
    """The rows below the header, by the header's names."""
    header, *found = sheet.iter_rows(values_only=True)
    return [dict(zip(header, map(shown, row), strict=True)) for row in found]


def shown(value):
    """A cell as Excel shows it; openpyxl leaves its escapes of control characters as they are."""
    return unescape(value) if isinstance(value, str) else value


def is_same_time(cell, value):
    """Excel's times have milliseconds."""
    if cell is None or value is None:
        return cell is value
    return abs(cell.replace(tzinfo=UTC) - datetime.fromisoformat(value)) <= timedelta(milliseconds=1)


@pytest.mark.parametrize("name", ["sessions", "movements", "metrics", "alerts", "thresholds"])
def test_a_workbook_says_what_json_says(shared_client, name):
    response = shared_client.get(f"/api/{name}/export?format=xlsx")
    assert f'filename="{name}.xlsx"' in response.headers["Content-Disposition"]
    book = read(response)
    listed = shared_client.get(f"/api/{name}?limit=1000").json["items"]
    [sheet, about] = book.worksheets
    assert (sheet.title, sheet.freeze_panes) == (name, "A2")
    assert sheet.auto_filter.ref.startswith("A1:")
    found = {row["id"]: row for row in cells(sheet)}
    assert len(found) == len(listed) > 0
    for row in listed:
        for column, value in row.items():
            if f"{column} (UTC)" in found[row["id"]]:
                assert is_same_time(found[row["id"]][f"{column} (UTC)"], value), column
            else:
                assert found[row["id"]][column] == value, column
    said = dict(about.iter_rows(values_only=True))
    assert (said["rows of"], said["times are in"]) == (name, "UTC")
    assert said["cursor"] == response.headers["Last-Event-ID"]


def test_cells_have_types_and_no_text_is_a_formula_or_a_link(shared_client):
    for name in ("sessions", "movements", "metrics", "alerts", "thresholds"):
        sheet = read(shared_client.get(f"/api/{name}/export?format=xlsx")).worksheets[0]
        assert not any(cell.data_type == "f" or cell.hyperlink for row in sheet.iter_rows() for cell in row)
    sheet = read(shared_client.get("/api/sessions/export?format=xlsx")).worksheets[0]
    types = {column[0].value: column[1].data_type for column in sheet.iter_cols()}
    assert (types["session_name"], types["start_time (UTC)"], types["skip_frames"]) == ("s", "d", "n")


def test_a_workbook_filters_as_the_list_does_and_says_so(shared_client):
    book = read(shared_client.get("/api/sessions/export?format=xlsx&search=door&from=2026-01-31T12:00:00Z"))
    assert [row["session_name"] for row in cells(book.worksheets[0])] == ["🚪 door 👋🏽"]
    said = dict(book.worksheets[1].iter_rows(values_only=True))
    assert (said["search"], said["from"]) == ("door", "2026-01-31 12:00:00+00:00")


def test_an_empty_workbook_has_its_header(shared_client):
    sheet = read(shared_client.get("/api/alerts/export?format=xlsx&from=2100-01-01T00:00:00Z")).worksheets[0]
    assert (sheet.max_row, sheet["A1"].value) == (1, "id")


def test_more_rows_than_a_sheet_holds_are_refused_beforehand(shared_client, monkeypatch):
    monkeypatch.setattr(export, "MOST_ROWS", len(NAMES) - 1)
    refused = shared_client.get("/api/sessions/export?format=xlsx")
    assert (refused.status_code, refused.mimetype) == (400, "application/problem+json")
    assert refused.json["errors"][0]["field"] == "format"
    assert "shorter range" in refused.json["detail"]


def test_nothing_is_left_on_the_disk(shared_client, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    read(shared_client.get("/api/sessions/export?format=xlsx"))
    assert list(tmp_path.iterdir()) == []

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.rest.workbook._write_about", full)
    for _ in range(5):  # more often than there are turns
        refused = shared_client.get("/api/sessions/export?format=xlsx")
        assert (refused.status_code, "no room" in refused.json["detail"]) == (503, True)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_makes_a_few_workbooks_at_a_time(shared_client, monkeypatch):
    monkeypatch.setattr(export, "_PATIENCE_SECONDS", 0.01)
    held = [shared_client.get("/api/alerts/export?format=xlsx") for _ in range(4)]
    refused = shared_client.get("/api/alerts/export?format=xlsx")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    for response in held:
        response.close()
    read(shared_client.get("/api/alerts/export?format=xlsx"))


def test_csv_for_excel_is_the_csv_with_a_byte_order_mark(shared_client):
    plain = shared_client.get("/api/sessions/export?format=csv")
    marked = shared_client.get("/api/sessions/export?format=csv-excel")
    assert marked.data == b"\xef\xbb\xbf" + plain.data
    assert 'filename="sessions.csv"' in marked.headers["Content-Disposition"]
    header, _, rest = plain.data.partition(b"\r\n")
    assert header.startswith(b"id,")
    assert rest.endswith(b"\r\n")
    [row] = [row for row in csv.DictReader(io.StringIO(plain.text, newline="")) if "HYPER" in row["session_name"]]
    assert row["session_name"] == "'" + NAMES[0]
    [movement] = csv.DictReader(io.StringIO(shared_client.get("/api/movements/export?format=csv").text))
    assert movement["person_id"] == "-7"  # a number is no formula
