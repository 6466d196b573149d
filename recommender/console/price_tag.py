"""The price tag of a change: the replay's progress, and its figures in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catalog.models import Product, Store
from catalog.money import money_text
from catalog.selectors.product_list import products_by_id
from recommender.engine.comparison import Comparison
from recommender.services.price_tag import PERIOD, SAMPLE, PriceTag

UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One line: a figure now, with the edit, and the difference."""

    label: str
    now: str
    then: str
    change: str
    note: str = ""


def price_tag_context(store: Store, tag: PriceTag | None) -> dict[str, Any]:
    """What the template says. One query when it is done."""
    context: dict[str, Any] = {
        "tag": tag,
        "sample_size": SAMPLE,
        "period_days": PERIOD.days,
    }
    if tag is None or tag.comparison is None:
        return context
    found = tag.comparison
    wanted = [product_id for product_id, _ in (*found.appear, *found.vanish)]
    products = products_by_id(store=store, product_ids=wanted)
    return context | {
        "verdict": verdict_words(found),
        "figures": figure_rows(found, store.currency),
        "lists": [
            (
                "Appear",
                _listed(found.appear, products),
                found.n_appear,
                "No product that isn't shown now.",
            ),
            (
                "Vanish",
                _listed(found.vanish, products),
                found.n_vanish,
                "Every product that is shown now still is.",
            ),
        ],
    }


def _listed(
    shown: list[tuple[int, int]], products: dict[int, Product]
) -> list[tuple[Product, int]]:
    return [(products[each], n) for each, n in shown if each in products]


def verdict_words(found: Comparison) -> str:
    """The finding in one sentence."""
    if not found.n_changed:
        return f"None of {found.n:,} answers changes."
    rate = found.n_changed / found.n
    words = f"{_percent(rate)} of the answers change ({found.n_changed:,} of {found.n:,})"
    more_short = found.then.short_rate - found.now.short_rate
    if more_short > 0:
        return f"{words}, and {_percent(more_short)} more are below the minimum."
    return f"{words}."


def figure_rows(found: Comparison, currency: str) -> list[FigureRow]:
    """All figures of the comparison, each with its difference."""
    now, then = found.now, found.then
    known = min(now.margin_known_rate, then.margin_known_rate)
    return [
        _share("Empty answers", now.empty_rate, then.empty_rate),
        _share("Below the minimum", now.short_rate, then.short_rate, "empty ones included"),
        _money("Mean price", now.mean_price_minor, then.mean_price_minor, currency),
        _money(
            "Mean margin",
            now.mean_margin_minor,
            then.mean_margin_minor,
            currency,
            f"{known * 100:.0f} % of what is shown has one" if known < 1 else "",
        ),
        _number("Diversity", now.diversity, then.diversity, "0 all alike, 1 nothing in common"),
        FigureRow(
            "Different products",
            f"{now.n_products:,}",
            f"{then.n_products:,}",
            _change(then.n_products - now.n_products, 0),
        ),
        _share("Coverage", now.coverage, then.coverage, "of what may be shown"),
    ]


def _share(label: str, now: float | None, then: float | None, note: str = "") -> FigureRow:
    if now is None or then is None:
        return FigureRow(label, UNKNOWN, UNKNOWN, "", note)
    change = _change((then - now) * 100, 1, " points")
    return FigureRow(label, f"{now:.1%}", f"{then:.1%}", change, note)


def _number(label: str, now: float | None, then: float | None, note: str) -> FigureRow:
    if now is None or then is None:
        return FigureRow(label, UNKNOWN, UNKNOWN, "", note)
    return FigureRow(label, f"{now:.3f}", f"{then:.3f}", _change(then - now, 3), note)


def _money(
    label: str, now: float | None, then: float | None, currency: str, note: str = ""
) -> FigureRow:
    if now is None or then is None:
        words = [
            UNKNOWN if each is None else money_text(round(each), currency) for each in (now, then)
        ]
        return FigureRow(label, words[0], words[1], "", note)
    change = _change((then - now) / now * 100, 1, " %") if now else ""
    return FigureRow(
        label, money_text(round(now), currency), money_text(round(then), currency), change, note
    )


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _change(difference: float, places: int, unit: str = "") -> str:
    """With its sign; what rounds to nothing is said to be none."""
    if not round(difference, places):
        return "none"
    return f"{difference:+,.{places}f}{unit}"
