"""What a text/event-stream means, case by case as the web platform's own tests of EventSource have it.

Every parser here is held against this table: the command line's, which the tests' client uses, too, in tests/unit, and
Chromium's in tests/foreign, which says whether the table is right.
"""

# Input, the data of the expected events (with their type where it is not "message"), the last id.
CASES: dict[str, tuple[str, list[str | tuple[str, str]], str]] = {
    "a byte order mark": ("\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n", ["1", "3"], ""),
    "two byte order marks": ("\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3\n\n", ["2", "3"], ""),
    "carriage returns": ("data:1\r:2\rdata:3\r\r", ["1\n3"], ""),
    "comments": (
        f"data:1\r:\0\n:\r\ndata:2\n:{'x' * 2048}\rdata:3\n:data:fail\r:{'x' * 2048}\ndata:4\n\n",
        ["1\n2\n3\n4"],
        "",
    ),
    "a data field without a colon": ("data\n\ndata\ndata\n\ndata:test\n\n", ["", "\n", "test"], ""),
    "events that are not ended": ("retry:1000\ndata:test1\n\nid:test\ndata:test2", ["test1"], ""),
    "an empty event": ("event\ndata:1\n\n", ["1"], ""),
    "event types": ("event:test\ndata:x\n\nevent: \ndata:y\n\n", [("test", "x"), "y"], ""),
    "only an event type": ("event:test\n\ndata:x\n\n", ["x"], ""),
    "the last of two event types": ("event:a\nevent:b\ndata:x\n\n", [("b", "x")], ""),
    "field names as they are": (
        "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\nDATA:no\n\n",
        ["test\n"],
        "",
    ),
    "an id with NUL": ("id:1\ndata:a\n\nid:2\0\ndata:b\n\n", ["a", "b"], "1"),
    "an id that is taken back": ("id:1\ndata:a\n\nid\ndata:b\n\n", ["a", "b"], ""),
    "an id without data": ("id: 7\n\n", [], "7"),
    "an id that is no number": ("id: …\ndata: x\n\n", ["x"], "…"),
    "a leading space": ("data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"], ""),
    "several spaces": ("data:  x \n\n", [" x "], ""),
    "mixed line ends": ("data:1\r\ndata:2\ndata:3\rdata:4\n\r\n", ["1\n2\n3\n4"], ""),
    "NUL in data": ("data:\0\n\n", ["\0"], ""),
    "colons in the value": ("data::x:y\n\n", [":x:y"], ""),
    "UTF-8": ("data:ok…é💥\n\n", ["ok…é💥"], ""),
    "blank lines only": ("\n\n\r\r\n\n", [], ""),
    "this feed": ("retry: 2976\ndata: {}\nid: 4711\n\n", ["{}"], "4711"),
}
