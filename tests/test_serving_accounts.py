"""Who may do what: accounts, keys, sessions, local mode, and the commands that make them."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from starlette.requests import Request
from typer.testing import CliRunner, Result

from serving.__main__ import cli
from serving.access import (
    ALL,
    COOKIE,
    SCOPES,
    Scope,
    add_account,
    add_key,
    disable,
    identify,
    log_in,
    log_out,
)
from serving.accounts_command import check_address, is_loopback
from serving.app import create_app
from serving.settings import Settings
from serving.store.engine import Store, open_store
from serving.store.tables import AccountRow, ApiKeyRow, EventRow, SessionRow
from tests.fake_triage import FakeTriage

PASSWORD = "correct horse"
CLASSIFY = {"inputs": "电梯坏了"}


@pytest.fixture
def store(kept: TestClient) -> Store:
    found: Store = kept.app.state.store  # type: ignore[attr-defined]
    return found


def bearer(store: Store, scope: Scope, name: str = "") -> dict[str, str]:
    """Headers with a new key."""
    with store.write() as session:
        key = add_key(session, name or f"{scope}-system", scope)
    return {"authorization": f"Bearer {key}"}


def cookie(store: Store, name: str) -> dict[str, str]:
    """Headers of a browser that has logged in."""
    with store.write() as session:
        token = log_in(session, name, PASSWORD)
    assert token
    return {"cookie": f"{COOKIE}={token}"}


def make_account(store: Store, name: str = "wang", role: str = "reviewer") -> None:
    with store.write() as session:
        add_account(session, name, role, PASSWORD)  # type: ignore[arg-type]


def opinion_routes(client: TestClient) -> Iterator[tuple[str, str]]:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        if path.startswith("/v1/opinions"):
            yield from ((method.upper(), re.sub(r"{\w+}", "1", path)) for method in methods)


@pytest.fixture
def documented(triage: FakeTriage, database_url: str) -> Iterator[TestClient]:
    settings = Settings(docs=True, database_url=database_url, audit_share=0)
    with TestClient(create_app(settings, triage)) as client:
        yield client


def test_every_route_of_opinions_asks_for_a_key_of_its_scope(documented: TestClient) -> None:
    store: Store = documented.app.state.store  # type: ignore[attr-defined]
    keys = {scope: bearer(store, scope) for scope in SCOPES}
    routes = list(opinion_routes(documented))
    assert ("POST", "/v1/opinions/1/review") in routes
    assert len(routes) >= 10
    for method, path in routes:
        answer = documented.request(method, path, json={})
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "unauthorized"), path
        for scope, headers in keys.items():
            status = documented.request(method, path, json={}, headers=headers).status_code
            open_to_intake = (method, path) == ("POST", "/v1/opinions")
            if scope == "intake" and not open_to_intake:
                assert status == 403, (method, path)
            else:
                assert status in (200, 404, 422), (method, path, scope, status)


def test_classify_is_open_until_there_is_an_account_or_key(kept: TestClient, store: Store) -> None:
    assert kept.post("/v1/classify", json=CLASSIFY).status_code == 200
    make_account(store)
    refused = kept.post("/v1/classify", json=CLASSIFY)
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "unauthorized")
    for headers in (bearer(store, "intake"), cookie(store, "wang")):
        assert kept.post("/v1/classify", json=CLASSIFY, headers=headers).status_code == 200
    wrong = {"authorization": "Bearer ls_wrong"}
    assert kept.post("/v1/classify", json=CLASSIFY, headers=wrong).status_code == 401


def test_local_mode_ends_with_the_first_key_and_stays_ended(kept: TestClient, store: Store) -> None:
    assert kept.post("/v1/opinions", json={"text": "电梯"}).status_code == 201
    headers = bearer(store, "admin")
    assert kept.get("/v1/opinions").status_code == 401
    assert kept.get("/v1/opinions", headers=headers).status_code == 200
    with store.write() as session:
        disable(session, session.get_one(ApiKeyRow, "admin-system"))
    assert kept.get("/v1/opinions", headers=headers).status_code == 401
    assert kept.get("/v1/opinions").status_code == 401  # the last key gone opens nothing


def test_a_key_is_the_source_of_what_it_submits(kept: TestClient, store: Store) -> None:
    for name in ("hotline", "miniapp"):
        headers = bearer(store, "intake", name)
        body = {"text": "电梯", "external_id": "7"}
        assert kept.post("/v1/opinions", json=body, headers=headers).status_code == 201
    headers = bearer(store, "review")
    found = kept.get("/v1/opinions", headers=headers).json()["opinions"]
    assert {opinion["source"] for opinion in found} == {"hotline", "miniapp"}
    with store.read() as session:
        assert set(session.scalars(select(EventRow.actor))) == {"hotline", "miniapp"}


def test_a_key_made_again_replaces_the_first(kept: TestClient, store: Store) -> None:
    old, new = bearer(store, "review", "desk"), bearer(store, "review", "desk")
    assert kept.get("/v1/opinions", headers=old).status_code == 401
    assert kept.get("/v1/opinions", headers=new).status_code == 200


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        ("reviewer", {"intake", "review"}),
        ("lead", {"intake", "review", "lead"}),
        ("admin", set(ALL)),
    ],
)
def test_roles_have_their_rights(client: TestClient, role: str, rights: set[str]) -> None:
    store: Store = client.app.state.store  # type: ignore[attr-defined]
    make_account(store, "wang", role)
    headers = [(b"cookie", cookie(store, "wang")["cookie"].encode())]
    request = Request({"type": "http", "method": "GET", "headers": headers, "app": client.app})
    actor = identify(request)
    assert actor is not None
    assert (actor.name, set(actor.rights)) == ("wang", rights)


def test_wrong_password_unknown_name_and_disabled_account_get_no_session(store: Store) -> None:
    make_account(store)
    with store.write() as session:
        assert log_in(session, "wang", "wrong horse!") is None
        assert log_in(session, "nobody", PASSWORD) is None
        assert log_in(session, "wang", "") is None
        disable(session, session.get_one(AccountRow, "wang"))
        assert log_in(session, "wang", PASSWORD) is None


def test_a_disabled_account_is_logged_out(kept: TestClient, store: Store) -> None:
    make_account(store)
    headers = cookie(store, "wang")
    assert kept.get("/v1/opinions", headers=headers).status_code == 200
    with store.write() as session:
        disable(session, session.get_one(AccountRow, "wang"))
        session.add(  # even with a session that outlived it
            SessionRow(
                token_sha256="0" * 64,
                account="wang",
                expires_at=datetime.now(UTC) + timedelta(hours=1),
            )
        )
    assert kept.get("/v1/opinions", headers=headers).status_code == 401


def test_a_session_ends_at_its_time_and_at_log_out(kept: TestClient, store: Store) -> None:
    make_account(store)
    first, second = cookie(store, "wang"), cookie(store, "wang")
    with store.write() as session:
        log_out(session, first["cookie"].partition("=")[2])
    assert kept.get("/v1/opinions", headers=first).status_code == 401
    assert kept.get("/v1/opinions", headers=second).status_code == 200
    with store.write() as session:
        session.scalars(select(SessionRow)).one().expires_at = datetime.now(UTC)
    assert kept.get("/v1/opinions", headers=second).status_code == 401


def test_a_new_password_ends_the_sessions_of_the_old_one(kept: TestClient, store: Store) -> None:
    make_account(store)
    headers = cookie(store, "wang")
    make_account(store, "wang", "lead")
    assert kept.get("/v1/opinions", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://testserver"}, 201),
        ({"sec-fetch-site": "same-origin", "origin": "http://testserver"}, 201),
        ({"sec-fetch-site": "none"}, 201),
        ({}, 201),
    ],
)
@pytest.mark.parametrize("logged_in", [False, True])
def test_changes_asked_by_pages_of_other_sites_are_refused(
    client: TestClient, headers: dict[str, str], status: int, logged_in: bool
) -> None:
    if logged_in:
        store: Store = client.app.state.store  # type: ignore[attr-defined]
        make_account(store)
        headers = headers | cookie(store, "wang")
    answer = client.post("/v1/opinions", json={"text": "电梯"}, headers=headers)
    assert answer.status_code == status
    assert client.get("/v1/opinions", headers=headers).status_code == 200  # reading is no change


def test_a_key_is_sent_by_no_browser_unasked(client: TestClient) -> None:
    headers = bearer(client.app.state.store, "intake")  # type: ignore[attr-defined]
    elsewhere = headers | {"sec-fetch-site": "cross-site", "origin": "https://portal.example"}
    assert client.post("/v1/opinions", json={"text": "电梯"}, headers=elsewhere).status_code == 201


def test_secrets_are_kept_as_hashes(store: Store) -> None:
    make_account(store)
    headers = cookie(store, "wang")
    key = bearer(store, "intake")["authorization"].removeprefix("Bearer ")
    with store.read() as session:
        account = session.scalars(select(AccountRow)).one()
        kept_key = session.scalars(select(ApiKeyRow)).one()
        kept_session = session.scalars(select(SessionRow)).one()
    assert account.password_hash.startswith("$argon2id$")
    assert key not in (kept_key.key_sha256, kept_key.name)
    assert kept_session.token_sha256 not in headers["cookie"]


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("", False), ("example", False),
    ],
)  # fmt: skip
def test_only_the_loopback_is_open_without_accounts(
    tmp_path: Path, host: str, only_here: bool
) -> None:
    assert is_loopback(host) is only_here
    with closing(open_store(f"sqlite:///{tmp_path}/linsheng.db")) as store:
        if only_here:
            check_address(store, host)
        else:
            with pytest.raises(ValueError, match=r"accounts: run python -m serving accounts add"):
                check_address(store, host)
        make_account(store)
        check_address(store, host)


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin)


@pytest.fixture
def commanded(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[Store]:
    """The database that the commands of a test work on."""
    monkeypatch.setenv("LINSHENG_DATABASE_URL", database_url)
    store = open_store(database_url)
    yield store
    store.close()


def test_the_server_refuses_an_open_address_before_it_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.__main__.configure_logs", lambda _: None)
    ended = run("run", "--host", "0.0.0.0", "--port", "0")
    assert ended.exit_code == 1
    assert "error: host is '0.0.0.0'" in ended.stderr
    assert "python -m serving accounts add NAME --role admin" in ended.stderr


def test_accounts_are_made_listed_and_disabled(commanded: Store) -> None:
    made = run("accounts", "add", "wang", "--role", "lead", stdin=f"{PASSWORD}\n")
    assert (made.exit_code, made.stdout) == (0, "account wang: lead\n")
    with commanded.write() as session:
        assert log_in(session, "wang", PASSWORD)
    changed = run("accounts", "add", "wang", "--role", "admin", stdin="another password\r\n")
    assert changed.stdout == "account wang: admin, changed; log in again\n"
    with commanded.write() as session:
        assert log_in(session, "wang", PASSWORD) is None
        assert log_in(session, "wang", "another password")
    assert run("accounts", "disable", "wang").stdout == "account wang: disabled\n"
    assert re.fullmatch(r"wang\tadmin\t\d{4}-\d\d-\d\d\tdisabled\n", run("accounts", "list").stdout)
    with commanded.write() as session:
        assert log_in(session, "wang", "another password") is None


def test_a_key_is_shown_once(commanded: Store, triage: FakeTriage) -> None:
    made = run("keys", "add", "hotline", "--scope", "intake")
    key = made.stdout.strip()
    assert re.fullmatch(r"ls_[\w-]{43}", key)
    listed = run("keys", "list").stdout
    assert re.fullmatch(r"hotline\tintake\t\d{4}-\d\d-\d\d\tin use\n", listed)
    again = run("keys", "add", "hotline", "--scope", "review")
    assert "the one before no longer works" in again.stderr
    url = commanded.engine.url.render_as_string(hide_password=False)
    with TestClient(create_app(Settings(docs=False, database_url=url), triage)) as client:
        headers = {"authorization": f"Bearer {again.stdout.strip()}"}
        assert client.get("/v1/opinions", headers=headers).status_code == 200
        assert run("keys", "disable", "hotline").exit_code == 0
        assert client.get("/v1/opinions", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        ("accounts add wang --role lead", "short\n", "password: give at least 10 characters"),
        ("accounts add wang --role lead", "", "password: give at least 10 characters"),
        ("accounts add local --role lead", PASSWORD, "name is 'local': give one of 1 to 80"),
        ("accounts add hotline --role lead", PASSWORD, "name is 'hotline': a key has it"),
        ("keys add li --scope intake", "", "name is 'li': an account has it"),
        ("accounts disable wang", "", "name is 'wang': there is no such one, but: li"),
        ("keys disable wang", "", "name is 'wang': there is no such one, but: hotline"),
    ],
)
def test_what_cannot_be_done_ends_with_one_line(
    tmp_path: Path, arguments: str, stdin: str, message: str
) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/linsheng.db")) as store:
        make_account(store, "li")
        bearer(store, "intake", "hotline")
    ended = run(*arguments.split(), stdin=stdin)
    assert (ended.exit_code, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"error: {message}")


@pytest.mark.parametrize("command", ["accounts add wang --role boss", "keys add wang --scope all"])
def test_unknown_roles_and_scopes_are_refused(command: str) -> None:
    ended = run(*command.split(), stdin=PASSWORD)
    assert ended.exit_code == 2
    assert "is not one of" in re.sub(r"\s+", " ", ended.stderr)


def test_a_password_is_never_an_argument() -> None:
    ended = run("accounts", "add", "wang", PASSWORD, "--role", "lead")
    assert ended.exit_code == 2


def test_a_database_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://nobody:secret@127.0.0.1:9/none"
    monkeypatch.setenv("LINSHENG_DATABASE_URL", url)
    ended = run("accounts", "list")
    assert ended.exit_code == 1
    assert "the database cannot be used" in ended.stderr
    assert "check LINSHENG_DATABASE_URL" in ended.stderr
    assert "secret" not in ended.stderr
