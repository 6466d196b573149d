"""How good will a shopper find it: ratings cut in two, by time where there is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.evaluation.splits import hold_out
from recommender.engine.evaluation.tasks import Task, Vocabulary
from recommender.engine.methods.inputs import Query, Ratings, Training
from recommender.engine.offline.interactions import group_items_matrix
from recommender.engine.types import BoolArray, Float32Array, Int32Array, Int64Array

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class RatingLog:
    """Lines of ``user item rating [time]``.

    Attributes
    ----------
    users, items : list of str
    values : float32[n]
    times_s : int64[n] or None
        None where a line has no time.
    """

    users: list[str]
    items: list[str]
    values: Float32Array
    times_s: Int64Array | None

    def taken(self, kept: BoolArray) -> RatingLog:
        """Some of the lines, in their order."""
        places = np.flatnonzero(kept)
        return RatingLog(
            [self.users[place] for place in places],
            [self.items[place] for place in places],
            self.values[places],
            None if self.times_s is None else self.times_s[places],
        )


def parse_ratings(lines: Iterable[str]) -> RatingLog:
    """Three or four fields a line, separated by white space, commas or ``::``.

    A first line whose rating is no number is a header. Of several ratings of a user and item the
    last line counts.

    Raises
    ------
    EmptyInputError
        If there is no rating.
    InvalidInputError
        If a line has too few fields, or no number where one must be.

    Examples
    --------
    >>> log = parse_ratings(["user,item,rating", "7,a,4", "7,b,2.5"])
    >>> log.users, log.items, log.values.tolist(), log.times_s
    (['7', '7'], ['a', 'b'], [4.0, 2.5], None)
    """
    found: dict[tuple[str, str], tuple[float, float | None]] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.lstrip("\ufeff").replace("::", " ").replace(",", " ").split()
        if not fields:
            continue
        if len(fields) < 3:
            raise InvalidInputError(f"line {number} is not 'user item rating': {line[:60]!r}")
        try:
            value = float(fields[2])
            time = float(fields[3]) if len(fields) > 3 else None
        except ValueError as error:
            if number == 1:
                continue
            raise InvalidInputError(f"line {number} has no number for a rating: {error}") from error
        found[fields[0], fields[1]] = (value, time)
    if not found:
        raise EmptyInputError("the file has no rating")
    times = [time for _, time in found.values() if time is not None]
    return RatingLog(
        [user for user, _ in found],
        [item for _, item in found],
        np.array([value for value, _ in found.values()], np.float32),
        np.array(times, np.int64) if len(times) == len(found) else None,
    )


def ratings_task(log: RatingLog, *, seed: int) -> Task:
    """Predict the ratings of the test part, and find what is rated well in it.

    With times the last fifth of all ratings is the test, else a random fifth of every user's.
    Right answers are items of the test part with at least the mean rating of the training; the
    error is measured over all of the test part whose user and item training knows, also of users
    who found nothing good in it: of them no list is judged.
    """
    later = _later(log, seed)
    train, test = log.taken(~later), log.taken(later)
    items, users = Vocabulary(), Vocabulary()
    item_rows, user_rows = items.learn(train.items), users.learn(train.users)
    liked_from = float(train.values.mean())
    ratings = Ratings(user_rows, item_rows, train.values)
    by_user = _by_user(user_rows, item_rows, train.values)
    tested = _by_user(users.rows_of(test.users), items.rows_of(test.items), test.values)
    queries: list[Query] = []
    relevant: list[Int32Array] = []
    held: list[tuple[Int32Array, Float32Array]] = []
    for user, (rows, values) in tested.items():
        liked = rows[values >= liked_from]
        if user < 0 or not (len(liked) or (rows >= 0).any()):
            continue
        mine, given = by_user[user]
        queries.append(Query(mine, removed=mine, ratings=given, shopper_row=user))
        relevant.append(liked)
        held.append((rows[rows >= 0], values[rows >= 0]))
    if not any(map(len, relevant)):
        raise EmptyInputError("no user of the test part rated anything well and is known before")
    return Task(
        protocol="ratings",
        training=Training(
            len(items),
            now_s=0 if train.times_s is None else int(train.times_s.max()) + 1,
            shoppers={
                "any": group_items_matrix(
                    user_rows, item_rows, n_groups=len(users), n_items=len(items), binary=True
                )
            },
            ratings=ratings,
        ),
        queries=queries,
        relevant=relevant,
        objective=("rmse",),
        ratings=held,
    )


def ratings_validation(log: RatingLog, *, seed: int) -> Task:
    """The training part, cut in the same way once more."""
    return ratings_task(log.taken(~_later(log, seed)), seed=seed)


def _later(log: RatingLog, seed: int) -> BoolArray:
    """The lines of the test part."""
    if log.times_s is not None and np.ptp(log.times_s):
        order = np.argsort(log.times_s, kind="stable")
        later = np.zeros(len(order), np.bool_)
        later[order[len(order) - int(TEST_SHARE * len(order)) :]] = True
    else:
        _, users = np.unique(np.array(log.users), return_inverse=True)
        later = hold_out(users, share=TEST_SHARE, seed=seed)
    if not later.any() or later.all():
        raise EmptyInputError("there are too few ratings to be cut in two")
    return later


def _by_user(
    users: Int32Array, rows: Int32Array, values: Float32Array
) -> dict[int, tuple[Int32Array, Float32Array]]:
    """Rows and values of each user, rows ascending."""
    order = np.lexsort((rows, users))
    users, rows, values = users[order], rows[order], values[order]
    edges = np.flatnonzero(np.diff(users)) + 1
    starts = np.concatenate([[0], edges]).astype(np.int64)
    return {
        int(users[start]): (part, value)
        for start, part, value in zip(
            starts.tolist(), np.split(rows, edges), np.split(values, edges), strict=True
        )
    }
