"""``manage.py evaluate``: measure a source, a blend or all methods on public data, no database."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommender.engine.errors import EngineError
from recommender.engine.evaluation.asking import Recommend, accuracy, ask
from recommender.engine.evaluation.beyond_accuracy import interaction_counts
from recommender.engine.evaluation.cold_start import SHOPPER_STEPS, cold_start, shortened
from recommender.engine.evaluation.fairness import fairness
from recommender.engine.evaluation.intervals import ratio_estimates
from recommender.engine.evaluation.leaderboard import board_to_document
from recommender.engine.evaluation.measuring import asking_order
from recommender.engine.evaluation.runner import (
    Recipe,
    Report,
    fit_recipe,
    measure,
    parse_recipe,
)
from recommender.engine.evaluation.tables import text_table, written_into
from recommender.engine.evaluation.tasks import Task
from recommender.engine.evaluation.tuning import tune
from recommender.engine.methods.base import Method, Value
from recommender.engine.methods.registry import METHODS, method_of
from recommender.management.commands._arguments import a_seed
from recommender.management.commands._evaluation_text import cold_start_text, fairness_text
from recommender.management.competition import compete
from recommender.management.protocol_files import (
    FILES,
    DataSet,
    data_sets_of,
    tasks_of,
    validation_of,
)
from recommender.stores.process_memory import peak_mb

DEFAULT_SOURCES = {
    "next-click": "next_click",
    "top-n": "for_you",
    "basket-completion": "bought_together",
    "next-purchases": "buy_again,for_you,bestsellers",
    "multi-behaviour": "for_you",
    "ratings": "for_you",
}
COLD_QUERIES = 1000


class Command(BaseCommand):
    """Reads files, fits, asks, and prints a table or one JSON object."""

    help = (
        "Measure a source on a public evaluation protocol, or with --all every method on it, or "
        "with --data on all data sets in a folder; files may be plain or .xz."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--protocol", choices=sorted(DEFAULT_SOURCES))
        parser.add_argument("--source", help=f"one of {', '.join(METHODS)}, or a=0.6,b=0.4, or a,b")
        for name in FILES:
            parser.add_argument(f"--{name}", type=Path, metavar="FILE")
        parser.add_argument(
            "--parameter", action="append", default=[], metavar="KEY=VALUE", dest="parameters"
        )
        parser.add_argument(
            "--test-share",
            type=float,
            metavar="SHARE",
            help="next-click without --test: the last sessions of --train are the test",
        )
        parser.add_argument("--seed", type=a_seed, default=0)
        parser.add_argument(
            "--tune-seconds",
            type=float,
            default=120.0,
            help="time for choosing parameters on a cut of the training part; 0 takes the defaults",
        )
        parser.add_argument("--json", action="store_true", dest="as_json")
        parser.add_argument(
            "--cold-start", action="store_true", help="accuracy where little is known, too"
        )
        parser.add_argument(
            "--fairness", action="store_true", help="exposure of brands and new products, too"
        )
        everything = parser.add_argument_group("all methods")
        everything.add_argument("--all", action="store_true", dest="everything")
        everything.add_argument("--methods", help="only these, by key, with commas between them")
        everything.add_argument(
            "--data", type=Path, metavar="DIR", help="every data set in a folder, see the docs"
        )
        everything.add_argument("--minutes", type=float, default=30.0, help="for everything")
        everything.add_argument(
            "--write", type=Path, metavar="FILE", help="the generated parts of docs/algorithms.md"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["everything"]:
                self._all(options)
            else:
                self._one(options)
        except EngineError as error:
            raise CommandError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error

    def _all(self, options: dict[str, Any]) -> None:
        if options["cold_start"] or options["fairness"]:
            raise CommandError("--cold-start and --fairness are about one --source, not --all.")
        methods = _methods(options["methods"])
        if options["data"] is not None:
            data_sets = data_sets_of(options["data"])
            if options["protocol"] is not None:
                data_sets = [one for one in data_sets if one.protocol == options["protocol"]]
        else:
            data_sets = [_data_set(options)]
        boards = compete(
            data_sets,
            methods,
            minutes=options["minutes"],
            seed=options["seed"],
            tune=options["tune_seconds"] > 0,
            say=self.stderr.write,
        )
        if options["write"] is not None:
            _write(options["write"], boards)
        if options["as_json"]:
            self.stdout.write(
                json.dumps({"leaderboards": [board_to_document(board) for board in boards]})
            )
        else:
            self.stdout.write("\n\n".join(text_table(board) for board in boards))

    def _one(self, options: dict[str, Any]) -> None:
        data = _data_set(options)
        protocol, seed = data.protocol, options["seed"]
        source: str = options["source"] or DEFAULT_SOURCES[protocol]
        recipe = parse_recipe(source, dict(map(_parameter, options["parameters"])))
        task, make_validation = tasks_of(data, seed=seed)
        validation = validation_of(make_validation) if options["tune_seconds"] > 0 else None
        if validation is not None:
            recipe = tune(
                validation,
                recipe,
                seed=seed,
                clock=time.perf_counter,
                budget_seconds=options["tune_seconds"],
            )
        started = time.perf_counter()
        recommend = fit_recipe(recipe, task.training, seed=seed)
        fit_s = time.perf_counter() - started
        report = measure(task, recommend, clock=time.perf_counter, fit_seconds=fit_s)
        result = _result(protocol, source, recipe, report)
        if options["cold_start"]:
            result["cold_start"] = _cold_start(task, recommend, report, seed)
        if options["fairness"]:
            result["fairness"] = _fairness(task, report, seed)
        self.stdout.write(json.dumps(result) if options["as_json"] else _table(result))


def _methods(keys: str | None) -> list[Method]:
    if keys is None:
        return list(METHODS.values())
    return [method_of(key.strip()) for key in keys.split(",") if key.strip()]


def _data_set(options: dict[str, Any]) -> DataSet:
    """The protocol and the files that were named."""
    protocol = options["protocol"]
    if protocol is None:
        raise CommandError("Name a --protocol, or with --all a folder of --data.")
    files = {name: options[name] for name in FILES if options[name] is not None}
    data = DataSet(
        next((path.name.split(".")[0] for path in files.values()), protocol),
        protocol,
        files,
        options["test_share"],
    )
    if missing := data.missing():
        raise CommandError(f"{protocol} needs --{' and --'.join(missing)}.")
    return data


def _write(path: Path, boards: list[Any]) -> None:
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(written_into(text, boards, list(METHODS.values())), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}.") from error


def _parameter(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"--parameter takes KEY=VALUE, not {text!r}.")
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        parsed = None if value == "None" else value
    if isinstance(parsed, list | dict):
        raise CommandError(f"--parameter {name} must be a single value, not {value}.")
    return name.strip(), parsed


def _cold_start(task: Task, recommend: Recommend, report: Report, seed: int) -> dict[str, Any]:
    """Few events against many, and the same shoppers with less known of them."""
    assert report.lists is not None
    found = cold_start(task, report.lists, interaction_counts(task.training), seed=seed)
    sample = task.subset(asking_order(len(task.queries), seed=seed)[:COLD_QUERIES])
    same: list[dict[str, Any]] = []
    for at_most in SHOPPER_STEPS:
        asked = ask(
            shortened(sample, at_most, seed=seed),
            recommend,
            clock=time.perf_counter,
            second_table=False,
        )
        metrics = accuracy(asked.first)
        wanted = {name: metrics[name] for name in ("hr@20", "recall@20", "ndcg@20", "mrr@20")}
        estimates = ratio_estimates(wanted, seed=seed)
        same.append(
            {"at_most": at_most, "metrics": {name: asdict(e) for name, e in estimates.items()}}
        )
    return {
        "shoppers": [{"label": group.label, **asdict(group)} for group in found.shoppers],
        "products": [{"label": group.label, **asdict(group)} for group in found.products],
        "same_shoppers": same,
    }


def _fairness(task: Task, report: Report, seed: int) -> list[dict[str, Any]]:
    assert report.lists is not None
    counts = interaction_counts(task.training)
    return [asdict(found) for found in fairness(task, report.lists, counts, seed=seed)]


def _result(protocol: str, source: str, recipe: Recipe, report: Report) -> dict[str, Any]:
    result: dict[str, Any] = {
        "protocol": protocol,
        "source": source,
        "parameters": recipe.flat(),
        "metrics": _rounded(report.metrics),
    }
    if report.metrics_without_repeats is not None:
        result["metrics_without_repeats"] = _rounded(report.metrics_without_repeats)
    result |= {
        "fit_seconds": round(report.fit_seconds, 3),
        "query_us": _rounded_us(report.query_us),
    }
    if report.query_us_without_repeats is not None:
        result["query_us_without_repeats"] = _rounded_us(report.query_us_without_repeats)
    result["peak_mb"] = round(peak_mb(), 1)
    return result


def _rounded_us(took: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in took.items()}


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in metrics.items()}


def _table(result: dict[str, Any]) -> str:
    lines = [f"{result['protocol']}: {result['source']}", ""]
    without = result.get("metrics_without_repeats", {})
    lines.append(f"{'metric':<14}{'all':>9}" + (f"{'no repeats':>12}" if without else ""))
    for name, value in result["metrics"].items():
        lines.append(f"{name:<14}{value:>9.4f}" + (f"{without[name]:>12.4f}" if without else ""))
    cost = (
        f"fit in {result['fit_seconds']:.1f} s, a query in {result['query_us']['p50']:.0f} µs "
        f"(p99 {result['query_us']['p99']:.0f} µs), peak memory {result['peak_mb']:.0f} MB"
    )
    if again := result.get("query_us_without_repeats"):
        cost += f"; without repeats {again['p50']:.0f} µs (p99 {again['p99']:.0f} µs)"
    lines += [
        "",
        cost,
        "parameters: " + ", ".join(f"{k}={v}" for k, v in result["parameters"].items()),
    ]
    if "cold_start" in result:
        lines += ["", cold_start_text(result["cold_start"])]
    if "fairness" in result:
        lines += ["", fairness_text(result["fairness"])]
    return "\n".join(lines)
