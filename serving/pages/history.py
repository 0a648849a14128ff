"""The history of an opinion in plain Chinese."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from model.triage import Triage
from serving.kept import name_category, name_department
from serving.pages.render import ACTIONS, CHANNELS, LEVELS, ORIGINS, REASONS
from serving.store.tables import EventRow

_BY_MODEL = ("suggested", "auto", "queued")


@dataclass(frozen=True)
class Happening:
    """Who did what and when; `note` in the words of whoever wrote it."""

    at: datetime
    actor: str
    action: str
    sentence: str
    note: str | None


def tell(event: EventRow, triage: Triage) -> Happening:
    """An event as a line of the history."""
    actor = "模型" if event.action in _BY_MODEL else name_actor(event.actor)
    name = ACTIONS.get(event.action, event.action)
    return Happening(event.at, actor, name, _sentence(event, triage), event.reason)


def name_actor(name: str) -> str:
    """How pages call an account or key."""
    return "本机" if name == "local" else name


def _sentence(event: EventRow, triage: Triage) -> str:
    detail = event.detail
    if "case" in detail and event.action != "leave":
        joined = event.action == "merge"
        return f"并入第 {detail['case']} 号" if joined else f"随第 {detail['case']} 号一同变动"
    match event.action:
        case "received":
            channel = detail.get("channel")
            return f"来自{CHANNELS.get(channel, channel)}" if channel else ""
        case "suggested":
            return _categories(detail["labels"], triage)
        case "auto":
            drawn = "，抽中盲审" if detail.get("audit") else ""
            return f"派给{_department(detail['lead'], triage)}{drawn}"
        case "review":
            how = ORIGINS.get(detail["origin"], detail["origin"])
            bulk = "，批量" if "bulk" in detail else ""
            labels = _categories(detail["labels"], triage)
            return f"{labels}，派给{_department(detail['lead'], triage)}（{how}{bulk}）"
        case "return":
            return f"{_department(detail['lead'], triage)}退回：{_reason(detail['code'])}"
        case "escalate":
            return f"从{_level(detail['from'])}到{_level(detail['to'])}"
        case "close":
            return f"最后一部分第 {detail['last_part']} 号已办结" if "last_part" in detail else ""
        case "merge":
            return f"{_numbers(detail['members'])}并入本件"
        case "leave":
            return f"离开第 {detail['case']} 号"
        case "split":
            return f"拆成{_numbers(detail['parts'])}"
    return ""


def _categories(codes: list[str], triage: Triage) -> str:
    return "、".join(name_category(triage, code).name for code in codes)


def _department(code: str, triage: Triage) -> str:
    return name_department(triage, code).name


def _numbers(ids: list[Any]) -> str:
    return "、".join(f"第 {id} 号" for id in ids)


def _reason(code: str) -> str:
    return REASONS.get(code, code)


def _level(code: str) -> str:
    return LEVELS.get(code, code)
