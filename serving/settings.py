"""The settings of the server and the command line: environment variables LINSHENG_*."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "LINSHENG_"


class Settings(BaseSettings):
    """One field a setting; README.md repeats names, defaults and descriptions."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    artifact: Path = Field(Path("model/release"), description="Directory of the served model")
    data: Path = Field(
        Path("data"), description="Directory of the taxonomy, routing, urgent and holiday tables"
    )
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    threads: int = Field(
        0, ge=0, le=256, description="Threads of one inference; 0 takes every core"
    )
    inference_slots: int = Field(1, ge=1, le=64, description="Inferences that run at once")
    max_queue: int = Field(
        64, ge=1, description="Classification requests under way; one more is answered 429"
    )
    max_wait_seconds: float = Field(
        30, gt=0, description="Longest time to send a body (then 408) or to stand in line (429)"
    )
    max_text_length: int = Field(20_000, ge=1, description="Longest text, in characters")
    max_batch: int = Field(256, ge=1, description="Most opinions in one request")
    max_explain: int = Field(16, ge=1, description="Most opinions in one request with `explain`")
    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1, description="Largest request body, in bytes")
    database_url: str = Field(
        "sqlite:///var/linsheng.db",
        description="Where opinions are kept: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
    )
    audit_share: float = Field(
        0.02, ge=0, le=1, description="Share of automatic decisions that a person reads blind"
    )
    jobs_dir: Path = Field(
        Path("var/jobs"), description="Directory of the files that are classified in the background"
    )
    max_job_rows: int = Field(
        20_000, ge=1, description="Most rows of a file that is classified in the background"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line: debug, info, warning or error"
    )
    docs: bool = Field(True, description="Serve /docs and /openapi.json")


def read_settings(**overrides: str | int | None) -> Settings:
    """The settings of the environment, with those overrides that are not None.

    Raises:
        ValueError: names the variable, its value and what it must be.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1, cutoff=0)[0]
            raise ValueError(f"{name} is no setting: unset it, or did you mean {near}?")
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        fault = error.errors()[0]
        name = PREFIX + str(fault["loc"][0]).upper()
        raise ValueError(f"{name}={fault['input']!r}: {fault['msg']}") from None
