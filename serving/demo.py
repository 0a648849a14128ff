"""A district's last weeks, played through the real model and the real moves, for the pages to show.

The texts and their true labels are the corpus's; times, places and what people do are drawn from a
seeded generator. Reviewers know the true label, mostly use it, and sometimes wave an error through.
Only texts that the model was not trained on are taken, so that its figures do not flatter it.
"""

import heapq
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy.orm import Session
from tqdm import tqdm

from data.schema import LabelledOpinion, read_opinions
from model.calendar import SHANGHAI
from model.text import Opinion
from model.triage import Triage
from serving.inputs import Item
from serving.intake import arrive
from serving.store import opinions
from serving.store.engine import Store, open_store
from serving.store.lifecycle import ReturnReason
from serving.store.opinions import Act, Arrival
from serving.store.tables import OpinionRow

TURN = 16  # opinions that the model reads at once
COMMIT = 200  # moves in one transaction
AUDIT_SHARE = 0.08  # more than by default, so that there is something to count
PEOPLE = {"审核员甲": 5, "审核员乙": 4, "审核员丙": 3, "审核员丁": 1}
PLACES = {
    "翠屏里小区": 9, "幸福里小区": 8, "云栖花苑": 6, "悦湖名邸": 5, "邮电新村": 5, "福满家园": 4,
    "学府里小区": 4, "翰林雅居": 3, "枫桥里小区": 7, "枫桥名苑": 4, "松江里小区": 3,
    "长宁里小区": 5, "鸿福花园": 4, "福兴里小区": 3, "纺织新村": 6, "教师新村": 3, "锦绣华庭": 5,
    "人民路农贸市场": 3, "滨河公园": 3, "": 20,
}  # fmt: skip
RETURN_REASONS: dict[ReturnReason, int] = {
    "duty": 6, "jurisdiction": 2, "ownership": 2, "duplicate": 1, "incomplete": 1,
}  # fmt: skip
ANSWERS = (
    "已到现场处理完毕，感谢您的反映。",
    "已安排维修，今日恢复正常，后续会加强巡查。",
    "已与有关单位和居民协商，按协商方案办理，结果已电话告知。",
    "已整改到位，欢迎继续监督。",
    "情况属实，已责令限期整改，现已完成。",
)
# How many opinions come in at each hour of the day.
_HOURS = (1, 0.5, 0.3, 0.2, 0.2, 0.5, 2, 4, 7, 9, 9, 7, 5, 5, 6, 7, 7, 6, 6, 8, 9, 8, 5, 2)
_OPEN, _CLOSE = time(9), time(18)
Deed = Literal["arrive", "review", "return", "escalate", "close"]


@dataclass(order=True, frozen=True)
class _Plan:
    """What happens next to the n-th opinion; ordered by time."""

    at: datetime
    n: int
    deed: Deed


def fill(file: Path, triage: Triage, data: Path, count: int, days: int, seed: int) -> None:
    """Make a SQLite database of opinions that came in within the last days; whole or not at all.

    Args:
        data: directory of opinions.jsonl and splits.json.

    Raises:
        ValueError: the corpus is faulty or too small.
    """
    now = datetime.now(SHANGHAI)
    texts = read_corpus(data, triage, count, seed)
    moments = draw_moments(count, days, now, random.Random(seed))
    arrivals = read_arrivals(triage, texts, moments, seed)
    part = file.with_suffix(".part")
    for left in part.parent.glob(f"{part.name}*"):
        left.unlink()
    store = open_store(f"sqlite:///{part}")
    Play(store, triage, arrivals, [text.labels for text in texts], now, seed).run()
    store.close()
    part.replace(file)


def read_corpus(data: Path, triage: Triage, count: int, seed: int) -> list[LabelledOpinion]:
    """A sample of what the model was not trained on.

    Raises:
        ValueError: there is less, or the corpus is faulty.
    """
    found, faults = read_opinions(data / "opinions.jsonl", triage.taxonomy)
    if faults:
        raise ValueError(str(faults[0]))
    seen = set(json.loads((data / "splits.json").read_text(encoding="utf-8"))["train"])
    held_out = [opinion for opinion in found if opinion.id not in seen]
    if len(held_out) < count:
        raise ValueError(f"count is {count}: {data} holds {len(held_out)} outside the train split")
    return random.Random(seed).sample(held_out, count)


def draw_moments(n: int, days: int, now: datetime, rng: random.Random) -> list[datetime]:
    """When the opinions come in: in the days before now, fewer at night and at weekends."""
    today = now.astimezone(SHANGHAI).date()
    dates = [today - timedelta(back) for back in range(days, -1, -1)]
    weights = [(0.6 if day.weekday() > 4 else 1) * rng.uniform(0.75, 1.3) for day in dates]
    moments: list[datetime] = []
    while len(moments) < n:
        [day], [hour] = rng.choices(dates, weights), rng.choices(range(24), _HOURS)
        moment = datetime.combine(day, time(hour), SHANGHAI) + timedelta(
            seconds=rng.randrange(3600)
        )
        if moment < now:
            moments.append(moment)
    return sorted(moments)


def read_arrivals(
    triage: Triage, texts: Sequence[LabelledOpinion], moments: Sequence[datetime], seed: int
) -> list[Arrival]:
    """The opinions with what the model makes of them, in order."""
    places = random.Random(seed).choices(list(PLACES), list(PLACES.values()), k=len(texts))
    items = [
        Item(Opinion(text.text), moment, place, text.channel, text.id)
        for text, moment, place in zip(texts, moments, places, strict=True)
    ]
    arrivals: dict[int, Arrival] = {}
    alike = sorted(range(len(items)), key=lambda i: len(items[i].opinion.text))
    with tqdm(total=len(items), desc="reading", unit=" opinions") as shown:
        for start in range(0, len(alike), TURN):  # of one length: little is padded
            turn = alike[start : start + TURN]
            some = [items[i] for i in turn]
            read = iter(triage([x.opinion for x in some], [x.received_at for x in some]))
            arrivals |= {i: arrive(triage, "demo", items[i], read) for i in turn}
            shown.update(len(turn))
    return [arrivals[i] for i in range(len(items))]


class Play:
    """The opinions come in and people deal with them, until now.

    Args:
        truths: the labels that a careful person gives, for each arrival.
    """

    def __init__(
        self,
        store: Store,
        triage: Triage,
        arrivals: Sequence[Arrival],
        truths: Sequence[Sequence[str]],
        now: datetime,
        seed: int,
    ) -> None:
        self._store, self._triage, self._now = store, triage, now
        self._arrivals, self._truths = arrivals, [list(labels)[:3] for labels in truths]
        self._rng = random.Random(seed)
        self._ids: dict[int, int] = {}
        self._plans = [_Plan(a.received_at, n, "arrive") for n, a in enumerate(arrivals)]
        heapq.heapify(self._plans)
        random.seed(seed)  # the draw for audits takes the program's generator

    def run(self) -> None:
        """Carry every plan out that lies before now."""
        while self._plans and self._plans[0].at < self._now:
            with self._store.write() as session:
                for _ in range(COMMIT):
                    if not self._plans or self._plans[0].at >= self._now:
                        break
                    plan = heapq.heappop(self._plans)
                    if plan.deed == "arrive":
                        act = Act("demo", plan.at, self._triage)
                        row = opinions.add(session, act, self._arrivals[plan.n], AUDIT_SHARE)
                        self._ids[plan.n] = row.id
                        self._after_arrival(plan, row)
                        continue
                    found = opinions.load(session, self._ids[plan.n])
                    assert found is not None
                    self._do(session, plan, found)

    def _do(self, session: Session, plan: _Plan, row: OpinionRow) -> None:
        rng = self._rng
        [person] = rng.choices(list(PEOPLE), list(PEOPLE.values()))
        act = Act(person, plan.at, self._triage)
        if plan.deed == "review" and (row.waiting or row.audit):
            opinions.review(session, act, row, self._judge(plan.n, row))
            self._after_dispatch(plan, row)
        elif row.state != "routed":
            return
        elif plan.deed == "return":
            [reason] = rng.choices(list(RETURN_REASONS), list(RETURN_REASONS.values()))
            opinions.send_back(session, act, row, reason)
            self._plan(plan, "review", self._at_work(plan.at, 0.2, 5))
        elif plan.deed == "escalate" and opinions.next_level(act, row.level):
            opinions.escalate(session, act, row)
        elif plan.deed == "close":
            opinions.close(session, act, row, rng.choice(ANSWERS))

    def _judge(self, n: int, row: OpinionRow) -> list[str]:
        """The labels that a reviewer gives."""
        truth, rng = self._truths[n], self._rng
        if row.audit or row.returns:
            return truth
        if row.category == truth[0]:
            return list(row.labels) if rng.random() < 0.85 else truth
        return list(row.labels) if rng.random() < 0.06 else truth

    def _after_arrival(self, plan: _Plan, row: OpinionRow) -> None:
        if row.waiting or row.audit:
            slow = self._rng.random() < 0.05
            self._plan(plan, "review", self._at_work(plan.at, 0.1, 40 if slow else 3))
        if not row.waiting:
            self._after_dispatch(plan, row)

    def _after_dispatch(self, plan: _Plan, row: OpinionRow) -> None:
        """A department returns it, leaves it, or settles it about when it is due."""
        rng = self._rng
        wrong = row.lead != self._triage.routing.rules[self._truths[plan.n][0]].lead.code
        if rng.random() < (0.5 if wrong else 0.025):
            self._plan(plan, "return", self._at_work(plan.at, 2, 30))
            return
        if rng.random() < 0.03:
            self._plan(plan, "escalate", self._at_work(plan.at, 4, 40))
        if rng.random() < 0.04:
            return
        time_left = max(row.due_at - plan.at, timedelta(hours=2))
        settled = plan.at + time_left * rng.lognormvariate(-0.6, 0.5)
        self._plan(plan, "close", settled if row.urgent else self._at_work(settled, 0, 2))

    def _plan(self, plan: _Plan, deed: Deed, at: datetime) -> None:
        heapq.heappush(self._plans, _Plan(max(at, plan.at + timedelta(minutes=1)), plan.n, deed))

    def _at_work(self, moment: datetime, least: float, most: float) -> datetime:
        """So many hours later, drawn between both, within office hours."""
        later = moment.astimezone(SHANGHAI) + timedelta(hours=self._rng.uniform(least, most))
        day = later.date()
        if later.time() >= _CLOSE:
            day += timedelta(1)
        while not self._triage.calendar.is_workday(day):
            day += timedelta(1)
        if day == later.date() and later.time() >= _OPEN:
            return later
        return _morning(day) + timedelta(minutes=self._rng.uniform(0, 180))


def _morning(day: date) -> datetime:
    return datetime.combine(day, _OPEN, SHANGHAI)
