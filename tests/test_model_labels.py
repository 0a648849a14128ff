"""The taxonomy: read in label order, refused with file, field, value and remedy."""

from pathlib import Path

import pytest

from model.labels import Category, load_taxonomy

GOOD = """
version: 3
domains:
  - code: facilities
    name: 设施
    categories:
      - {code: elevator, name: 电梯, means: 困人, not: 加装归 elevator_retrofit}
      - {code: elevator_retrofit, name: 加装电梯, means: 申请}
  - code: other
    name: 其他
    categories:
      - {code: other, name: 其他, means: 其余}
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "taxonomy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_categories_keep_the_order_of_the_file(tmp_path: Path) -> None:
    taxonomy = load_taxonomy(write(tmp_path, GOOD))
    assert taxonomy.version == 3
    assert taxonomy.codes == ("elevator", "elevator_retrofit", "other")
    assert [domain.code for domain in taxonomy.domains] == ["facilities", "other"]
    assert taxonomy.category("elevator") == Category(
        "elevator", "电梯", "facilities", "困人", "加装归 elevator_retrofit"
    )
    assert taxonomy.category("other").excludes == ""


def test_the_shipped_taxonomy_has_44_categories() -> None:
    taxonomy = load_taxonomy(Path("data/taxonomy.yaml"))
    assert len(taxonomy.codes) == len(set(taxonomy.codes)) == 44
    assert taxonomy.category("elevator").domain == "facilities"


def test_an_unknown_code_is_answered_with_the_nearest(tmp_path: Path) -> None:
    taxonomy = load_taxonomy(write(tmp_path, GOOD))
    with pytest.raises(ValueError, match=r"unknown category 'elevatr': use one of elevator"):
        taxonomy.category("elevatr")
    with pytest.raises(ValueError, match=r"'龙': use one of elevator, elevator_retrofit, other"):
        taxonomy.category("龙")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("code: elevator_retrofit", "code: elevator", "category code 'elevator' stands twice"),
        ("code: facilities", "code: other", "domain code 'other' stands twice"),
        ("name: 设施", "code: again", "the key 'code' stands here twice"),
        (", means: 申请", "", r"domains\[0\]: categories\[1\]: means is missing"),
        ("code: elevator,", "code: Elevator,", "code is 'Elevator': use a-z first"),
        ("code: elevator,", "code: no,", "code is False: write a non-empty text"),
        ("name: 电梯", "name: ' '", "name is ' ': write a non-empty text"),
        ("not: 加装", "note: 加装", "unknown key 'note': use code, name, means, not"),
        ("version: 3", "version: true", "version is True: write a whole number of at least 1"),
        ("version: 3", "version: 0", "version is 0: write a whole number of at least 1"),
        ("version: 3", "version: [", "give a readable YAML file"),
        ("domains:", "domains: []\nother:", "unknown key 'other'"),
        (
            "name: 其他\n    categories:",
            "name: 其他\n    categories: []\n    x:",
            "unknown key 'x'",
        ),
    ],
)
def test_a_faulty_taxonomy_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as error:
        load_taxonomy(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the top level is None"),
        ("- a", "the top level is"),
        ("version: 1\ndomains: []", "domains is .*: list at least one entry"),
        ("version: 1\ndomains: [1]", "domains is .*: write keys with values here"),
        ("version: 1\ndomains: elevator", "domains is 'elevator': write a list"),
        ("version: 1", "domains is missing: write a list"),
        ("? [a]\n: 1", "unknown key|unhashable"),
        ("version: 2026-02-30", "day is out of range"),
    ],
)
def test_what_is_no_taxonomy_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_taxonomy(write(tmp_path, text))


def test_unreadable_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml"):
        load_taxonomy(tmp_path / "none.yaml")
    path = tmp_path / "gbk.yaml"
    path.write_bytes("name: 电梯".encode("gbk"))
    with pytest.raises(ValueError, match=r"gbk\.yaml.*UTF-8"):
        load_taxonomy(path)
