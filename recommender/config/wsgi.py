"""The web process: what granian serves."""

from __future__ import annotations

import gc
import os
import sys
from multiprocessing.util import Finalize

# Before NumPy is loaded: products of a request's size are slower on several threads than on one,
# and each web process would start as many as there are cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recommender.config.settings.base")

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from recommender.config.env import from_environ
from recommender.config.metrics_folder import metrics_folder_use

# Before the first view, and with it `prometheus_client`, is imported.
metrics_folder_use(from_environ().data_dir)

django_application = get_wsgi_application()
# The views are imported now and not by whoever asks first.
assert get_resolver().url_patterns

# After Django is set up. Both threads belong to the process that serves: granian imports this
# module in every worker, never before a fork.
from recommender.api.fast_lane import FastLane  # noqa: E402
from recommender.engine.online.kernel import kernels_compile  # noqa: E402
from recommender.services.impression_log import IMPRESSIONS  # noqa: E402
from recommender.services.session_mending import sessions_mend, sessions_start  # noqa: E402
from recommender.serving.runtime import RUNTIMES  # noqa: E402

application = FastLane(django_application)
# A thread that computes gives way after 1 ms instead of 5: the writer of impressions and the loader
# of models must not make a request wait for longer than the request itself takes.
sys.setswitchinterval(0.001)
# Nobody's request waits for a compiler: 1 s, and 20 s for the first process of an installation.
kernels_compile()
# Modules live as long as the process; the garbage collector needn't walk through them each time.
gc.collect()
gc.freeze()
# Requests leave next to nothing in cycles. A full collection walks through everything that was kept
# for later requests, and holds all of them up for 50 ms.
gc.set_threshold(20_000, 20, 100)

sessions_start()
RUNTIMES.start(beside=sessions_mend)
IMPRESSIONS.start()
# Not `atexit`: granian's workers are children of `multiprocessing`, which end without it.
Finalize(None, IMPRESSIONS.stop, exitpriority=10)
