"""Command line of the training package: python -m training COMMAND --help."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Data = Annotated[Path, typer.Option(help="Directory of taxonomy, routing table, urgent phrases.")]


@app.command()
def backbone(target: Annotated[Path, typer.Argument()] = Path("var/backbone/e5-small-zh")) -> None:
    """Unpack the default encoder into a Hugging Face directory."""
    from training.backbone import unpack

    typer.echo(unpack(target))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="The recipe, TOML.")],
    run: Annotated[Path | None, typer.Option(help="Default: var/runs/<recipe>.")] = None,
) -> None:
    """Fine-tune by a recipe; a stopped run goes on where it stopped."""
    from training import train as training_run
    from training.config import load_config

    recipe = load_config(config)
    typer.echo(training_run.train(recipe, run or training_run.RUNS / recipe.name))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    out: Annotated[Path, typer.Option(help="The artifact directory; replaced.")],
    min_parity: Annotated[float, typer.Option(help="Least agreement of int8 and float32.")] = 0.995,
) -> None:
    """Write the artifact of a finished run: int8 ONNX, calibrated and measured."""
    from training.export import export as write_artifact

    artifact = write_artifact(run, out, min_parity)
    typer.echo(f"{artifact.version} in {out}")


@app.command()
def evaluate(
    artifact: Annotated[Path, typer.Argument(help="An artifact directory.")],
    file: Annotated[Path, typer.Argument(help="Labelled opinions.")],
    split: Annotated[str, typer.Option(help="Only this side of the split.")] = "",
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("var/reports/latest"),
    data: Data = Path("data"),
) -> None:
    """Measure an artifact on labelled opinions, beside simple baselines."""
    from data.schema import read_opinions
    from data.split import load_splits
    from model.artifact import load_artifact
    from model.classifier import Classifier
    from model.labels import load_taxonomy
    from model.routing import load_routing
    from model.urgent import load_urgent
    from training import evaluate as evaluation

    taxonomy = load_taxonomy(data / "taxonomy.yaml")
    judged = evaluation.read_judged(file, taxonomy, data / "splits.json", split)
    report = evaluation.evaluate(
        Classifier(load_artifact(artifact)),
        judged,
        taxonomy,
        load_routing(data / "routing.yaml", taxonomy),
        load_urgent(data / "urgent.yaml"),
    )
    rows, _ = read_opinions(data / "opinions.jsonl", taxonomy)
    train_rows = load_splits(data / "splits.json", rows)["train"]
    report["baselines"] = evaluation.score_baselines(train_rows, judged, taxonomy)
    evaluation.write_report(report, taxonomy, out)
    typer.echo(evaluation.to_markdown(report).split("\n| characters")[0])
    typer.echo(f"written: {out}")


@app.command()
def curve(
    file: Annotated[Path, typer.Argument(help="Labelled opinions to measure on.")],
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("var/learning_curve.png"),
    data: Data = Path("data"),
) -> None:
    """Draw what more lines of the corpus bring."""
    from data.schema import read_opinions
    from data.split import load_splits
    from model.labels import load_taxonomy
    from training import curve as learning
    from training.evaluate import read_judged

    taxonomy = load_taxonomy(data / "taxonomy.yaml")
    rows, _ = read_opinions(data / "opinions.jsonl", taxonomy)
    train_rows = load_splits(data / "splits.json", rows)["train"]
    judged = read_judged(file, taxonomy, data / "splits.json", "")
    found = learning.measure_curve(train_rows, judged, taxonomy.codes)
    for n, accuracies in found.items():
        typer.echo(f"{n} rows: " + ", ".join(f"{a:.3f}" for a in accuracies))
    learning.draw_curve(found, out)
    typer.echo(f"written: {out}")


if __name__ == "__main__":
    try:
        app()
    except (ValueError, FileNotFoundError) as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
