"""Where the search for weights starts, and what a shop with few sessions gets."""

from __future__ import annotations

import numpy as np

from recommender.engine.types import Float32Array

# fmt: off
_WITH_REPEATS = (
    (0.05, 0.05, 0.01, -0.08, 0.25, 0.14, 0.6, -0.55, 0.73, 0.29, -0.08, -0.78),  # newest
    (0.04, -0.03, -0.02, 0, 0.16, 0.03, 0.01, 0.07, -0.17, 0.11, 0.77, 0.38),  # second
    (0.01, 0.13, 0.17, 0.03, 0.02, 0.01, 0.46, -0.48, -1.01, 0.62, 0.59, -0.43),  # session
    (0.07, 0.32, -0.51, 0.24, 0.21),  # item
    (0.84, -0.1, 0.25, -0.05),  # near
    (-0.15, 1.48, 1.07, 1.19, 1.07, 0.17, 0.25, 0.45, -0.27, 1.58, 0.2, -0.73, 0.21, 1.1, 0.41, -0.13,
     -0.38, -0.28),  # repeat
)
_WITHOUT_REPEATS = (
    (0.08, 0.1, 0.01, -0.08, 0.16, 0.03, 0.14, -0.9, 0.53, 0.6, -0.47, -0.64),  # newest
    (0.02, 0.03, -0.01, -0.02, 0.1, -0.02, 0, -0.05, -0.04, 0.47, -0.09, -0.09),  # second
    (-0.01, 0.01, 0.07, 0, 0.3, 0.13, 0.94, 0.09, -0.03, 2.05, -0.76, -1.02),  # session
    (0.12, 0.2, -0.23, 0.24, 0.22),  # item
    (1.25, 0.4, 0.26, -0.51),  # near
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),  # repeat
)
# fmt: on

PRIOR_WEIGHTS: Float32Array = np.array(
    [[w for part in parts for w in part] for parts in (_WITH_REPEATS, _WITHOUT_REPEATS)], np.float32
)
"""float32[2, n_features]: the mean of the weights that two shops' sessions had taught, rounded.

In the order of `online.next_click`: links of the newest item, of the second, of the session, each six
logarithms and six roots; the item itself; nearness; repeats.
"""
