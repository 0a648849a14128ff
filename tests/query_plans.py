"""How the database means to run what the application asks it for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from serving.store.engine import Store

_WORDS = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}


@contextmanager
def explain(store: Store) -> Iterator[list[str]]:
    """Collects the plans of all queries on opinions while the block runs."""
    plans: list[str] = []
    engine = store.engine
    explaining = _WORDS[engine.dialect.name]

    def note(_: Connection, cursor: Any, statement: str, given: Any, *__: Any) -> None:
        if statement.startswith("SELECT opinions."):
            cursor.execute(explaining + statement, given)
            plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", note)
