"""Opinions that say much the same: confirmed precedents, and repeats of one demand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import Session

from serving.store.engine import Store, open_store
from serving.store.opinions import pack
from serving.store.similar import POOL, SAME_DEMAND, WINDOW, nearest_confirmed, repeats
from serving.store.tables import OpinionRow, ReviewRow
from tests.test_serving_search import opinion

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
NOWHERE = {"compound": None, "community": None, "street": None}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url)
    yield store
    store.close()


def towards(degrees: float, width: int = 8) -> bytes:
    """An embedding at this angle from the first axis; of any length before it is packed."""
    vector = np.zeros(width, np.float32)
    vector[:2] = np.cos(np.radians(degrees)) * 3, np.sin(np.radians(degrees)) * 3
    return pack(vector)


def put(session: Session, i: int, degrees: float | None, **changes: Any) -> OpinionRow:
    plain: dict[str, Any] = {
        "state": "routed", "closed_at": None, "case_id": None, "parent_id": None,
        "category": "parking", "received_at": NOW,
        "embedding": None if degrees is None else towards(degrees),
    }  # fmt: skip
    row = OpinionRow(**opinion(i, **(plain | NOWHERE | changes)))
    session.add(row)
    session.flush()
    return row


def confirm(session: Session, row: OpinionRow, undone: bool = False) -> None:
    session.add(
        ReviewRow(
            opinion_id=row.id, at=NOW, actor="li", labels=["parking"], origin="accepted",
            suggested=["parking"], department="market", note=None, undone=undone,
        )
    )  # fmt: skip
    session.flush()


def test_precedents_are_confirmed_ones_most_alike_first(store: Store) -> None:
    with store.write() as session:
        asked = put(session, 0, 0)
        for i, degrees in enumerate([40, 10, 170, 25, 90, 60], start=1):
            confirm(session, put(session, i, degrees, category="gas"))
        put(session, 7, 1)
        confirm(session, put(session, 8, 2), undone=True)
        confirm(session, put(session, 9, None))
        confirm(session, asked)
        found = nearest_confirmed(session, asked)
    assert [similar.opinion.id - 1 for similar in found] == [2, 4, 1, 6, 5]
    cosines = [np.cos(np.radians(degrees)) for degrees in (10, 25, 40, 60, 90)]
    assert [similar.cosine for similar in found] == pytest.approx(cosines, abs=2e-3)


def test_an_opinion_reviewed_twice_is_one_precedent(store: Store) -> None:
    with store.write() as session:
        asked, other = put(session, 0, 0), put(session, 1, 5)
        confirm(session, other)
        confirm(session, other)
        assert len(nearest_confirmed(session, asked)) == 1


def test_without_an_embedding_nothing_is_alike(store: Store) -> None:
    with store.write() as session:
        asked = put(session, 0, None)
        confirm(session, put(session, 1, 0))
        assert nearest_confirmed(session, asked) == []
        assert repeats(session, asked) == []


def test_embeddings_of_another_width_are_left_out(store: Store) -> None:
    with store.write() as session:
        asked = put(session, 0, 0)
        for i, width in enumerate((16, 8, 3), start=1):
            confirm(session, put(session, i, 0, embedding=towards(0, width)))
        assert [s.opinion.id for s in nearest_confirmed(session, asked)] == [3]


def test_repeats_are_alike_enough_and_most_alike_first(store: Store) -> None:
    edge = float(np.degrees(np.arccos(SAME_DEMAND)))
    with store.write() as session:
        asked = put(session, 0, 0)
        for i, degrees in enumerate([edge - 2, edge + 2, 3, 0], start=1):
            put(session, i, degrees)
        found = repeats(session, asked)
        assert [similar.opinion.id - 1 for similar in found] == [4, 3, 1]
        assert all(SAME_DEMAND <= similar.cosine <= 1.001 for similar in found)
        assert [s.opinion.id - 1 for s in repeats(session, asked, n=2)] == [4, 3]


@pytest.mark.parametrize(
    ("changes", "is_repeat"),
    [
        ({}, True),
        ({"state": "closed", "closed_at": NOW}, False),
        ({"state": "in_review"}, True),
        ({"case_id": 1}, False),
        ({"category": "gas"}, False),
        ({"received_at": NOW - WINDOW}, True),
        ({"received_at": NOW + WINDOW}, True),
        ({"received_at": NOW - WINDOW - timedelta(seconds=1)}, False),
        ({"received_at": NOW + WINDOW + timedelta(seconds=1)}, False),
        ({"embedding": None}, False),
    ],
)
def test_repeats_are_open_of_one_time_and_category(
    store: Store, changes: dict[str, Any], is_repeat: bool
) -> None:
    with store.write() as session:
        asked = put(session, 0, 0)
        put(session, 1, 0, **changes)
        assert bool(repeats(session, asked)) is is_repeat


@pytest.mark.parametrize("asked_for", [NOWHERE, {"compound": "a", "community": "b", "street": "c"}])
@pytest.mark.parametrize(
    ("place", "apart"),
    [
        ({}, False),
        ({"compound": "a", "community": "b", "street": "c"}, False),
        ({"street": "c"}, False),
        ({"street": "other"}, True),
        ({"compound": "other", "community": "b", "street": "c"}, True),
        ({"community": "other"}, True),
    ],
)
def test_places_of_different_names_keep_demands_apart(
    store: Store, asked_for: dict[str, Any], place: dict[str, Any], apart: bool
) -> None:
    with store.write() as session:
        asked = put(session, 0, 0, **asked_for)
        put(session, 1, 0, **place)
        assert bool(repeats(session, asked)) is not (apart and asked_for is not NOWHERE)


def test_the_work_is_bounded_to_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert POOL <= 2_000
    monkeypatch.setattr("serving.store.similar.POOL", 3)
    with store.write() as session:
        asked = put(session, 0, 0)
        for i in range(1, 7):
            put(session, i, i)
        assert [similar.opinion.id - 1 for similar in repeats(session, asked)] == [4, 5, 6]
