from __future__ import annotations

import hashlib

import pytest
import trio

from engine.errors import HeadraceError
from tests.support import grown
from tests.support.consoles import OWN, PAGE, Browser, header
from tests.support.grown import ORDERS, grow

TOKEN = "correct horse battery staple"
HASH = "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest()
ELSEWHERE = (("origin", "http://evil.test"), ("sec-fetch-site", "cross-site"))
SIBLING = (("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "same-site"))


@pytest.fixture
async def browser(nursery):
    engine = await grow(nursery, ORDERS)
    yield Browser(engine)
    engine.tree.stop_now()


@pytest.fixture(params=[TOKEN, HASH], ids=["as itself", "as its hash"])
async def stranger(nursery, request, monkeypatch):
    monkeypatch.setattr(grown, "HEAD", grown.HEAD.replace("[console]", f'[console]\ntoken = "{request.param}"'))
    engine = await grow(nursery, ORDERS)
    yield Browser(engine)
    engine.tree.stop_now()


@pytest.mark.parametrize("host", ["127.0.0.1:8322", "localhost:8322", "[::1]:8322", "127.0.0.1", "LOCALHOST"])
async def test_the_console_is_asked_by_names_of_this_machine(browser, host):
    browser.host = host

    assert (await browser.ask("GET", "/", PAGE)).status == 200


@pytest.mark.parametrize("host", ["evil.test:8322", "evil.test", "127.0.0.1.evil.test", "", "192.0.2.1:8322"])
@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/healthz", "/static/console.js"])
async def test_a_name_that_leads_here_by_dns_is_refused(browser, host, path):
    browser.host = host

    assert (await browser.ask("GET", path)).status == 403


@pytest.mark.parametrize("headers", [ELSEWHERE, SIBLING])
@pytest.mark.parametrize("path", ["/api/v1/status", "/metrics"])
async def test_a_page_of_somebody_else_s_reads_nothing(browser, headers, path):
    assert (await browser.ask("GET", path, headers)).status == 403


@pytest.mark.parametrize("headers", [ELSEWHERE, SIBLING, OWN])
async def test_no_page_changes_anything_without_a_form(browser, headers):
    assert (await browser.rest("POST", "/syncs/orders/pause", headers=headers))[0] == 403
    assert not browser.engine.tree.gates["orders"].shut


async def test_a_form_changes_something_once(browser):
    form = await browser.form("/syncs")

    first = await browser.send("/do/syncs/orders/pause", form=form, back="/syncs")
    browser.engine.tree.gates["orders"].open()
    again = await browser.send("/do/syncs/orders/pause", form=form, back="/syncs")

    assert (first.status, header(first, "location")) == (303, "/syncs")
    assert again.status == 403
    assert not browser.engine.tree.gates["orders"].shut


@pytest.mark.parametrize("headers", [ELSEWHERE, SIBLING, ()])
async def test_a_form_must_come_from_a_page_of_the_console(browser, headers):
    form = await browser.form("/syncs")

    assert (await browser.send("/do/syncs/orders/pause", headers, form=form)).status == 403
    assert not browser.engine.tree.gates["orders"].shut


async def test_a_form_is_good_for_the_session_it_was_shown_to(browser):
    form = await browser.form("/syncs")
    other = Browser(browser.engine)
    await other.see("/syncs")

    assert (await other.send("/do/syncs/orders/pause", form=form)).status == 403


@pytest.mark.parametrize("form", ["", "1.2.3", "x", "1.99999999999." + "0" * 32])
async def test_a_form_cannot_be_made_up(browser, form):
    await browser.see("/syncs")

    assert (await browser.send("/do/syncs/orders/pause", form=form)).status == 403


@pytest.mark.parametrize("back", ["//evil.test", "http://evil.test/", "/\\evil.test", "javascript:alert(1)"])
async def test_a_form_leads_back_to_a_page_of_the_console(browser, back):
    sent = await browser.send("/do/syncs/orders/pause", form=await browser.form("/syncs"), back=back)

    assert header(sent, "location") == "/"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 401),
        ((("authorization", "Bearer wrong"),), 401),
        ((("authorization", f"Basic {TOKEN}"),), 401),
        ((("authorization", f"Bearer {HASH}"),), 401),
        ((("authorization", f"Bearer {TOKEN}"),), 200),
    ],
)
async def test_a_machine_shows_the_token(stranger, headers, status):
    assert (await stranger.rest("GET", "/status", headers=headers))[0] == status


async def test_health_is_told_to_everybody(stranger):
    assert (await stranger.ask("GET", "/healthz")).status == 200


async def test_a_browser_without_a_session_is_led_to_the_login(stranger):
    answer = await stranger.ask("GET", "/syncs?x=1", PAGE)

    assert (answer.status, header(answer, "location")) == (303, "/login?next=%2Fsyncs%3Fx%3D1")


async def test_a_login_gives_a_cookie_that_no_script_sees_and_leads_on(stranger):
    assert 'value="/syncs"' in await stranger.see("/login?next=/syncs")

    answer = await stranger.send("/login", token=TOKEN, next="/syncs")

    assert (answer.status, header(answer, "location")) == (303, "/syncs")
    assert header(answer, "set-cookie").endswith("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200")
    assert "Syncs" in await stranger.see("/syncs")
    assert TOKEN not in header(answer, "set-cookie")


async def test_a_logout_ends_the_session(stranger):
    await stranger.send("/login", token=TOKEN)
    kept = stranger.cookie

    await stranger.send("/logout")
    stranger.cookie = kept

    assert (await stranger.ask("GET", "/", PAGE)).status == 303


async def test_a_wrong_token_is_told_and_a_page_of_others_cannot_log_in(stranger):
    wrong = await stranger.send("/login", token="guess")
    elsewhere = await stranger.send("/login", ELSEWHERE, token=TOKEN)

    assert (wrong.status, elsewhere.status) == (401, 403)
    assert (b"That is not the token" in wrong.body, stranger.cookie) == (True, "")


async def test_who_guesses_too_often_is_not_listened_to_for_a_minute(stranger, autojump_clock):
    for _ in range(20):
        await stranger.rest("GET", "/status", headers=(("authorization", "Bearer guess"),))

    right = (("authorization", f"Bearer {TOKEN}"),)
    assert (await stranger.rest("GET", "/status", headers=right))[0] == 401
    await trio.sleep(61)
    assert (await stranger.rest("GET", "/status", headers=right))[0] == 200


async def test_a_token_that_only_looks_like_a_hash_is_refused_at_the_start(nursery, monkeypatch):
    monkeypatch.setattr(grown, "HEAD", grown.HEAD.replace("[console]", '[console]\ntoken = "sha256:abc"'))

    with pytest.raises(HeadraceError, match="64 hexadecimal digits"):
        await grow(nursery, ORDERS)


async def test_everything_is_fenced_in(browser):
    for path in ("/", "/syncs", "/static/console.js", "/api/v1/status", "/nowhere"):
        answer = await browser.ask("GET", path, PAGE)
        assert header(answer, "content-security-policy").startswith("default-src 'none'; script-src 'self'"), path
        assert header(answer, "x-content-type-options") == "nosniff"
