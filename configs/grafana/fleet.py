"""The fleet: is driftd watching everything, and which model needs somebody?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from configs.grafana.panels import (
    HOUR,
    PANEL,
    Steps,
    bars,
    board,
    figure,
    lines,
    now,
    q,
    rows,
)

SEVERE = 'severity!="info"'
MOVES = 'what=~"train|canary|promoted|roll back|ticket|hold|fail gate"'


def fleet() -> Dashboard:
    """All models and all workers on one page."""
    page = board(
        "driftd-fleet",
        "driftd / Fleet",
        "Is everything watched, and which model needs somebody? Start here.",
    )
    for panel in _figures():
        page = page.with_panel(panel)
    page = page.with_row(Row("Models")).with_panel(_models())
    for panel in _watching():
        page = page.with_panel(panel)
    page = page.with_row(Row("Rollouts and events"))
    for panel in _moving():
        page = page.with_panel(panel)
    return page


def _figures() -> list[PANEL]:
    return [
        figure(
            "Workers that take part", "How many workers are ready; none means nothing is watched.",
            "none", now("sum(driftd_ready)"), steps=Steps(yellow=1, red=1, low=True),
        ),
        figure("Models watched", "Models whose policy is in force.", "none", now("max(driftd_models)")),
        figure(
            "Models without a worker", "Models with a policy that no worker steps: nobody looks at them.",
            "none", now("max(driftd_models) - sum(driftd_owned_models)"), steps=Steps(yellow=1, red=1),
        ),
        figure(
            "Open incidents", "Incidents that are more than information.",
            "none", now(f"sum(max by (model, kind, severity) (driftd_incidents_open{{{SEVERE}}}))"),
            steps=Steps(yellow=1, red=5),
        ),
        figure(
            "Rollouts open", "Models in which a second version answers requests or is about to.",
            "none", now("sum(max by (model) (driftd_rollout_open))"),
        ),
        figure(
            "Trainings running", "Trainings that run now, over all models.",
            "none", now("sum(max by (model) (driftd_trainings_running))"),
        ),
        figure(
            "Paused", "Models that are paused, and one more while everything is.",
            "none", now("sum(max by (model) (driftd_paused)) + max(driftd_paused_all)"),
            steps=Steps(yellow=1, red=100),
        ),
        figure(
            "Records not read", "Records in Kafka that were not read yet, over all topics.",
            "short", now("sum(driftd_ingest_lag_records)"), steps=Steps(yellow=10_000, red=1_000_000),
        ),
    ]  # fmt: skip


def _models() -> PANEL:
    incidents = (
        f"sum by (model) (max by (model, kind, severity) (driftd_incidents_open{{{SEVERE}}}))"
    )
    answered = 'driftd_predictions_total{variant!="shadow"}'
    columns = {
        "known": ("max by (model, owner, mode, champion, candidate) (driftd_model_info)", "none"),
        "in stage": ("max by (model, stage) (driftd_stage)", "none"),
        "open incidents": (incidents, "none"),
        "panes closed until": (
            "max by (model) (driftd_closed_timestamp_seconds) * 1000", "dateTimeAsIso",
        ),
        "answers in an hour": (f"sum by (model) (increase({answered}[{HOUR}]))", "short"),
        "Brier skill": (
            'max by (model) (driftd_quality_score{arm="champion",metric="brier_skill"})', "percentunit",
        ),
        "labels arrived": ("max by (model) (driftd_label_arrival_ratio)", "percentunit"),
    }  # fmt: skip
    links = {"model": "/d/driftd-model?var-model=${__value.text}"}
    says = "Every model on one line; its name opens its own page. Empty quality: no labels matured."
    return rows("Models", says, "model", columns, links, hide=("known", "in stage"))


def _watching() -> list[PANEL]:
    return [
        lines(
            "Incidents opened an hour", "What kinds of incidents begin: a data fault concerns those who "
            "deliver data, quality those who own the model.",
            "short", q(f"sum by (kind) (increase(driftd_incidents_opened_total[{HOUR}]))"), bars=True,
            stack=True,
        ),
        lines(
            "Strongest evidence of drift", "The ten streams closest to an alarm; at 1 an incident begins.",
            "percentunit", q("topk(10, max by (model, stream) (driftd_stream_evidence))", "{{model}} {{stream}}"),
            most=1.05, limit=1,
        ),
        lines(
            "Quality of the champions", "Brier skill over the newest matured panes: 0 is no better than "
            "always saying the average, 1 is perfect.",
            "percentunit",
            q('max by (model) (driftd_quality_score{arm="champion",metric="brier_skill"})', "{{model}}"),
            least=None,
        ),
        bars(
            "What became of incidents", "All incidents in the store. Many false alarms: tolerances are too "
            "tight. Many accepted: the world changed and was accepted as new.",
            now("sum by (state) (max by (model, state) (driftd_incidents))", "{{state}}"), span=12,
        ),
    ]  # fmt: skip


def _moving() -> list[PANEL]:
    return [
        lines(
            "Evidence of running canaries", "How far the judges are, of harm and of proof; at 1 they decide: "
            "harm takes the candidate back, proof lets it go on.",
            "percentunit",
            q("max by (model, judge, of) (driftd_judge_evidence)", "{{model}} {{judge}}: {{of}}"),
            most=1.05, limit=1,
        ),
        lines(
            "Decisions an hour", "What driftd did: trained, began a canary, promoted, rolled back, gave up.",
            "short", q(f"sum by (what) (increase(driftd_decisions_total{{{MOVES}}}[{HOUR}]))", "{{what}}"),
            bars=True, stack=True,
        ),
        lines(
            "Records counted a second", "What arrives in Kafka and is counted; a topic at 0 has fallen silent.",
            "cps", q("sum by (topic) (rate(driftd_records_total[$__rate_interval]))", "{{topic}}"),
        ),
        lines(
            "Panes closed until, behind the clock", "How far event time lags behind the clock. A replay of the "
            "past shows its age.",
            "s", q("time() - max by (model) (driftd_closed_timestamp_seconds)", "{{model}}"),
        ),
    ]  # fmt: skip
