"""The packages depend on each other in one direction, and serving never loads torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ALLOWED = {
    "model": {"model"},
    "data": {"data", "model"},
    "training": {"training", "data", "model"},
    "serving": {"serving", "model", "data.schema"},
}


def imported(path: Path) -> set[str]:
    """Dotted names of every module that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_point_one_way(package: str) -> None:
    for path in Path(package).glob("**/*.py"):
        ours = {name for name in imported(path) if name.split(".")[0] in ALLOWED}
        for name in ours:
            allowed = ALLOWED[package]
            assert name in allowed or name.split(".")[0] in allowed, f"{path} imports {name}"


@pytest.mark.parametrize("module", ["model.triage", "serving.app", "data.schema"])
def test_serving_side_leaves_torch_unloaded(module: str) -> None:
    program = (
        f"import sys, {module}; "
        "print(sorted({'torch', 'transformers', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
