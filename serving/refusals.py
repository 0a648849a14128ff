"""How a command ends that cannot do what it was asked: one line, exit code 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from sqlalchemy.exc import OperationalError


@contextmanager
def refusals() -> Iterator[None]:
    """Faults of settings, files and the database's address end the program."""
    try:
        yield
    except OperationalError as error:
        refuse(f"the database cannot be used: {error.orig}: check LINSHENG_DATABASE_URL")
    except (ValueError, OSError) as error:
        refuse(error)


def refuse(reason: BaseException | str) -> NoReturn:
    """Say why on standard error and end the program with exit code 1."""
    print("error:", " ".join(str(reason).split()) or type(reason).__name__, file=sys.stderr)
    raise SystemExit(1)
