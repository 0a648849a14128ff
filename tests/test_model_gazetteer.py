"""Places: named by name or alias, as exact as is certain, with the local names of departments."""

from pathlib import Path

import pytest

from model.gazetteer import NOWHERE, Gazetteer, Place, load_gazetteer
from model.labels import load_taxonomy
from model.routing import Department, load_routing

FILE = Path("data/gazetteer.yaml")
CUIPING = Place("翠屏里小区", "翠屏社区", "东湖街道")
DISTRICT = """\
streets:
  - name: 东湖街道
    aliases: [东湖片区]
    departments: {office: 东湖街道办事处}
    communities:
      - name: 幸福社区
        aliases: [幸福里]
        compounds:
          - {name: 幸福里小区, aliases: [幸福里]}
          - {name: 工人新村}
      - name: 翠屏社区
        departments: {committee: 翠屏社区居委会}
        compounds:
          - {name: 翠屏里, aliases: [翠屏里二期]}
          - {name: 工人新村}
          - {name: Ａ区公寓}
  - name: 桥南街道
    communities:
      - name: 滨江社区
        compounds: [{name: 翠屏里花园, aliases: [花园]}, {name: 滨江花园}]
  - name: 青山街道
    communities:
      - name: 云顶社区
        compounds: [{name: 滨江花园}]
  - name: 望江街道
"""
DEPARTMENTS = (
    Department("office", "街道办事处", "street"),
    Department("committee", "社区居委会", "community"),
    Department("property", "物业服务企业", "compound"),
)


def load(directory: Path, text: str = DISTRICT) -> Gazetteer:
    path = directory / "gazetteer.yaml"
    path.write_text(text, encoding="utf-8")
    return load_gazetteer(path, DEPARTMENTS)


@pytest.fixture
def gazetteer(tmp_path: Path) -> Gazetteer:
    return load(tmp_path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("翠屏里3号楼电梯坏了", ("东湖街道", "翠屏社区", "翠屏里")),
        ("我住翠屏里二期", ("东湖街道", "翠屏社区", "翠屏里")),
        ("东湖片区的路灯", ("东湖街道",)),
        ("东湖街道翠屏社区", ("东湖街道", "翠屏社区")),
        ("东湖街道翠屏里的井盖", ("东湖街道", "翠屏社区", "翠屏里")),
        ("Ａ区公寓和A区公寓", ("东湖街道", "翠屏社区", "Ａ区公寓")),
        ("小区门口积水", ()),
        ("", ()),
    ],
)
def test_a_name_or_alias_in_the_text_gives_its_place(
    gazetteer: Gazetteer, text: str, names: tuple[str, ...]
) -> None:
    assert gazetteer.find("", text).names == names


def test_the_longest_name_wins(gazetteer: Gazetteer) -> None:
    assert gazetteer.find("", "翠屏里花园漏水") == Place("翠屏里花园", "滨江社区", "桥南街道")
    assert gazetteer.find("", "翠屏里的花园").names == ()  # two names, in two streets


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("工人新村外墙脱落", ("东湖街道",)),
        ("滨江花园外墙脱落", ()),
        ("青山街道滨江花园外墙脱落", ("青山街道", "云顶社区", "滨江花园")),
        ("滨江花园外墙脱落，请青山街道来看", ("青山街道", "云顶社区", "滨江花园")),
        ("翠屏社区工人新村", ("东湖街道", "翠屏社区", "工人新村")),
        ("望江街道到滨江花园的路", ()),
        ("幸福里漏水", ("东湖街道", "幸福社区")),
        ("翠屏里和幸福里小区之间的路", ("东湖街道",)),
        ("翠屏里和翠屏里二期之间的路", ("东湖街道", "翠屏社区", "翠屏里")),
        ("东湖街道和桥南街道交界", ()),
    ],
)
def test_several_places_are_certain_as_far_as_they_agree(
    gazetteer: Gazetteer, text: str, names: tuple[str, ...]
) -> None:
    assert gazetteer.find("", text).names == names
    assert gazetteer.find(text, "").names == names


@pytest.mark.parametrize(
    ("place", "text", "names"),
    [
        ("翠屏里", "青山街道来人看过", ("东湖街道", "翠屏社区", "翠屏里")),
        ("翠屏里3栋", "东湖街道来人看过", ("东湖街道", "翠屏社区", "翠屏里")),
        ("东湖街道", "翠屏里漏水", ("东湖街道", "翠屏社区", "翠屏里")),
        ("东湖街道", "青山街道来人看过", ("东湖街道",)),
        ("滨江花园", "青山街道来人看过", ("青山街道", "云顶社区", "滨江花园")),
        ("滨江花园", "翠屏里也这样", ()),
        ("某小区", "翠屏里漏水", ("东湖街道", "翠屏社区", "翠屏里")),
    ],
)
def test_the_given_place_counts_and_the_text_makes_it_more_exact(
    gazetteer: Gazetteer, place: str, text: str, names: tuple[str, ...]
) -> None:
    assert gazetteer.find(place, text).names == names


def test_a_part_lies_where_the_whole_does(gazetteer: Gazetteer) -> None:
    street = Place(street="东湖街道")
    found = gazetteer.find("", "翠屏里漏水", within=street)
    assert found == Place("翠屏里", "翠屏社区", "东湖街道")
    assert gazetteer.find("", "桥南街道来看过", within=street) == street
    assert gazetteer.find("", "漏水", within=found) == found


def test_departments_are_called_as_at_the_place(gazetteer: Gazetteer) -> None:
    inside = gazetteer.find("翠屏里", "")
    assert gazetteer.local_name("office", inside) == "东湖街道办事处"
    assert gazetteer.local_name("committee", inside) == "翠屏社区居委会"
    assert gazetteer.local_name("property", inside) is None
    assert gazetteer.local_name("committee", Place(street="东湖街道")) is None
    assert gazetteer.local_name("office", NOWHERE) is None
    assert gazetteer.local_name("office", Place(street="桥南街道")) is None


def test_a_district_may_go_without_places(tmp_path: Path) -> None:
    empty = load(tmp_path, "streets: []\n")
    assert empty.find("东湖街道", "翠屏里") == NOWHERE


@pytest.mark.parametrize("text", ["翠屏里" * 7_000, "翠" * 20_000, "\ud800翠屏里", "\x00翠屏里"])
def test_any_text_is_read(gazetteer: Gazetteer, text: str) -> None:
    assert gazetteer.find(text, text).names in ((), ("东湖街道", "翠屏社区", "翠屏里"))


def test_the_shipped_gazetteer_fits_the_shipped_routing_table() -> None:
    routing = load_routing(Path("data/routing.yaml"), load_taxonomy(Path("data/taxonomy.yaml")))
    shipped = load_gazetteer(FILE, routing.departments)
    assert shipped.find("翠屏里", "") == CUIPING
    assert shipped.local_name("street_office", CUIPING) == "东湖街道办事处"
    assert shipped.find("工人新村", "") == Place(street="桥南街道")
    assert shipped.find("滨江花园", "") == NOWHERE


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  - name: 望江街道", "  - name: 东湖街道", "streets: the name '东湖街道' stands twice"),
        (
            "[翠屏里二期]",
            "[工人新村]",
            r"communities\[1\]: compounds: the name '工人新村' stands twi",
        ),
        ("[翠屏里二期]", "[翠屏里]", "aliases is .*: leave the name itself out"),
        ("[翠屏里二期]", "[里]", r"aliases is \['里'\]: write names of 2 to 80 characters"),
        ("[翠屏里二期]", "['翠屏里 ']", "without space around"),
        ("[翠屏里二期]", "翠屏里二期", "aliases is '翠屏里二期': write a list"),
        ("name: 翠屏里,", "name: 里,", "name is '里': write names of 2 to 80 characters"),
        ("name: 翠屏里,", "name: 3,", "name is 3: write a non-empty text"),
        ("{office: 东", "{ofice: 东", "departments: unknown key 'ofice': use office"),
        ("{office: 东", "{committee: 东", "unknown key 'committee': use office"),
        ("{office: 东湖街道办事处}", "{office: 7}", "office is 7: write a non-empty text"),
        ("{office: 东湖街道办事处}", "[]", "departments is .*: write keys with values here"),
        ("    communities:", "    compounds:", r"streets\[0\]: unknown key 'compounds'"),
        ("[{name: 滨江花园}]", "{name: 滨江花园}", "compounds is .*: write a list"),
        ("streets:", "places:", "unknown key 'places': use streets"),
    ],
)
def test_a_faulty_gazetteer_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in DISTRICT
    with pytest.raises(ValueError, match=message) as error:
        load(tmp_path, DISTRICT.replace(old, new, 1))
    assert str(tmp_path / "gazetteer.yaml") in str(error.value)


def test_a_missing_gazetteer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml: .*give a readable YAML file"):
        load_gazetteer(tmp_path / "none.yaml", DEPARTMENTS)
