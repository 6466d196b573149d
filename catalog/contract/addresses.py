"""Network addresses: taken out of whatever shops send, because they point at a person."""

from __future__ import annotations

import re
from typing import Any

PLACEHOLDER = "[address]"

# Four numbers up to 255 that aren't part of a longer run of numbers (1.2.3.4.5 is a version).
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"(?<![\d.]){_BYTE}(?:\.{_BYTE}){{3}}(?![\d.]*\d)"
# Eight groups, or fewer with one `::`; a time of day has neither.
_IPV6 = (
    r"(?<![0-9A-Za-z:])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
    r"|(?=[0-9A-Fa-f:]*::)(?=[0-9A-Fa-f:]*[0-9A-Fa-f])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})"
    r"(?![0-9A-Za-z:])"
)
_ADDRESS = re.compile(f"{_IPV4}|{_IPV6}")


def without_addresses(value: Any) -> Any:
    """A JSON value with every IPv4 and IPv6 address in its texts replaced.

    >>> without_addresses({"ip": "203.0.113.9", "via": ["2001:db8::1"], "at": "10:20:30"})
    {'ip': '[address]', 'via': ['[address]'], 'at': '10:20:30'}
    """
    if isinstance(value, str):
        if "." not in value and ":" not in value:
            return value
        return _ADDRESS.sub(PLACEHOLDER, value)
    if isinstance(value, list):
        return [without_addresses(each) for each in value]
    if isinstance(value, dict):
        return {without_addresses(key): without_addresses(each) for key, each in value.items()}
    return value
