"""Finding a category as one types: by its name, the initials or whole of its pinyin, its code."""

from dataclasses import dataclass
from functools import lru_cache

from pypinyin import Style, lazy_pinyin

from model.labels import Category, Taxonomy

MAX_FOUND = 8


@dataclass(frozen=True)
class _Keys:
    """What a category is found by, in lower case without blanks."""

    name: str
    initials: str
    pinyin: str
    code: str
    means: str


def find_categories(taxonomy: Taxonomy, query: str, n: int = MAX_FOUND) -> list[Category]:
    """The categories that fit best, best first; the first of the taxonomy where nothing is asked.

    Args:
        query: a part of the name (电梯), the initials of its pinyin (dt), the pinyin (dianti),
            the code (elevator) or a word of what the category means.
    """
    wanted = _plain(query)
    categories = [c for domain in taxonomy.domains for c in domain.categories]
    if not wanted:
        return categories[:n]
    ranked = [(rank, i) for i, c in enumerate(categories) if (rank := _rank(_keys(c), wanted)) >= 0]
    return [categories[i] for _, i in sorted(ranked)[:n]]


def _rank(keys: _Keys, wanted: str) -> int:
    """0 for the best fit, -1 for none."""
    named = (keys.name, keys.initials, keys.code, keys.pinyin)
    fits = (
        wanted in named,
        any(key.startswith(wanted) for key in named),
        wanted in keys.name or wanted in keys.initials or wanted in keys.code,
        wanted in keys.pinyin and len(wanted) > 1,
        wanted in keys.means,
    )
    return fits.index(True) if True in fits else -1


@lru_cache(maxsize=1024)
def _keys(category: Category) -> _Keys:
    return _Keys(
        name=_plain(category.name),
        initials=_plain("".join(lazy_pinyin(category.name, style=Style.FIRST_LETTER))),
        pinyin=_plain("".join(lazy_pinyin(category.name))),
        code=_plain(category.code),
        means=_plain(category.means),
    )


def _plain(text: str) -> str:
    return "".join(text.lower().replace("_", "").split())
