"""``manage.py evaluate``: measure a source or a blend on a public protocol, without a database."""

from __future__ import annotations

import json
import lzma
import resource
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from django.core.management.base import BaseCommand, CommandError

from recommender.engine.errors import EngineError
from recommender.engine.evaluation import formats, protocols
from recommender.engine.evaluation.runner import Recipe, Report, evaluate, parse_recipe
from recommender.engine.evaluation.tasks import Task
from recommender.engine.evaluation.tuning import tune
from recommender.engine.methods.base import Value
from recommender.engine.methods.registry import METHODS

DEFAULT_SOURCES = {
    "next-click": "next_click",
    "top-n": "for_you",
    "basket-completion": "bought_together",
    "next-purchases": "buy_again,for_you,bestsellers",
    "multi-behaviour": "for_you",
}
NEEDED = {
    "next-click": ("train", "test"),
    "top-n": ("train", "test"),
    "basket-completion": ("orders",),
    "next-purchases": ("orders",),
    "multi-behaviour": ("purchases", "test"),
}
XZ_MAGIC = b"\xfd7zXZ\x00"
Parsed = TypeVar("Parsed")


class Command(BaseCommand):
    """Reads files, fits, asks, and prints a table or one JSON object."""

    help = "Measure a source on a public evaluation protocol; files may be plain or .xz."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--protocol", required=True, choices=sorted(DEFAULT_SOURCES))
        parser.add_argument("--source", help=f"one of {', '.join(METHODS)}, or a=0.6,b=0.4, or a,b")
        for name in ("train", "test", "orders", "views", "carts", "purchases"):
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
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--tune-seconds",
            type=float,
            default=120.0,
            help="time for choosing parameters on a cut of the training part; 0 takes the defaults",
        )
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        protocol: str = options["protocol"]
        source: str = options["source"] or DEFAULT_SOURCES[protocol]
        seed: int = options["seed"]
        missing = [name for name in NEEDED[protocol] if options[name] is None]
        if protocol == "next-click" and options["test_share"] is not None and "test" in missing:
            missing.remove("test")
        if missing:
            raise CommandError(f"{protocol} needs --{' and --'.join(missing)}.")
        try:
            recipe = parse_recipe(source, dict(map(_parameter, options["parameters"])))
            task, validation = _tasks(protocol, options, seed)
            if options["tune_seconds"] > 0:
                recipe = _tuned(validation, recipe, seed, options["tune_seconds"])
            report = evaluate(task, recipe, seed=seed, clock=time.perf_counter)
        except EngineError as error:
            raise CommandError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        result = _result(protocol, source, recipe, report)
        self.stdout.write(json.dumps(result) if options["as_json"] else _table(result))


def _tuned(validation: Callable[[], Task], recipe: Recipe, seed: int, seconds: float) -> Recipe:
    """The recipe with chosen parameters; as it was if the training part is too small to be cut."""
    try:
        task = validation()
    except EngineError:
        return recipe
    return tune(task, recipe, seed=seed, clock=time.perf_counter, budget_seconds=seconds)


def _tasks(protocol: str, options: dict[str, Any], seed: int) -> tuple[Task, Callable[[], Task]]:
    """The task of the test, and how to make that of a validation."""
    if protocol == "next-click":
        log = _read(options["train"], formats.parse_sessions)
        if options["test"] is None:
            log, queries = protocols.split_sessions(log, share=options["test_share"])
        else:
            queries = _read(options["test"], formats.parse_next_item_queries)
        return (
            protocols.next_click_task(log, queries),
            lambda: protocols.next_click_validation(log),
        )
    if protocol == "top-n":
        train = _read(options["train"], formats.parse_user_items)
        test = _read(options["test"], formats.parse_user_items)
        return (
            protocols.top_n_task(train, test),
            lambda: protocols.top_n_validation(train, seed=seed),
        )
    if protocol == "multi-behaviour":
        names = {"purchase": "purchases", "add_to_cart": "carts", "view_item": "views"}
        kinds = {
            kind: _read(options[name], formats.parse_user_items)
            for kind, name in names.items()
            if options[name] is not None
        }
        test = _read(options["test"], formats.parse_user_items)
        return (
            protocols.multi_behaviour_task(kinds, test),
            lambda: protocols.multi_behaviour_validation(kinds, seed=seed),
        )
    lines = _read(options["orders"], formats.parse_orders)
    if protocol == "basket-completion":
        return (
            protocols.basket_completion_task(lines, seed=seed),
            lambda: protocols.basket_completion_task(
                protocols.before_cut(lines, with_customer=False), seed=seed
            ),
        )
    return (
        protocols.next_purchases_task(lines),
        lambda: protocols.next_purchases_task(protocols.before_cut(lines, with_customer=True)),
    )


def _read(path: Path, parse: Callable[[Iterator[str]], Parsed]) -> Parsed:
    """Parse a file, or say in one sentence why not."""
    try:
        with _opened(path) as lines:
            return parse(iter(lines))
    except EngineError as error:
        raise CommandError(f"{path}: {error}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not a text file in UTF-8.") from error
    except (lzma.LZMAError, EOFError) as error:
        raise CommandError(f"{path} is not a complete .xz file.") from error
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}.") from error


def _opened(path: Path) -> IO[str]:
    """The lines of a plain file, or of an .xz file whatever it is called."""
    with path.open("rb") as start:
        packed = start.read(len(XZ_MAGIC)) == XZ_MAGIC
    if packed or path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


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
    # Linux counts kilobytes, macOS bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    result["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
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
    return "\n".join(lines)
