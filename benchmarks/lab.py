"""The Lab: a comparison of the quick methods on the store that is measured, as a member asks for it.

One per question, each with the time that the form offers. What is timed is everything from reading
the history to the last report, in this process, without a worker's queue before it. How right the
methods are stands in the tables; the promise is that a member has the answer in time.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benchmarks.command import main, say
from benchmarks.report import Promise, Report, Table, figure

if TYPE_CHECKING:
    from benchmarks.world import World
    from recommender.models import LabRun

# The page's own minutes, and what a fit that has begun may take beyond them.
IN_TIME = Promise(at_most=3 * 60.0)
PROTOCOLS = ("next-purchases", "basket-completion", "next-click")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS, help="without it all")
    parser.add_argument("--minutes", type=float, default=2.7, help="of each comparison")


def run(world: World, options: argparse.Namespace) -> Report:
    from recommender.models import LabRun
    from recommender.services.lab import lab_request
    from recommender.services.lab_running import lab_execute
    from recommender.services.lab_shelf import QUICK

    figures, tables, notes = [], [], []
    for protocol in options.protocol or PROTOCOLS:
        say(f"Comparing: {protocol}")
        made = lab_execute(
            run=lab_request(
                store=world.store, protocol=protocol, methods=QUICK, minutes=options.minutes
            )
        )
        if made.state != LabRun.State.DONE:
            notes.append(f"{protocol}: {made.message}")
            continue
        took_s = _took_s(made)
        rows = [row for row in made.document["board"]["rows"] if row["missing"] is None]
        figures += [
            figure(f"{protocol}: from asking to the last report", took_s, "s", promise=IN_TIME),
            figure(f"{protocol}: methods measured", len(rows), ""),
        ]
        tables.append(_table(protocol, made))
    LabRun.objects.filter(store=world.store).delete()
    return Report(
        "lab",
        figures,
        tables,
        notes,
        options={"minutes": options.minutes, "methods": list(QUICK)},
    )


def _took_s(made: LabRun) -> float:
    assert made.started_at is not None
    assert made.finished_at is not None
    return (made.finished_at - made.started_at).total_seconds()


def _table(protocol: str, made: LabRun) -> Table:
    from recommender.services.lab_shelf import PROTOCOL_OF

    name = PROTOCOL_OF[protocol].figure
    return Table(
        f"{protocol}: {made.document['board']['n_queries']:,} questions",
        ("method", name, "±", "fit s", "peak MB", "answer µs", "or why not"),
        [
            (
                row["title"],
                *(_estimate(row["metrics"].get(name))),
                row["fit_s"],
                row["peak_mb"],
                row["query_us"].get("p50"),
                row["missing"],
            )
            for row in made.document["board"]["rows"]
        ],
    )


def _estimate(found: dict[str, float] | None) -> tuple[str | None, str | None]:
    if found is None:
        return None, None
    return f"{found['value']:.4f}", f"{(found['high'] - found['low']) / 2:.4f}"


if __name__ == "__main__":
    main(["lab"])
