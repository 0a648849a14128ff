"""The states an opinion passes through, whatever staff do in whatever order."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.text import Opinion
from serving.inputs import Item
from serving.intake import arrive
from serving.store import cases, opinions
from serving.store.engine import open_store
from serving.store.lifecycle import ALLOWED, STATES, RefusedError, State, allowed_moves
from serving.store.opinions import Act
from serving.store.tables import EventRow, OpinionRow, PredictionRow, ReviewRow
from tests.fake_triage import FakeTriage

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
TEXTS = ("电梯坏了", "停车难", "随便说说", "树倒了，燃气也漏了")
LABELS = st.lists(
    st.sampled_from(["elevator", "parking", "gas", "other"]), min_size=1, max_size=3, unique=True
)
NUMBERS = st.integers(0, 7)
TRIAGE = FakeTriage()


def test_every_state_says_what_it_allows() -> None:
    assert set(ALLOWED) == set(STATES)
    assert allowed_moves("closed", audit=False, in_case=False) == ()


@pytest.mark.parametrize("state", STATES)
def test_what_was_merged_moves_with_its_case_alone(state: State) -> None:
    assert allowed_moves(state, audit=True, in_case=True) == ()


@pytest.mark.parametrize("state", STATES)
def test_an_audit_allows_one_more_review_of_what_the_model_routed(state: State) -> None:
    plain = set(allowed_moves(state, audit=False, in_case=False))
    assert set(allowed_moves(state, audit=True, in_case=False)) - plain == (
        {"review"} if state == "routed" else set()
    )


class Staff(RuleBasedStateMachine):
    """Some opinions, moved about at random; after every step all of them must make sense."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.store = open_store(f"sqlite:///{Path(self.directory.name)}/linsheng.db")
        self.clock = START
        self.histories: dict[int, list[tuple[Any, ...]]] = {}

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    def act(self) -> Act:
        self.clock += timedelta(minutes=1)
        return Act("li", self.clock, TRIAGE)

    def arrival(self, text: str) -> opinions.Arrival:
        item = Item(Opinion(text), START)
        return arrive(TRIAGE, "hotline", item, iter(TRIAGE([item.opinion], [START])))

    @initialize(audit=st.booleans())
    def receive(self, audit: bool) -> None:
        with self.store.write() as session:
            for text in (*TEXTS, *TEXTS):
                opinions.add(session, self.act(), self.arrival(text), float(audit))

    def change(self, number: int, move: Callable[[Session, Act, OpinionRow], object]) -> None:
        with self.store.read() as session:
            ids = session.scalars(select(OpinionRow.id).order_by(OpinionRow.id)).all()
        with suppress(RefusedError), self.store.write() as session:
            row = opinions.load(session, ids[-1 - number])
            assert row
            move(session, self.act(), row)

    @rule(number=NUMBERS, labels=LABELS, blind=st.booleans())
    def review(self, number: int, labels: list[str], blind: bool) -> None:
        self.change(number, lambda s, a, row: opinions.review(s, a, row, labels, blind=blind))

    @rule(number=NUMBERS)
    def undo(self, number: int) -> None:
        self.change(number, opinions.undo)

    @rule(number=NUMBERS)
    def send_back(self, number: int) -> None:
        self.change(number, lambda s, a, row: opinions.send_back(s, a, row, "duty"))

    @rule(number=NUMBERS)
    def escalate(self, number: int) -> None:
        self.change(number, opinions.escalate)

    @rule(number=NUMBERS)
    def close(self, number: int) -> None:
        self.change(number, lambda s, a, row: opinions.close(s, a, row, "已办"))

    @rule(number=NUMBERS, others=st.lists(NUMBERS, min_size=1, max_size=2, unique=True))
    def merge(self, number: int, others: list[int]) -> None:
        def merge(session: Session, act: Act, row: OpinionRow) -> None:
            every = session.scalars(select(OpinionRow).order_by(OpinionRow.id.desc())).all()
            cases.merge(session, act, row, [every[other] for other in others])

        self.change(number, merge)

    @rule(number=NUMBERS)
    def leave(self, number: int) -> None:
        self.change(number, cases.leave)

    @rule(number=NUMBERS)
    def split(self, number: int) -> None:
        parts = [(self.arrival("电梯坏了"), ["elevator"]), (self.arrival("停车难"), ["parking"])]
        self.change(number, lambda s, a, row: cases.split(s, a, row, parts))

    @invariant()
    def every_opinion_makes_sense(self) -> None:
        with self.store.read() as session:
            rows = {row.id: row for row in session.scalars(select(OpinionRow))}
            events = session.scalars(select(EventRow).order_by(EventRow.id)).all()
            predictions = session.scalars(select(PredictionRow)).all()
            reviews = session.scalars(select(ReviewRow)).all()
        for row in rows.values():
            assert row.state in STATES
            assert (row.state == "closed") == (row.closed_at is not None) == bool(row.answer)
            in_case = row.case_id is not None
            assert row.waiting == (row.state in ("in_review", "returned") and not in_case)
            assert not (row.audit and (in_case or row.state != "routed"))
            assert row.category == row.labels[0]
            assert row.lead not in row.assist
            if row.case_id:
                case = rows[row.case_id]
                assert case.case_id is None
                assert (row.state, row.lead, row.labels) == (case.state, case.lead, case.labels)
            parts = [part for part in rows.values() if part.parent_id == row.id]
            if parts and all(part.state == "closed" for part in parts):
                assert row.state == "closed"
            told = [(e.id, e.at, e.action, e.state) for e in events if e.opinion_id == row.id]
            assert told[: len(self.histories.get(row.id, []))] == self.histories.get(row.id, [])
            assert row.version == len(told) - 2
            self.histories[row.id] = told
        assert sorted(prediction.opinion_id for prediction in predictions) == sorted(rows)
        undone = sum(review.undone for review in reviews)
        assert undone == sum(e.action == "undo" and "case" not in e.detail for e in events)


TestStaff = pytest.mark.slow(Staff.TestCase)
TestStaff.settings = effort(max_examples=20, stateful_step_count=25, deadline=None)
