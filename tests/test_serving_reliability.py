"""What the server acknowledged outlives the server; the long run is tests/reliability/."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serving.store.engine import Store
from serving.store.tables import EventRow, OpinionRow
from tests.asking import keep
from tests.reliability.kill_server import Answer, compare, is_sound, run


@pytest.mark.slow
def test_what_was_acknowledged_before_a_kill_is_kept_once(
    database_url: str, tiny_artifact: Path
) -> None:
    report = run(database_url, submissions=200, kills=2, seconds=600, artifact=tiny_artifact)
    assert report["kills"] == 2
    assert is_sound(report), report


def test_the_count_notices_what_is_lost_altered_or_kept_by_half(
    kept: TestClient, database_url: str
) -> None:
    whole, altered, half = (keep(kept, "树", external_id=name) for name in "abc")
    texts = dict.fromkeys("abcd", "树")
    told = [
        Answer(name, id, True, 1) for name, id in zip("abc", (whole, altered, half), strict=True)
    ]
    figures = {"submissions": 3, **compare(database_url, texts, told)}
    assert is_sound(figures)
    store: Store = kept.app.state.store  # type: ignore[attr-defined]
    with store.write() as session:
        session.get_one(OpinionRow, altered).text = "石头"
        session.query(EventRow).filter(EventRow.opinion_id == half).delete()
    told.append(Answer("d", 99, True, 1))
    figures = compare(database_url, texts, told)
    found = {
        name: figures[name] for name in ("acknowledged", "kept", "lost", "altered", "half_kept")
    }
    assert found == {"acknowledged": 4, "kept": 3, "lost": 1, "altered": 1, "half_kept": 1}
    assert not is_sound({"submissions": 4, **figures})
