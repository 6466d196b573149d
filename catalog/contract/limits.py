"""The limits of the public API. Documentation and checks read them from here."""

from __future__ import annotations

from datetime import timedelta

KIB = 1024
MIB = 1024 * KIB

# Events, per request
BROWSER_MAX_EVENTS = 50
BROWSER_MAX_BYTES = 64 * KIB
SERVER_MAX_EVENTS = 1_000
SERVER_MAX_BYTES = 1 * MIB

# One event or product
ENTRY_MAX_BYTES = 32 * KIB
MAX_NESTING = 32
EVENT_MAX_PRODUCTS = 200
EVENT_MAX_PROPERTIES = 50
ID_MAX_CHARS = 128
SESSION_ID_MAX_CHARS = 64
TEXT_MAX_CHARS = 300
MAX_QUANTITY = 1_000_000
MAX_RATING = 100.0
# 10 billion dollars. With the largest quantity the value of a line still fits 64 bits.
MAX_MINOR = 10**12

BROWSER_MAX_AGE = timedelta(days=7)
MAX_AHEAD = timedelta(hours=24)
# A clock that is off by more isn't a clock: such a `sent_at` is left out of account.
MAX_CLOCK_OFFSET = timedelta(days=7)

# Products, per request
MAX_PRODUCTS = 1_000
PRODUCTS_MAX_BYTES = 4 * MIB

# One product, which may bring a vector of 20 characters a number
PRODUCT_MAX_BYTES = 128 * KIB
MAX_VECTOR = 4_096
MAX_TAGS = 50
MAX_ATTRIBUTES = 50
