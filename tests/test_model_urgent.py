"""The safety override: what counts as people in danger now, and what only sounds like it."""

from pathlib import Path

import pytest

from model.urgent import UrgentDetector, load_urgent

FILE = Path("data/urgent.yaml")


@pytest.fixture(scope="module")
def detector() -> UrgentDetector:
    return load_urgent(FILE)


URGENT = [
    ("三号楼电梯又困人了，物业电话没人接", "困人"),
    ("有三个人被困在7号楼电梯里，灯也灭了", "被困"),
    ("電梯困人，麻煩快點", "困人"),
    ("去年困过人，今天又困人了", "困人"),
    ("没人管，电梯里困人了", "困人"),
    ("上次着火的是5栋，现在6栋又着火了", "着火"),
    ("我孩子关在里面出不来", "孩子关在里面出不来"),
    ("手卡在门缝里拔不出来", "卡在门缝里拔不出"),
    ("有个老人掉下去了，井盖早就没了", "老人掉下去"),
    ("小区门口井盖没了，刚才一个人差点踩空，快来人", "井盖没"),
    ("工人从脚手架上摔下去了", "工人从脚手架上摔下去"),
    ("外墙瓷砖掉下来砸到人了", "砸到人"),
    ("广告牌悬在半空，下面有人，请马上派人来", "悬在"),
    ("外墙又掉砖了，请立即封路", "掉砖"),
    ("树要倒了，快来人", "要倒了"),
    ("楼道里一股煤气味，好害怕", "煤气味"),
    ("厨房燃气泄漏，阀门关不上", "燃气泄漏"),
    ("天然气管道被挖断漏气了", "管道被挖断漏气"),
    ("地下室一股臭鸡蛋味，赶紧派人来看", "臭鸡蛋"),
    ("路灯杆漏电，我家狗刚被电了", "漏电"),
    ("有人触电倒在水里", "触电"),
    ("配电箱正在冒火花", "冒火花"),
    ("电线垂在积水里，请立刻断电", "电线垂"),
    ("十二楼着火了", "着火"),
    ("楼下电动车起火，浓烟往楼道里灌", "起火"),
    ("充电棚冒烟了", "冒烟了"),
    ("空调外机冒黑烟，快打119", "冒黑烟"),
    ("老房子快塌了，里面还住着人", "快塌"),
    ("挡墙塌了一截，求求马上派人转移", "塌"),
    ("围墙倒塌压住两个人", "倒塌压"),
    ("隔壁大爷晕倒在楼道，没人敢扶", "晕倒"),
    ("我妈喘不上气，救护车还没到", "喘不上气"),
    ("一家四口煤气中毒", "中毒"),
    ("有个男的昏迷在长椅上", "昏迷"),
    ("心脏骤停，求除颤仪", "心脏骤停"),
    ("有人要跳楼，在顶楼坐着", "跳楼"),
    ("楼上女孩发朋友圈说要轻生", "轻生"),
    ("一男子持刀在广场追人", "持刀"),
    ("他拿着菜刀堵在我家门口", "拿着菜刀"),
    ("洪水进村，十几户被困", "被困"),
    ("我们一家被水围住", "被水围"),
    ("积水里车门打不开，三个人在里面", "车门打不开"),
    ("后山出现泥石流", "泥石流"),
    ("疯狗在校门口咬人，快来人", "疯狗"),
    ("马上派人来！孩子被马蜂蜇了", "蜇"),
    ("电梯困人求助。1号楼2单元，里面是孕妇", "困人"),
]

CALM = [
    "没有被困，就是电梯停了一会儿",
    "电梯停运，幸好没有人被困",
    "去年被困过一次，现在还有阴影",
    "上次着火后楼道一直没粉刷",
    "上个月电梯困人，到现在没有说法",
    "2019年发生过火灾，2020年起火两次的仓库何时拆",
    "曾经有人掉下去，盼加护栏",
    "如果起火怎么办？消防车进不来",
    "万一漏电谁负责",
    "一旦困人，连个值班的都没有",
    "担心坍塌，请安排鉴定",
    "怕着火，所以请拆掉飞线",
    "防止触电，请加装护栏",
    "避免高空坠落，请装防护网",
    "下周举行消防演习，请问居民要参加吗",
    "今天下午电梯困人演练，请勿惊慌",
    "建议安装漏电保护器",
    "建议给老人家装煤气泄漏报警器",
    "电梯困人了，十分钟后已经救出来了，请维保来检查",
    "昨晚着火已扑灭，请问损失找谁赔",
    "虚惊一场，以为着火了",
    "热水器打不着火",
    "请开展一氧化碳中毒知识讲座",
    "咨询食物中毒事故的上报流程",
    "外墙有脱落，请物业有空来看看",
    "井盖松动，走上去咣当响",
    "这部电梯经常困人，该换了",
    "公布一下各小区电梯困人次数",
    "电梯困人救援演练什么时候办",
    "家庭困难补助怎么申请",
    "被停车问题困扰多年",
    "困难老人的送餐什么时候恢复",
    "楼上装修砸墙，吵得没法睡",
    "请马上派人来修路灯，黑了一个月了",
    "物业收费太贵！！！快来人管管",
    "燃气费怎么又涨了",
    "漏电开关总跳闸的话找谁修",
    "据说隔壁城市发生坍塌，我们的楼查过吗",
    "新闻里跳楼的事件让人难受，希望多办心理讲座",
    "未发生燃气泄漏，但管子锈了",
    "烧烤摊冒烟，衣服都不敢晒",
    "墙上有一条裂缝，三年了没变化",
    "",
    "😀😀😀",
]


@pytest.mark.parametrize(("text", "phrase"), URGENT)
def test_present_danger_fires_and_the_phrase_is_quoted(
    detector: UrgentDetector, text: str, phrase: str
) -> None:
    match = detector.find(text)
    assert match is not None
    assert match.phrase == phrase
    assert text[match.start : match.end] == phrase


@pytest.mark.parametrize("text", CALM)
def test_what_is_past_denied_supposed_or_settled_does_not_fire(
    detector: UrgentDetector, text: str
) -> None:
    assert detector.find(text) is None


def test_a_calm_phrase_does_not_hide_a_later_urgent_one(detector: UrgentDetector) -> None:
    text = "去年起火烧了两台车。我们提过建议。刚才7栋又起火了！"
    match = detector.find(text)
    assert match is not None
    assert match.start == text.rindex("起火")


def test_deep_inside_a_letter_an_event_needs_a_call_for_help(detector: UrgentDetector) -> None:
    opening = "我们院建于九十年代，" * 7
    assert detector.find(opening + "邻居煤气泄漏，大家议论了很久。") is None
    assert detector.find(opening + "邻居煤气泄漏，请快来人！") is not None
    assert detector.find(opening + "现在邻居煤气泄漏。") is not None
    assert detector.find("邻居煤气泄漏。" + opening) is not None


@pytest.mark.parametrize("unit", ["没有被困", "人", "如果着火，", "水", "快来人塌", "\ud800\x00"])
def test_endless_texts_are_read_to_the_end(detector: UrgentDetector, unit: str) -> None:
    # Anything quadratic in the length would hang here.
    match = detector.find(unit * 20_000 + "。快来人！十二楼着火了")
    assert match is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cues:\n", "cue:\n", "unknown key 'cue'"),
        ("  present:\n", "  presence:\n", "unknown key 'presence'"),
        ("电電", "电電门", "write '电電门' as two characters"),
        ("跳楼|", "(跳楼)|", "captures"),
        ("跳楼|", "跳楼||", "matches an empty text"),
        ("跳楼|", "(?:跳楼|", "no regular expression"),
        ("threat:\n", "danger:\n", "the key 'danger' stands here twice"),
        ('clause_end: ["[，,；;：:]"]', "clause_end: []", "list at least one regular expression"),
        ('clause_end: ["[，,；;：:]"]', "clause_end: 5", "clause_end is 5: write a list"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = FILE.read_text(encoding="utf-8").replace("電电", "电電")
    assert old in text
    path = tmp_path / "urgent.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"urgent\.yaml") as error:
        load_urgent(path)
    assert message in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.yaml"):
        load_urgent(tmp_path / "nowhere.yaml")
