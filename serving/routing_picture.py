"""The load of each department before and after another routing table, as a picture (SVG)."""

from datetime import date
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.routing_preview import Preview

_ROW, _HEAD, _FOOT = 44, 92, 40  # heights in px
_BARS = 620  # length of the longest bar in px


def draw(preview: Preview, file: str, days: int, today: date) -> str:
    """The SVG text.

    Args:
        file: name of the proposed table.
        days: how far back the opinions go that were routed.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    most = max([1, *(max(load.before, load.after) for load in preview.loads)])
    return environment.get_template("routing_picture.svg").render(
        preview=preview,
        file=file,
        days=days,
        today=today,
        row=_ROW,
        head=_HEAD,
        height=_HEAD + _ROW * len(preview.loads) + _FOOT,
        scale=_BARS / most,
    )
