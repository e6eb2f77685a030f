from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import trio

from actors.console.answers import Refused
from actors.console.audit import Audit
from actors.console.bulk import Bulk, Bulks
from actors.console.chosen import Chosen, chosen, whole_number
from engine.messages import State
from engine.observe.audited import Changed
from engine.observe.entries import Entry
from engine.store.base import Selection
from tests.support.consoles import PAGE, Browser
from tests.support.grown import NOW, ORDERS, always, each, grow

REFUSED = {"crm": always(400)}
EVIL = "</code><script>alert(1)</script>\"'"


@pytest.fixture
async def browser(nursery):
    engine = await grow(nursery, ORDERS, answers=REFUSED)
    await engine.tree.console.address()  # its templates are read in a thread, for which trio's clock does not wait
    yield Browser(engine)
    engine.tree.stop_now()


async def archived(browser: Browser, count: int = 1, **properties: Any) -> list[Entry]:
    """Let events in that are refused, and return the entries that are listed."""
    await browser.engine.send(count, **properties)
    await browser.engine.settled()
    return await listed(browser)


async def listed(browser: Browser, query: str = "") -> list[Entry]:
    status, found = await browser.rest("GET", f"/errors?{query}")
    assert status == 200
    return [Entry(**one) for one in found]


async def ended(browser: Browser) -> list[Bulk]:
    """Return the changes in bulk once none runs any more."""
    with trio.fail_after(60):
        while True:
            _, found = await browser.rest("GET", "/bulk")
            bulks = msgspec.convert(found, list[Bulk])
            if all(one.state != "running" for one in bulks):
                return bulks
            await trio.sleep(0.1)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", Chosen()),
        ("sync=a&state=archived&text=+x+", Chosen(sync="a", state="archived", text="x")),
        ("ids=1&ids=2&ids=1&nonsense=3", Chosen(ids=("1", "2", "1"))),
    ],
)
def test_an_address_says_which_entries_are_meant(query, wanted):
    assert chosen(query) == wanted
    assert chosen(wanted.address("/errors").partition("?")[2]) == wanted


@pytest.mark.parametrize(
    ("state", "states"),
    [
        ("", (State.RETRYING, State.ARCHIVED, State.BLOCKED)),
        ("discarded", (State.DISCARDED,)),
        ("all", ()),
        ("nonsense", (State.RETRYING, State.ARCHIVED, State.BLOCKED)),
    ],
)
def test_states_are_chosen_by_a_word(state, states):
    assert Chosen(state=state).selection(NOW).states == states


def test_times_are_points_or_ages_and_a_wrong_one_is_told():
    wanted = Chosen(since="2h", until="yesterday")

    selection = wanted.selection(NOW)

    assert (selection.since, selection.until) == (NOW - 7200, 0.0)
    assert wanted.wrong(NOW) == {
        "until": '\'yesterday\' is no time: write how long ago, as in "2h", or a time, as in "2026-01-31T12:00:00Z"'
    }


@pytest.mark.parametrize(("text", "number"), [("17", 17), ("", 0), ("-1", 0), ("²", 0), ("9" * 16, 0)])
def test_a_number_of_an_address_is_never_too_large(text, number):
    assert whole_number(text) == number


async def test_entries_are_listed_chosen_and_paged(browser, autojump_clock):
    every = await archived(browser, 3)

    newest = await listed(browser, "limit=2")
    rest = await listed(browser, f"limit=2&after={newest[-1].id}")

    assert [one.reason for one in every] == ["rejected_400"] * 3
    assert newest + rest == every
    assert [one.message_id for one in await listed(browser, "text=M2")] == ["m2"]
    assert await listed(browser, "states=retrying&states=blocked") == []
    assert len(await listed(browser, "states=archived&states=blocked")) == 3


async def test_one_entry_is_shown_whole(browser, autojump_clock):
    (one,) = await archived(browser)

    status, whole = await browser.rest("GET", f"/errors/{one.id}")

    assert status == 200
    assert (whole["event"]["messageId"], whole["payload"], len(whole["attempts"])) == ("m1", {"n": 1}, 1)
    assert whole["next"] == "the response says why it was refused: mend the mapping and replay it, or retry it as it is"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/errors/nope", "there is no entry 'nope' among those that are kept"),
        ("/violations/nope", "there is no broken contract 'nope' among those that are kept"),
        ("/violations/99999999999999999999-shop", None),
        ("/violations/1-", None),
    ],
)
async def test_what_is_not_kept_is_told(browser, path, told):
    status, said = await browser.rest("GET", path)

    assert (status, said["code"]) == (404, "not_found")
    assert told in {None, said["message"]}


async def test_entries_are_counted_step_by_step(browser, autojump_clock):
    await archived(browser, 3)
    tally = {"selection": {"states": ["archived"]}}
    while tally.get("state") != "done":
        _, tally = await browser.rest("POST", "/errors/count", tally)

    assert tally["groups"] == [{"state": "archived", "reason": "rejected_400", "count": 3}]
    assert (await browser.rest("GET", "/changes"))[1] == []


async def test_a_change_in_bulk_is_begun_done_and_noted_at_both_ends(browser, autojump_clock):
    await archived(browser, 450)

    status, begun = await browser.rest("POST", "/bulk/discard", {"states": ["archived"]})
    (done,) = await ended(browser)

    assert (status, begun["state"]) == (200, "running")
    assert (done.state, done.matched, done.changed) == ("done", 450, 450)
    assert await listed(browser, "states=archived") == []
    told = [(one["what"], one["told"]) for one in (await browser.rest("GET", "/changes"))[1]]
    assert told == [
        ("discard in bulk, number 1", "done: 450 of 450 entries"),
        ("POST /bulk/discard", "it has begun: discard in bulk, number 1"),
    ]


async def test_what_is_retried_in_bulk_goes_out_again(browser, autojump_clock):
    await archived(browser, 5)
    browser.engine.desk().answer = each(lambda _: 200)

    await browser.rest("POST", "/bulk/retry", {"states": ["archived"], "text": "m"})
    (done,) = await ended(browser)
    status = await browser.engine.settled()

    assert (done.changed, status.syncs[0].delivered, status.syncs[0].archived) == (5, 5, 0)


async def test_whoever_sees_that_a_change_in_bulk_is_over_finds_the_note(browser, nursery, autojump_clock):
    await archived(browser, 3)
    tree = browser.engine.tree
    over: list[bool] = []

    class Watched(Audit):
        async def add(self, change: Changed) -> None:
            await super().add(change)
            over.append(done.known()[0].state != "running")

    done = Bulks(tree.operator, Watched(tree.store.meta), tree.clock)
    done.begin("discard", Selection(states=(State.ARCHIVED,)), "me")
    nursery.start_soon(done.run)
    await trio.sleep(10)

    assert (over, done.known()[0].state) == ([False], "done")


@pytest.fixture
def bulks(browser) -> Bulks:
    """Return changes in bulk that nobody does yet."""
    tree = browser.engine.tree
    return Bulks(tree.operator, Audit(tree.store.meta), tree.clock)


async def test_a_change_in_bulk_can_be_stopped_before_it_begins(browser, bulks, nursery, autojump_clock):
    await archived(browser, 3)
    none = bulks.begin("discard", Selection(states=(State.ARCHIVED,), text="nothing at all"), "me")
    every = bulks.begin("discard", Selection(states=(State.ARCHIVED,)), "me")

    stopped = bulks.stop(every.number)
    nursery.start_soon(bulks.run)
    await trio.sleep(10)

    assert stopped
    assert [(one.number, one.state) for one in bulks.known()] == [(every.number, "stopped"), (none.number, "done")]
    assert len(await listed(browser, "states=archived")) == 3
    assert bulks.stop(9) is None


async def test_no_more_than_eight_changes_in_bulk_wait(bulks):
    for _ in range(8):
        bulks.begin("retry", Selection(states=(State.ARCHIVED,)), "me")

    with pytest.raises(Refused, match="8 such changes have not ended: wait, or stop one"):
        bulks.begin("retry", Selection(states=(State.ARCHIVED,)), "me")


async def test_one_that_is_not_there_cannot_be_stopped(browser):
    assert (await browser.rest("POST", "/bulk/9/stop"))[0] == 404


async def test_a_change_of_everything_is_not_meant(browser):
    status, said = await browser.rest("POST", "/bulk/discard", {})

    assert (status, said["message"]) == (
        400,
        "say which: states, of which archived and retrying can be changed",
    )


async def test_a_user_s_events_are_listed_and_gone_on_from(browser, autojump_clock):
    await browser.engine.send(5)

    _, first = await browser.rest("GET", "/events?user_id=u&limit=2")
    _, rest = await browser.rest("GET", f"/events?user_id=u&below={first['below']}")
    _, others = await browser.rest("GET", "/events?anonymous_id=u")

    assert [one["message_id"] for one in first["events"] + rest["events"]] == ["m5", "m4", "m3", "m2", "m1"]
    assert (rest["below"], others["events"]) == (1, [])
    assert (await browser.rest("GET", "/events"))[0] == 400


async def test_entries_are_grouped_by_reason_and_each_leads_on(browser, autojump_clock):
    await archived(browser, 2)

    text = await browser.see("/errors")

    assert 'href="/errors?state=archived&amp;reason=rejected_400"' in text
    assert len(re.findall(r'name="ids" value="', text)) == 2


async def test_a_page_follows_a_page_and_one_that_is_gone_is_told(browser, autojump_clock):
    await archived(browser, 60)

    first = await browser.see("/errors")
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = await browser.see(older.replace("&amp;", "&"))
    lost = await browser.see("/errors?after=1-gone")

    ids = re.findall(r'name="ids" value="([^"]+)"', first) + re.findall(r'name="ids" value="([^"]+)"', second)
    assert (len(ids), len(set(ids))) == (60, 60)
    assert "The entry that this page follows is gone" in lost


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("/errors/all/retry", "Retry 2 entries?"),
        ("/errors/all/discard?reason=rejected_400", "Discard 2 entries?"),
        ("/errors/all/discard?reason=other", "Discard 0 entries?"),
        ("/errors/all/replay", "Replay 2 deliveries?"),
        ("/errors/all/discard?state=blocked", "Discard 0 entries?"),
        ("/errors/all/replay?state=retrying", "Replay 0 deliveries?"),
    ],
)
async def test_a_change_is_counted_first(browser, autojump_clock, path, heading):
    await archived(browser, 2)

    text = await browser.see(path)

    assert re.sub(r"\s+", " ", re.findall(r"<h1>(.*?)</h1>", text, re.DOTALL)[0]) == heading
    assert ('action="/do/' in text.partition("<h1>")[2]) == ("2" in heading)


async def test_a_change_is_about_what_was_counted_and_nothing_that_comes_later(browser, autojump_clock):
    await archived(browser, 2)
    text = (await browser.see("/errors/all/discard")).partition('action="/do/bulk/discard"')[2]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', text.partition("</form>")[0]))
    await trio.sleep(1)
    await archived(browser)

    answer = await browser.send("/do/bulk/discard", **fields)

    assert (answer.status, fields["states"]) == (303, "archived")
    assert [one.changed for one in await ended(browser)] == [2]
    assert len(await listed(browser, "states=archived")) == 1


async def test_an_entry_that_is_gone_has_a_page(browser):
    answer = await browser.ask("GET", "/errors/1-abc", PAGE)

    assert answer.status == 404
    assert b"it was delivered meanwhile, let go by retention, or erased" in answer.body


async def test_an_event_s_way_begins_with_where_it_is(browser, autojump_clock):
    await archived(browser)

    text = await browser.see("/lineage?value=m1")

    assert "It was archived on its way to crm (sync orders): rejected_400." in text
    assert "No event with messageId" in await browser.see("/lineage?value=other")


@pytest.mark.parametrize(
    "path",
    ["/errors", "/errors?text={0}&sync={0}&since={0}", "/errors/all/replay?reason={0}", "/lineage?value={0}",
     "/lineage?by=userId&value={0}", "/violations?event={0}&contract={0}&source={0}", "/errors/{1}"],
)  # fmt: skip
async def test_what_comes_from_events_and_addresses_is_text(browser, autojump_clock, path):
    (one,) = await archived(browser, 1, **{EVIL: EVIL})

    text = await browser.see(path.format(quote(EVIL), one.id))

    assert "<script>alert" not in text
