"""Ids to rows, and a shopper's list to columns: compiled as `compiled` is."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommender.engine.online.kernel import I32, I64, U8, N, helper, kernel


@kernel(I64, I32, I64)
def find(sorted_ids: Any, sorted_rows: Any, wanted: Any) -> Any:
    """The row of each id, -1 for those that aren't there.

    Ids come from a sequence and have few gaps, so the place is guessed from the values first
    (interpolation search), and only where two guesses fail by halving.
    """
    out = np.full(len(wanted), -1, np.int32)
    for i in range(len(wanted)):
        low, high = 0, len(sorted_ids) - 1
        n_guesses = 0
        while low <= high and sorted_ids[low] <= wanted[i] <= sorted_ids[high]:
            place = (low + high) // 2
            if n_guesses < 3:
                n_guesses += 1
                # In floats: the difference of two ids may be more than an integer holds.
                first, last = np.float64(sorted_ids[low]), np.float64(sorted_ids[high])
                if last > first:
                    part = (np.float64(wanted[i]) - first) / (last - first)
                    place = low + int(part * (high - low))
                    # Rounding must not lead out of what is left.
                    if place < low:
                        place = low
                    if place > high:
                        place = high
            if sorted_ids[place] == wanted[i]:
                out[i] = sorted_rows[place]
                break
            if sorted_ids[place] < wanted[i]:
                low = place + 1
            else:
                high = place - 1
    return out


@helper
def _number(packed: Any, start: int, n_bytes: int) -> Any:
    """A big-endian number."""
    value = np.int64(0)
    for i in range(start, start + n_bytes):
        value = (value << 8) | packed[i]
    return value


@kernel(U8, N, N, N)
def unpack(packed: Any, add: int, remove: int, buy: int) -> Any:
    """See `session_state._unpacked`: times, types, products, pieces, all by time; the cart.

    An entry is 15 bytes: seconds (4), type (1), product (8), pieces (2); type 0 is blank.
    """
    n_entries = len(packed) // 15
    at_s = np.empty(n_entries, np.int64)
    place = np.empty(n_entries, np.int64)
    n = 0
    for entry in range(n_entries):
        if packed[15 * entry + 4] == 0:
            continue
        at = _number(packed, 15 * entry, 4)
        # Nearly sorted already: sorting by insertion moves next to nothing.
        j = n - 1
        while j >= 0 and at_s[j] > at:
            at_s[j + 1] = at_s[j]
            place[j + 1] = place[j]
            j -= 1
        at_s[j + 1] = at
        place[j + 1] = 15 * entry
        n += 1
    types_ = np.empty(n, np.int32)
    products = np.empty(n, np.int64)
    pieces = np.empty(n, np.int32)
    cart = np.empty(n, np.int64)
    in_cart = np.empty(n, np.int64)
    n_cart = 0
    for i in range(n):
        kind = np.int32(packed[place[i] + 4])
        product = _number(packed, place[i] + 5, 8)
        quantity = _number(packed, place[i] + 13, 2)
        types_[i], products[i], pieces[i] = kind, product, quantity
        if kind != add and kind != remove and kind != buy:
            continue
        own = 0
        while own < n_cart and cart[own] != product:
            own += 1
        if kind == add:
            if own == n_cart:
                cart[own] = product
                in_cart[own] = 0
                n_cart += 1
            in_cart[own] += quantity
        elif own < n_cart:
            in_cart[own] -= quantity
            if kind == buy or in_cart[own] <= 0:
                # The others keep their order.
                n_cart -= 1
                for j in range(own, n_cart):
                    cart[j], in_cart[j] = cart[j + 1], in_cart[j + 1]
    return at_s[:n].copy(), types_, products, pieces, cart[:n_cart].copy()
