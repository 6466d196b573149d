"""Which letters the bytes of a file are."""

from __future__ import annotations

import codecs
import re

from catalog.feeds.rows import FeedRefused

# What a feed may be written in. Others that Python knows ("unicode_escape", "punycode", …) are
# programs rather than letters.
KNOWN = frozenset(
    ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii", "gb2312", "gbk", "gb18030",
     "big5", "big5hkscs", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "koi8-r", "mac-roman",
     *(f"iso8859-{part}" for part in range(1, 17)),
     *(f"cp{page}" for page in range(1250, 1259)))
)  # fmt: skip
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HIGH = re.compile(rb"[\x80-\xff]")
# The two bytes of the 6,763 characters that nearly all Chinese text is written with.
_CHINESE = re.compile(rb"[\xa1-\xa9\xb0-\xf7][\xa1-\xfe]")


def known_encoding(name: str) -> str:
    """Python's name for an encoding that a file says it has.

    Raises
    ------
    FeedRefused
        Nobody writes feeds in it.

    >>> known_encoding("GB2312"), known_encoding("latin1")
    ('gb18030', 'cp1252')
    """
    try:
        found = codecs.lookup(name.strip()).name
    except LookupError:
        found = ""
    if found not in KNOWN:
        raise FeedRefused(f"The file says that it is written in {name[:40]!r}: save it as UTF-8.")
    if found in ("gb2312", "gbk"):
        return "gb18030"
    # As browsers do: whoever says Latin-1 has typed a euro sign in Windows.
    return "cp1252" if found in ("iso8859-1", "ascii") else found


def encoding_guess(head: bytes) -> str:
    """The encoding of a text by its first bytes.

    A byte-order mark decides; else UTF-8 if it is valid; else, if most bytes beyond ASCII stand in
    pairs that are Chinese characters, GB 18030; else Windows-1252, which is never wrong about the
    bytes and seldom about western letters.

    >>> encoding_guess("Grüner Tee".encode()), encoding_guess("Grüner Tee".encode("cp1252"))
    ('utf-8', 'cp1252')
    >>> encoding_guess("绿茶，一百克".encode("gbk")), encoding_guess("x".encode("utf-16"))
    ('gb18030', 'utf-16')
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if head[:4:2].count(0) == 0 and head[1:4:2] == b"\x00\x00":
        return "utf-16-le"
    if _is_utf8(head):
        return "utf-8"
    n_high = len(_HIGH.findall(head))
    n_chinese = 2 * len(_CHINESE.findall(head))
    return "gb18030" if n_chinese > 0.9 * n_high else "cp1252"


def _is_utf8(head: bytes) -> bool:
    """Valid as far as it goes: the last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
