"""A comparison as a file: JSON with everything, CSV with a line per method."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from django.http import HttpResponse

from recommender.models import LabRun

_FACTS = ("key", "title", "family", "source", "fit_s", "peak_mb", "n_queries", "tried", "missing")


def lab_json(run: LabRun) -> HttpResponse:
    said = {
        "comparison": run.pk,
        "store": run.store.slug,
        "state": run.state,
        "settings": run.settings,
        "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
        **run.document,
    }
    return _file(json.dumps(said, indent=1), "application/json", f"lab-{run.pk}.json")


def lab_csv(run: LabRun) -> HttpResponse:
    """Each metric with the ends of its interval; empty where there is no figure."""
    rows: list[dict[str, Any]] = run.document.get("board", {}).get("rows", [])
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    again = list(dict.fromkeys(name for row in rows for name in row["metrics_without_repeats"]))
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(
        [
            *_FACTS,
            "query_us_p50",
            "query_us_p99",
            "parameters",
            *(f"{name}{end}" for name in metrics for end in ("", "_low", "_high")),
            *(f"{name}_without_repeats{end}" for name in again for end in ("", "_low", "_high")),
        ]
    )
    for row in rows:
        out.writerow(
            [
                *(row[name] for name in _FACTS),
                row["query_us"].get("p50"),
                row["query_us"].get("p99"),
                json.dumps(row["parameters"]),
                *_ends(row["metrics"], metrics),
                *_ends(row["metrics_without_repeats"], again),
            ]
        )
    return _file(text.getvalue(), "text/csv; charset=utf-8", f"lab-{run.pk}.csv")


def _ends(metrics: dict[str, dict[str, float]], names: list[str]) -> list[float | None]:
    return [metrics.get(name, {}).get(end) for name in names for end in ("value", "low", "high")]


def _file(text: str, content_type: str, name: str) -> HttpResponse:
    return HttpResponse(
        text,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
