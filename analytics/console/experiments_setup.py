"""What an experiment is, for reading: its locked settings, and links to look at its variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analytics.console.experiments import experiment_found, head_context
from analytics.console.experiments_words import KIND_WORDS, arms_of, shares_of
from analytics.metrics.definitions import DEFINITIONS
from analytics.selectors.shop_pages import ShopPages, shop_pages
from catalog.console.access import ConsoleRequest, member_page
from recommender.models import Experiment, Placement
from recommender.serving.signing import qa_token

# In a page's address: a token shows a variant from then on in this tab, `off` ends it.
QA_PARAMETER = "vitrine_qa"
QA_OFF = "off"


@require_safe
@member_page()
def experiment_setup(request: ConsoleRequest, key: str) -> HttpResponse:
    experiment = experiment_found(request, key)
    context = head_context(request, experiment) | setup_context(experiment)
    return render(request, "console/experiments/setup.html", context)


@require_safe
@member_page()
def experiment_links(request: ConsoleRequest, key: str) -> HttpResponse:
    """A link for each variant. Who has it can open it; that is all it can do."""
    experiment = experiment_found(request, key)
    pages = _pages(request, experiment)
    secret = bytes(request.store.signing_secret)
    arms = []
    for arm in arms_of(experiment):
        token = qa_token(secret, experiment.pk, arm.variant.pk)
        arms.append({"arm": arm, "token": token, "links": _links(pages, token)})
    context = head_context(request, experiment) | {
        "arms": arms,
        "off_links": _links(pages, QA_OFF),
        "parameter": QA_PARAMETER,
        "is_known": bool(pages),
        "is_over": experiment.state == Experiment.State.STOPPED,
    }
    return render(request, "console/experiments/links.html", context)


def setup_context(experiment: Experiment) -> dict[str, Any]:
    """The settings in words, for `_setup.html`."""
    share = None
    if experiment.group_start is not None and experiment.group_end is not None:
        share = experiment.group_end - experiment.group_start
    return {
        "experiment": experiment,
        "kind_words": KIND_WORDS[experiment.kind],
        "arms": arms_of(experiment),
        "primary": DEFINITIONS[experiment.primary_metric],
        "guards": [
            (DEFINITIONS[each["metric"]], each["margin"])
            for each in experiment.guardrails
            if each["metric"] in DEFINITIONS
        ],
        "group_share": share,
        "phases": [
            {"phase": phase, "shares": shares_of(phase.weights)}
            for phase in experiment.phases.all()
        ],
    }


@dataclass(frozen=True, slots=True)
class ShopPage:
    """A page of the shop that is good to look at."""

    label: str
    url: str


def _pages(request: ConsoleRequest, experiment: Experiment) -> list[ShopPage]:
    """Pages where the experiment's placements are to be seen; empty if the shop isn't known."""
    known = shop_pages(store=request.store)
    if request.store.is_demo:
        home = request.build_absolute_uri(reverse("shop:home"))
        known = ShopPages((home,), request.build_absolute_uri(known.product))
    types = {on.placement.page_type for on in experiment.on.all()}
    pages = [
        ShopPage("Home page" if len(known.homes) == 1 else urlsplit(home).netloc, home)
        for home in known.homes
    ]
    if known.product.startswith("http") and (Placement.PageType.PRODUCT in types or not types):
        pages.insert(0, ShopPage("A product page", known.product))
    return pages


def _links(pages: list[ShopPage], token: str) -> list[ShopPage]:
    return [ShopPage(page.label, with_parameter(page.url, token)) for page in pages]


def with_parameter(url: str, token: str) -> str:
    """The address with the token in its query, whatever else stands there.

    >>> with_parameter("https://shop.example/p?id=3#top", "abc")
    'https://shop.example/p?id=3&vitrine_qa=abc#top'
    """
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k != QA_PARAMETER]
    return urlunsplit(parts._replace(query=urlencode([*query, (QA_PARAMETER, token)])))
