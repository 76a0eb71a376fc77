"""How any table becomes REST: schemas, validation, lists, rows, problems. Names no table and no endpoint."""
