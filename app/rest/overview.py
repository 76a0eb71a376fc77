"""The overview: the OpenAPI document as one page for people, at /api/.

Invariant: it says what the document says and nothing else, so it cannot go stale. It is text and one style sheet of
ours: no script, no font, no other host, and its policy allows none. Requests can be tried in Swagger UI, not here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STYLE = """\
:root {
  color-scheme: light dark;
  --quiet: #5b6472; --line: #d5dae1; --get: #1d6b3a; --write: #8a4b00; --delete: #a3242b;
}
@media (prefers-color-scheme: dark) {
  :root { --quiet: #a3adba; --line: #39414d; --get: #6fd08f; --write: #f0b469; --delete: #ff8f8f; }
}
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; }
h1 { font-size: 1.5rem; }
h2 { border-bottom: 1px solid var(--line); font-size: 1.2rem; margin: 2rem 0 .5rem; }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere; }
summary { cursor: pointer; padding: .2rem 0; }
summary b:first-child { display: inline-block; font: 600 .85em ui-monospace, monospace; min-width: 4.2rem; }
.get { color: var(--get); } .post, .put, .patch { color: var(--write); } .delete { color: var(--delete); }
.quiet { color: var(--quiet); }
dl { border-left: 2px solid var(--line); margin: .2rem 0 1rem .5rem; padding-left: 1rem; }
dt { font-weight: 600; } dd { margin: 0 0 .4rem; }
ul { margin: 0; padding-left: 1.2rem; }
"""
Document = Mapping[str, Any]


def overview(document: Document, root: str) -> str:
    """The page, as HTML; ``root`` is where the feed is mounted, such as ``/people``, or empty."""
    parts = "\n".join(_part(document, tag, root) for tag in document["tags"])
    title = f"{document['info']['title']} {document['info']['version']}"
    links = ", ".join(
        f'<a href="{escape(root)}/api/{path}">{words}</a>'
        for path, words in (("openapi.json", "the OpenAPI document"), ("swagger", "Swagger UI, to try requests"))
    )
    schemes = "".join(
        f"<li><code>{escape(name)}</code> ({escape(_scheme(one))}): {escape(one['description'])}</li>"
        for name, one in document["components"]["securitySchemes"].items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}: REST</title>
<link rel="icon" href="{escape(root)}/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{escape(root)}/api/overview.css">
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(document["info"]["description"])} See {links}.</p>
<p>Errors are <code>application/problem+json</code> and name each field that is wrong. Where people have to sign in,
a request shows who it is from in one of these ways, or another where the request says so:</p>
<ul>{schemes}</ul>
{parts}
</body>
</html>
"""


def _part(document: Document, tag: Mapping[str, str], root: str) -> str:
    operations = "\n".join(
        _operation(document, method, f"{root}{path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["tags"] == [tag["name"]]
    )
    name = escape(tag["name"])
    return f'<h2 id="{name}">{name}</h2>\n<p class="quiet">{escape(tag["description"])}</p>\n{operations}'


def _operation(document: Document, method: str, path: str, operation: Mapping[str, Any]) -> str:
    about = [("Name", f"<code>{escape(operation['operationId'])}</code>"), ("Takes", _takes(operation))]
    if description := operation.get("description"):
        about.insert(0, ("What it does", escape(description)))
    if parameters := operation.get("parameters"):
        rows = "".join(_field(document, one["name"], one["schema"], one["required"]) for one in parameters)
        about.append(("Parameters", f"<ul>{rows}</ul>"))
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        about.append((f"Body, {kind}", _body(document, content["schema"])))
    about.append(("Answers", ", ".join(sorted(operation["responses"]))))
    told = "".join(f"<dt>{escape(name)}</dt><dd>{words}</dd>" for name, words in about)
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b class="{method}">{method.upper()}</b>'
        f' <code>{escape(path)}</code> <span class="quiet">{escape(operation["summary"])}; takes</span>'
        f" {_scopes(operation)}</summary>"
        f"<dl>{told}</dl></details>"
    )


def _takes(operation: Mapping[str, Any]) -> str:
    alternatives = operation.get("security") or []
    schemes = ", ".join(dict.fromkeys(name for one in alternatives for name in one))
    return f'{_scopes(operation)} <span class="quiet">by {escape(schemes)}</span>' if schemes else _scopes(operation)


def _scopes(operation: Mapping[str, Any]) -> str:
    alternatives = operation.get("security") or []
    if not alternatives:
        return "nothing"
    scopes = sorted({scope for one in alternatives for named in one.values() for scope in named})
    return " or ".join(f"<b>{escape(scope)}</b>" for scope in scopes) or "a user who has signed in"


def _body(document: Document, schema: Mapping[str, Any]) -> str:
    alternatives = schema.get("anyOf", [schema])
    told = []
    for one in alternatives:
        if one.get("type") == "array":
            told.append(f"or an array of up to {one['maxItems']:,} of these")
            continue
        model = _resolved(document, one)
        needed = model.get("required", ())
        properties = model.get("properties", {})
        rows = "".join(_field(document, name, field, name in needed) for name, field in properties.items())
        told.append(f"<ul>{rows}</ul>" if rows else escape(model.get("description", "text")))
    return " ".join(told)


def _field(document: Document, name: str, schema: Mapping[str, Any], is_needed: bool) -> str:
    words = [", ".join(_kinds(document, schema))]
    if is_needed:
        words.append("required")
    default = schema.get("default")
    if default not in (None, ""):
        words.append(f"{default if isinstance(default, str) else json.dumps(default)} unless given")
    note = f": {schema['description']}" if schema.get("description") else ""
    return f'<li><code>{escape(name)}</code> <span class="quiet">{escape("; ".join(words) + note)}</span></li>'


def _kinds(document: Document, schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = _resolved(document, schema)
    if "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _kinds(document, one)
    elif "enum" in schema:
        yield " | ".join(map(str, schema["enum"]))
    elif schema.get("type") == "array":
        yield f"array of {', '.join(_kinds(document, schema['items']))}"
    else:
        yield str(schema.get("format") or schema.get("const") or schema.get("type", "anything"))


def _resolved(document: Document, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    model: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return model


def _scheme(scheme: Mapping[str, str]) -> str:
    if scheme["type"] == "http":
        return f"Authorization: {scheme['scheme'].capitalize()} …"
    return f"{scheme['in']} {scheme['name']}"
