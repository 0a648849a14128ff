"""Training recipes are read strictly."""

from pathlib import Path

import pytest

from training.config import Config, load_config

CONFIGS = Path("training/configs")
TINY = (CONFIGS / "tiny.toml").read_text(encoding="utf-8")


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_valid(path: Path) -> None:
    assert load_config(path).name == path.stem


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("seed = 7", "seed = 7\nsede = 8", "unknown key 'sede'"),
        ("seed = 7\n", "", "key 'seed' is missing"),
        ("seed = 7", 'seed = "7"', "seed = '7' is no int"),
        ("seed = 7", "seed = true", "seed = True is no int"),
        ('pooling = "mean"', 'pooling = "max"', "pooling = 'max'"),
        ("epochs = 3.0", "epochs = 0.0", "epochs and batch_size must be positive"),
        ("dropout = 0.1", "dropout = 1.5", r"dropout = 1\.5 is no share"),
        ("typo = 0.1", "typo = -0.1", r"typo = -0\.1 is no share"),
        ("train_tokens = 64", "train_tokens = 2", "must be 8 or more"),
        ("[augment]", "[augmented]", "unknown key 'augmented'"),
        ("limit = 400", "limit = ", "not TOML"),
    ],
)
def test_wrong_recipe_is_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in TINY
    with pytest.raises(ValueError, match=message):
        read(tmp_path, TINY.replace(before, after))


def test_whole_numbers_pass_as_floats(tmp_path: Path) -> None:
    assert read(tmp_path, TINY.replace("epochs = 3.0", "epochs = 3")).train.epochs == 3
