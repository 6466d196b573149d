"""Machines that say what they are.

Search engines, link previews, monitoring and headless browsers visit shops all day. Those that
name themselves are marked, so that nothing is learned from them. Whoever pretends to be a shopper
isn't found here; that is another trade, with lists that are out of date the day they are made.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Words that stand for a class come first: "Googlebot", "bingbot", "AhrefsBot", "Baiduspider",
# "SemrushBot", "HeadlessChrome". "CUBOT" is a maker of phones.
_MACHINE = re.compile(
    r"(?<!cu)bot\b|bot[/;_-]|crawler|crawling|spider\b|spider[/-]|headless|slurp|scrapy|scraper"
    r"|phantomjs|puppeteer|playwright|selenium|webdriver|cypress/"
    r"|lighthouse|pagespeed|gtmetrix|webpagetest|ptst/"
    r"|pingdom|uptimerobot|uptime-kuma|statuscake|site24x7|datadog|newrelic|checkly|catchpoint"
    r"|monitoring|\bmonitor/|blackbox.exporter"
    r"|facebookexternalhit|facebookcatalog|meta-external|whatsapp/|skypeuripreview|bingpreview"
    r"|google-(?:read-aloud|inspectiontool|safety|extended|adwords)|mediapartners-google"
    r"|feedfetcher|adsbot|apis-google|storebot|duplexweb|duckduckgo-favicons"
    r"|ia_archiver|archive\.org|httrack|nutch|heritrix|yandex(?!search|browser)\w*/"
    r"|gptbot|chatgpt-user|claude-|perplexity-|bytespider|petalbot|ccbot|amazonbot",
    re.IGNORECASE,
)
_LOOKED_AT_CHARS = 512


def is_bot(user_agent: str | None) -> bool:
    """Whether a `User-Agent` calls itself a crawler, a monitor or a browser without a screen.

    None and an empty text say nothing, and HTTP libraries (curl, python-requests) stay shoppers:
    a shop's own server may send its visitors' events with them.

    >>> is_bot("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    True
    >>> is_bot("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari")
    False
    """
    return bool(user_agent) and _judge(user_agent[:_LOOKED_AT_CHARS])  # type: ignore[index]


@lru_cache(maxsize=2048)
def _judge(user_agent: str) -> bool:
    return _MACHINE.search(user_agent) is not None
