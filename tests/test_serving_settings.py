"""Settings: read from the environment, refused with the name of the variable, documented."""

from pathlib import Path

import pytest

from serving.settings import PREFIX, Settings, read_settings

ROOT = Path(__file__).parents[1]


def shown(default: object) -> str:
    return {True: "true", False: "false"}[default] if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_its_row_in_the_readme(name: str) -> None:
    field = Settings.model_fields[name]
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Settings\n")[2]
    rows = section.partition("\n## ")[0].splitlines()
    assert f"| `{PREFIX}{name.upper()}` | `{shown(field.default)}` | {field.description} |" in rows


def test_environment_and_overrides_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINSHENG_MAX_BATCH", "7")
    monkeypatch.setenv("LINSHENG_PORT", "9000")
    settings = read_settings(port=9001, host=None)
    assert (settings.max_batch, settings.port, settings.host) == (7, 9001, "127.0.0.1")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("LINSHENG_PORT", "99999", r"^LINSHENG_PORT='99999': .*65535"),
        ("LINSHENG_MAX_QUEUE", "0", r"^LINSHENG_MAX_QUEUE='0': .*greater than or equal to 1"),
        ("LINSHENG_THREADS", "many", r"^LINSHENG_THREADS='many': .*integer"),
        ("LINSHENG_LOG_LEVEL", "loud", r"^LINSHENG_LOG_LEVEL='loud': .*'debug'"),
        ("LINSHENG_MAX_BACH", "5", r"^LINSHENG_MAX_BACH is no setting: .*LINSHENG_MAX_BATCH"),
    ],
)
def test_impossible_setting_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=message):
        read_settings()
