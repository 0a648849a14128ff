"""Check and split label files.

python -m data check data/opinions.jsonl --splits data/splits.json
python -m data check labels.xlsx --columns text=内容,labels=类别
python -m data split --seed 7
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from data.check import check, render, verdict
from data.schema import Fault, LabelledOpinion, read_opinions
from data.split import make_splits, read_splits, write_splits
from model.labels import load_taxonomy

TAXONOMY = Path(__file__).with_name("taxonomy.yaml")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Check and split label files.")


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


@app.command("check")
def check_command(
    files: Annotated[list[Path], typer.Argument(help="Label files: .jsonl, .csv or .xlsx.")],
    columns: Annotated[
        str, typer.Option(help="Where fields stand, e.g. text=内容,labels=类别.")
    ] = "",
    against: Annotated[
        Path | None, typer.Option(help="JSONL file with `text` of which nothing may be copied.")
    ] = None,
    splits: Annotated[Path | None, typer.Option(help="Splits file of these rows.")] = None,
) -> None:
    """Report every fault and risk; the last line is good, warn or fail (then exit code 1)."""
    with _errors_in_one_line():
        taxonomy = load_taxonomy(TAXONOMY)
        rows: list[LabelledOpinion] = []
        faults: list[Fault] = []
        taken: dict[str, str] = {}
        for file in files:
            found, wrong = read_opinions(file, taxonomy, _columns(columns), taken)
            rows += found
            faults += wrong
        ids = read_splits(splits) if splits else None
        findings = check(rows, faults, taxonomy, ids, against)
    typer.echo(render(findings))
    if verdict(findings) == "fail":
        raise typer.Exit(1)


@app.command("split")
def split_command(
    file: Annotated[Path, typer.Option(help="Label file.")] = Path("data/opinions.jsonl"),
    out: Annotated[
        Path, typer.Option(help="Splits file; the rows it names already keep their split.")
    ] = Path("data/splits.json"),
    seed: Annotated[int, typer.Option(help="Decides which row goes where.")] = 7,
) -> None:
    """Share the rows out to train, validation, calibration and test."""
    with _errors_in_one_line():
        rows, faults = read_opinions(file, load_taxonomy(TAXONOMY))
        if faults:
            raise ValueError(f"{file}: {len(faults)} faults: see python -m data check {file}")
        splits = make_splits(rows, seed, read_splits(out) if out.exists() else {})
        write_splits(out, seed, splits)
    typer.echo(f"{out}: " + ", ".join(f"{split} {len(ids):,}" for split, ids in splits.items()))


def _columns(pairs: str) -> dict[str, str]:
    """Field -> header from text such as text=内容,labels=类别."""
    columns = {}
    for pair in filter(None, pairs.split(",")):
        field, equals, header = (part.strip() for part in pair.partition("="))
        if not equals or not header:
            raise ValueError(f"--columns: {pair!r} is no pair: write field=header,field=header")
        columns[field] = header
    return columns


if __name__ == "__main__":
    app()
