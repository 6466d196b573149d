"""What each metric of an experiment is: one definition for the statistics, the page and the export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["proportion", "mean", "ratio", "coverage", "gini", "quantile"]
Unit = Literal["percent", "money", "number", "milliseconds"]
Direction = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric.

    Attributes
    ----------
    key
        As in `recommender.models.Metric`.
    kind
        Which statistics it takes. ``proportion``: shoppers who did it at least once. ``mean``: one
        number per shopper. ``ratio``: two sums per shopper. ``coverage``, ``gini``: distinct and
        repeated products of an arm. ``quantile``: of all answers of an arm.
    direction
        What is good; ``neither`` is only looked at.
    numerator, denominator
        What the raw numbers are, in words: "buyers" of "shoppers".
    formula
        For the popover: how it is computed, in one sentence.
    window, cap
        What counts as to time, and what large values are cut to; empty: nothing special.
    guard
        The harm that is accepted where it guards, relative; None: it isn't offered as guardrail.
    cuped
        Whether a figure of the 14 days before exposure can narrow it.
    source
        Of the formula; empty if it needs none.
    needs
        What is missing where lists were shown and it has no value all the same; empty: that can't
        be.
    """

    key: str
    name: str
    kind: Kind
    unit: Unit
    direction: Direction
    numerator: str
    denominator: str
    formula: str
    window: str = "From a shopper's first exposure to the end of the test"
    cap: str = ""
    guard: float | None = None
    cuped: bool = False
    source: str = ""
    needs: str = ""


_CAP = "What a shopper spent is cut at the 99.9th percentile of all who bought; uncapped beside it"

DEFINITIONS: dict[str, Definition] = {
    definition.key: definition
    for definition in (
        Definition(
            "conversion_rate", "Conversion rate", "proportion", "percent", "higher",
            "buyers", "shoppers",
            "Exposed shoppers who bought at least once after exposure, of all exposed shoppers.",
            guard=0.02, cuped=True,
        ),
        Definition(
            "revenue_per_shopper", "Revenue per shopper", "mean", "money", "higher",
            "revenue", "shoppers",
            "What exposed shoppers paid after exposure, wherever they found it, per exposed shopper.",
            cap=_CAP, guard=0.03, cuped=True,
        ),
        Definition(
            "average_order_value", "Average order value", "ratio", "money", "higher",
            "revenue", "orders",
            "What exposed shoppers paid after exposure, per order; variance by the delta method over"
            " shoppers.",
            guard=0.03,
            source="Deng, Knoblich, Lu, Applying the delta method in metric analytics, KDD 2018",
        ),
        Definition(
            "add_to_cart_rate", "Add-to-cart rate", "proportion", "percent", "higher",
            "shoppers with a cart", "shoppers",
            "Exposed shoppers who put something into the cart after exposure, of all exposed"
            " shoppers.",
            guard=0.02, cuped=True,
        ),
        Definition(
            "click_rate", "Click rate", "ratio", "percent", "higher",
            "clicks", "recommendations seen",
            "Clicks on recommendations of the test, per recommendation that was visible for a second;"
            " variance by the delta method over shoppers.",
            guard=0.03,
            source="Deng, Knoblich, Lu, Applying the delta method in metric analytics, KDD 2018",
        ),
        Definition(
            "diversity", "Diversity of a list", "ratio", "number", "higher",
            "sum over lists", "lists",
            "Mean of one minus the cosine of the content vectors, over all pairs of products of a"
            " list; averaged over lists (intra-list diversity). 0: all alike, 1: nothing in common.",
            guard=0.05,
            source="Ziegler et al., Improving recommendation lists through topic diversification,"
            " WWW 2005",
            needs="no list of two products that a content model knows: the Models page trains one",
        ),
        Definition(
            "coverage", "Catalog coverage", "coverage", "percent", "higher",
            "products shown", "products that may be shown",
            "Different products that the arm was shown, of all that may be shown (with a price, in"
            " stock, not hidden) or were. Arms are compared at the same number of shoppers: more"
            " shoppers are shown more.",
            guard=0.05,
            source="Interval: Good, Toulmin 1956; Efron, Thisted 1976",
        ),
        Definition(
            "novelty", "Novelty", "ratio", "number", "higher",
            "sum over places", "places",
            "Mean of -log2 of a product's share of all views and sales, over the places shown. Higher:"
            " less of what everybody knows anyway.",
            guard=0.05,
            source="Castells, Hurley, Vargas, Novelty and diversity in recommender systems, 2015",
            needs="no product was looked at or sold in the 90 days before the start",
        ),
        Definition(
            "concentration", "Concentration (Gini)", "gini", "number", "lower",
            "Gini index", "products that may be shown",
            "Gini index of how often each product that may be shown or was stood in a list, those"
            " never shown included. 0: all alike, 1: one product takes every place.",
            guard=0.05,
            source="Fleder, Hosanagar, Blockbuster culture's next rise or fall, 2009",
        ),
        Definition(
            "serendipity", "Serendipity", "ratio", "number", "higher",
            "sum over lists", "lists",
            "Mean over the products of a list of how unlike they are to what the shopper dealt with"
            " before, counted where the product was clicked or bought.",
            source="Zhang et al., Auralist: introducing serendipity into music recommendation, 2012",
            needs="no shopper with a past was shown products that a content model knows",
        ),
        Definition(
            "calibration", "Calibration", "ratio", "number", "lower",
            "sum over lists", "lists",
            "Kullback-Leibler divergence of the categories of a list from those of the shopper's own"
            " history (α = .01). 0: the list mirrors the shopper's taste.",
            source="Steck, Calibrated recommendations, RecSys 2018",
            needs="no shopper who was shown a list had looked at or bought anything before that day",
        ),
        Definition(
            "empty_rate", "Empty answers", "ratio", "percent", "lower",
            "empty answers", "answers",
            "Answers without a product, of all answers of the test.",
            guard=0.10,
        ),
        Definition(
            "fallback_rate", "Places filled by fallback", "ratio", "percent", "lower",
            "places filled by fallback", "places",
            "Places in lists that the strategy alone could not fill, of all places shown.",
            guard=0.10,
        ),
        Definition(
            "latency", "Latency (p95)", "quantile", "milliseconds", "lower",
            "95th percentile", "answers",
            "The time within which 95 % of the arm's answers were computed; interval by order"
            " statistics.",
            guard=0.20,
        ),
    )
}  # fmt: skip
