"""Makes session.ndjson: one morning of a small shop's website, as its tracking snippet would send it.

Run it as ``python examples/make_session.py``; the same seed gives the same bytes. A few events are wrong on purpose:
what they meet on their way is what ``headrace demo`` shows.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SEED = 20260302
EVENTS = 400
"""At least so many."""
OPENS = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
SITE = "https://shop.example"
CURRENCY = "EUR"


class Product(NamedTuple):
    """One article; the price is in euros."""

    sku: str
    name: str
    category: str
    price: float


class Person(NamedTuple):
    """A visitor who may tell their name; ``company`` is "" for a private one."""

    user_id: str
    name: str
    email: str
    city: str
    company: str = ""


CATALOGUE = (
    Product("KET-01", "Enamel kettle", "Kitchen", 49.9),
    Product("PAN-24", "Iron pan 24 cm", "Kitchen", 64.0),
    Product("KNF-18", "Chef's knife", "Kitchen", 89.5),
    Product("BRD-02", "Oak board", "Kitchen", 32.0),
    Product("MUG-11", "Stoneware mug", "Table", 14.5),
    Product("PLT-27", "Dinner plate, speckled", "Table", 19.9),
    Product("GLS-06", "Water glasses, set of 6", "Table", 27.0),
    Product("LIN-50", "Linen napkin", "Table", 9.75),
    Product("LMP-03", "Brass desk lamp", "Living", 119.0),
    Product("BLK-14", "Wool blanket", "Living", 139.0),
    Product("CND-08", "Beeswax candle", "Living", 12.25),
    Product("VAS-05", "Vase «Mürren»", "Living", 45.0),
)
FIRST_NAMES = ("Ada", "Björn", "Chloé", "Dan", "Elif", "Femi", "Grace", "Hugo", "Ines", "Jonas", "Kaya", "Léa", "Mia")
LAST_NAMES = (
    "Albers",
    "Brandt",
    "Costa",
    "Dubois",
    "Eriksen",
    "Ferrari",
    "Gómez",
    "Haas",
    "Ionescu",
    "Jansen",
    "Krüger",
)
CITIES = ("Bern", "Hamburg", "Lyon", "Porto", "Utrecht", "Wien")
COMPANIES = ("Café Nordlicht", "Hotel Drei Linden", "Studio Óbidos")
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Safari/605",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
)
REFERRERS = (
    "",
    "https://search.example/?q=enamel+kettle",
    "https://news.example/ten-kitchens",
    "https://mail.example/",
)


class Visit:
    """One person's visit: collects its events while the clock goes on.

    Args:
        chance: decides everything.
        person: who it is; known to the shop only after signing up or in.
        at: when the first page is opened.
    """

    def __init__(self, chance: random.Random, person: Person, at: dt.datetime) -> None:
        self.events: list[dict[str, Any]] = []
        self.basket: list[tuple[Product, int]] = []
        self._chance = chance
        self._person = person
        self._at = at
        self._anonymous = str(_uuid(chance))
        self._known = False
        self._agent = chance.choice(AGENTS)
        self._referrer = chance.choice(REFERRERS)
        self._ip = f"203.0.113.{chance.randint(1, 254)}"
        self._path = ""

    def track(self, event: str, **properties: Any) -> dict[str, Any]:
        """Add a track event, and return it."""
        return self._add("track", event=event, properties=properties)

    def page(self, name: str, path: str) -> None:
        """Open a page."""
        self._referrer = SITE + self._path if self._path else self._referrer
        self._path = path
        self._add("page", name=name, properties={"url": SITE + path, "path": path, "title": f"{name} | Hearth & Home"})

    def browse(self) -> None:
        """Look at a few products, and put some into the basket."""
        category = self._chance.choice(("Kitchen", "Table", "Living"))
        shelf = [product for product in CATALOGUE if product.category == category]
        self.page(category, f"/{category.lower()}")
        listed = [_line(product, position=place) for place, product in enumerate(shelf, 1)]
        self.track("Product List Viewed", list_id=category.lower(), category=category, products=listed)
        for product in self._chance.sample(shelf, self._chance.randint(1, 3)):
            self.page(product.name, f"/{category.lower()}/{product.sku.lower()}")
            self.track("Product Viewed", **_line(product), currency=CURRENCY)
            if self._chance.random() < 0.55:  # noqa: PLR2004 - how often people like what they see
                self.add(product, self._chance.choice((1, 1, 1, 2, 4)))

    def add(self, product: Product, quantity: int) -> None:
        """Put a product into the basket."""
        self.basket.append((product, quantity))
        self.track("Product Added", **_line(product), quantity=quantity, currency=CURRENCY)

    def sign(self, *, up: bool) -> None:
        """Sign up, or in: from now on the shop knows who it is."""
        self._known = True
        traits = {"name": self._person.name, "email": self._person.email, "address": {"city": self._person.city}}
        if up:
            traits["createdAt"] = _iso(self._at)
        self._add("identify", traits=traits)
        if up:
            self.track("Signed Up", method=self._chance.choice(("email", "email", "passkey")))

    def check_out(self) -> str | None:
        """Go to the basket, and perhaps through to the end; return the order's id if it was bought."""
        self.page("Cart", "/cart")
        products = [_line(product, quantity=quantity) for product, quantity in self.basket]
        self.track("Cart Viewed", cart_id=f"c-{self._anonymous[:8]}", products=products)
        if self._chance.random() < 0.25:  # noqa: PLR2004 - baskets that are left behind
            return None
        order = self._order(products)
        self.page("Checkout", "/checkout")
        self.track("Checkout Started", **order)
        self.sign(up=self._chance.random() < 0.5)  # noqa: PLR2004 - half of them are new
        method = self._chance.choice(("card", "card", "invoice", "wallet"))
        self.track("Payment Info Entered", order_id=order["order_id"], payment_method=method)
        self.track("Order Completed", **order, payment_method=method)
        self.page("Thank you", "/checkout/done")
        return str(order["order_id"])

    def refund(self, order_id: str) -> None:
        """Send the order back, half an hour later."""
        self._at += dt.timedelta(minutes=30)
        total = next(each["properties"]["total"] for each in self.events if each.get("event") == "Order Completed")
        self.track("Order Refunded", order_id=order_id, total=total, currency=CURRENCY, reason="changed my mind")

    def ask_for_demo(self) -> None:
        """Look at the offer for businesses, and ask for a call."""
        company = self._person.company
        seats = self._chance.choice((5, 12, 40))
        self.page("Business", "/business")
        self.sign(up=True)
        group_id = f"g-{COMPANIES.index(company) + 1}"
        self._add("group", groupId=group_id, traits={"name": company, "employees": seats, "plan": "business"})
        self.track("Demo Requested", company=company, seats=seats, email=self._person.email, message="Please call.")

    def _order(self, products: list[dict[str, Any]]) -> dict[str, Any]:
        value = round(sum(product.price * quantity for product, quantity in self.basket), 2)
        shipping = 0.0 if value > 80 else 4.9  # noqa: PLR2004 - the shop's own rule
        coupon = {"coupon": "SPRING10"} if self._chance.random() < 0.2 else {}  # noqa: PLR2004 - a fifth has one
        discount = round(value / 10, 2) if coupon else 0.0
        return {
            "order_id": f"o-{self._chance.randint(100000, 999999)}",
            "total": round(value - discount + shipping, 2),
            "revenue": round(value - discount, 2),
            "shipping": shipping,
            "discount": discount,
            **coupon,
            "currency": CURRENCY,
            "products": products,
        }

    def _add(self, call: str, **members: Any) -> dict[str, Any]:
        event = {
            "type": call,
            "messageId": str(_uuid(self._chance)),
            "anonymousId": self._anonymous,
            **({"userId": self._person.user_id} if self._known else {}),
            **members,
            "timestamp": _iso(self._at),
            "context": self._context(),
        }
        self.events.append(event)
        self._at += dt.timedelta(milliseconds=self._chance.randint(400, 25_000))
        return event

    def _context(self) -> dict[str, Any]:
        return {
            "library": {"name": "shop-snippet", "version": "2.1.0"},
            "page": {"path": self._path, "url": SITE + self._path, "referrer": self._referrer},
            "userAgent": self._agent,
            "ip": self._ip,
            "locale": "en-GB",
        }


def session(seed: int = SEED) -> list[dict[str, Any]]:
    """Return the morning's events in the order in which they happened, the odd ones among them."""
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    events: list[dict[str, Any]] = []
    number = 0
    while len(events) < EVENTS:
        events += _visit(chance, number).events
        number += 1
    events.sort(key=lambda event: event["timestamp"])
    return _with_mistakes(events)


def _visit(chance: random.Random, number: int) -> Visit:
    """Return the visit of the person of that number."""
    at = OPENS + dt.timedelta(minutes=4 * number, seconds=chance.randint(0, 240))
    visit = Visit(chance, _person(chance, number), at)
    visit.page("Home", "/")
    if number % 9 == 4:  # noqa: PLR2004 - now and then somebody from a company
        visit.ask_for_demo()
        return visit
    for _ in range(chance.randint(1, 2)):
        visit.browse()
    if number % 5 == 0:
        visit.track("Newsletter Subscribed", list="spring", placement="footer")
    order_id = visit.check_out() if visit.basket else None
    if order_id and number % 7 == 0:
        visit.refund(order_id)
    return visit


def _person(chance: random.Random, number: int) -> Person:
    first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
    return Person(
        user_id=f"u-{1001 + number}",
        name=f"{first} {last}",
        email=f"{_ascii(first)}.{_ascii(last)}@mail.example",
        city=chance.choice(CITIES),
        company=COMPANIES[number // 9 % len(COMPANIES)],
    )


def _with_mistakes(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *events* with what goes wrong in real life: types that changed, fields left out, one event sent twice."""
    orders = [event for event in events if event.get("event") == "Order Completed"]
    added = [event for event in events if event.get("event") == "Product Added"]
    del orders[1]["properties"]["order_id"]
    orders[4]["properties"]["total"] = "one hundred"
    added[3]["properties"]["price"] = "n/a"
    added[9]["properties"]["quantity"] = 0
    again = events.index(orders[2])
    return [*events[: again + 3], orders[2], *events[again + 3 :]]


def _line(product: Product, **more: Any) -> dict[str, Any]:
    """Return a product as it stands in lists and baskets."""
    properties = {"product_id": product.sku, "name": product.name, "category": product.category, "price": product.price}
    return properties | more


def _uuid(chance: random.Random) -> uuid.UUID:
    return uuid.UUID(int=chance.getrandbits(128), version=4)


def _iso(at: dt.datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ascii(name: str) -> str:
    """Return a name as it is written in addresses."""
    table = str.maketrans({"ö": "oe", "ü": "ue", "é": "e", "ó": "o"})
    return name.lower().translate(table)


def lines(seed: int = SEED) -> Iterator[str]:
    """Yield each event as one line of JSON, with its newline."""
    for event in session(seed):
        yield json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"


def main() -> None:
    """Write session.ndjson beside this file."""
    target = Path(__file__).with_name("session.ndjson")
    target.write_text("".join(lines()), encoding="utf-8", newline="\n")
    sys.stdout.write(f"{target.name}: {sum(1 for _ in lines())} events\n")


if __name__ == "__main__":
    main()
