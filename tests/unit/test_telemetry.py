"""Metrics: counted in several processes, told as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from recommender.config.env import PROJECT_DIR

COUNTING = """
import os, sys
from pathlib import Path
from recommender.config.metrics_folder import metrics_folder_use
metrics_folder_use(Path(sys.argv[1]))
from recommender import telemetry
telemetry.events_counted(accepted=3, duplicate=1, rejected=0)
telemetry.request_observed("events", 202, 0.004)
telemetry.recommendation_counted(None, None)
telemetry.recommendation_counted("bestsellers", None)
telemetry.IMPRESSIONS_WAITING.set(7)
print(telemetry.exposition().decode())
"""


def told(data_dir: Path, **environ: str) -> dict[str, float]:
    run = subprocess.run(
        [sys.executable, "-c", COUNTING, str(data_dir)],
        cwd=PROJECT_DIR,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line for line in run.stdout.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_what_several_processes_counted_is_told_together(tmp_path: Path) -> None:
    first = told(tmp_path)
    assert first['vitrine_events_total{verdict="accepted"}'] == 3
    # Both are children of this process: they share the folder.
    second = told(tmp_path)
    assert second['vitrine_events_total{verdict="accepted"}'] == 6
    assert second['vitrine_events_total{verdict="duplicate"}'] == 2
    assert second['vitrine_request_seconds_count{endpoint="events",status="202"}'] == 2
    assert second['vitrine_request_seconds_bucket{endpoint="events",le="0.005",status="202"}'] == 2
    assert second['vitrine_request_seconds_bucket{endpoint="events",le="0.003",status="202"}'] == 0
    assert second['vitrine_recommendations_total{fallback="bestsellers",reason=""}'] == 2
    # What the ended process still had to write is nobody's queue any more.
    assert second["vitrine_impressions_waiting"] == 7


def test_folders_of_servers_that_are_gone_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / "run" / "metrics" / str(gone.pid)
    left.mkdir(parents=True)
    told(tmp_path)
    assert [each.name for each in left.parent.iterdir()] == [str(os.getpid())]


def test_without_a_place_to_write_a_process_counts_for_itself(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert told(blocked)['vitrine_events_total{verdict="accepted"}'] == 3
