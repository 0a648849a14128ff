"""Files classified in the background, one after the other, in the line with the other requests.

A job has its row in the table `jobs` and its directory under the setting `jobs_dir`: the file as
it came, the result, the first errors. The process at work on a job holds a lock in its directory,
which the system releases however the process ends: an open job without a lock was interrupted.
"""

import asyncio
import fcntl
import json
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Literal
from zipfile import BadZipFile, ZipFile

import structlog
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select, update

from model.calendar import SHANGHAI
from model.triage import Triage
from serving.answers import answer_items
from serving.classify import TURN
from serving.errors import ErrorAnswer, ErrorDetail, RequestError
from serving.inputs import read_item
from serving.line import Line
from serving.results import TableWriter
from serving.rows import read_rows
from serving.settings import Settings
from serving.store.engine import Store
from serving.store.tables import JobRow

JobState = Literal["waiting", "running", "done", "failed"]
MAX_WAITING = 8
MAX_COLUMNS = 200
MAX_SHOWN_ERRORS = 100
MAX_UNPACKED = 8  # times the largest body: what a workbook may unpack to
KEPT = timedelta(days=30)
INTERRUPTED = "服务在处理中途停止，任务没有做完：请重新上传。"
FAILED = "服务出错，任务没有做完：请重新上传；再次出错请告诉管理员任务编号。"
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_log = structlog.get_logger()


@dataclass(frozen=True)
class Upload:
    """A checked file in the directory of its job.

    Attributes:
        id: of `new_id`.
        name: as its sender called it.
        columns: field of an opinion -> column of the file, where the names differ.
        header: every column of the file.
    """

    id: str
    name: str
    path: Path
    columns: dict[str, str]
    encoding: str
    header: Sequence[str]
    rows: int


class Jobs:
    """The jobs of this process, and what is known of all."""

    def __init__(self, settings: Settings, store: Store, line: Line) -> None:
        self._settings, self._store, self._line = settings, store, line
        self._waiting: asyncio.Queue[tuple[Upload, Triage] | None] = asyncio.Queue()
        self._stopping = False
        self._locks: dict[str, IO[str]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block lasts; what is not done by its end has failed."""
        await run_in_threadpool(self._fail_interrupted)
        work = asyncio.create_task(self._work())
        try:
            yield
        finally:
            self._stopping = True
            self._waiting.put_nowait(None)
            await asyncio.wait([work])
            for id in list(self._locks):
                await run_in_threadpool(self._end, id, "failed", INTERRUPTED)

    def directory(self, id: str) -> Path:
        """Where the files of a job are."""
        return self._settings.jobs_dir / id

    def find(self, id: str) -> JobRow | None:
        """The job of this number."""
        if not _ID.fullmatch(id):
            return None
        with self._store.read() as session:
            return session.get(JobRow, id)

    def newest(self, actor: str | None, n: int) -> list[JobRow]:
        """The newest jobs of a person, of everyone for None."""
        query = select(JobRow).order_by(JobRow.at.desc(), JobRow.id).limit(n)
        with self._store.read() as session:
            return list(session.scalars(query if actor is None else query.filter_by(actor=actor)))

    def errors(self, id: str) -> list[dict[str, str | int]]:
        """The first rows that could not be read: line, type, message."""
        path = self.directory(id) / "errors.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def result(self, id: str) -> Path | None:
        """The finished table, while it is kept."""
        path = self.directory(id) / "result.csv"
        return path if path.exists() else None

    def check_file(
        self, id: str, source: Path, name: str, columns: dict[str, str], encoding: str
    ) -> Upload:
        """Read a file through once.

        Raises:
            ValueError: it cannot be read, is empty or too large; names the remedy.
        """
        if source.suffix == ".xlsx":
            self._check_unpacked(source)
        most, count = self._settings.max_job_rows, 0
        header: dict[str, None] = {}
        for row in islice(read_rows(source, columns, encoding), most + 1):
            count += 1
            header |= dict.fromkeys(row.values)
            if len(header) > MAX_COLUMNS:
                raise ValueError(f"{name}: more than {MAX_COLUMNS} columns: leave some out")
        if count > most:
            raise ValueError(f"{name}: more than {most} rows: send several files")
        if not count:
            raise ValueError(f"{name}: no rows below the header: fill in at least one")
        return Upload(id, name, source, columns, encoding, list(header), count)

    async def submit(self, upload: Upload, actor: str, triage: Triage) -> None:
        """Record a checked upload and put it in line.

        Raises:
            RequestError: too many wait.
        """
        if self._waiting.qsize() >= MAX_WAITING:
            raise RequestError("too_busy", f"{MAX_WAITING} files wait: try again later")
        await run_in_threadpool(self._add, upload, actor)
        self._waiting.put_nowait((upload, triage))

    def _add(self, upload: Upload, actor: str) -> None:
        self._remove_old()
        self._locks[upload.id] = _lock(self.directory(upload.id))
        row = JobRow(
            id=upload.id,
            actor=actor,
            at=datetime.now(UTC),
            file=upload.name[-200:],
            state="waiting",
            done=0,
            total=upload.rows,
            errors=0,
            message=None,
        )
        with self._store.write() as session:
            session.add(row)

    async def _work(self) -> None:
        while (job := await self._waiting.get()) and not self._stopping:
            upload, triage = job
            classified = asyncio.create_task(self._classify(upload, triage))
            await asyncio.wait([classified])
            if self._stopping and not classified.exception() and not classified.result():
                return
            state: JobState = "done"
            if error := classified.exception():
                # Its message may quote a row: only its kind is kept.
                _log.error("job_failed", job=upload.id, error=type(error).__name__)
                state = "failed"
            ended = asyncio.create_task(
                run_in_threadpool(self._end, upload.id, state, FAILED if error else None)
            )
            await asyncio.wait([ended])
            if error := ended.exception():
                _log.error("job_not_ended", job=upload.id, error=type(error).__name__)

    async def _classify(self, upload: Upload, triage: Triage) -> bool:
        """Whether it was classified to its end."""
        with closing(self._steps(upload, triage)) as steps:
            while not self._stopping:
                try:
                    async with self._line.turn():
                        if await run_in_threadpool(next, steps, None) is None:
                            return True
                except RequestError:
                    continue  # no turn for a long while: other requests go first
        return False

    def _steps(self, upload: Upload, triage: Triage) -> Generator[int]:
        """Classify some rows at a time; gives how many are done."""
        directory = self.directory(upload.id)
        done = errors = 0
        part = directory / "result.part"
        with (
            part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as table,
            (directory / "errors.jsonl").open("w", encoding="utf-8") as faults,
        ):
            write = TableWriter(table, upload.header)
            rows = read_rows(upload.path, upload.columns, upload.encoding)
            while chunk := list(islice(rows, TURN)):
                now = datetime.now(SHANGHAI).replace(microsecond=0)
                items = [
                    ErrorDetail(type="bad_row", field=None, message=row.fault)
                    if row.fault
                    else read_item(row.opinion, "", self._settings.max_text_length, now)
                    for row in chunk
                ]
                for row, result in zip(chunk, answer_items(triage, items, 5, False), strict=True):
                    write(row, result)
                    if isinstance(result, ErrorAnswer):
                        errors += 1
                        if errors <= MAX_SHOWN_ERRORS:
                            fault = {"line": row.line, **result.error.model_dump()}
                            faults.write(json.dumps(fault, ensure_ascii=True) + "\n")
                            faults.flush()
                done += len(chunk)
                self._record(upload.id, state="running", done=done, errors=errors)
                yield done
        part.replace(directory / "result.csv")

    def _record(self, id: str, **values: str | int | None) -> None:
        with self._store.write() as session:
            session.execute(update(JobRow).where(JobRow.id == id).values(**values))

    def _end(self, id: str, state: JobState, message: str | None) -> None:
        self._record(id, state=state, message=message)
        self._locks.pop(id).close()

    def _fail_interrupted(self) -> None:
        """Say of the jobs that a process left behind that they failed."""
        with self._store.read() as session:
            open_ones = select(JobRow.id).where(JobRow.state.in_(["waiting", "running"]))
            left = list(session.scalars(open_ones))
        for id in left:
            # One whose files are elsewhere is another machine's.
            if self.directory(id).exists() and not _is_locked(self.directory(id)):
                self._record(id, state="failed", message=INTERRUPTED)

    def _remove_old(self) -> None:
        """Residents' texts are not kept longer than needed."""
        ends = (datetime.now(UTC) - KEPT).timestamp()
        for directory in self._settings.jobs_dir.iterdir():
            if _ID.fullmatch(directory.name) and directory.stat().st_mtime < ends:
                shutil.rmtree(directory, ignore_errors=True)

    def _check_unpacked(self, source: Path) -> None:
        most = MAX_UNPACKED * self._settings.max_body_bytes
        try:
            with ZipFile(source) as book:
                unpacked = sum(entry.file_size for entry in book.infolist())
        except BadZipFile:
            raise ValueError(f"{source}: no workbook, save it as .xlsx anew") from None
        if unpacked > most:
            raise ValueError(
                f"{source}: the workbook unpacks to {unpacked} bytes: send at most {most}"
            )


def new_id() -> str:
    """The number of a new job; it cannot be guessed."""
    return secrets.token_urlsafe(16)


def _lock(directory: Path) -> IO[str]:
    lock = (directory / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _is_locked(directory: Path) -> bool:
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
