#!/usr/bin/env python
"""Vitrine's commands: `manage.py up` runs it, `manage.py help` lists the others."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recommender.config.settings.base")
    try:
        from recommender.config import embedded
        from recommender.config.env import OperatorError
    except ModuleNotFoundError as error:
        sys.exit(
            f"The package {error.name} is missing: run `make install`, then use .venv/bin/python."
        )
    try:
        embedded.ensure_for_command(sys.argv)
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except OperatorError as error:
        sys.exit(f"vitrine: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
