"""CRUD: the blueprint of a resource, with its operations and what the OpenAPI document says of them."""

from __future__ import annotations

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel

from app.api import rows
from app.api.export import ExportQuery, export_query, export_response
from app.api.ingest import add_ingest
from app.api.lists import ListQuery, list_query, list_response
from app.api.requests import ById, reads
from app.api.resource import Resource, problem_response
from app.api.schema import new_schema, page_schema, patch_schema, row_schema


def blueprint(resource: Resource) -> APIBlueprint:
    """List, export, create, read, replace, merge and delete; a resource's own file may add more."""
    api = APIBlueprint(
        resource.name,
        __name__,
        url_prefix=f"/api/{resource.name}",
        abp_tags=[Tag(name=resource.name, description=(resource.model.__doc__ or "").strip())],
        abp_responses={status: problem_response() for status in (400, 500, 503)},
    )
    _add_lists(api, resource)
    if resource.ingest:
        add_ingest(api, resource)
    else:
        _add_create(api, resource)
    _add_reads(api, resource)
    _add_writes(api, resource)
    return api


def _add_lists(api: APIBlueprint, resource: Resource) -> None:
    @reads(query=list_query(resource))
    def list_rows(query: ListQuery) -> Response:
        return list_response(resource, query)

    @reads(query=export_query(resource))
    def export(query: ExportQuery) -> Response:
        return export_response(resource, query)

    page = page_schema(resource.title, resource.table)
    lists: ResponseDict = {200: page, 304: None, 404: problem_response()}
    text = {"schema": {"type": "string"}}
    files: ResponseDict = {200: {"content": {"application/x-ndjson": text, "text/csv": text}}}
    api.get("", summary=f"List {resource.name}, newest first", responses=lists)(list_rows)
    api.get("/export", summary=f"All {resource.name} as NDJSON or CSV, oldest first", responses=files)(export)


def _add_create(api: APIBlueprint, resource: Resource) -> None:
    @reads(body=new_schema(resource.title, resource.table))
    def create(body: BaseModel) -> Response:
        return rows.create_row(resource, body)

    row = row_schema(resource.title, resource.table)
    api.post("", summary=f"Create {resource.a_noun}", responses={200: row, 201: row, **_refusals(409)})(create)


def _add_reads(api: APIBlueprint, resource: Resource) -> None:
    @reads(path=ById)
    def read(path: ById) -> Response:
        return rows.conditional(rows.row_response(rows.read_row(resource, path.id)))

    answers: ResponseDict = {200: row_schema(resource.title, resource.table), 304: None, 404: problem_response()}
    api.get("/<row:id>", summary=f"Read {resource.a_noun}", responses=answers)(read)


def _add_writes(api: APIBlueprint, resource: Resource) -> None:
    noun, row = resource.noun, row_schema(resource.title, resource.table)

    @reads(path=ById, body=new_schema(resource.title, resource.table))
    def replace(path: ById, body: BaseModel) -> Response:
        return rows.change_row(resource, path.id, body, rows.replacement(resource, body))

    @reads(path=ById, body=patch_schema(resource.title, resource.table))
    def merge(path: ById, body: BaseModel) -> Response:
        return rows.change_row(resource, path.id, body, rows.given(resource, body))

    @reads(path=ById)
    def remove(path: ById) -> Response:
        return rows.delete_row(resource, path.id)

    answers: ResponseDict = {200: row, **_refusals(404, 409, 412)}
    api.put("/<row:id>", summary=f"Replace a {noun}", responses=answers)(replace)
    api.patch("/<row:id>", summary=f"Change some fields of a {noun}", responses=answers)(merge)
    gone: ResponseDict = {204: None, 404: problem_response(), 412: problem_response()}
    api.delete("/<row:id>", summary=f"Delete a {noun}", responses=gone)(remove)


def _refusals(*statuses: int) -> ResponseDict:
    return {status: problem_response() for status in (*statuses, 413, 415, 422)}
