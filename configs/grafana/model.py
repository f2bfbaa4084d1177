"""One model: what is it doing, is it good, is its input what it was, and how does its canary fare?"""

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    Row,
    TextBoxVariable,
)
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

from configs.grafana.panels import (
    HOUR,
    PANEL,
    Steps,
    board,
    choice,
    event,
    figure,
    lines,
    now,
    q,
    states,
)

OF = 'model="$model"'


def model() -> Dashboard:
    """What an ML engineer looks at during an incident of one model."""
    page = (
        board("driftd-model", "driftd / Model", "One model: its incidents, quality, inputs and canary.")
        .with_variable(choice("model", "Model", "driftd_paused"))
        .with_variable(
            TextBoxVariable("driftd").label("Address of driftd").default_value("http://127.0.0.1:8321")
        )
        .link(_page("Report", "/report"))
        .link(_page("Journal", "/decisions"))
        .annotation(_decided("Promotion", "green", "promoted"))
        .annotation(_decided("Roll-back", "red", "roll back"))
        .annotation(_decided("Training", "blue", "train"))
    )  # fmt: skip
    for panel in _figures():
        page = page.with_panel(panel)
    for title, panels in (
        ("Traffic", _traffic()),
        ("Quality", _quality()),
        ("Canary", _canary()),
        ("Inputs", _inputs()),
        ("Commands", _commands()),
    ):
        page = page.with_row(Row(title))
        for panel in panels:
            page = page.with_panel(panel)
    return page


def _page(title: str, path: str) -> DashboardLink:
    return (
        DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .url("${driftd}/api/models/${model}" + path)
        .target_blank(True)
    )


def _decided(name: str, colour: str, what: str) -> AnnotationQuery:
    # Grafana draws a line where the value is exactly 1.
    counted = f'driftd_decisions_total{{{OF},what="{what}"}}'
    return event(name, colour, f"sum by (model) (increase({counted}[$__rate_interval])) > bool 0")


def _figures() -> list[PANEL]:
    return [
        states("Stage", "Where in its lifecycle the model was, and when.", q(f"max by (stage) (driftd_stage{{{OF}}})", "{{stage}}")),
        figure("Champion", "The version that answers.", "none", now(f"max by (champion) (driftd_model_info{{{OF}}})", "{{champion}}"), name=True),
        figure("Mode", "What the policy allows driftd to do by itself.", "none", now(f"max by (mode) (driftd_model_info{{{OF}}})", "{{mode}}"), name=True),
        figure("Open incidents", "Of every severity.", "none", now(f"sum(max by (kind, severity) (driftd_incidents_open{{{OF}}}))"), steps=Steps(yellow=1, red=3)),
        figure("Paused", "1 while the model or everything is paused.", "none", now(f"max(driftd_paused{{{OF}}}) + max(driftd_paused_all) > bool 0"), steps=Steps(yellow=1, red=2)),
        figure("Still learning", "1 while driftd learns what is normal: shown, never alarmed.", "none", now(f"max(driftd_learning{{{OF}}})"), steps=Steps(yellow=1, red=2)),
        figure("On the candidate", "Share of live traffic on the candidate.", "percentunit", now(f"max(driftd_canary_weight_ratio{{{OF}}})")),
        figure("Labels arrived", "Share of matured predictions that got a label.", "percentunit", now(f"max(driftd_label_arrival_ratio{{{OF}}})"), steps=Steps(yellow=0.5, red=0.2, low=True)),
        figure("Panes closed until", "Event time up to which everything is known.", "dateTimeAsIso", now(f"max(driftd_closed_timestamp_seconds{{{OF}}}) * 1000")),
    ]  # fmt: skip


def _traffic() -> list[PANEL]:
    answers, errors = f"driftd_predictions_total{{{OF}}}", f"driftd_prediction_errors_total{{{OF}}}"
    latency = f"sum by (le) (rate(driftd_serving_latency_seconds_bucket{{{OF}}}[$__rate_interval]))"
    return [
        lines("Answers a second by version", "What the servers answered, shadows left out; follows a routing at once.", "reqps",
              q(f"sum by (version, variant) (rate(driftd_serving_predictions_total{{{OF}}}[$__rate_interval]))", "{{version}} ({{variant}})"), stack=True),
        lines("Answers an hour as counted", "What came through Kafka into closed panes; less than answered: events are lost on the way.", "short",
              q(f"sum by (variant) (increase({answers}[{HOUR}]))", "{{variant}}")),
        lines("Failed share", "Requests that failed, of those in closed panes.", "percentunit",
              q(f"sum by (variant) (increase({errors}[{HOUR}])) / sum by (variant) (increase({answers}[{HOUR}]))", "{{variant}}")),
        lines("Latency of a call", "Median and 99th percentile at the servers.", "s",
              q(f"histogram_quantile(0.5, {latency})", "p50"), q(f"histogram_quantile(0.99, {latency})", "p99")),
    ]  # fmt: skip


def _quality() -> list[PANEL]:
    def score(metric: str) -> str:
        return f'max by (arm) (driftd_quality_score{{{OF},metric="{metric}"}})'

    return [
        lines("Brier score", "Mean squared error of the probability over the newest matured panes; lower is better.", "none",
              q(score("brier"), "{{arm}}"), least=None, span=8),
        lines("AUC", "How well the score ranks; 0.5 is chance, 1 is perfect.", "none", q(score("auc"), "{{arm}}"), least=None, most=1, span=8),
        lines("Brier skill", "Against always saying the average; below 0 the model does harm.", "percentunit",
              q(score("brier_skill"), "{{arm}}"), least=None, span=8),
        lines("Labels an hour", "Joined with their prediction, too late for it, or without one.", "short",
              q(f"sum by (outcome) (increase(driftd_labels_total{{{OF}}}[{HOUR}]))", "{{outcome}}"), stack=True),
        lines("Labels behind the scores", "Few labels: the scores above say little.", "short",
              q(f"max by (arm) (driftd_quality_labels{{{OF}}})", "{{arm}}")),
    ]  # fmt: skip


def _canary() -> list[PANEL]:
    return [
        lines("Evidence of the judges", "Of harm and of proof; at 1 a judge decides.", "percentunit",
              q(f"max by (judge, of) (driftd_judge_evidence{{{OF}}})", "{{judge}}: {{of}}"), most=1.05, limit=1, span=10),
        lines("What the judges have seen", "Subjects or answers; a flat line learns nothing.", "short",
              q(f"max by (judge) (driftd_judge_seen{{{OF}}})", "{{judge}}"), span=7),
        lines("Traffic of the candidate", "Share of live traffic, and share of requests that both versions answer.", "percentunit",
              q(f"max(driftd_canary_weight_ratio{{{OF}}})", "live"), q(f"max(driftd_canary_shadow_ratio{{{OF}}})", "shadow"), most=1, span=7),
    ]  # fmt: skip


def _inputs() -> list[PANEL]:
    return [
        lines("Evidence of the strongest streams", "The ten closest to an alarm; at 1 an incident begins.", "percentunit",
              q(f"max by (stream) (driftd_stream_evidence{{{OF}}})", "{{stream}}"), most=1.05, limit=1),
        lines("Effects of the strongest streams", "How far each is from what is normal for it, in its own distance.", "none",
              q(f"max by (stream, distance) (driftd_stream_effect{{{OF}}})", "{{stream}} ({{distance}})"), least=None),
        lines("Streams by state", "How many are learning, quiet, in transient or in drift.", "short",
              q(f"max by (state) (driftd_streams{{{OF}}})", "{{state}}"), stack=True, span=8),
        lines("Open incidents by kind", "A data fault concerns those who deliver data; quality those who own the model.", "short",
              q(f"sum by (kind) (max by (kind, severity) (driftd_incidents_open{{{OF}}}))", "{{kind}}"), stack=True, span=8),
        lines("Late events an hour", "Events that came after their pane had closed: counted, not judged.", "short",
              q(f"sum(increase(driftd_late_events_total{{{OF}}}[{HOUR}]))", "late"), bars=True, span=8),
    ]  # fmt: skip


def _commands() -> list[PANEL]:
    return [
        lines("Oldest open command", "How long what was decided waits for the world outside.", "s",
              q(f"max by (kind) (driftd_command_oldest_age_seconds{{{OF}}})", "{{kind}}")),
        lines("Decisions an hour", "Every line of the journal, by what was decided.", "short",
              q(f"sum by (what) (increase(driftd_decisions_total{{{OF}}}[{HOUR}]))", "{{what}}"), bars=True, stack=True),
    ]  # fmt: skip
