"""Web, beat, worker and trainer under the supervisor of `manage.py up`, on databases that the tests own.

`up` itself would start and revive databases of its own, and here these are what is being killed.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from recommender.config import ports, programs
from recommender.config.env import from_environ, make_data_dir
from recommender.config.supervisor import Supervisor


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    env = from_environ()
    make_data_dir(env.data_dir)
    workers = [
        replace(program, command=[*program.command, "--include", "tests.faults.tasks"])
        for program in (programs.worker(env), programs.trainer(env))
    ]
    supervisor = Supervisor(
        [programs.web(env), programs.beat(env), *workers],
        data_dir=env.data_dir,
        environ={},
        say=say,
    )
    return supervisor.run(
        ready=lambda: ports.answers(env.host, env.port),
        on_ready=lambda: say("ready"),
    )


if __name__ == "__main__":
    sys.exit(main())
