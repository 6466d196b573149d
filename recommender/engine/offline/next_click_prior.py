"""Where the search for weights starts, and what a shop with few sessions gets."""

from __future__ import annotations

import numpy as np

from recommender.engine.types import Float32Array

# fmt: off
_WITH_REPEATS = (
    (0.13, 0.07, 0.07, -0.13, 0.26, 0.2, 0.15, 0.04, 0.1,
     0.15, 0.19, -0.23, -0.2, -0.09, 0.31, -0.23, -0.03),  # newest
    (0.05, 0.01, 0.01, 0.05, 0.18, 0),  # second
    (0.02, -0.01, -0.03, 0.07, 0.11, -0.05),  # older
    (0.1, 0.29, -0.29, 0.09, 0.13),  # item
    (1.28, 1.94, 0.09, -0.24),  # near
    (-0.37, 2.94, 3.31, 3.34, 3.37, 2.22, 0.43, 0.44, -0.3,
     1.6, 0.23, -0.69, 0.58, 0.79, 0.19, -0.16, -0.43, -0.16),  # repeat
    (-0.1, -0.1, -0.3, -0.09, -0.11, 0.38, -2.06),  # return
)
_WITHOUT_REPEATS = (
    (0.1, 0.06, 0.05, -0.14, 0.23, 0.23, 0.19, 0.01, 0.13,
     0.16, 0.21, -0.26, -0.25, -0.1, 0.54, -0.46, -0.04),  # newest
    (0.07, 0, 0.01, 0.09, 0.18, -0.03),  # second
    (0.02, 0.02, -0.04, 0.08, 0.14, -0.08),  # older
    (0.1, 0.32, -0.28, 0.08, 0.11),  # item
    (1.41, 1.99, 0.09, -0.23),  # near
    (0, 0, 0, 0, 0, 0, 0, 0, 0,
     0, 0, 0, 0, 0, 0, 0, 0, 0),  # repeat
    (0, 0, 0, 0, 0, 0, 0),  # return
)
# fmt: on

PRIOR_WEIGHTS: Float32Array = np.array(
    [[w for part in parts for w in part] for parts in (_WITH_REPEATS, _WITHOUT_REPEATS)], np.float32
)
"""float32[2, n_features]: the mean of the weights that two shops' sessions had taught, rounded.

In the order of the parts of `next_click_lessons.candidate_features`.
"""
