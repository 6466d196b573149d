"""The notice that a demo store's figures are replayed."""

from __future__ import annotations

from django import template
from django.template import Context

from catalog.console.access import ConsoleRequest
from catalog.console.replays import Notice, replay_notice

register = template.Library()

# Whose figures come from the replay, by the beginnings of their names.
PAGES = ("console-overview", "console-experiment", "console-holdout", "console-insight")


@register.inclusion_tag("console/replay/_notice.html", takes_context=True, name="replay_notice")
def notice(context: Context) -> Notice | dict[str, object]:
    """On the pages whose figures are replayed. One query in a demo store, none elsewhere."""
    request: ConsoleRequest = context["request"]
    match = request.resolver_match
    if match is None or not (match.url_name or "").startswith(PAGES):
        return {}
    return replay_notice(store=request.store)
