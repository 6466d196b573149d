"""What a page of the console says, as a person reads it."""

from __future__ import annotations

import html
import re

from django.test import Client


def words_of(client: Client, address: str) -> str:
    """The text of a page, without its markup."""
    page = client.get(address).content.decode()
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))
