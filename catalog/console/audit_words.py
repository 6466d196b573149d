"""An entry of the audit log in words: what was done, and what is different since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Of one entry; the export has them all.
MAX_CHANGES = 40
MAX_VALUE_CHARS = 300
NOTHING = "–"

# Every action that is recorded. One of an older version is said by its own words: "thing.move" is
# "Thing: move".
ACTION_WORDS: dict[str, str] = {
    "catalog.import": "Catalog: imported",
    "configuration.import": "Configuration: imported",
    "content_weights.restore": "What makes products similar: back to usual",
    "content_weights.save": "What makes products similar: saved",
    "event_weights.save": "Event weights: saved",
    "exclusion_group.create": "Exclusion group: made",
    "exclusion_group.delete": "Exclusion group: deleted",
    "exclusion_group.rename": "Exclusion group: renamed",
    "experiment.create": "Experiment: made",
    "experiment.decide": "Experiment: decided",
    "experiment.delete": "Experiment: deleted",
    "experiment.edit": "Experiment: changed",
    "experiment.note": "Experiment: note written down",
    "experiment.pause": "Experiment: paused",
    "experiment.ramp": "Experiment: coverage or weights changed",
    "experiment.range": "Experiment: some of its days looked at",
    "experiment.resume": "Experiment: taken up again",
    "experiment.start": "Experiment: started",
    "experiment.stop": "Experiment: stopped",
    "feed.columns": "Feed: columns chosen",
    "feed.create": "Feed: kept, to be read again",
    "feed.delete": "Feed: deleted",
    "feed.edit": "Feed: changed",
    "holdout.change": "Hold-out: share changed",
    "holdout.start": "Hold-out: started",
    "holdout.stop": "Hold-out: stopped",
    "import.answer": "Import: question answered",
    "import.cancel": "Import: cancelled",
    "import.check": "Import: columns chosen",
    "import.create": "Import: file or address given",
    "import.start": "Import: started",
    "invitation.create": "Invitation: made",
    "invitation.revoke": "Invitation: revoked",
    "key.create": "Key: made",
    "key.revoke": "Key: revoked",
    "lab.cancel": "Lab: comparison cancelled",
    "lab.choose": "Lab: method chosen to serve",
    "lab.start": "Lab: comparison asked for",
    "member.join": "Member: joined",
    "member.remove": "Member: removed",
    "member.role": "Member: role changed",
    "model.confirm": "Model: confirmed",
    "model.discard": "Model: discarded",
    "model.retrain": "Model: training asked for",
    "placement.create": "Placement: made",
    "placement.edit": "Placement: changed",
    "placement.pause": "Placement: paused",
    "placement.resume": "Placement: live again",
    "product.hide": "Product: hidden",
    "product.show": "Product: shown again",
    "product.tag": "Product: tag added",
    "product.untag": "Product: tag taken off",
    "quarantine.replay": "Refused events: judged again",
    "rule.create": "Rule: made",
    "rule.delete": "Rule: deleted",
    "rule.disable": "Rule: switched off",
    "rule.edit": "Rule: changed",
    "rule.enable": "Rule: switched on",
    "rule.move": "Rule: moved in the order",
    "rule.pause": "Rule: paused by itself",
    "segment.create": "Segment: made",
    "segment.delete": "Segment: deleted",
    "segment.edit": "Segment: changed",
    "shopper.erase": "Shopper: erased",
    "shopper.link": "Shopper: linked",
    "shopper.unlink": "Shopper: link undone",
    "store.create": "Store: opened",
    "strategy.create": "Strategy: made",
    "strategy.edit": "Strategy: new version",
    "strategy.rename": "Strategy: renamed",
    "strategy.restore": "Strategy: older version restored",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `path` is empty if the whole is a single value."""

    path: str
    before: str
    after: str
    kind: str  # added, removed, changed


def action_words(action: str) -> str:
    known = ACTION_WORDS.get(action)
    if known is not None:
        return known
    noun, _, verb = action.partition(".")
    return f"{family_words(noun)}: {verb.replace('_', ' ')}" if verb else family_words(noun)


def family_words(family: str) -> str:
    """`event_weights` → Event weights."""
    return family.replace("_", " ").capitalize()


def changes_between(before: Any, after: Any) -> list[Change]:
    """What differs between two JSON values, in the order of the later one, then what is gone.

    >>> [(c.path, c.before, c.after) for c in changes_between({"a": {"b": 1}}, {"a": {"b": 2}})]
    [('a › b', '1', '2')]
    >>> [(c.path, c.kind) for c in changes_between(None, {"role": "viewer"})]
    [('role', 'added')]
    """
    old, new = _leaves(before), _leaves(after)
    changes = []
    for path in [*new, *(path for path in old if path not in new)]:
        if path in old and path in new and old[path] == new[path]:
            continue
        if _text(old.get(path)) == _text(new.get(path)) == NOTHING:
            continue
        kind = "added" if path not in old else "removed" if path not in new else "changed"
        changes.append(
            Change(
                path=_path_words(path),
                before=_text(old[path]) if path in old else "",
                after=_text(new[path]) if path in new else "",
                kind=kind,
            )
        )
    return changes


def _path_words(path: Sequence[str]) -> str:
    """The names on the way to a value; that rules and strategies are documents is our own affair."""
    named = path[1:] if len(path) > 1 and path[0] == "document" else path
    return " › ".join(name.replace("_", " ") for name in named)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Each value that holds no others, by the names on the way to it."""
    if isinstance(value, Mapping) and value:
        parts: list[tuple[str, Any]] = [(str(name), part) for name, part in value.items()]
    elif isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
        parts = [(_name(part, number), part) for number, part in enumerate(value, start=1)]
    elif value is None and not path:
        return {}
    else:
        return {path: value}
    leaves: dict[tuple[str, ...], Any] = {}
    for name, part in parts:
        leaves |= _leaves(part, (*path, name))
    return leaves


def _name(part: Any, number: int) -> str:
    """A part of a list by the name it has, so that moving it isn't a change of everything."""
    if isinstance(part, Mapping):
        for key in ("name", "source", "slug", "key", "id"):
            if isinstance(part.get(key), str):
                return str(part[key])
    return str(number)


def _text(value: Any) -> str:
    if value is None or value == "" or value == [] or value == {}:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ", ".join(_text(part) for part in value)
    text = str(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[: MAX_VALUE_CHARS - 1]}…"
