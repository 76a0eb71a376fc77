"""Changes for tests, as the log would hold them."""

from __future__ import annotations

import json

from app.feed.change import Change


def payload(cursor, table="sessions", action="INSERT", data=None, old_data=None, timestamp=1757124155.082297):
    return json.dumps(
        {
            "id": cursor,
            "table": table,
            "action": action,
            "data": data if data is not None else {"id": f"row-{cursor}"},
            "old_data": old_data,
            "timestamp": timestamp,
        }
    )


def change(cursor, **fields):
    return Change.from_payload(payload(cursor, **fields))
