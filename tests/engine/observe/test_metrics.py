from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from engine.observe.latency import Histogram
from engine.observe.metrics import Inside, exposition
from engine.observe.status import DestinationStatus, SourceStatus, Status, SyncStatus


def scraped(status: Status, inside: Inside) -> dict[str, float]:
    """Return each sample by its name with its labels, as Prometheus reads them."""
    text = exposition(status, inside).decode()
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_the_status_says_is_told_with_labels() -> None:
    shop = SourceStatus(name="shop", read=10, accepted=7, duplicate=1, refused={"too_large": 2}, passed=6, blocked=1)
    orders = SyncStatus(
        name='the "orders"',
        source="shop",
        lag=4,
        created=6,
        delivered=3,
        archived=1,
        pending=1,
        filtered={"no_match": 2},
        oldest_pending=12.5,
    )
    crm = DestinationStatus(name="crm", state="open", waiting=3, in_flight=2)
    status = Status(
        running=True,
        last=7,
        used=1000,
        free=5000,
        full="no room",
        sources=(shop,),
        syncs=(orders,),
        destinations=(crm,),
    )
    inside = Inside(
        version="1.2.3",
        responses={("crm", 200): 3, ("crm", 0): 1},
        outcomes={("orders", "retrying", "rejected_500"): 4, ("orders", "archived", "rejected_400"): 1},
        restarts={"router.orders": 2, "receiver": 0},
        limit=2000,
        reserve=64,
    )

    found = scraped(status, inside)

    assert (
        found.items()
        >= {
            "headrace_build_info version=1.2.3": 1,
            "headrace_events_received_total source=shop": 7,
            "headrace_events_rejected_total reason=too_large source=shop": 2,
            "headrace_events_duplicate_total source=shop": 1,
            "headrace_source_fates_total fate=blocked source=shop": 1,
            'headrace_delivered_total sync=the "orders"': 3,
            'headrace_filtered_total reason=no_match sync=the "orders"': 2,
            "headrace_retried_total sync=orders": 4,
            "headrace_archived_total reason=rejected_400 sync=orders": 1,
            'headrace_pending sync=the "orders"': 1,
            'headrace_oldest_event_age_seconds sync=the "orders"': 12.5,
            'headrace_lag_events name=the "orders" stage=router': 4,
            "headrace_queue_depth destination=crm": 3,
            "headrace_inflight destination=crm": 2,
            "headrace_destination_state destination=crm state=open": 1,
            "headrace_destination_state destination=crm state=closed": 0,
            "headrace_destination_response_total code=200 destination=crm": 3,
            "headrace_destination_response_total code=none destination=crm": 1,
            "headrace_actor_restarts_total actor=router.orders": 2,
            "headrace_actor_restarts_total actor=receiver": 0,
            "headrace_books_residual book=door of shop": 0,
            'headrace_books_residual book=deliveries of the "orders"': 1,
            "headrace_store_used_bytes": 1000,
            "headrace_store_limit_bytes": 2000,
            "headrace_disk_free_bytes": 5000,
            "headrace_disk_reserve_bytes": 64,
            "headrace_store_full": 1,
        }.items()
    )
    assert found["process_resident_memory_bytes"] > 0


def test_a_latency_is_a_histogram_in_seconds() -> None:
    took = Histogram()
    for seconds in (0.0002, 0.004, 0.004, 30.0, 1200.0):
        took.add(seconds)

    found = scraped(Status(running=True, last=0, used=0, free=0), Inside(version="1", delivered={"orders": took}))

    name = "headrace_end_to_end_latency_seconds"
    told = [found[f"{name}_bucket le={bound} sync=orders"] for bound in ("0.001", "0.005", "60.0", "1000.0", "+Inf")]
    assert told == [1, 3, 4, 4, 5]
    assert found[f"{name}_count sync=orders"] == 5
    assert found[f"{name}_sum sync=orders"] == took.total
