"""`static/js/vitrine.js` in a real Chromium, against a small server that records what it sends."""

from __future__ import annotations

import gzip
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    KEY,
    SCRIPT,
    Answer,
    FakeShop,
    accept_all,
    answer_with,
    eventually,
    product,
)

pytestmark = pytest.mark.browser

ROW = '<vitrine-recommendations placement="home" limit="8"></vitrine-recommendations>'
# What keeps the place until the script is there, as in static/css/shop.css.
RESERVE = "vitrine-recommendations:not(:defined){display:block;height:calc(11.5rem + 7.78125rem)}"
STRICT_CSP = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; style-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
BLOCK_STORAGE = """Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("The operation is insecure.", "SecurityError"); } })"""


def ready(page: Page, placement: str = "home") -> None:
    page.wait_for_selector(f'vitrine-recommendations[placement="{placement}"][state=ready]')


def stored(page: Page, name: str) -> Any:
    return page.evaluate(f'JSON.parse(localStorage.getItem("vitrine.{name}"))')


def queue(page: Page) -> Any:
    """The events that wait, oldest first."""
    return page.evaluate(
        "Object.keys(localStorage).filter((name) => name.startsWith('vitrine.e.')).sort()"
        ".map((name) => JSON.parse(localStorage[name]))"
    )


def unavailable(retry_after: str = "") -> Answer:
    return Answer(503, {"error": {}}, {"Retry-After": retry_after} if retry_after else {})


# ------------------------------------------------------------------------------------------- size


def test_the_script_stays_within_6_kb_as_it_is_served() -> None:
    assert len(gzip.compress(SCRIPT.read_bytes(), 9)) <= 6 * 1024


def test_the_script_uses_nothing_that_parses_html_or_code() -> None:
    source = SCRIPT.read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|cookie", source
    )


# -------------------------------------------------------------------------------- recommendations


def test_all_rows_of_a_page_share_one_request_in_page_order(page: Page, shop: FakeShop) -> None:
    url = shop.serve(
        '<vitrine-recommendations placement="first" limit="3" product-id="7"></vitrine-recommendations>'
        '<vitrine-recommendations placement="second" cart="1, 2" category="Dairy"></vitrine-recommendations>'
        '<vitrine-recommendations placement="third" cart="2,3" q="milk"></vitrine-recommendations>'
    )
    page.goto(url)
    ready(page, "third")
    [asked] = shop.asked()
    assert [each["slug"] for each in asked["placements"]] == ["first", "second", "third"]
    assert asked["placements"][0]["limit"] == 3
    assert asked["page"] == {"product_ids": ["7"], "category": "Dairy", "q": "milk"}
    assert asked["cart"] == ["1", "2", "3"]
    assert asked["key"] == KEY
    assert asked["consent"] == "unknown"
    assert asked["locale"] == "en"
    assert asked["device"] == "desktop"
    assert page.locator("vitrine-recommendations >> nth=0").locator("li").count() == 3


def test_rows_added_later_in_one_go_share_one_request_too(page: Page, shop: FakeShop) -> None:
    page.goto(shop.serve("<main></main>"))
    page.evaluate(
        """for (const slug of ["b", "a"]) {
             const row = document.createElement("vitrine-recommendations");
             row.setAttribute("placement", slug);
             document.querySelector("main").prepend(row);
           }"""
    )
    ready(page, "a")
    [asked] = shop.asked()
    assert [each["slug"] for each in asked["placements"]] == ["a", "b"]


def test_a_row_is_a_titled_section_with_a_list_of_links(page: Page, shop: FakeShop) -> None:
    sale = product(1, price="8.00", list_price="10.00", url="/products/1")
    shop.on_recommendations = answer_with([sale, product(2)])
    page.goto(shop.serve(ROW))
    ready(page)
    expect(page.get_by_role("region", name="Title of home")).to_be_visible()
    expect(page.get_by_role("heading", name="Title of home", level=2)).to_be_visible()
    expect(page.get_by_role("listitem")).to_have_count(2)
    first = page.get_by_role("link").first
    expect(first).to_have_attribute("href", f"{shop.url}/products/1")
    expect(first).to_contain_text("Product 1")
    expect(first.locator(".sale")).to_have_text("$8.00")
    expect(first.locator("s")).to_have_text("$10.00")


def test_the_row_turns_by_its_buttons_and_by_keyboard(page: Page, shop: FakeShop) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(
        shop.serve(
            '<vitrine-recommendations placement="home" limit="12"></vitrine-recommendations>'
        )
    )
    ready(page)
    back = page.get_by_role("button", name="previous products")
    onward = page.get_by_role("button", name="next products")
    expect(back).to_have_attribute("aria-disabled", "true")
    onward.focus()
    page.keyboard.press("Enter")
    expect(back).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("Enter")
    expect(onward).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.tagName") == "A"


def test_a_row_that_fits_has_no_buttons(page: Page, shop: FakeShop) -> None:
    shop.on_recommendations = answer_with([product(1), product(2)])
    page.goto(shop.serve(ROW))
    ready(page)
    expect(page.get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("image_url", ["", "/missing.png", "javascript:alert(1)"])
def test_a_product_without_a_picture_shows_a_drawn_tile(
    page: Page, shop: FakeShop, image_url: str
) -> None:
    shop.on_recommendations = answer_with([product(1, title="Oat milk", image_url=image_url)])
    page.goto(shop.serve(ROW))
    ready(page)
    expect(page.locator(".picture")).to_have_text("Om")
    expect(page.locator("vitrine-recommendations img")).to_have_count(0)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, {"error": {"code": "not_found", "message": "no such placement"}}),
        Answer(500, "not what was expected"),
        unavailable("5"),
        Answer(200, {"recommendations": []}),
    ],
)
def test_without_an_answer_there_is_no_box(page: Page, shop: FakeShop, answer: Answer) -> None:
    shop.on_recommendations = lambda body: answer
    style = "<style>vitrine-recommendations{display:block}</style>"  # the page's own wish
    page.goto(shop.serve(f"{style}<p>Above</p>{ROW}<p>Below</p>"))
    page.wait_for_selector("vitrine-recommendations[state=empty]", state="attached")
    assert page.evaluate('document.querySelector("vitrine-recommendations").offsetHeight') == 0


def test_an_empty_answer_leaves_no_box_and_counts_no_view(page: Page, shop: FakeShop) -> None:
    shop.on_recommendations = answer_with([])
    page.goto(shop.serve(ROW))
    page.wait_for_selector("vitrine-recommendations[state=empty]", state="attached")
    page.wait_for_timeout(1500)
    assert shop.events() == []


def test_nothing_moves_when_the_products_arrive(page: Page, shop: FakeShop) -> None:
    """Neither when the script arrives, with the rule that the shop's pages have for that."""
    sale = product(1, title="A very long title " * 6, price="8.00", list_price="10.00")
    decide = answer_with([sale, *(product(number) for number in range(2, 9))])

    def slowly(body: dict[str, Any]) -> Answer:
        answer = decide(body)
        answer.delay_s = 0.4
        return answer

    shop.on_recommendations = slowly
    page.goto(shop.serve(f"<style>{RESERVE}</style><p>Above</p>{ROW}<p id=below>Below</p>"))
    page.wait_for_selector("vitrine-recommendations:defined")
    before = page.locator("#below").bounding_box()
    ready(page)
    page.wait_for_timeout(200)
    assert page.locator("#below").bounding_box() == before
    shift = page.evaluate(
        """new Promise((done) => {
             let sum = 0;
             new PerformanceObserver((list) => list.getEntries().forEach((e) => (sum += e.value)))
               .observe({ type: "layout-shift", buffered: true });
             setTimeout(() => done(sum), 200);
           })"""
    )
    assert shift < 0.001


def test_a_hostile_catalog_is_shown_as_text(page: Page, shop: FakeShop) -> None:
    title = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    bad = product(1, title=title, url="javascript:window.hacked=1", image_url="data:text/html,x")
    shop.on_recommendations = answer_with([bad])
    page.goto(shop.serve(ROW))
    ready(page)
    expect(page.locator(".title")).to_have_text(title)
    expect(page.locator("vitrine-recommendations a")).to_have_count(0)
    page.locator(".card").click()
    assert page.evaluate("window.hacked") is None


def test_it_works_under_a_strict_policy_with_trusted_types(page: Page, shop: FakeShop) -> None:
    shop.headers = {"Content-Security-Policy": STRICT_CSP}
    page.add_init_script(
        """window.violations = [];
           addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective))"""
    )
    page.goto(shop.serve(ROW).replace("data:,", ""))
    ready(page)
    assert (
        page.evaluate(
            "getComputedStyle(document.querySelector('vitrine-recommendations').list).display"
        )
        == "flex"
    )
    page.evaluate('vitrine.track("search", { query: "milk" })')
    eventually(lambda: shop.events("search"), page)
    # The test page's own icon is refused; nothing of ours is.
    assert set(page.evaluate("violations")) <= {"img-src"}


# -------------------------------------------------------------------------------- views and clicks


def test_seen_is_half_of_the_row_for_a_second_and_counts_once(page: Page, shop: FakeShop) -> None:
    page.goto(
        shop.serve(f'<div style="height:1600px"></div>{ROW}<div style="height:1600px"></div>')
    )
    ready(page)
    page.wait_for_timeout(1300)
    assert shop.events() == []  # below the fold
    page.evaluate("scrollTo(0, 1600 - innerHeight + 100)")  # less than half of it
    page.wait_for_timeout(1300)
    assert shop.events() == []
    page.evaluate("scrollTo(0, 1400)")
    page.wait_for_timeout(150)
    page.evaluate("scrollTo(0, 0)")  # only for a moment
    page.wait_for_timeout(1000)
    assert shop.events() == []
    page.evaluate("scrollTo(0, 1400)")
    [view] = eventually(lambda: shop.events("recommendation_view"), page)
    assert view["recommendation_id"] == "r1-home"
    assert view["properties"] == {"placement": "home"}
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(100)
    page.evaluate("scrollTo(0, 1400)")
    page.wait_for_timeout(1500)
    assert len(shop.events("recommendation_view")) == 1


def test_a_new_answer_is_a_new_view(page: Page, shop: FakeShop) -> None:
    page.goto(shop.serve(ROW))
    eventually(lambda: shop.events("recommendation_view"), page)
    page.evaluate("vitrine.refresh()")
    eventually(lambda: len(shop.events("recommendation_view")) == 2, page)
    ids = [view["recommendation_id"] for view in shop.events("recommendation_view")]
    assert ids == ["r1-home", "r2-home"]


def test_a_click_says_which_recommendation_and_what_follows_says_it_too(
    page: Page, shop: FakeShop
) -> None:
    shop.serve("<h1>Product 3</h1>", path="/products/3")
    page.goto(shop.serve(ROW))
    ready(page)
    page.get_by_role("link", name="Product 3").click()
    page.wait_for_url("**/products/3")
    [click] = eventually(lambda: shop.events("recommendation_click")[:1], page)
    assert click["recommendation_id"] == "r1-home"
    assert click["items"] == [{"product_id": "3"}]
    assert click["properties"] == {"placement": "home", "position": 3}
    page.evaluate('vitrine.track("add_to_cart", { items: [{ product_id: "3", quantity: 1 }] })')
    page.evaluate('vitrine.track("view_item", { product_id: "4" })')
    [added] = eventually(lambda: shop.events("add_to_cart"), page)
    [viewed] = eventually(lambda: shop.events("view_item"), page)
    assert added["recommendation_id"] == "r1-home"
    assert "recommendation_id" not in viewed


def test_live_rows_are_asked_again_once_the_event_has_arrived(page: Page, shop: FakeShop) -> None:
    page.goto(
        shop.serve(
            '<vitrine-recommendations placement="a" live></vitrine-recommendations>'
            '<vitrine-recommendations placement="b"></vitrine-recommendations>'
        )
    )
    ready(page, "b")
    page.evaluate('vitrine.track("add_to_cart", { product_id: "1" })')
    eventually(lambda: len(shop.asked()) == 2, page)
    assert [each["slug"] for each in shop.asked()[1]["placements"]] == ["a"]
    kinds = [each.path for each in shop.received]
    assert kinds == ["/v1/recommendations", "/v1/events", "/v1/recommendations"]


# ----------------------------------------------------------------------------------------- events


def test_an_event_carries_who_when_and_where(page: Page, shop: FakeShop) -> None:
    url = shop.serve("", path="/some/page", attributes=f'data-key="{KEY}" data-currency="EUR"')
    page.goto(url + "?q=private")
    page.evaluate('vitrine.track("view_item", { items: [{ product_id: "5", price: "2.50" }] })')
    [event] = eventually(lambda: shop.events(), page)
    [post] = shop.posts()
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", event["event_id"]
    )
    assert int(event["event_id"].replace("-", "")[:12], 16) == pytest.approx(
        event["occurred_at"], abs=50
    )
    assert event["type"] == "view_item"
    assert event["shopper_id"]
    assert event["session_id"]
    assert event["page"] == "/some/page"
    assert event["consent"] == "unknown"
    assert event["currency"] == "EUR"
    assert event["items"] == [{"product_id": "5", "price": "2.50"}]
    assert post.body["key"] == KEY
    assert 0 <= post.body["sent_at"] - event["occurred_at"] < 5000
    assert post.content_type.startswith("text/plain")  # no preflight
    eventually(lambda: queue(page) == [], page)


def test_the_shopper_stays_and_the_session_ends_after_half_an_hour_of_silence(
    page: Page, shop: FakeShop
) -> None:
    url = shop.serve("")
    page.goto(url)
    page.evaluate('vitrine.track("search", { query: "a" })')
    page.goto(url)
    page.evaluate('vitrine.track("search", { query: "b" })')
    page.evaluate(
        """const s = JSON.parse(localStorage["vitrine.session"]);
           localStorage["vitrine.session"] = JSON.stringify({ ...s, at: s.at - 31 * 60000 })"""
    )
    page.evaluate('vitrine.track("search", { query: "c" })')
    eventually(lambda: {e["query"] for e in shop.events()} == {"a", "b", "c"}, page)
    by_query = {event["query"]: event for event in shop.events()}
    assert len({event["shopper_id"] for event in by_query.values()}) == 1
    assert by_query["a"]["session_id"] == by_query["b"]["session_id"] != by_query["c"]["session_id"]


def test_the_pages_own_shopper_id_is_used_and_not_kept(page: Page, shop: FakeShop) -> None:
    page.goto(shop.serve(ROW, attributes=f'data-key="{KEY}" data-shopper-id="household-7"'))
    ready(page)
    assert shop.asked()[0]["shopper_id"] == "household-7"
    assert stored(page, "shopper") is None


def test_identify_changes_who_is_asked_for_until_it_is_taken_back(
    page: Page, shop: FakeShop
) -> None:
    page.goto(shop.serve(ROW))
    ready(page)
    page.evaluate('vitrine.identify("customer-1")')
    eventually(lambda: len(shop.asked()) == 2, page)
    page.reload()
    eventually(lambda: len(shop.asked()) == 3, page)
    page.evaluate("vitrine.identify(null)")
    eventually(lambda: len(shop.asked()) == 4, page)
    guest, known, still, somebody = [each["shopper_id"] for each in shop.asked()]
    assert known == still == "customer-1"
    assert len({guest, known, somebody}) == 3


def test_after_a_503_it_waits_as_long_as_it_was_asked_to(page: Page, shop: FakeShop) -> None:
    answers = iter([unavailable("2")])
    shop.on_events = lambda body: next(answers, None) or accept_all(body)
    page.goto(shop.serve(""))
    page.evaluate('vitrine.track("search", { query: "milk" })')
    eventually(lambda: len(shop.posts()) == 2, page)
    first, second = shop.posts()
    assert 1.9 < second.at - first.at < 4
    assert first.body["events"] == second.body["events"]
    eventually(lambda: queue(page) == [], page)


def test_without_retry_after_it_backs_off_further_each_time(page: Page, shop: FakeShop) -> None:
    answers = iter([unavailable(), unavailable()])
    shop.on_events = lambda body: next(answers, None) or accept_all(body)
    page.goto(shop.serve(""))
    page.evaluate('vitrine.track("search", { query: "milk" })')
    first, second, third = eventually(
        lambda: shop.posts() if len(shop.posts()) == 3 else None, page, timeout_s=8
    )
    assert 0.45 < second.at - first.at < 1.5
    assert 0.95 < third.at - second.at < 2.5


def test_events_that_could_not_be_sent_survive_the_page(page: Page, shop: FakeShop) -> None:
    shop.on_events = lambda body: unavailable("1")
    url = shop.serve("")
    page.goto(url)
    page.evaluate('vitrine.track("search", { query: "milk" })')
    eventually(lambda: shop.posts(), page)
    page.reload()
    assert [event["query"] for event in queue(page)] == ["milk"]
    shop.on_events = accept_all
    eventually(lambda: queue(page) == [], page)
    assert {event["event_id"] for event in shop.events()} == {shop.events()[0]["event_id"]}


def test_what_was_refused_is_dropped_and_said_in_the_console(page: Page, shop: FakeShop) -> None:
    warned: list[str] = []
    page.on("console", lambda message: warned.append(message.text))
    reason = {"index": 0, "code": "unknown_type", "field": "type", "message": "no such event"}
    shop.on_events = lambda body: Answer(202, {"accepted": 0, "duplicate": 0, "rejected": [reason]})
    page.goto(shop.serve(""))
    page.evaluate('vitrine.track("dance")')
    eventually(lambda: any("rejected" in text for text in warned), page)
    assert queue(page) == []
    assert len(shop.posts()) == 1


def test_a_page_that_is_left_sends_by_beacon_and_keeps_until_it_knows(
    page: Page, shop: FakeShop
) -> None:
    page.goto(shop.serve(""))
    page.evaluate('vitrine.track("search", { query: "milk" })')  # not due before 300 ms
    page.goto("about:blank")
    [post] = eventually(lambda: shop.posts(), page)
    assert post.body["key"] == KEY
    assert post.content_type.startswith("text/plain")
    assert [event["query"] for event in post.body["events"]] == ["milk"]
    page.goto(shop.url)
    eventually(lambda: len(shop.posts()) == 2, page)  # nobody had told it
    assert shop.posts()[1].body["events"] == post.body["events"]
    eventually(lambda: queue(page) == [], page)


def test_posts_stay_within_the_limits_of_the_api(page: Page, shop: FakeShop) -> None:
    page.goto(shop.serve(""))
    page.evaluate(
        """for (let i = 0; i < 120; i++) {
             vitrine.track("search", { query: "q" + i, properties: { filler: "ü".repeat(900) } });
           }"""
    )
    eventually(lambda: len(shop.events()) >= 120, page)
    assert [event["query"] for event in shop.events()] == [f"q{i}" for i in range(120)]
    for post in shop.posts():
        assert len(post.body["events"]) <= 50
    assert len(shop.posts()) >= 4  # 120 × 2 KB


def test_two_tabs_lose_nothing(page: Page, shop: FakeShop) -> None:
    url = shop.serve("")
    other = page.context.new_page()
    page.goto(url)
    other.goto(url)
    page.evaluate('vitrine.track("search", { query: "one" })')
    other.evaluate('vitrine.track("search", { query: "two" })')
    eventually(lambda: {event["query"] for event in shop.events()} == {"one", "two"}, page)
    eventually(lambda: queue(page) == [], page)
    assert len({event["event_id"] for event in shop.events()}) == 2


# ---------------------------------------------------------------------- consent and storage, safety


def test_without_consent_nobody_is_named_and_nothing_is_kept(page: Page, shop: FakeShop) -> None:
    page.goto(shop.serve(ROW, attributes=f'data-key="{KEY}" data-consent="denied"'))
    ready(page)
    page.evaluate('vitrine.track("view_item", { product_id: "1" })')
    [event] = eventually(lambda: shop.events("view_item"), page)
    [asked] = shop.asked()
    for sent in (event, asked):
        assert "shopper_id" not in sent
        assert "session_id" not in sent
        assert sent["consent"] == "denied"
    assert page.evaluate("Object.keys(localStorage)") == []


def test_a_withdrawn_consent_forgets_and_is_remembered(page: Page, shop: FakeShop) -> None:
    url = shop.serve(ROW, attributes=f'data-key="{KEY}" data-consent="granted"')
    page.goto(url)
    ready(page)
    assert shop.asked()[0]["shopper_id"] == stored(page, "shopper")
    page.evaluate('vitrine.consent("denied")')
    assert page.evaluate("Object.keys(localStorage)") == ["vitrine.consent"]
    page.goto(url)
    eventually(lambda: len(shop.asked()) >= 3, page)
    assert "shopper_id" not in shop.asked()[-1]


def test_it_works_where_storage_is_blocked(page: Page, shop: FakeShop) -> None:
    page.add_init_script(BLOCK_STORAGE)
    page.goto(shop.serve(ROW))
    ready(page)
    page.evaluate('vitrine.track("search", { query: "a" })')
    page.evaluate('vitrine.track("search", { query: "b" })')
    eventually(lambda: len(shop.events("search")) == 2, page)
    assert {each["shopper_id"] for each in shop.events("search")} == {shop.asked()[0]["shopper_id"]}
    page.wait_for_timeout(600)
    assert len(shop.events("search")) == 2


def test_misuse_never_throws_into_the_page(page: Page, shop: FakeShop) -> None:
    page.goto(shop.serve(ROW))
    ready(page)
    survived = page.evaluate(
        """(() => {
             const loop = {}; loop.self = loop;
             vitrine.track(); vitrine.track("view_item", null); vitrine.track("x", loop);
             vitrine.track("x", { big: 10n }); vitrine.init(null); vitrine.identify({}); vitrine.consent();
             localStorage["vitrine.e.1"] = "{broken";
             vitrine.track("search", { query: "after" });
             return true;
           })()"""
    )
    assert survived
    eventually(lambda: [e for e in shop.events("search") if e["query"] == "after"], page)


def test_loaded_twice_it_works_once(page: Page, shop: FakeShop) -> None:
    url = shop.serve(f'{ROW}<script defer src="/vitrine.js" data-key="{KEY}"></script>')
    page.goto(url)
    ready(page)
    page.wait_for_timeout(200)
    assert len(shop.asked()) == 1


def test_it_can_be_started_by_a_call(page: Page, shop: FakeShop) -> None:
    page.goto(shop.serve(ROW, attributes=""))
    page.wait_for_timeout(200)
    assert shop.received == []
    started = time.time()
    page.evaluate(f'vitrine.init({{ key: "{KEY}", endpoint: "{shop.url}/", shopperId: "me" }})')
    ready(page)
    assert shop.asked()[0]["shopper_id"] == "me"
    assert time.time() - started < 5


# ------------------------------------------------------------------------------------------- QA link


def looking(body: dict[str, Any]) -> Answer:
    """The API with a token that it knows."""
    answer = answer_with([product(1), product(2)])(body)
    for each in answer.body["recommendations"]:
        each["experiment"] = {
            "key": "cups",
            "variant": "b",
            **({"qa": True} if "qa" in body else {}),
        }
    return answer


def test_a_qa_link_goes_with_every_request_of_the_tab_and_no_event_is_sent(
    page: Page, shop: FakeShop
) -> None:
    shop.on_recommendations = looking
    url = shop.serve(ROW)
    page.goto(f"{url}?vitrine_qa=TOKEN-1")
    ready(page)
    row = page.locator("vitrine-recommendations")
    expect(row).to_have_attribute("data-qa", "cups/b")
    page.evaluate("vitrine.track('add_to_cart', { items: [{ product_id: '1' }] }); vitrine.flush()")
    row.locator("a").first.click(modifiers=["Control"])
    page.wait_for_timeout(1500)  # long enough for a view
    page.goto(url)
    ready(page)
    expect(row).to_have_attribute("data-qa", "cups/b")
    assert [asked["qa"] for asked in shop.asked()] == ["TOKEN-1", "TOKEN-1"]
    page.goto(f"{url}?vitrine_qa=off")
    ready(page)
    assert "qa" not in shop.asked()[-1]
    assert row.get_attribute("data-qa") is None
    # Nothing had gathered meanwhile; from now on everything counts again.
    assert queue(page) == []
    page.evaluate("vitrine.track('view_item', { product_id: '2' })")
    eventually(lambda: [event["type"] for event in shop.events()] == ["view_item"], page)


def test_events_that_waited_from_before_stay_until_the_look_is_over(
    page: Page, shop: FakeShop
) -> None:
    shop.on_events = lambda body: unavailable("1")
    url = shop.serve(ROW)
    page.goto(url)
    ready(page)
    page.evaluate("vitrine.track('view_item', { product_id: '2' }); vitrine.flush()")
    eventually(lambda: len(shop.events()) == 1, page)
    shop.on_events = accept_all
    page.goto(f"{url}?vitrine_qa=TOKEN-1")
    ready(page)
    page.wait_for_timeout(1500)
    assert len(queue(page)) == 1
    page.goto(f"{url}?vitrine_qa=off")
    eventually(lambda: queue(page) == [], page)


def test_a_qa_link_works_for_the_page_where_nothing_may_be_stored(
    page: Page, shop: FakeShop
) -> None:
    page.add_init_script(BLOCK_STORAGE.replace("localStorage", "sessionStorage"))
    page.goto(f"{shop.serve(ROW)}?vitrine_qa=TOKEN-1")
    ready(page)
    assert shop.asked()[0]["qa"] == "TOKEN-1"
