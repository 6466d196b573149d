"""The fields of the preview: for whom, where and when. All are named `preview_…`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from catalog.models import Product, Store
from catalog.selectors.product_list import ALL_STATES, ProductFilter, product_page
from recommender.console.picker import values_typed
from recommender.services.preview import Who

DEVICES = {"": "Any device", "mobile": "Phone", "tablet": "Tablet", "desktop": "Computer"}
CONSENTS = {"unknown": "Not asked yet", "granted": "Given", "denied": "Refused"}
MAX_TEXT = 400
MAX_CART = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewFields:
    """What stands in the fields, as typed."""

    placement: str = ""
    shopper: str = ""
    product: str = ""
    cart: tuple[str, ...] = ()
    category: str = ""
    device: str = ""
    locale: str = ""
    at: str = ""
    consent: str = "unknown"
    why: str = ""

    @property
    def has_more(self) -> bool:
        """Whether anything stands in the fields that are folded away."""
        folded = (self.cart, self.category, self.device, self.locale, self.at)
        return any(folded) or self.consent != "unknown"


@dataclass(frozen=True, slots=True)
class Understood:
    """The fields as they were understood.

    Attributes
    ----------
    product, why
        None where nothing was typed or nothing fits.
    cart
        Of the shop's own ids; None takes the cart from the shopper's events.
    problems
        By field: what couldn't be understood.
    """

    fields: PreviewFields
    product: Product | None
    why: Product | None
    cart: tuple[str, ...] | None
    at: datetime | None
    problems: Mapping[str, str]

    def who(self) -> Who:
        return Who(
            shopper_id=self.fields.shopper or None,
            product_ids=(self.product.external_id,) if self.product is not None else (),
            cart=self.cart,
            category=self.fields.category or None,
            device=self.fields.device or None,
            locale=self.fields.locale or None,
            consent=self.fields.consent,
            at=self.at,
            why_not=(self.why.external_id,) if self.why is not None else (),
        )


def fields_from(sent: QueryDict) -> PreviewFields:
    """Read the fields; what isn't one of the choices becomes the first choice."""

    def text(name: str, limit: int = MAX_TEXT) -> str:
        return sent.get(f"preview_{name}", "").replace("\x00", "").strip()[:limit]

    device, consent = text("device"), text("consent")
    cart = values_typed("product", "\n".join(sent.getlist("preview_cart")).replace("\x00", ""))
    return PreviewFields(
        placement=text("placement", 80),
        shopper=text("shopper", 128),
        product=text("product"),
        cart=tuple(each[:128] for each in cart[:MAX_CART]),
        category=text("category"),
        device=device if device in DEVICES else "",
        locale=text("locale", 35),
        at=text("at", 40),
        consent=consent if consent in CONSENTS else "unknown",
        why=text("why"),
    )


def understand(store: Store, fields: PreviewFields) -> Understood:
    """Look up what was typed. A query for each product that was named by its title or id."""
    problems: dict[str, str] = {}
    found: dict[str, Product | None] = {}
    for name in ("product", "why"):
        typed = getattr(fields, name)
        found[name] = product_typed(store, typed) if typed else None
        if typed and found[name] is None:
            problems[name] = f"No product of the catalog fits “{typed}”."
    at = None
    if fields.at:
        at = _moment(fields.at)
        if at is None:
            problems["at"] = f"“{fields.at}” is no date and time."
    return Understood(fields, found["product"], found["why"], fields.cart or None, at, problems)


def product_typed(store: Store, typed: str) -> Product | None:
    """The product that was chosen, or typed: by its id, else the first by its words."""
    product = Product.objects.filter(store=store, external_id=typed[:128]).first()
    if product is not None:
        return product
    wanted = ProductFilter(words=typed, state=ALL_STATES, sort="title")
    return next(iter(product_page(store=store, wanted=wanted, number=1).products), None)


def _moment(text: str) -> datetime | None:
    try:
        at = parse_datetime(text)
    except ValueError:
        return None
    if at is None or not 2000 <= at.year <= 2100:
        return None
    return timezone.make_aware(at) if timezone.is_naive(at) else at
