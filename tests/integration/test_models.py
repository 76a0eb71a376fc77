"""The models say what sql/ says."""

from __future__ import annotations

import pytest
from sqlalchemy import Enum, create_engine, inspect

from app.postgres.connections import sqlalchemy_url
from app.postgres.tables import db


@pytest.fixture
def inspector(database_url):
    engine = create_engine(sqlalchemy_url(database_url))
    yield inspect(engine)
    engine.dispose()


def test_columns_types_nulls_and_defaults_are_those_of_the_database(inspector):
    dialect = inspector.dialect
    for table in db.metadata.tables.values():
        there = [
            (column["name"], column["type"].compile(dialect), column["nullable"], column["default"] is not None)
            for column in inspector.get_columns(table.name)
        ]
        here = [
            (column.name, column.type.compile(dialect), column.nullable, column.server_default is not None)
            for column in table.columns
        ]
        assert here == there


def test_words_of_the_enums_are_those_of_the_database(inspector):
    there = {enum["name"]: enum["labels"] for enum in inspector.get_enums()}
    for table in db.metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, Enum):
                assert there[column.type.name] == list(column.type.enums)
