"""The endpoints of a resource: list, export, create, read, replace, merge and delete."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flask import Response
from pydantic import BaseModel

from app.rest import rows
from app.rest.document import Endpoints, Responses
from app.rest.export import XLSX, ExportQuery, export_query, export_response
from app.rest.ingest import add_ingest
from app.rest.lists import ListQuery, list_query, list_response
from app.rest.resource import Resource, problem_response
from app.rest.schema import new_schema, page_schema, patch_schema, row_schema
from app.rest.takes import Takes, takes
from app.rest.validation import ById, reads

_READ = takes("read", within="rows")


@dataclass(frozen=True)
class Needs:
    """The scopes of which one will do to create a row of a resource, to change one, to delete one."""

    create: tuple[str, ...]
    change: tuple[str, ...]
    delete: tuple[str, ...] = ("admin",)


def resource_endpoints(resource: Resource, needs: Needs) -> Endpoints:
    """List, export, create, read, replace, merge and delete; a resource's own file may add more."""
    api = Endpoints(
        resource.name,
        f"/api/{resource.name}",
        tag=resource.name,
        about=(resource.model.__doc__ or "").strip(),
        responses={status: problem_response() for status in (400, 500, 503)},
    )
    _add_lists(api, resource)
    if resource.ingest:
        add_ingest(api, resource, takes(*needs.create, within="rows"))
    else:
        _add_create(api, resource, takes(*needs.create, within="rows"))
    _add_reads(api, resource)
    _add_writes(api, resource, needs)
    return api


def _add_lists(api: Endpoints, resource: Resource) -> None:
    @reads(query=partial(list_query, resource))
    def list_rows(query: ListQuery) -> Response:
        return list_response(resource, query)

    @reads(query=partial(export_query, resource))
    def export(query: ExportQuery) -> Response:
        return export_response(resource, query)

    def lists() -> Responses:
        return {200: page_schema(resource.title, resource.table), 304: None}

    text = {"schema": {"type": "string"}}
    binary = {"schema": {"type": "string", "format": "binary"}}
    files: Responses = {200: {"content": {"application/x-ndjson": text, "text/csv": text, XLSX: binary}}}
    many = resource.title_of_many
    api.get("", _READ, f"list{many}", summary=f"List {resource.name}, newest first", responses=lists)(list_rows)
    summary = f"All {resource.name} as NDJSON, CSV or XLSX, oldest first"
    api.get("/export", _READ, f"export{many}", summary=summary, responses=files)(export)


def _add_create(api: Endpoints, resource: Resource, needed: Takes) -> None:
    @reads(body=partial(new_schema, resource.title, resource.table))
    def create(body: BaseModel) -> Response:
        return rows.create_row(resource, body)

    def answers() -> Responses:
        row = row_schema(resource.title, resource.table)
        return {200: row, 201: row, **_refusals(409)}

    api.post("", needed, f"create{resource.title}", summary=f"Create {resource.a_noun}", responses=answers)(create)


def _add_reads(api: Endpoints, resource: Resource) -> None:
    @reads(path=ById)
    def read(path: ById) -> Response:
        return rows.conditional(rows.row_response(rows.read_row(resource, path.id)))

    def answers() -> Responses:
        return {200: row_schema(resource.title, resource.table), 304: None, 404: problem_response()}

    api.get("/<row:id>", _READ, f"read{resource.title}", summary=f"Read {resource.a_noun}", responses=answers)(read)


def _add_writes(api: Endpoints, resource: Resource, needs: Needs) -> None:
    @reads(path=ById, body=partial(new_schema, resource.title, resource.table))
    def replace(path: ById, body: BaseModel) -> Response:
        return rows.change_row(resource, path.id, body, rows.replacement(resource, body))

    @reads(path=ById, body=partial(patch_schema, resource.title, resource.table))
    def merge(path: ById, body: BaseModel) -> Response:
        return rows.change_row(resource, path.id, body, rows.given(resource, body))

    @reads(path=ById)
    def remove(path: ById) -> Response:
        return rows.delete_row(resource, path.id)

    def answers() -> Responses:
        return {200: row_schema(resource.title, resource.table), **_refusals(404, 409, 412)}

    gone: Responses = {204: None, 404: problem_response(), 412: problem_response()}
    change, end = takes(*needs.change, within="rows"), takes(*needs.delete, within="rows")
    one, rule = resource.title, "/<row:id>"
    api.put(rule, change, f"replace{one}", summary=f"Replace {resource.a_noun}", responses=answers)(replace)
    summary = f"Change some fields of {resource.a_noun}"
    api.patch(rule, change, f"change{one}", summary=summary, responses=answers)(merge)
    api.delete(rule, end, f"delete{one}", summary=f"Delete {resource.a_noun}", responses=gone)(remove)


def _refusals(*statuses: int) -> Responses:
    return {status: problem_response() for status in (*statuses, 413, 415, 422)}
