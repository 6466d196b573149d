"""What all benchmarks share on the command line: servers, the store, JSON or Markdown, the document."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks import report as reports
from benchmarks.report import BenchmarkError, Report
from recommender.config import embedded
from recommender.config.env import OperatorError, from_environ, make_data_dir

if TYPE_CHECKING:
    from benchmarks.world import World


class Benchmark(Protocol):
    """A module with these is a benchmark."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, world: World, options: argparse.Namespace) -> Report: ...


def say(text: str) -> None:
    """To whoever waits; never to standard output, which belongs to the result."""
    print(text, file=sys.stderr, flush=True)


def main(names: Sequence[str], argv: Sequence[str] | None = None) -> None:
    """Run benchmarks one after the other and print what they found."""
    modules: dict[str, Any] = {
        name: importlib.import_module(f"benchmarks.{name}") for name in names
    }
    common, chosen = _options(modules, sys.argv[1:] if argv is None else list(argv))
    # What children print would otherwise end up in the middle of the result.
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        found = _measure(modules, common, chosen)
    except (BenchmarkError, OperatorError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    with result:
        if not common.json:
            for report in found:
                result.write(
                    f"## {report.benchmark.capitalize()}\n\n{reports.markdown(report)}\n\n"
                )
        else:
            objects = {report.benchmark: reports.as_object(report) for report in found}
            whole = objects if len(names) > 1 else objects[names[0]]
            result.write(json.dumps(whole, ensure_ascii=False) + "\n")
    if common.check and not all(report.kept for report in found):
        sys.exit(1)


def _options(
    modules: dict[str, Any], argv: list[str]
) -> tuple[argparse.Namespace, dict[str, argparse.Namespace]]:
    """The common options and those of each benchmark; one that none of them knows is an error."""
    one = next(iter(modules)) if len(modules) == 1 else None
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{one}" if one else "python -m benchmarks",
        description=modules[one].__doc__ if one else "All benchmarks, one after the other.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    parser.add_argument("--rebuild", action="store_true", help="make the store anew")
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    parser.add_argument("--check", action="store_true", help="exit 1 if a promise isn't kept")
    own = {}
    for name, module in modules.items():
        own[name] = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        module.add_arguments(own[name])
        module.add_arguments(parser.add_argument_group(name) if one is None else parser)
        if one is None:
            parser.conflict_handler = "resolve"
    common = parser.parse_args(argv)
    return common, {name: each.parse_known_args(argv)[0] for name, each in own.items()}


def _measure(
    modules: dict[str, Any], common: argparse.Namespace, chosen: dict[str, argparse.Namespace]
) -> list[Report]:
    world = _world(rebuild=common.rebuild)
    found: list[Report] = []
    for name, module in modules.items():
        say(f"── {name}")
        if found:
            from benchmarks.world import world_restore

            world_restore(world)
        machine, started = reports.machine(), time.monotonic()
        report: Report = module.run(world, chosen[name])
        report = replace(
            report,
            options={
                option: _plain(value)
                for option, value in vars(chosen[name]).items()
                if value is not None
            },
            machine=machine,
            took_s=time.monotonic() - started,
        )
        found.append(report)
        if common.write:
            reports.write(reports.as_object(report))
    return found


def _plain(value: Any) -> int | float | str:
    """An option's value as it would be typed."""
    return value if isinstance(value, int | float) else str(value)


def _world(*, rebuild: bool) -> World:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recommender.config.settings.base")
    outer = from_environ()
    make_data_dir(outer.data_dir)
    os.environ["VITRINE_DATA_DIR"] = str(outer.data_dir / "bench")
    own_valkey = outer.embedded_valkey
    embedded.ensure_for_command([sys.argv[0], "bench"])
    import django

    django.setup()
    from benchmarks.world import world_ensure

    return world_ensure(from_environ(), rebuild=rebuild, own_valkey=own_valkey, say=say)
