"""The results page: it shows the document's numbers, as the address asks, and nothing else."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from celery import current_app
from django.test import Client
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from analytics.console.results_export import COLUMNS, results_rows
from analytics.console.results_words import definition_of
from analytics.models import ExperimentSnapshot
from analytics.results.document import (
    Check,
    Comparison,
    Preferred,
    Results,
    results_json,
    results_read,
)
from analytics.selectors.snapshots import snapshot_stamp
from analytics.services.experiment_notes import experiment_note_add
from catalog.models import AuditEntry, Member, Store, User
from catalog.spreadsheet import csv_lines
from recommender.models import Experiment, ExperimentPhase
from tests.conftest import MemberClient
from tests.console.results_fixture import COMPUTED, FIRST, keep, make_experiment, make_results

replace = msgspec.structs.replace
Kind = ExperimentSnapshot.Kind


@pytest.fixture
def experiment(store: Store) -> Experiment:
    return make_experiment(store)


@pytest.fixture
def results(experiment: Experiment) -> Results:
    made = make_results(experiment)
    keep(experiment, made)
    return made


@pytest.fixture
def marketer(store: Store, member_client: MemberClient) -> Client:
    return member_client(store, Member.Role.MARKETER)


def url(experiment: Experiment, rest: str = "") -> str:
    return f"/console/{experiment.store.slug}/experiments/{experiment.key}/{rest}"


def page(client: Client, experiment: Experiment, rest: str = "", **headers: str) -> str:
    answer = client.get(url(experiment, rest), headers=headers)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode().replace("\xa0", " ")


def scorecard(client: Client, experiment: Experiment, rest: str = "") -> str:
    """The scorecard of what htmx asks for when a toggle is moved."""
    html = part(client, experiment, rest)
    return html[html.index('id="scorecard"') :].partition("</section>")[0]


def part(client: Client, experiment: Experiment, rest: str = "") -> str:
    return page(client, experiment, rest, **{"HX-Request": "true", "HX-Target": "results"})


def change(results: Results, **changes: Any) -> Results:
    """With the latest snapshot replaced."""
    changed = replace(results, **changes)
    ExperimentSnapshot.objects.filter(kind=Kind.LATEST).update(document=results_json(changed))
    return changed


# ------------------------------------------------------------------------------------- the blocks


def test_the_verdict_comes_before_every_number(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = page(marketer, experiment)
    assert results.headline in html
    assert html.index(results.headline) < html.index("Scorecard")
    assert html.index(results.headline) < html.index("Can it be trusted?")


def test_the_head_says_what_is_tested_on_whom_and_how_old_it_is(
    marketer: Client, experiment: Experiment, results: Results, owner: User
) -> None:
    Experiment.objects.update(created_by=owner, coverage=0.4)
    html = page(marketer, experiment)
    assert "Running, about 3 days left" in html
    assert "2 Mar – 15 Mar 2026" in html
    assert owner.email in html
    assert "40 % of the shoppers" in html
    assert experiment.hypothesis in html
    assert COMPUTED.isoformat() in html
    assert "Split: Control 50 %, Session neighbours 50 %" in html
    assert "the newest event in it is" in html


def test_each_status_has_a_badge_of_its_own(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    badges = {
        "unhealthy": "Unhealthy",
        "no_data": "No data yet",
        "ship": "Ship now",
        "roll_back": "Roll back",
        "review": "Ready for review",
    }
    for status, words in badges.items():
        change(results, status=status)
        assert f"{words}</span>" in page(marketer, experiment), status
    Experiment.objects.update(state=Experiment.State.PAUSED)
    assert "Paused</span>" in page(marketer, experiment)


def test_health_says_the_worst_first_with_icon_and_words(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = page(marketer, experiment)
    assert "1 to look at, 1 not known yet, 7 fine" in html
    assert html.index("1.3 % of the shoppers saw both") < html.index("15,602 to 15,634, as planned")
    red = Check(key="split", alarm="red", title="Split", words="p = 0.00001")
    change(results, health=replace(results.health, alarm="red", checks=(red,)))
    html = page(marketer, experiment)
    assert "1 alarm<" in html
    assert "<small>alarm</small>" in html


def test_a_row_has_values_raw_numbers_change_interval_and_p(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = scorecard(marketer, experiment)
    primary = html[html.index("score__row--primary") : html.index("Guardrails")]
    for words in (
        "5.03 %",
        "785 buyers of 15,602 shoppers",
        "5.44 %",
        "+8.1 %",
        "+3.9 % to +12.3 %",
        "0.024",
        "raw 0.012",
        "97 %",
        "Better",
        "It took away 31 % of the variance",
        "Likely: +5 % is inside",
    ):
        assert words in primary, words
    assert "$4.17 uncapped" in html
    assert definition_of("coverage").formula.replace("'", "&#x27;") in html


def test_a_guardrail_says_whether_harm_is_ruled_out(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = scorecard(marketer, experiment)
    assert "A harm of 5 % or more is ruled out" in html
    assert "A harm of 20 % can&#x27;t be ruled out yet" in html
    assert html.count("lift__margin") == 3
    against_b = scorecard(marketer, experiment, "?baseline=b")
    assert "ruled out" not in against_b.split("How to read this")[0]


def test_an_unknown_is_not_enough_data_with_what_is_missing_and_never_zero(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    arms = results.arms
    unknown = tuple(
        Comparison(
            variant_id=arms[1].variant_id,
            baseline_id=arms[0].variant_id,
            scale=scale,
            cuped=False,
            missing="11 of 25 conversions in the smaller arm",
        )
        for scale in ("relative", "absolute")
    )
    primary = replace(results.metrics[0], comparisons=unknown)
    change(results, metrics=(primary, *results.metrics[1:]))
    for query in ("", "?scale=absolute", "?scale=per_day", "?method=sequential"):
        html = scorecard(marketer, experiment, query)
        row = html[html.index("score__row--primary") : html.index("Guardrails")]
        assert "Not enough data" in row
        assert "11 of 25 conversions in the smaller arm" in row
        assert "0.0 %" not in row


def test_before_the_minimum_the_verdict_shows_no_number(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    early = replace(
        results.verdicts[0], state="not_enough", missing="40 of 100 shoppers in the smaller arm"
    )
    change(results, verdicts=(early,), headline="Not enough data: 40 of 100 shoppers.")
    html = page(marketer, experiment)
    assert "verdict__change" not in html
    row = html[html.index("score__row--primary") : html.index("Guardrails")]
    assert "Not enough data" in row
    assert "40 of 100 shoppers in the smaller arm" in row
    assert "Better" not in row


def test_the_recommender_stands_beside_conversion_with_its_intervals(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = page(marketer, experiment)
    panel = html[html.index("What it sells, and what it shows") : html.index("Over time")]
    assert "raises conversion rate (+8.1 %), shows more of the catalog" in panel
    for name in ("Catalog coverage", "Concentration (Gini)", "Novelty", "Diversity of a list",
                 "Calibration", "Places filled by fallback", "Empty answers", "Latency (p95)"):  # fmt: skip
        assert f"<h4>{name}" in panel, name
    assert panel.count('class="map__point') == 3
    assert "44.8 %" in panel
    assert "3.5 ms" in panel


def test_charts_have_a_finding_as_title_and_a_table_behind(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = page(marketer, experiment)
    assert "stands at +7.8 %, clear of zero since" in html
    assert "49.9 to 50.1 %" in html
    assert "Who bought: 5.0 % of Control, 5.4 % of Session neighbours" in html
    assert "15,602 (100.0 %)" in html
    assert html.count("Show the numbers") == 4


def test_segments_are_called_exploratory_and_small_ones_stay_unknown(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = page(marketer, experiment)
    segments = html[html.index("Segments <") : html.index("How far it has come")]
    assert "exploratory" in segments
    assert "+9.4 %" in segments
    assert "58 of 100 shoppers in the smaller arm" in segments


def test_power_says_how_far_it_has_come(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = page(marketer, experiment)
    power = html[html.index("How far it has come") :]
    for words in ("31,236", "56,000", "about 3 days", "±6.1 %", "±5 %", "3,344", "Week 3"):
        assert words in power, words


def test_a_bandit_shows_how_it_divided_the_shoppers(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    assert "at the start" not in page(marketer, experiment)
    Experiment.objects.update(kind=Experiment.Kind.BANDIT)
    ExperimentPhase.objects.update(ended_at=COMPUTED - timedelta(days=3))
    ExperimentPhase.objects.create(
        store=experiment.store,
        experiment=experiment,
        cause=ExperimentPhase.Cause.BANDIT,
        coverage=1.0,
        weights=[1.0, 4.0],
        started_at=COMPUTED - timedelta(days=3),
    )
    html = page(marketer, experiment)
    assert "Session neighbours gets 80 % of the shoppers now, 50 % at the start" in html


def test_a_hold_out_says_what_came_on_top(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    Experiment.objects.update(kind=Experiment.Kind.HOLDOUT)
    metrics = list(results.metrics)
    revenue = metrics[1]
    sure = tuple(
        replace(each, estimate=50.0, low=20.0, high=80.0, sequence_low=20.0, sequence_high=80.0)
        if each.scale == "absolute"
        else each
        for each in revenue.comparisons
    )
    change(results, metrics=(metrics[0], replace(revenue, comparisons=sure), *metrics[2:]))
    html = page(marketer, experiment)
    # 15,634 shoppers with recommendations times 50 cents.
    assert "Recommendations brought $7,817 that would not have come without them" in html
    assert "+$3,127 to +$12,507" in html
    assert "On top, shoppers with recommendations" in html
    # The same in fourteen days, also in the scorecard: who is held out gets nothing.
    assert '<dt>Per day</dt><dd class="number">+$558</dd>' in html
    per_day = scorecard(marketer, experiment, "?scale=per_day&cuped=off&method=sequential")
    assert "+$223 to +$893" in per_day


def test_interleaving_shows_whose_products_are_preferred(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    change(
        results,
        preferred=Preferred(
            variant_a=results.arms[0].variant_id,
            variant_b=results.arms[1].variant_id,
            wins_a=40,
            wins_b=60,
            ties=7,
            preference=0.6,
            p_value=0.03,
            sentence="Shoppers lean to Session neighbours.",
        ),
    )
    html = page(marketer, experiment)
    assert "Shoppers lean to Session neighbours." in html
    assert "60 shoppers" in html


# ------------------------------------------------------------------------------------- the toggles


def test_scale_changes_what_the_changes_are_said_in(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    assert "+0.41 points" in scorecard(marketer, experiment, "?scale=absolute")
    per_day = scorecard(marketer, experiment, "?scale=per_day")
    assert "+9.1 buyers" in per_day
    assert "+8.1 %" not in per_day


def test_no_difference_at_all_has_an_interval_per_day(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    primary = results.metrics[0]
    none = tuple(
        replace(each, estimate=0.0, low=-0.001, high=0.001, per_day=0.0)
        if each.scale == "absolute"
        else each
        for each in primary.comparisons
    )
    change(results, metrics=(replace(primary, comparisons=none), *results.metrics[1:]))
    # 31,236 shoppers in fourteen days, a thousandth of them.
    assert "−2.2 buyers to +2.2 buyers" in scorecard(marketer, experiment, "?scale=per_day")


def test_method_takes_the_interval_and_p_of_the_sequence(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = scorecard(marketer, experiment, "?method=sequential")
    assert "+1.4 % to +14.9 %" in html
    assert "0.073" in html
    assert "lift__wing" not in html


def test_without_cuped_the_raw_estimates_are_shown(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = scorecard(marketer, experiment, "?cuped=off")
    assert "+8.3 %" in html
    assert ">CUPED</span>" not in html.split('class="table-scroll"')[1]


def test_the_baseline_can_be_another_arm_and_arms_can_be_hidden(
    store: Store, marketer: Client
) -> None:
    experiment = make_experiment(store, key="three", n_arms=3)
    keep(experiment, make_results(experiment))
    both = scorecard(marketer, experiment)
    assert "Hide Trending" in both
    alone = scorecard(marketer, experiment, "?hide=c")
    assert "Show Trending" in alone
    assert alone.count("score__row--more") == 0 < both.count("score__row--more")
    against = scorecard(marketer, experiment, "?baseline=c")
    assert "against Trending" in against
    assert "+5.4 %" in against
    assert "All variants are hidden" in scorecard(marketer, experiment, "?hide=b&hide=c")


def test_a_toggle_keeps_the_others_in_its_address(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = scorecard(marketer, experiment, "?scale=absolute&cuped=off")
    assert "?scale=absolute&amp;cuped=off&amp;method=sequential" in html


def test_the_page_works_without_scripts_as_each_toggle_is_a_link(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    whole = page(marketer, experiment, "?scale=absolute")
    assert "<!doctype html>" in whole
    assert "+0.41 points" in whole
    moved = part(marketer, experiment, "?scale=absolute")
    assert "<!doctype" not in moved
    assert 'hx-target="#results"' in moved


def test_a_toggle_takes_the_rest_of_the_page_along(store: Store, marketer: Client) -> None:
    experiment = make_experiment(store, key="three", n_arms=3)
    keep(experiment, make_results(experiment))
    moved = part(marketer, experiment, "?hide=c&baseline=b")
    segments = moved[moved.index("Segments <") : moved.index("How far it has come")]
    assert "Trending" not in segments
    assert "change against Session neighbours" in moved
    over_time = moved[moved.index("Metric of the charts") :].partition("</nav>")[0]
    assert "?baseline=b&amp;hide=c&amp;metric=diversity" in over_time
    files = moved[moved.index('id="files" hx-swap-oob="true"') :]
    assert "?baseline=b&amp;hide=c&amp;view=print" in files
    assert page(marketer, experiment).count('id="files"') == 1


def test_who_keeps_the_page_knows_that_a_part_has_the_same_address(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    for headers in ({}, {"HX-Request": "true", "HX-Target": "results"}):
        varies = marketer.get(url(experiment), headers=headers).headers["Vary"]
        assert "HX-Request" in varies
        assert "HX-Target" in varies


@pytest.mark.parametrize(
    "query",
    ["scale=loud", "method=x", "baseline=nobody", "hide=nobody", "metric=nothing", "cuped=maybe",
     "view=x", "day=yesterday", "day=2026-01-01", "snapshot=x", "snapshot=99999999999999999999"],
)  # fmt: skip
def test_an_address_that_asks_for_nonsense_is_not_found(
    marketer: Client, experiment: Experiment, results: Results, query: str
) -> None:
    assert marketer.get(url(experiment, f"?{query}")).status_code == 404


def test_the_charts_follow_the_metric_of_the_address(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    assert "Diversity of a list: Session neighbours stands at" in page(
        marketer, experiment, "?metric=diversity"
    )


# ---------------------------------------------------------------------------------- other times


def test_a_kept_snapshot_stays_as_it_was_and_says_so(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    kept = keep(experiment, replace(results, headline="Found it."), kind=Kind.FOUND)
    assert "Found it." not in page(marketer, experiment)
    html = page(marketer, experiment, f"?snapshot={kept.pk}")
    assert "Found it." in html
    assert "when the verdict was found" in html
    assert "/fresh/" not in html
    assert f"results.csv?snapshot={kept.pk}" in html


def test_the_end_of_a_day_can_be_chosen(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    keep(experiment, replace(results, headline="Then."), kind=Kind.DAY, last_day=FIRST)
    assert '<option value="2026-03-02">2 Mar 2026' in page(marketer, experiment)
    html = page(marketer, experiment, "?day=2026-03-02")
    assert "Then." in html
    assert "at the end of 2 Mar 2026" in html


def test_a_range_is_asked_of_a_worker_written_down_and_never_the_verdict(
    marketer: Client,
    experiment: Experiment,
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, args: sent.append((name, args)))
    with django_capture_on_commit_callbacks(execute=True):
        answer = marketer.post(
            url(experiment, "range/"), {"first": "2026-03-03", "last": "2026-03-05"}
        )
    asked = ExperimentSnapshot.objects.get(kind=Kind.RANGE)
    assert (asked.first_day, asked.last_day) == (date(2026, 3, 3), date(2026, 3, 5))
    assert sent == [("analytics.tasks.compute_range", [asked.pk])]
    assert answer.headers["Location"] == url(experiment, f"?snapshot={asked.pk}")
    waiting = page(marketer, experiment, f"?snapshot={asked.pk}")
    assert "These days are being worked out" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    assert AuditEntry.objects.filter(action="experiment.range").count() == 1

    asked.document = results_json(results)
    asked.save()
    assert "this is not the verdict" in page(marketer, experiment, f"?snapshot={asked.pk}")


def test_of_some_days_the_page_and_the_files_say_the_same_and_no_verdict(
    store: Store, marketer: Client
) -> None:
    experiment = make_experiment(store, key="three", n_arms=3)
    whole = make_results(experiment)
    keep(experiment, whole)
    seen = tuple(replace(each, advice=None, sentence="It was seen.") for each in whole.verdicts)
    some = replace(
        whole, status="range", headline="In these days: it was seen.", verdicts=seen, days=2.6
    )
    kept = keep(
        experiment, some, kind=Kind.RANGE, first_day=FIRST, last_day=FIRST + timedelta(days=2)
    )
    html = page(marketer, experiment, f"?snapshot={kept.pk}")
    verdict = html[html.index('id="verdict-title"') - 200 : html.index("Can it be trusted?")]
    assert "Not a verdict" in verdict
    assert "In these days: it was seen." in verdict
    for word in ("Ship", "Wait", "Found ", "Interval of the verdict"):
        assert word not in verdict, word
    assert "day 14" not in html
    assert html.count("3 days of the test") == 2
    file = json.loads(marketer.get(url(experiment, f"results.json?snapshot={kept.pk}")).content)
    assert file["headline"] == some.headline
    # The address goes with the results, after a week.
    assert "Permalink" not in html
    assert "go after a week" in html
    assert f"results.csv?snapshot={kept.pk}" in html
    found = keep(experiment, whole, kind=Kind.FOUND)
    assert "Permalink" in page(marketer, experiment, f"?snapshot={found.pk}")


def test_head_and_power_say_the_same_day_and_pauses_do_not_count(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    phase = ExperimentPhase.objects.get()
    ExperimentPhase.objects.update(ended_at=phase.started_at + timedelta(days=4, hours=5))
    frozen = keep(experiment, results, kind=Kind.FOUND)
    Experiment.objects.update(state=Experiment.State.PAUSED)
    for rest in ("", f"?snapshot={frozen.pk}"):
        assert page(marketer, experiment, rest).count("day 5 of 17") == 2
    Experiment.objects.update(state=Experiment.State.STOPPED, stopped_at=COMPUTED)
    assert page(marketer, experiment).count("ran 4 days") == 2


@pytest.mark.parametrize(
    ("first", "last"), [("", ""), ("2026-03-05", "2026-03-03"), ("2026-02-01", "2026-03-03")]
)
def test_days_outside_of_the_test_are_refused(
    marketer: Client, experiment: Experiment, results: Results, first: str, last: str
) -> None:
    answer = marketer.post(url(experiment, "range/"), {"first": first, "last": last}, follow=True)
    assert "Choose" in answer.content.decode()
    assert not ExperimentSnapshot.objects.filter(kind=Kind.RANGE).exists()


# ------------------------------------------------------------------------------------- freshness


def test_asked_again_it_answers_204_until_something_is_new(
    marketer: Client, experiment: Experiment, results: Results, store: Store
) -> None:
    stamp = snapshot_stamp(store=store, key=experiment.key)
    assert f"seen={stamp}" in page(marketer, experiment)
    fresh = url(experiment, f"fresh/?seen={stamp}")
    assert marketer.get(fresh).status_code == 204
    later = COMPUTED + timedelta(minutes=5)
    newer = replace(results, computed_at=later, headline="Newer.")
    ExperimentSnapshot.objects.update(document=results_json(newer), computed_at=later)
    answer = marketer.get(
        fresh,
        headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/x/?scale=absolute"},
    )
    html = answer.content.decode()
    assert "Newer." in html
    assert "<!doctype" not in html
    assert "+0.41 points" in html.replace("\xa0", " ")


def test_asking_whether_something_is_new_is_cheap(
    marketer: Client,
    experiment: Experiment,
    results: Results,
    store: Store,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    stamp = snapshot_stamp(store=store, key=experiment.key)
    with django_assert_num_queries(5):
        marketer.get(url(experiment, f"fresh/?seen={stamp}"))


def test_an_experiment_that_ended_is_not_polled(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    assert "/fresh/" in page(marketer, experiment)
    Experiment.objects.update(state=Experiment.State.STOPPED, stopped_at=COMPUTED)
    assert "/fresh/" not in page(marketer, experiment)


def test_the_number_of_queries_does_not_grow_with_the_document(
    store: Store,
    marketer: Client,
    experiment: Experiment,
    results: Results,
    django_assert_max_num_queries: Any,
) -> None:
    for i in range(30):
        keep(experiment, results, kind=Kind.DAY, last_day=FIRST + timedelta(days=i))
    with django_assert_max_num_queries(21):
        page(marketer, experiment)


# -------------------------------------------------------------------------------- nothing to show


def test_a_draft_says_what_to_do(store: Store, marketer: Client) -> None:
    draft = make_experiment(store, state=Experiment.State.DRAFT, started_at=None)
    html = page(marketer, draft)
    assert "This is a draft: nobody sees it yet" in html
    assert url(draft, "setup/") in html


def test_without_data_it_says_what_is_missing_and_the_likely_cause(
    marketer: Client, experiment: Experiment
) -> None:
    html = page(marketer, experiment)
    assert "No placement of this test has been asked for" in html
    assert "the tag isn&#x27;t on the page" in html


def test_before_the_first_count_it_says_that_shoppers_were_exposed(
    marketer: Client, experiment: Experiment
) -> None:
    from recommender.models import Exposure

    Exposure.objects.create(
        store=experiment.store,
        experiment_id=experiment.pk,
        shopper_external_id="somebody",
        variant_id=1,
        exposed_at=COMPUTED,
    )
    assert "their figures are being counted" in page(marketer, experiment)


# ---------------------------------------------------------------------------------------- files


def test_the_files_carry_the_documents_own_numbers(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    answer = marketer.get(url(experiment, "results.csv"))
    assert "attachment" in answer.headers["Content-Disposition"]
    text = b"".join(answer).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    row = next(
        r
        for r in rows
        if (r["metric"], r["variant"], r["scale"], r["cuped"])
        == ("conversion_rate", "Session neighbours", "relative", "yes")
    )
    assert float(row["estimate"]) == pytest.approx(0.0812)
    assert row["baseline"] == "Control"
    document = json.loads(marketer.get(url(experiment, "results.json")).content)
    assert results_read(document) == results


def test_a_name_that_would_be_a_formula_is_written_as_text(results: Results) -> None:
    for start in ("=", "+", "-", "@", "\t", "\r"):
        arms = (replace(results.arms[0], name=f"{start}HYPERLINK(1)"), *results.arms[1:])
        lines = list(csv_lines(results_rows(replace(results, arms=arms))))
        cells = next(csv.reader(io.StringIO(lines[1], newline="")))
        assert cells[7] == f"'{start}HYPERLINK(1)"
        # Numbers stay numbers, negative ones as well.
        numbers = [next(csv.reader(io.StringIO(line, newline=""))) for line in lines[1:]]
        assert any(row[18].startswith("-") for row in numbers)


def test_there_is_no_file_before_there_are_results(
    marketer: Client, experiment: Experiment
) -> None:
    assert marketer.get(url(experiment, "results.csv")).status_code == 404
    assert marketer.get(url(experiment, "results.json")).status_code == 404


def test_the_print_view_has_all_of_it_and_nothing_to_click(
    marketer: Client, experiment: Experiment, results: Results
) -> None:
    html = page(marketer, experiment, "?view=print")
    assert 'class="print-sheet"' in html
    assert 'id="navigation"' not in html
    assert "toggle__label" not in html
    assert "every 60s" not in html
    assert '<details open id="check-split">' in html
    assert results.headline in html


# --------------------------------------------------------------------------------- notes and trail


def test_notes_and_the_trail_say_who_and_when(
    marketer: Client, experiment: Experiment, results: Results, owner: User
) -> None:
    experiment_note_add(experiment=experiment, text="<b>Newsletter</b>", actor=owner)
    html = page(marketer, experiment)
    assert "&lt;b&gt;Newsletter&lt;/b&gt;" in html
    marketer.post(url(experiment, "note/"), {"note": "Outage on Tuesday"})
    assert "Outage on Tuesday" in page(marketer, experiment)
    marketer.post(url(experiment, "note/"), {"note": "x" * 2001})
    assert AuditEntry.objects.filter(action="experiment.note").count() == 2


def test_a_decision_stands_with_its_reason(
    marketer: Client, experiment: Experiment, results: Results, owner: User
) -> None:
    assert 'name="reason"' in page(marketer, experiment)
    Experiment.objects.update(
        state=Experiment.State.STOPPED,
        stopped_at=COMPUTED,
        decision=Experiment.Decision.KEEP,
        decision_reason="Not worth the latency.",
        decided_at=COMPUTED,
        decided_by=owner,
    )
    html = page(marketer, experiment)
    assert "Not worth the latency." in html
    assert 'name="reason"' not in html


# ---------------------------------------------------------------------------------------- access


def test_a_snapshot_of_another_store_or_experiment_is_not_found(
    store: Store, other_store: Store, marketer: Client, experiment: Experiment, results: Results
) -> None:
    theirs = make_experiment(other_store)
    foreign = keep(theirs, make_results(theirs))
    sibling = make_experiment(store, key="sibling")
    other = keep(sibling, make_results(sibling))
    for snapshot in (foreign, other):
        for rest in ("", "results.csv", "results.json"):
            answer = marketer.get(url(experiment, f"{rest}?snapshot={snapshot.pk}"))
            assert answer.status_code == 404
    assert marketer.get(url(theirs)).status_code == 404
    assert marketer.get(url(theirs, "fresh/")).status_code == 404


def test_viewers_read_and_change_nothing(
    store: Store, member_client: MemberClient, experiment: Experiment, results: Results
) -> None:
    viewer = member_client(store, Member.Role.VIEWER)
    html = page(viewer, experiment)
    assert "<textarea" not in html
    assert "range/" not in html
    assert viewer.post(url(experiment, "note/"), {"note": "x"}).status_code == 403
    days = {"first": "2026-03-03", "last": "2026-03-04"}
    assert viewer.post(url(experiment, "range/"), days).status_code == 403
