from __future__ import annotations

from pathlib import Path

from engine.config.load import load, read_tables
from engine.plan import compile_plan
from engine.store.opening import open_store
from engine.store.revisions import KEPT, Reached, heads, keep_revision, number_of, revision
from tests.support.grown import REGISTRY

TEXT = """
[sources.shop]
write_keys = ["env:KEY"]
contract = "shop"
[contracts.shop]
path = "shop.json"
[destinations.crm]
type = "desk"
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = { n = "properties.n" }
"""
CONTRACT = b'{"events": [{"type": "track", "name": "Seen", "schema": {"type": "object"}}]}'


async def kept(store, digest: str, **reached: int):
    return await keep_revision(
        store, 5.0, digest=digest, text=f"text {digest}", tables={}, reached=Reached(syncs=reached)
    )


async def revision_of(store, sync: str, position: int):
    return await revision(store, number_of(await heads(store), sync, position))


async def test_each_configuration_is_kept_once_with_where_it_took_effect(tmp_path) -> None:
    store = await open_store("memory", tmp_path)
    first = await kept(store, "a")
    again = await kept(store, "a")
    second = await kept(store, "b", orders=7)

    assert again is None
    assert [(head.number, head.digest) for head in await heads(store)] == [(1, "a"), (2, "b")]
    assert await revision(store, 1) == first
    assert await revision(store, 2) == second
    assert await revision(store, 3) is None


async def test_an_event_belongs_to_the_revision_its_sync_read_it_with(tmp_path) -> None:
    store = await open_store("memory", tmp_path)
    await kept(store, "a", orders=0)
    await kept(store, "b", orders=7)
    await kept(store, "c", orders=7)
    await kept(store, "d", orders=9)
    texts = [found.digest for at in (1, 7, 8, 9, 10) if (found := await revision_of(store, "orders", at))]

    assert texts == ["a", "a", "c", "c", "d"]


async def test_only_the_last_ones_are_kept(tmp_path) -> None:
    store = await open_store("memory", tmp_path)
    for number in range(1, KEPT + 3):
        await kept(store, str(number), orders=number)

    assert [head.number for head in await heads(store)] == list(range(3, KEPT + 3))
    assert await revision(store, 2) is None
    assert await revision_of(store, "orders", 2) is None
    kept_still = await revision_of(store, "orders", 4)
    assert kept_still is not None
    assert kept_still.number == 3


async def test_a_kept_configuration_is_read_without_its_files_and_means_the_same() -> None:
    files = {"config.toml": TEXT.encode(), "shop.json": CONTRACT}
    loaded = load("config.toml", env=None, read_file=lambda path: files[path.name])
    again = read_tables(loaded.tables, Path(), env=None)
    before, after = compile_plan(loaded, REGISTRY), compile_plan(again, REGISTRY)

    assert again.problems == ()
    contracts = [plan.sources["shop"].contract for plan in (before, after)]
    assert contracts[0] is not None
    assert contracts[1] is not None
    assert contracts[0].spec.events == contracts[1].spec.events
    assert after.config.syncs == before.config.syncs
    assert after.config.sources["shop"].write_keys == ("***",)
