"""The server and the command line.

python -m serving run --host 127.0.0.1 --port 8000
python -m serving classify 三号楼电梯又困人了，物业电话没人接
python -m serving classify --file opinions.xlsx --out results.csv --columns text=内容,title=标题
python -m serving classify < texts.txt
python -m serving demo
python -m serving accounts add NAME --role reviewer
python -m serving keys add NAME --scope intake
python -m serving routes check|preview|apply FILE
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO, TextIO

import typer
import uvicorn
from tqdm import tqdm

from model.calendar import SHANGHAI
from model.triage import Triage, load_triage
from serving.accounts_command import accounts, check_address, keys
from serving.answers import answer_items
from serving.app import create_app
from serving.demo import fill
from serving.errors import ErrorAnswer, ErrorDetail
from serving.inputs import read_item
from serving.logs import configure_logs
from serving.refusals import refusals, refuse
from serving.results import TableWriter, Writer, write_json_line
from serving.routes_command import routes
from serving.rows import Row, read_columns, read_rows
from serving.schema import Result
from serving.settings import Settings, read_settings

DEMO = Path("var/demo.db")
CHUNK = 64  # rows between two writes
cli = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
cli.add_typer(accounts, name="accounts")
cli.add_typer(keys, name="keys")
cli.add_typer(routes, name="routes")


@cli.command()
def run(
    host: Annotated[str | None, typer.Option(help="Address; default LINSHENG_HOST")] = None,
    port: Annotated[int | None, typer.Option(help="Port; default LINSHENG_PORT")] = None,
) -> None:
    """Start the server; it ends with exit code 1 where the model cannot be loaded."""
    with refusals():
        settings = read_settings(host=host, port=port)
    _serve(settings)


@cli.command()
def demo(
    count: Annotated[int, typer.Option(help="Opinions", min=1)] = 2_000,
    days: Annotated[int, typer.Option(help="Over which they came in", min=1, max=365)] = 60,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn")] = 7,
    port: Annotated[int | None, typer.Option(help="Port; default LINSHENG_PORT")] = None,
    serve: Annotated[bool, typer.Option(help="Start the server on it")] = True,
) -> None:
    """Fill var/demo.db with opinions that came in, were reviewed and settled; serve it."""
    with refusals():
        settings = read_settings(port=port, database_url=f"sqlite:///{DEMO}")
        if DEMO.exists():
            print(f"{DEMO} is there: delete it to have it filled anew", file=sys.stderr)
        else:
            triage = load_triage(settings.artifact, settings.data, settings.threads)
            fill(DEMO, triage, settings.data, count, days, seed)
    if serve:
        print(f"http://{settings.host}:{settings.port}/dashboard", file=sys.stderr)
        _serve(settings)


def _serve(settings: Settings) -> None:
    configure_logs(settings.log_level)
    failures: list[BaseException] = []

    def stop(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    with refusals():
        app = create_app(settings, on_failure=stop)
        check_address(app.state.store, settings.host)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=round(settings.max_wait_seconds),
        )
    )
    server.run()
    if failures:
        refuse(failures[0])


@cli.command()
def classify(
    text: Annotated[str | None, typer.Argument(help="One text; without it, one a line")] = None,
    file: Annotated[Path | None, typer.Option(help="A .csv, .xlsx or .jsonl file")] = None,
    out: Annotated[Path | None, typer.Option(help="A .jsonl or .csv file to write")] = None,
    columns: Annotated[str, typer.Option(help="Such as text=内容,title=标题")] = "",
    encoding: Annotated[str, typer.Option(help="Of a CSV file")] = "utf-8-sig",
) -> None:
    """Classify one text, the lines of standard input, or the rows of a file."""
    with refusals():
        settings = read_settings()
        _check_names(text, file, out)
        rows: Iterable[Row] = _read_lines(sys.stdin.buffer)
        if text is not None:
            rows = [Row(1, {"text": text}, text)]
        elif file:
            rows = list(read_rows(file, read_columns(columns), encoding))
        triage = load_triage(settings.artifact, settings.data, settings.threads)
        opened = _open_out(out)
    if text is not None:
        [(_, result)] = _classify_rows(triage, settings, rows)
        print(result.model_dump_json(indent=2, exclude_unset=True))
        raise typer.Exit(int(isinstance(result, ErrorAnswer)))
    shown = tqdm(rows, unit=" rows", file=sys.stderr, disable=file is None)
    count = errors = 0
    with opened as stream:
        write = _writer(stream, out, rows)
        for row, result in _classify_rows(triage, settings, shown):
            write(row, result)
            count += 1
            errors += isinstance(result, ErrorAnswer)
    print(f"{count} rows, {errors} of them with an error", file=sys.stderr)


def _check_names(text: str | None, file: Path | None, out: Path | None) -> None:
    if text is not None and (file or out):
        raise ValueError("TEXT goes without --file and --out: leave one out")
    if out and out.suffix.lower() not in (".jsonl", ".csv"):
        raise ValueError(f"--out {out}: unknown ending {out.suffix!r}: use .jsonl or .csv")
    if file and out and file.resolve() == out.resolve():
        raise ValueError(f"--out {out}: would overwrite the input: name another file")


def _read_lines(stream: BinaryIO) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        text = line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
        yield Row(number, {"text": text}, text)


def _open_out(out: Path | None) -> AbstractContextManager[TextIO]:
    """What UTF-8 cannot carry, such as a lone surrogate, is written as JSON escapes it."""
    if out:
        return out.open("w", encoding="utf-8", errors="backslashreplace", newline="")
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    return nullcontext(sys.stdout)


def _classify_rows(
    triage: Triage, settings: Settings, rows: Iterable[Row]
) -> Iterator[tuple[Row, Result | ErrorAnswer]]:
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        now = datetime.now(SHANGHAI).replace(microsecond=0)
        items = [
            ErrorDetail(type="bad_row", field=None, message=row.fault)
            if row.fault
            else read_item(row.opinion, f"rows[{row.line}]", settings.max_text_length, now)
            for row in chunk
        ]
        yield from zip(chunk, answer_items(triage, items, 5, False), strict=True)


def _writer(stream: TextIO, out: Path | None, rows: Iterable[Row]) -> Writer:
    if out is None or out.suffix.lower() == ".jsonl":
        return partial(write_json_line, stream)
    known = rows if isinstance(rows, list) else [Row(0, {"text": ""})]
    return TableWriter(stream, list(dict.fromkeys(name for row in known for name in row.values)))


if __name__ == "__main__":
    cli()
