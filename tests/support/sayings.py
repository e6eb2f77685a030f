"""What a state machine of deliveries says, and the configuration that it runs with."""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st

from tests.support.fates import GOES, HANDS, PATIENCE, TRIES, WINDOW, Regime, Said

STANDING, PARKED = 6, 3
DESK = """
[destinations.{name}]
type = "desk"
batch = {batch}
concurrency = {concurrency}
timeout = "2s"
[destinations.{name}.retry]
window = "{window:g}s"
min_attempts = {tries}
backoff = "1s..4s"
[destinations.{name}.breaker]
failures = 4
probe = "3s"
"""
DESKS = DESK.format(
    name="crm", batch=3, concurrency=HANDS["crm"], window=WINDOW["orders"], tries=TRIES["orders"]
) + DESK.format(name="erp", batch=1, concurrency=HANDS["erp"], window=WINDOW["turns"], tries=TRIES["turns"])
SYNC = """
[syncs.{name}]
source = "shop"
destination = "{to}"
{order}
[[syncs.{name}.event_types]]
filter = 'properties.kind != "{regime.refuses}"'
[syncs.{name}.event_types.mapping]
n = "properties.n"
v = {{ value = {regime.version} }}
whole = {{ from = "properties.whole", when_missing = "{missing}" }}
"""
ORDER = f'order_by = "userId"\norder_timeout = "{PATIENCE["turns"]:g}s"'
REGIMES = st.builds(Regime, st.sampled_from("xy"), st.sampled_from([1, 2]), st.booleans())
SCRIPTS = st.sampled_from(
    [
        *[(200,)] * 4,
        (500, 200),
        (500, 500, 200),
        (429, 200),
        (500,),
        (400,),
        (400, 200),
        (403,),
        (503, 400, 500, 200),
    ]
)
EVENTS = st.lists(
    st.builds(
        partial(Said, 0),
        user=st.sampled_from(["u1", "u2", "u3"]),
        kind=st.sampled_from("xyzzz"),
        whole=st.sampled_from([True, True, True, False]),
        script=SCRIPTS,
    ),
    min_size=1,
    max_size=9,
)


def text_of(regimes: dict[str, Regime]) -> str:
    """Return the configuration of two syncs: one to a desk that takes batches, one in order."""
    return DESKS + "".join(
        SYNC.format(
            name=name,
            to=to,
            order=ORDER if name == "turns" else "",
            regime=regimes[name],
            missing="fail" if regimes[name].strict else "omit",
        )
        for name, to in GOES.items()
    )
