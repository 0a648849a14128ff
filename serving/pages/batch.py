"""批量分类: a file goes in, its rows are classified in the background, a table comes out."""

import asyncio
import shutil
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from model.triage import Triage
from serving.access import Actor
from serving.classify import ReadyTriage
from serving.errors import STATUS, RequestError
from serving.jobs import KEPT, Jobs, Upload, new_id
from serving.pages.render import page_actor, render
from serving.rows import FIELDS, MissingColumnError, read_columns
from serving.settings import Settings
from serving.store.tables import JobRow

LISTED = 20
ENCODINGS = {"utf-8-sig": "UTF-8", "gb18030": "GB18030（旧版 Excel 存的 CSV）"}
SUFFIXES = (".csv", ".xlsx")
JOB_STATES = {"waiting": "排队中", "running": "处理中", "done": "已完成", "failed": "未完成"}
FAULTS = {
    "empty_text": "内容是空的", "no_words": "内容没有文字", "text_too_long": "内容太长",
    "bad_datetime": "时间格式不对", "bad_row": "这一行读不了", "wrong_type": "格式不对",
    "bad_value": "值不对",
}  # fmt: skip
router = APIRouter(prefix="/batch", include_in_schema=False)
Sender = Annotated[Actor, Depends(page_actor("intake"))]


class UploadError(ValueError):
    """The file cannot be taken; the message is for the page."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


@router.get("")
def show(request: Request, actor: Sender) -> Response:
    """The form, and the jobs so far."""
    return _show_form(request, actor)


@router.post("")
async def upload(request: Request, actor: Sender, triage: ReadyTriage) -> Response:
    """Take a file and go to its job; the form again, with the reason, where it cannot be taken."""
    jobs: Jobs = request.app.state.jobs
    columns, encoding = "", "utf-8-sig"
    try:
        form = await _read_form(request)
        try:
            columns, encoding = str(form.get("columns", "")), str(form.get("encoding", encoding))
            checked = await run_in_threadpool(_save, jobs, form, columns, encoding)
        finally:
            await form.close()
        await _submit(jobs, checked, actor, triage)
    except UploadError as error:
        return await run_in_threadpool(
            _show_form, request, actor, str(error), error.status, columns, encoding
        )
    return RedirectResponse(f"/batch/{checked.id}", status_code=303)


@router.get("/{id}")
def show_job(request: Request, actor: Sender, id: str) -> Response:
    """How far a job is, the rows that could not be read, the way to its result."""
    return render(request, "batch_job.html", actor, **_describe(request, actor, id))


@router.get("/{id}/progress")
def show_progress(request: Request, actor: Sender, id: str) -> Response:
    """The part of the page that changes while the job runs."""
    return render(request, "_job.html", actor, **_describe(request, actor, id))


@router.get("/{id}/result.csv")
def download(request: Request, actor: Sender, id: str) -> Response:
    """The finished table."""
    job = _find(request, actor, id)
    jobs: Jobs = request.app.state.jobs
    path = jobs.result(id)
    if path is None:
        raise RequestError("not_found", f"job {id} is {job.state}: it has no result")
    name = f"{Path(job.file).stem}-linsheng.csv"
    headers = {"cache-control": "no-store"}
    return FileResponse(path, media_type="text/csv; charset=utf-8", filename=name, headers=headers)


def _show_form(
    request: Request,
    actor: Actor,
    error: str = "",
    status: int = 200,
    columns: str = "text=内容",
    encoding: str = "utf-8-sig",
) -> Response:
    jobs: Jobs = request.app.state.jobs
    return render(
        request,
        "batch.html",
        actor,
        status,
        jobs=jobs.newest(None if "admin" in actor.rights else actor.name, LISTED),
        error=error,
        columns=columns,
        encoding=encoding,
        encodings=ENCODINGS,
        fields=FIELDS,
        states=JOB_STATES,
        settings=request.app.state.settings,
        kept=KEPT.days,
    )


async def _read_form(request: Request) -> FormData:
    """The fields and the file of the form; the server bounds its size.

    Raises:
        UploadError: it is too large, too slow, or no form with a file.
    """
    settings: Settings = request.app.state.settings
    try:
        async with asyncio.timeout(settings.max_wait_seconds):
            return await request.form(max_files=1, max_fields=10)
    except TimeoutError:
        raise UploadError("上传太慢，没有传完，请重试。", 408) from None
    except ClientDisconnect:
        raise RequestError("client_left", "the client left before its file was whole") from None
    except HTTPException as error:
        if error.status_code == 413:
            most = settings.max_body_bytes / 2**20
            raise UploadError(f"文件超过 {most:g} MB，请分成几个再传。", 413) from None
        raise UploadError("上传的表单不完整，请重新选择文件。") from None


async def _submit(jobs: Jobs, checked: Upload, actor: Actor, triage: Triage) -> None:
    try:
        await jobs.submit(checked, actor.name, triage)
    except RequestError as error:
        await run_in_threadpool(shutil.rmtree, jobs.directory(checked.id))
        raise UploadError("排队的文件太多，请等前面的做完再传。", STATUS["too_busy"]) from error


def _save(jobs: Jobs, form: FormData, columns: str, encoding: str) -> Upload:
    """Put the file into the directory of a new job and check it.

    Raises:
        UploadError: it cannot be taken.
    """
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        raise UploadError("请先选择一个文件。")
    name = Path(file.filename.replace("\\", "/")).name
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise UploadError(f"「{name}」不是 .xlsx 或 .csv 文件，请另存为其中一种再传。")
    if encoding not in ENCODINGS:
        raise UploadError("编码请选 UTF-8 或 GB18030。")
    id = new_id()
    directory = jobs.directory(id)
    directory.mkdir(parents=True, mode=0o700)
    path = directory / f"input{suffix}"
    try:
        with path.open("wb") as saved:
            shutil.copyfileobj(file.file, saved)
        return jobs.check_file(id, path, name, read_columns(columns), encoding)
    except MissingColumnError as error:
        shutil.rmtree(directory)
        there = "、".join(error.header)
        raise UploadError(f"文件里没有「{error.column}」列，有：{there}。请改列对应。") from None
    except ValueError as error:
        shutil.rmtree(directory)
        said = str(error).replace(str(path), name).replace("--columns ", "")
        raise UploadError(f"文件读不了，请照后面所说改好再传：{said}") from None


def _find(request: Request, actor: Actor, id: str) -> JobRow:
    """A job of the actor's own, any job for an administrator."""
    jobs: Jobs = request.app.state.jobs
    job = jobs.find(id)
    if job is None or (job.actor != actor.name and "admin" not in actor.rights):
        raise RequestError("not_found", f"there is no job {id!r}")
    return job


def _describe(request: Request, actor: Actor, id: str) -> dict[str, Any]:
    jobs: Jobs = request.app.state.jobs
    job = _find(request, actor, id)
    return {
        "job": job,
        "state": JOB_STATES[job.state],
        "errors": jobs.errors(id),
        "faults": FAULTS,
        "has_result": jobs.result(id) is not None,
        "kept": KEPT.days,
    }
