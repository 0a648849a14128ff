"""Who may use the server: accounts of people and keys of systems.

python -m serving accounts add wang --role reviewer          (asks for the password)
python -m serving accounts add wang --role reviewer < FILE   (takes the first line of FILE)
python -m serving accounts list
python -m serving accounts disable wang
python -m serving keys add hotline --scope intake            (prints the key, this once)
python -m serving keys list
python -m serving keys disable hotline
"""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from typing import Annotated, TypeVar

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.calendar import SHANGHAI
from serving.access import (
    Role,
    Scope,
    add_account,
    add_key,
    disable,
    has_credentials,
)
from serving.refusals import refusals
from serving.settings import read_settings
from serving.store.engine import Store, open_store
from serving.store.tables import AccountRow, ApiKeyRow

Name = Annotated[str, typer.Argument(help="As it will stand in the histories")]
_Row = TypeVar("_Row", AccountRow, ApiKeyRow)
accounts = typer.Typer(help="Accounts of people who review.", no_args_is_help=True)
keys = typer.Typer(help="Keys of systems that send or read opinions.", no_args_is_help=True)


def check_address(store: Store, host: str) -> None:
    """Whether the server may listen there: beyond this machine only for people it knows.

    Raises:
        ValueError: there is neither account nor key; the message names the command that makes one.
    """
    with store.read() as session:
        if is_loopback(host) or has_credentials(session):
            return
    raise ValueError(
        f"host is {host!r}, and anyone who reaches it could do everything, for there are no "
        "accounts: run python -m serving accounts add NAME --role admin, or listen on 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name other than localhost may lead on."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@accounts.command("add")
def add_one_account(
    name: Name,
    role: Annotated[
        Role,
        typer.Option(
            help="reviewer: decides; lead: also many at once and figures; admin: everything",
        ),
    ],
) -> None:
    """Make an account, or give one another role and password and enable it again."""
    with _store() as store:
        password = _read_password()
        with store.write() as session:
            _check_free(session, ApiKeyRow, name)
            known = session.get(AccountRow, name) is not None
            add_account(session, name, role, password)
    print(f"account {name}: {role}" + (", changed; log in again" if known else ""))


@accounts.command("list")
def list_accounts() -> None:
    """Name, role, day of making and whether it is disabled."""
    with _store() as store, store.read() as session:
        for row in session.scalars(select(AccountRow).order_by(AccountRow.name)):
            _print_row(row, row.role)


@accounts.command("disable")
def disable_account(name: Name) -> None:
    """Log the account out and let it in no more; its name stays in the histories."""
    with _store() as store, store.write() as session:
        disable(session, _get(session, AccountRow, name))
    print(f"account {name}: disabled")


@keys.command("add")
def add_one_key(
    name: Annotated[str, typer.Argument(help="Of the system; the source of what it submits")],
    scope: Annotated[
        Scope,
        typer.Option(
            help="intake: sends opinions; review: also reads and decides; admin: everything",
        ),
    ],
) -> None:
    """Make a key, or replace the one of this name, and print it: it cannot be shown again."""
    with _store() as store, store.write() as session:
        _check_free(session, AccountRow, name)
        known = session.get(ApiKeyRow, name) is not None
        key = add_key(session, name, scope)
    replaced = "; the one before no longer works" if known else ""
    print(f"key {name}: {scope}, send it as authorization: Bearer KEY{replaced}", file=sys.stderr)
    print(key)


@keys.command("list")
def list_keys() -> None:
    """Name, scope, day of making and whether it is disabled; never the key."""
    with _store() as store, store.read() as session:
        for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.name)):
            _print_row(row, row.scope)


@keys.command("disable")
def disable_key(name: Name) -> None:
    """Take the key out of use; its name stays in the histories."""
    with _store() as store, store.write() as session:
        disable(session, _get(session, ApiKeyRow, name))
    print(f"key {name}: disabled")


@contextmanager
def _store() -> Iterator[Store]:
    with refusals(), closing(open_store(read_settings().database_url)) as store:
        yield store


def _read_password() -> str:
    """From a prompt that does not show it, or the first line of standard input."""
    if sys.stdin.isatty():
        password: str = typer.prompt("password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\r\n")


def _check_free(session: Session, other: type[AccountRow | ApiKeyRow], name: str) -> None:
    if session.get(other, name):
        kind = "an account" if other is AccountRow else "a key"
        raise ValueError(f"name is {name!r}: {kind} has it, histories could not tell them apart")


def _get(session: Session, table: type[_Row], name: str) -> _Row:
    row = session.get(table, name)
    if row is None:
        known = ", ".join(session.scalars(select(table.name).order_by(table.name))) or "none"
        raise ValueError(f"name is {name!r}: there is no such one, but: {known}")
    return row


def _print_row(row: AccountRow | ApiKeyRow, role: str) -> None:
    made = row.created_at.astimezone(SHANGHAI).date()
    print(f"{row.name}\t{role}\t{made}\t{'disabled' if row.disabled else 'in use'}")
