"""From an editor's form to the edit that is previewed."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import QueryDict

from recommender.console.placement_form import placement_fields_from_form
from recommender.console.rule_form import rule_dates_from_form, rule_document_from_form
from recommender.console.strategy_form import strategy_document_from_form
from recommender.models import Placement
from recommender.services.preview import AnyEdit, PlacementEdit, RuleEdit, StrategyEdit
from recommender.serving.request import MAX_LIMIT
from recommender.serving.rules import InvalidRuleError
from recommender.serving.strategy import InvalidStrategyError


class InvalidEdit(ValueError):
    """The form can't be understood yet; the text says where and why."""


@dataclass(frozen=True, slots=True)
class EditOnPage:
    """What kind of editor it is, and the key of what it edits; None for something new."""

    kind: str
    subject: int | None


def edit_from_form(editor: EditOnPage, sent: QueryDict) -> AnyEdit:
    """Read the editor's form. Raises InvalidEdit."""
    try:
        match editor.kind:
            case "strategy":
                return StrategyEdit(document=strategy_document_from_form(sent))
            case "placement":
                return _placement_edit(sent)
            case "rule":
                return _rule_edit(sent, editor.subject)
    except (InvalidStrategyError, InvalidRuleError) as error:
        raise InvalidEdit(str(error)) from error
    raise InvalidEdit("there is no editor of this kind.")


def _rule_edit(sent: QueryDict, rule_id: int | None) -> RuleEdit:
    """A rule as typed; it counts in the preview even where it is switched off."""
    starts_at, ends_at = rule_dates_from_form(sent)
    return RuleEdit(
        rule_id=rule_id,
        name=sent.get("name", "").strip()[:120] or "This rule",
        document=rule_document_from_form(sent),
        starts_s=None if starts_at is None else starts_at.timestamp(),
        ends_s=None if ends_at is None else ends_at.timestamp(),
    )


def _placement_edit(sent: QueryDict) -> PlacementEdit:
    """The fields of a placement that serving looks at."""
    typed = placement_fields_from_form(sent)
    if typed.n_products is None or not 1 <= typed.n_products <= MAX_LIMIT:
        raise InvalidEdit(f"the number of products is a whole number from 1 to {MAX_LIMIT}.")
    if typed.n_minimum is None or not 0 <= typed.n_minimum <= typed.n_products:
        raise InvalidEdit(f"the minimum is a whole number from 0 to {typed.n_products}.")
    return PlacementEdit(
        values={
            "n_products": typed.n_products,
            "n_minimum": typed.n_minimum,
            "shows_nothing_below_minimum": typed.below_minimum == Placement.BelowMinimum.EMPTY,
            "title": typed.title,
            "page_type": typed.page_type,
            "exclude": None if typed.exclude is None else dict(typed.exclude),
        },
        strategy_version_id=typed.strategy_version_id,
    )
