"""Feeds as they come: formats, encodings, broken rows, and files that mean harm."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.feeds.delimited import rows_of_delimited
from catalog.feeds.detection import format_detect, rows_of
from catalog.feeds.encodings import encoding_guess
from catalog.feeds.google_merchant import rows_of_xml
from catalog.feeds.json_lines import rows_of_json_lines
from catalog.feeds.rows import ROW_MAX_CHARS, FeedProblem, FeedRefused, FeedRow
from catalog.feeds.unpacking import MIB, feed_unpacked
from tests.feeds import google_feed

CHINESE = [
    {"商品编号": "茶-1", "商品名称": "龙井绿茶 100克", "价格": "￥128.00", "分类": "饮料 > 茶", "标签": "新品，热卖"},
    {"商品编号": "茶-2", "商品名称": "普洱熟茶，七子饼", "价格": "￥1,280.00", "分类": "饮料 > 茶", "标签": ""},
]  # fmt: skip


def read(found: Iterable[FeedRow | FeedProblem]) -> tuple[list[FeedRow], list[FeedProblem]]:
    both = list(found)
    rows = [each for each in both if isinstance(each, FeedRow)]
    return rows, [each for each in both if isinstance(each, FeedProblem)]


def table(text: str, encoding: str = "utf-8") -> tuple[list[FeedRow], list[FeedProblem]]:
    return read(rows_of_delimited(io.BytesIO(text.encode(encoding))))


# ----------------------------------------------------------------------------------- XML


def test_an_rss_feed_gives_each_item_with_its_line() -> None:
    rows, problems = read(rows_of_xml(io.BytesIO(google_feed(3))))
    assert [row.line for row in rows] == [2, 3, 4]
    assert rows[0].values["title"] == "Red mug 1"
    assert rows[0].values["product_type"] == "Kitchen > Mugs > Large"
    assert problems == []


def test_an_atom_feed_is_read_with_its_link_and_googles_names_win() -> None:
    feed = b"""<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
    <title>Shop</title><link href="https://shop.example/"/>
    <entry><title>Plain</title><g:title>Googles</g:title><title>Later</title>
      <link rel="alternate" href="https://shop.example/1"/><link rel="self" href="/feed"/>
      <g:shipping><g:country>US</g:country><g:price>1</g:price></g:shipping>
      <g:additional_image_link>a</g:additional_image_link>
      <g:additional_image_link>b</g:additional_image_link>
      <g:description><![CDATA[<b>Bold</b> &amp; more]]></g:description></entry></feed>"""
    (row,), problems = read(rows_of_xml(io.BytesIO(feed)))
    assert row.values == {
        "title": "Googles",
        "link": "https://shop.example/1",
        "shipping": "",
        "additional_image_link": ["a", "b"],
        "description": "<b>Bold</b> &amp; more",
    }
    assert problems == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030", "gb2312", "big5", "latin-1"])
def test_xml_is_read_in_the_encoding_that_it_declares(encoding: str) -> None:
    title = "Café" if encoding == "latin-1" else "茶山"
    feed = f'<?xml version="1.0" encoding="{encoding}"?><rss><item><id>1</id><title>{title}</title></item></rss>'
    (row,), _ = read(rows_of_xml(io.BytesIO(feed.encode(encoding))))
    assert row.values["title"] == title


BOMBS = {
    "billion laughs": b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    b"<rss><item><id>&b;</id></item></rss>",
    "a file of the server": b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<rss><item><id>&x;</id></item></rss>",
    "a document type elsewhere": b'<!DOCTYPE rss SYSTEM "http://10.0.0.1/x.dtd"><rss><item/></rss>',
}


@pytest.mark.parametrize("feed", BOMBS.values(), ids=list(BOMBS))
def test_a_document_type_is_refused_before_anything_grows(feed: bytes) -> None:
    with pytest.raises(FeedRefused, match="document type"):
        list(rows_of_xml(io.BytesIO(feed)))


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(FeedRefused, match="nested deeper than 32"):
        list(rows_of_xml(io.BytesIO(b"<rss><item>" + b"<a>" * 100_000)))


def test_a_tag_without_end_is_refused() -> None:
    with pytest.raises(FeedRefused, match="a tag has more than 1 MB"):
        list(rows_of_xml(io.BytesIO(b'<rss><item a="' + b"x" * 3 * MIB)))


def test_an_item_without_end_is_a_problem_and_the_next_one_is_read() -> None:
    large = b"x" * (ROW_MAX_CHARS + 1)
    feed = b"<rss><item><id>" + large + b"</id></item><item><id>2</id></item></rss>"
    rows, problems = read(rows_of_xml(io.BytesIO(feed)))
    assert [row.values["id"] for row in rows] == ["2"]
    assert "131,072 characters" in problems[0].reason


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        (b"<rss><item><id>1</id>\n</itm></rss>", "Line 2: the file isn't valid XML"),
        (b"<rss><item><id>1</id></item>", "isn't valid XML"),
        (b"<html><body>Not found</body></html>", "no <item>"),
        (b'<?xml version="1.0" encoding="utf-8"?><rss><item><id>\xff</id></item></rss>', "UTF-8"),
        (b'<?xml version="1.0" encoding="unicode_escape"?><rss/>', "save it as UTF-8"),
    ],
)
def test_a_broken_file_says_where_and_why(feed: bytes, reason: str) -> None:
    with pytest.raises(FeedRefused, match=reason):
        list(rows_of_xml(io.BytesIO(feed)))


# ------------------------------------------------------------------------------ CSV and TSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gbk"])
def test_a_chinese_catalog_is_read_in_every_encoding_and_delimiter(
    delimiter: str, encoding: str
) -> None:
    lines = [list(CHINESE[0]), *(list(row.values()) for row in CHINESE)]
    quoted = [[f'"{cell}"' if delimiter in cell else cell for cell in line] for line in lines]
    rows, problems = table("\r\n".join(delimiter.join(line) for line in quoted), encoding)
    assert [dict(row.values) for row in rows] == CHINESE
    assert problems == []


def test_western_letters_of_an_old_spreadsheet_are_not_taken_for_chinese() -> None:
    text = "id;title\n1;Grüner Tee für süße Gäste\n2;Crème brûlée à l'ancienne\n3;50 € Gutschein\n"
    rows, _ = table(text, "cp1252")
    assert [row.values["title"] for row in rows] == [
        "Grüner Tee für süße Gäste",
        "Crème brûlée à l'ancienne",
        "50 € Gutschein",
    ]


def test_a_guess_holds_when_the_last_letter_is_cut() -> None:
    assert encoding_guess("绿茶".encode()[:-1]) == "utf-8"


def test_quoted_line_ends_keep_the_count_of_lines() -> None:
    rows, problems = table('id,title\n1,"two\nlines"\n\n2,plain\n3,too,many\n4,"a ""quote"""\n')
    assert [(row.line, row.values["title"]) for row in rows] == [
        (2, "two\nlines"),
        (5, "plain"),
        (7, 'a "quote"'),
    ]
    assert [(each.line, each.reason, each.external_id) for each in problems] == [
        (6, "The row has 3 cells, the first line has 2.", "3")
    ]


def test_a_quote_that_is_never_closed_costs_its_own_line_only() -> None:
    lines = ["id,title", "1,fine", '2,"open', *(f"{n},fine {n}" for n in range(3, 5_000))]
    rows, problems = table("\n".join(lines))
    assert len(rows) == 4_998
    assert [(each.line, each.reason) for each in problems] == [
        (3, "A quotation mark opens a cell here and is never closed.")
    ]


def test_text_behind_a_closing_quote_is_said() -> None:
    rows, problems = table('id,title\n1,"5" pipe"\n2,fine\n')
    assert [row.values["id"] for row in rows] == ["2"]
    assert "doubled" in problems[0].reason


def test_a_line_without_end_is_a_problem_and_the_next_one_is_read() -> None:
    rows, problems = table(f"id,title\n1,{'x' * 3 * ROW_MAX_CHARS}\n2,fine\n")
    assert [(row.line, row.values["id"]) for row in rows] == [(3, "2")]
    assert [(each.line, each.reason) for each in problems] == [
        (2, "The row has more than 131,072 characters.")
    ]


def test_a_table_without_names_of_columns_is_refused() -> None:
    with pytest.raises(FeedRefused, match="name the columns"):
        table("")


@given(st.binary(max_size=2_000))
def test_no_bytes_break_a_reader_in_another_way_than_by_refusing(data: bytes) -> None:
    for reader in (rows_of_xml, rows_of_delimited, rows_of_json_lines):
        try:
            list(reader(io.BytesIO(data)))
        except FeedRefused:
            continue


# ------------------------------------------------------------------------------- JSON Lines


def test_json_lines_are_read_one_by_one() -> None:
    lines = [json.dumps(CHINESE[0]), "", '{"id": 1', "[1]", '"text"', '{"id": 2, "tags": ["a"]}']
    rows, problems = read(rows_of_json_lines(io.BytesIO("\n".join(lines).encode("utf-8-sig"))))
    assert [(row.line, dict(row.values)) for row in rows] == [
        (1, CHINESE[0]),
        (6, {"id": 2, "tags": ["a"]}),
    ]
    assert [each.line for each in problems] == [3, 4, 5]
    assert problems[0].reason.startswith("The line isn't valid JSON")
    assert problems[0].value == '{"id": 1'


def test_a_json_line_without_end_is_a_problem_and_the_next_one_is_read() -> None:
    data = b'{"id": "' + b"x" * 3 * 4 * ROW_MAX_CHARS + b'"}\n{"id": 2}'
    rows, problems = read(rows_of_json_lines(io.BytesIO(data)))
    assert [(row.line, row.values["id"]) for row in rows] == [(2, 2)]
    assert problems[0].line == 1


# -------------------------------------------------------------------------- what a file is


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n", "picture"),
        (b'[{"id": 1}]', "one object per line"),
        (b"\xd0\xcf\x11\xe0", "Excel"),
    ],
)
def test_what_is_no_feed_is_named(head: bytes, reason: str) -> None:
    with pytest.raises(FeedRefused, match=reason):
        format_detect(head)


def test_the_format_that_was_found_reads_the_file() -> None:
    feed = google_feed(2)
    rows, _ = read(rows_of(io.BytesIO(feed), format_detect(feed[:100])))
    assert len(rows) == 2


# ------------------------------------------------------------------------------- packed files


def packed_zip(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return file.getvalue()


def unpack(data: bytes, max_bytes: int = 100 * MIB) -> bytes:
    return feed_unpacked(io.BytesIO(data), n_packed=len(data), max_bytes=max_bytes).read()


def test_gzip_and_zip_are_unpacked_and_plain_files_are_left_alone() -> None:
    feed = google_feed(50)
    assert unpack(feed) == unpack(gzip.compress(feed)) == unpack(packed_zip(feed=feed)) == feed


def test_a_gzip_bomb_is_refused_while_it_grows() -> None:
    bomb = gzip.compress(b"\0" * 40 * MIB)
    assert len(bomb) < MIB
    with pytest.raises(FeedRefused, match="more than 200 times"):
        unpack(bomb)


def test_a_zip_bomb_is_refused_while_it_grows() -> None:
    with pytest.raises(FeedRefused, match="more than 200 times"):
        unpack(packed_zip(feed=b"\0" * 40 * MIB))


def test_too_much_is_refused_however_badly_it_was_packed() -> None:
    with pytest.raises(FeedRefused, match="more than 1 MB"):
        unpack(gzip.compress(google_feed(5_000)), max_bytes=MIB)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed_zip(a=b"1", b=b"2"), "2 files"),
        (packed_zip(xl__workbook=b"<x/>"), "Excel"),
        (packed_zip(feed=b"x" * 1000)[:60], "damaged"),
        (gzip.compress(google_feed(100))[:-20], "damaged or broken off"),
    ],
    # An archive holds the second it was packed in: no name that two processes agree on.
    ids=["two files", "a spreadsheet", "a broken zip", "a broken gzip"],
)
def test_an_archive_that_is_no_feed_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FeedRefused, match=reason):
        unpack(data)
