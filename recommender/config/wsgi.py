"""The web process: what granian serves."""

from __future__ import annotations

import atexit
import os

# Before NumPy is loaded: products of a request's size are slower on several threads than on one,
# and each web process would start as many as there are cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recommender.config.settings.base")

application = get_wsgi_application()
# The views are imported now and not by whoever asks first.
assert get_resolver().url_patterns

# After Django is set up. Both threads belong to the process that serves: granian imports this
# module in every worker, never before a fork.
from recommender.services.impression_log import IMPRESSIONS  # noqa: E402
from recommender.serving.runtime import RUNTIMES  # noqa: E402

RUNTIMES.start()
IMPRESSIONS.start()
atexit.register(IMPRESSIONS.stop)
