"""Rules on the request path do what reading every rule for every product does."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.engine.online.rule_sets import pack, product_sets
from recommender.selectors.serving_settings import RuleSettings, SegmentSettings
from recommender.serving.context import Context
from recommender.serving.rule_compile import RuleProblem
from recommender.serving.rule_index import rules_compile
from recommender.serving.rules import Condition, RuleDocument, Target, rule_parse
from tests.unit.serving.requests import context_on
from tests.unit.serving.test_snapshot import NOON_S, row, snapshot

BRANDS = ("Leaf", "Pot", "Kiln")
# A level that no product stands on by itself, and names that hold the sign between two levels.
CATEGORIES = ("Tea > Green > Loose", "Tea > Black", "Teapots", "Cups", "A > > B")
VIEWABLE = (*CATEGORIES, "Tea", "Tea > Green", "A", "A >", "Gone")
TAGS = ("new", "gift")
SHOT = snapshot(
    *[
        row(
            n,
            brand=("", *BRANDS)[n % 4],
            category_path=("", *CATEGORIES)[n % 6],
            price_minor=None if n == 5 else 100 * (1 + n * 7 % 9),
            tags=[tag for place, tag in enumerate(TAGS) if n >> place & 1],
        )
        for n in range(24)
    ]
)
PHONES = SegmentSettings("phones", "Phones", {"type": "device", "devices": ["mobile"]})
PRICES = st.integers(0, 1_000)


def some(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)


def spans() -> st.SearchStrategy[dict[str, int]]:
    return st.one_of(
        PRICES.map(lambda low: {"price_from_minor": low}),
        PRICES.map(lambda high: {"price_until_minor": high}),
        st.tuples(PRICES, PRICES).map(
            lambda ends: {"price_from_minor": min(ends), "price_until_minor": max(ends)}
        ),
    )


def parts(
    required: dict[str, Any] | None = None, **optional: Any
) -> st.SearchStrategy[dict[str, Any]]:
    """A dictionary with some of the optional keys, and a span of prices in some cases."""
    plain = st.fixed_dictionaries(required or {}, optional=optional)
    return st.tuples(plain, st.one_of(st.just({}), spans())).map(
        lambda both: {**both[0], **both[1]}
    )


TARGETS = parts(
    brands=some(BRANDS),
    categories=some(("Tea", "Tea > Green", *CATEGORIES)),
    tags=some(TAGS),
    product_ids=some(tuple(f"e{n}" for n in range(8))),
    same_category=st.just(True),
    same_brand=st.just(True),
    price_within_percent=st.sampled_from((10, 25, 100)),
    compared=st.sampled_from(("cheaper", "dearer")),
).filter(bool)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "placements": st.just(["here"]),
        "page_types": some(("product", "home")),
        "viewed": parts(brands=some(BRANDS), categories=some(VIEWABLE[:-1]), tags=some(TAGS)),
        "devices": some(("mobile", "desktop")),
        "locales": st.just(["de"]),
        "segments": st.just(["phones"]),
    },
)
ACTIONS = st.one_of(
    st.sampled_from([{"type": "include_only"}, {"type": "exclude"}]),
    st.sampled_from([1.1, 2.0, 10.0]).flatmap(
        lambda factor: st.sampled_from(
            [{"type": "boost", "factor": factor}, {"type": "bury", "factor": factor}]
        )
    ),
    st.just({"type": "reserve", "slots": 1}),
)
DOCUMENTS = st.lists(
    st.fixed_dictionaries({"action": ACTIONS, "target": TARGETS, "condition": CONDITIONS}),
    max_size=12,
)
PAGES = st.tuples(
    st.one_of(st.none(), st.integers(0, len(SHOT) - 1)),
    st.one_of(st.none(), st.sampled_from(VIEWABLE)),
    st.sampled_from(("here", "there")),
    st.sampled_from(("product", "home")),
    st.sampled_from((None, "mobile", "desktop")),
    st.sampled_from((None, "de-AT", "en")),
)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.lists(PAGES, min_size=1, max_size=4))
def test_the_tables_say_what_every_rule_says_by_itself(
    documents: list[dict[str, Any]], pages: list[Any]
) -> None:
    stored = [RuleSettings(n, f"Rule {n}", each) for n, each in enumerate(documents)]
    compiled = rules_compile(
        stored, [PHONES], SHOT, placements=["here"], time_zone="UTC", now_s=NOON_S
    )
    left_out = {each.rule_id for each in compiled.problems} if compiled is not None else set()
    serving = [(n, rule_parse(each)) for n, each in enumerate(documents) if n not in left_out]
    rows = np.arange(len(SHOT), dtype=np.int32)
    # Twice: what is kept of the first time is what the second one gets.
    for page in (*pages, *pages):
        row_in_view, category, slug, page_type, device, locale = page
        here = context(row_in_view, category, device=device, locale=locale)
        active = compiled and compiled.active(here, slug=slug, page_type=page_type)
        counting = [
            (n, rule) for n, rule in serving if _counts(rule.condition, here, slug, page_type)
        ]
        assert (
            [rule.rule_id for rule in active.rules] == [n for n, _ in counting]
            if active
            else (not counting)
        )
        if not active:
            continue
        may, factors = np.ones(len(SHOT), np.bool_), np.ones(len(SHOT))
        for n, rule in counting:
            means = np.array([_means(rule.target, int(each), here) for each in rows])
            serving_rule = next(each for each in active.rules if each.rule_id == n)
            assert active.means(serving_rule, rows).tolist() == means.tolist()
            _apply(rule, means, _can_compare(rule.target, here), may, factors)
        allowed, found = active.allows(rows), active.factors(rows)
        assert (
            np.ones(len(SHOT), np.bool_) if allowed is None else allowed
        ).tolist() == may.tolist()
        np.testing.assert_allclose(
            np.ones(len(SHOT)) if found is None else found, np.clip(factors, 0.01, 100), rtol=1e-5
        )
        # A part of the catalog gets the same answers as the whole of it.
        if allowed is not None:
            np.testing.assert_array_equal(active.allows(rows[::-3]), allowed[::-3])
        if found is not None:
            np.testing.assert_array_equal(active.factors(rows[::-3]), found[::-3])


def test_of_many_factors_a_hundred_counts_also_beside_what_compares() -> None:
    documents: list[dict[str, Any]] = [
        {"action": {"type": "boost", "factor": 10}, "target": {"brands": ["Pot"]}}
        for _ in range(50)
    ]
    same_brand = {"action": {"type": "bury", "factor": 10}, "target": {"same_brand": True}}
    for more in ([], [same_brand], [same_brand] * 49):
        stored = [RuleSettings(n, "Rule", each) for n, each in enumerate([*documents, *more])]
        compiled = rules_compile(
            stored, [], SHOT, placements=["here"], time_zone="UTC", now_s=NOON_S
        )
        assert compiled is not None
        pot, leaf = SHOT.brands.code_of["Pot"], SHOT.brands.code_of["Leaf"]
        in_view = int((SHOT.brand_codes == pot).argmax())
        active = compiled.active(context(in_view, None), slug="here", page_type="home")
        assert active is not None
        factors = active.factors(np.arange(len(SHOT), dtype=np.int32))
        assert factors is not None
        left = 50 - len(more)
        assert set(factors[SHOT.brand_codes == pot].tolist()) == {100.0 if left > 1 else 10.0}
        assert set(factors[SHOT.brand_codes == leaf].tolist()) == {1.0}


@given(st.lists(st.lists(st.booleans(), min_size=13, max_size=13), max_size=8))
def test_a_mask_holds_a_set_of_products_whole_or_not_at_all(masks: list[list[bool]]) -> None:
    packed = [None, *(pack(np.array(mask)) for mask in masks)]
    sets = product_sets(packed, n_items=13)
    for mask, holds in zip([[True] * 13, *masks], sets.holds, strict=True):
        assert holds[sets.codes].tolist() == mask
    assert len(np.unique(sets.codes)) == sets.n_sets
    kinds = {tuple(mask[item] for mask in masks) for item in range(13)}
    assert sets.n_sets == len(kinds)


def test_an_empty_catalog_has_sets_that_nothing_holds() -> None:
    sets = product_sets([np.empty(0, np.uint8), None], n_items=0)
    assert len(sets.codes) == 0
    assert sets.holds.shape[0] == 2


def test_a_choice_of_rules_has_a_key_of_its_own() -> None:
    """Answers are kept under it: those of one choice must never be given for another."""
    documents: list[dict[str, Any]] = [
        {"action": {"type": "exclude"}, "target": {"brands": ["Pot"]}},
        {
            "action": {"type": "exclude"},
            "target": {"brands": ["Leaf"]},
            "condition": {"devices": ["mobile"]},
        },
    ]
    problems: set[RuleProblem] = set()
    keys = []
    for _ in range(2):
        stored = [RuleSettings(n, f"Rule {n}", each) for n, each in enumerate(documents)]
        compiled = rules_compile(
            stored, [], SHOT, placements=["here"], time_zone="UTC", now_s=NOON_S
        )
        assert compiled is not None
        problems.update(compiled.problems)
        for device in ("mobile", "desktop", "mobile"):
            active = compiled.active(context(1, None, device=device), slug="here", page_type="home")
            assert active is not None
            keys.append(active.key)
    assert not problems
    assert keys[0] == keys[2]
    assert keys[3] == keys[5]
    assert len(set(keys)) == 4


# --------------------------------------------------------------------------------------- oracle


def context(row_in_view: int | None, category: str | None, **request: Any) -> Context:
    page = [] if row_in_view is None else [row_in_view]
    return context_on(SHOT, page, category, now_s=NOON_S, **request)


def _counts(condition: Condition, here: Context, slug: str, page_type: str) -> bool:
    """Read from the words of docs/rules.md."""
    request, viewed = here.request, condition.viewed
    row_in_view = here.page_rows[0] if here.page_rows else None
    asks_product = viewed.brands or viewed.tags or viewed.price_from_minor is not None
    asks_product = asks_product or viewed.price_until_minor is not None
    if asks_product and row_in_view is None:
        return False
    return (
        (not condition.placements or slug in condition.placements)
        and (not condition.page_types or page_type in condition.page_types)
        and (not condition.devices or request.device in condition.devices)
        and (not condition.segments or request.device == "mobile")
        and (not condition.locales or request.locale == "de-AT")
        and (not viewed.categories or _inside(here.category or "", viewed.categories))
        and (
            row_in_view is None
            or _is(row_in_view, viewed.brands, viewed.tags, viewed.price_from_minor,
                   viewed.price_until_minor)
        )
    )  # fmt: skip


def _can_compare(target: Target, here: Context) -> bool:
    row_in_view = here.page_rows[0] if here.page_rows else None
    asks_price = target.compared is not None or target.price_within_percent is not None
    return (
        (not target.same_category or bool(here.category))
        and (not target.same_brand or (row_in_view is not None and bool(_brand(row_in_view))))
        and (not asks_price or (row_in_view is not None and _price(row_in_view) >= 0))
    )


def _means(target: Target, product: int, here: Context) -> bool:
    if not _can_compare(target, here):
        return False
    if target.product_ids and SHOT.external_ids[product] not in target.product_ids:
        return False
    if target.categories and not _inside(SHOT.category_path(product), target.categories):
        return False
    if not _is(product, target.brands, target.tags, target.price_from_minor,
               target.price_until_minor):  # fmt: skip
        return False
    if target.same_category and not _inside(SHOT.category_path(product), (here.category or "",)):
        return False
    if target.same_brand and _brand(product) != _brand(here.page_rows[0]):
        return False
    if target.price_within_percent is None and target.compared is None:
        return True
    price, in_view = _price(product), _price(here.page_rows[0])
    if price < 0:
        return False
    within = target.price_within_percent
    if within is not None and abs(price - in_view) > round(in_view * (within / 100)):
        return False
    return not (
        (target.compared == "cheaper" and price >= in_view)
        or (target.compared == "dearer" and price <= in_view)
    )


def _apply(rule: RuleDocument, means: Any, compares: bool, may: Any, factors: Any) -> None:
    """What one rule does, in place."""
    match rule.action.__class__.__name__:
        case "IncludeOnly" if compares:
            may &= means
        case "Exclude":
            may &= ~means
        case "Boost":
            factors[means] *= rule.action.factor  # type: ignore[union-attr]
        case "Bury":
            factors[means] /= rule.action.factor  # type: ignore[union-attr]


def _is(product: int, brands: Any, tags: Any, low: int | None, high: int | None) -> bool:
    price, number = _price(product), int(SHOT.external_ids[product][1:])
    own = {tag for place, tag in enumerate(TAGS) if number >> place & 1}
    return (
        (not brands or _brand(product) in brands)
        and (not tags or bool(own & set(tags)))
        and (low is None or price >= low)
        and (high is None or 0 <= price <= high)
        and (low is None or price >= 0)
    )


def _inside(path: str, levels: Any) -> bool:
    return any(path == level or path.startswith(level + " > ") for level in levels if path)


def _brand(product: int) -> str:
    code = int(SHOT.brand_codes[product])
    return SHOT.brands.names[code] if code >= 0 else ""


def _price(product: int) -> int:
    return int(SHOT.price_minor[product])
