"""What broke while something was learned, in words for whoever runs the shop."""

from __future__ import annotations

from django.db import DatabaseError

from recommender.artifacts.manifest import ArtifactError
from recommender.engine.errors import EngineError


def failure_words(error: Exception) -> str:
    """A sentence or two. Paths, queries and the like are in the log, which is where to look next.

    Examples
    --------
    >>> failure_words(MemoryError())
    'There was not enough memory.'
    """
    if isinstance(error, MemoryError):
        return "There was not enough memory."
    if isinstance(error, ArtifactError):
        return (
            "Something that was learned before can't be read from the disk. Retrain the other"
            " families; the log says which file it is."
        )
    if isinstance(error, EngineError):
        said = str(error)[:500].rstrip(".")
        return f"The numbers couldn't be worked out: {said}."
    if isinstance(error, DatabaseError):
        return "The database refused or went away. The log says what it answered."
    if isinstance(error, OSError):
        said = error.strerror or str(error)[:200]
        return f"The disk or the network refused: {said}. The log says where."
    return (
        f"It broke with an error that nobody expected ({type(error).__name__}). The log says where."
    )
