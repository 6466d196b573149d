"""Below /console/<store>/experiments/: everything but the results."""

from __future__ import annotations

from django.urls import path

from analytics.console import (
    experiments,
    experiments_actions,
    experiments_decide,
    experiments_editor,
    experiments_groups,
    experiments_holdout,
    experiments_setup,
)

# Words below experiments/ are reserved as keys: `RESERVED_KEYS` of the services.
urlpatterns = [
    path("", experiments.experiments_page, name="console-experiments"),
    path("new/", experiments_editor.experiment_new, name="console-experiment-new"),
    path("plan/", experiments_editor.experiment_plan, name="console-experiment-plan"),
    path("plan/fields/", experiments_editor.experiment_fields, name="console-experiment-fields"),
    path("groups/", experiments_groups.group_list, name="console-experiment-groups"),
    path("groups/new/", experiments_groups.group_new, name="console-experiment-group-new"),
    path(
        "groups/<int:group_id>/name/",
        experiments_groups.group_name,
        name="console-experiment-group-name",
    ),
    path(
        "groups/<int:group_id>/delete/",
        experiments_groups.group_remove,
        name="console-experiment-group-delete",
    ),
    path("hold-out/", experiments_holdout.holdout_page, name="console-holdout"),
    path("hold-out/save/", experiments_holdout.holdout_save, name="console-holdout-save"),
    path("hold-out/stop/", experiments_holdout.holdout_end, name="console-holdout-stop"),
    path("<slug:key>/edit/", experiments_editor.experiment_editor, name="console-experiment-edit"),
    path(
        "<slug:key>/delete/",
        experiments_editor.experiment_remove,
        name="console-experiment-delete",
    ),
    path("<slug:key>/setup/", experiments_setup.experiment_setup, name="console-experiment-setup"),
    path("<slug:key>/links/", experiments_setup.experiment_links, name="console-experiment-links"),
    path(
        "<slug:key>/history/",
        experiments.experiment_history_page,
        name="console-experiment-history",
    ),
    path("<slug:key>/start/", experiments_actions.start_page, name="console-experiment-start"),
    path("<slug:key>/pause/", experiments_actions.pause, name="console-experiment-pause"),
    path("<slug:key>/resume/", experiments_actions.resume, name="console-experiment-resume"),
    path("<slug:key>/ramp/", experiments_actions.ramp_page, name="console-experiment-ramp"),
    path("<slug:key>/stop/", experiments_actions.stop_page, name="console-experiment-stop"),
    path("<slug:key>/decide/", experiments_decide.decide_page, name="console-experiment-decide"),
]
