"""The few kinds of panels that the dashboards are made of, each with the same looks everywhere."""

from dataclasses import dataclass

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as asked

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
PANEL = Builder[models.Panel]
# How long a step of counters that move with a pane is looked back on.
HOUR = "1h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """From which value on a figure is yellow and red; ``low`` where small is bad."""

    yellow: float
    red: float
    low: bool = False


def q(expr: str, legend: str = "__auto") -> prometheus.Dataquery:
    """A query over time."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).range()


def now(expr: str, legend: str = "__auto") -> prometheus.Dataquery:
    """A query as of now."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).instant()


def column(expr: str) -> prometheus.Dataquery:
    """A query as of now whose labels become columns of a table."""
    return prometheus.Dataquery().expr(expr).instant().format(asked.PromQueryFormat.TABLE)


def lines(
    title: str,
    says: str,
    unit: str,
    *queries: prometheus.Dataquery,
    span: int = 12,
    stack: bool = False,
    bars: bool = False,
    least: float | None = 0,
    most: float | None = None,
    limit: float | None = None,
) -> PANEL:
    """Values over time. ``least`` and ``most`` fix the ends of the axis; ``limit`` draws a line."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(span)
        .height(8)
        .fill_opacity(80 if bars else 10)
        .draw_style(kinds.GraphDrawStyle.BARS if bars else kinds.GraphDrawStyle.LINE)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(kinds.LegendDisplayMode.TABLE)
            .placement(kinds.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI))
    )
    if stack:
        panel = panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    if least is not None:
        panel = panel.min(least)
    if most is not None:
        panel = panel.max(most)
    if limit is not None:
        style = common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.LINE)
        panel = panel.thresholds(_thresholds(((None, "transparent"), (limit, "red"))))
        panel = panel.thresholds_style(style)
    for query in queries:
        panel = panel.with_target(query)
    return panel


def figure(
    title: str,
    says: str,
    unit: str,
    query: prometheus.Dataquery,
    *,
    steps: Steps | None = None,
    span: int = 3,
    name: bool = False,
) -> PANEL:
    """One large figure, or the name of its series."""
    reduce = common.ReduceDataOptions().calcs(["lastNotNull"])
    panel = (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(span)
        .height(4)
        .reduce_options(reduce)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .text_mode(kinds.BigValueTextMode.NAME if name else kinds.BigValueTextMode.VALUE)
        .color_mode(kinds.BigValueColorMode.BACKGROUND if steps else kinds.BigValueColorMode.NONE)
        .with_target(query)
    )
    return panel.thresholds(_colours(steps)) if steps else panel


def bars(title: str, says: str, query: prometheus.Dataquery, *, span: int = 6) -> PANEL:
    """One bar a series, as of now."""
    return (
        bargauge.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .unit("short")
        .min(0)
        .span(span)
        .height(8)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .with_target(query)
    )


def states(title: str, says: str, query: prometheus.Dataquery, *, span: int = 24) -> PANEL:
    """One row a series: when it held, and when it did not."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .unit("short")
        .span(span)
        .height(6)
        .merge_values(True)
        .show_value(kinds.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(False))
        .thresholds(_thresholds(((None, "red"), (1.0, "green"))))
        .with_target(query)
    )


def rows(
    title: str,
    says: str,
    by: str,
    columns: dict[str, tuple[str, str]],
    links: dict[str, str],
    hide: tuple[str, ...] = (),
) -> PANEL:
    """A table with one line a value of the label ``by``. ``columns``: heading -> (query, unit) ;
    ``links``: heading -> URL; ``hide``: headings whose values
    say nothing, only their labels do."""
    panel = table.Panel().title(title).description(says).datasource(DATASOURCE).span(24).height(9)
    renamed = {}
    for place, (heading, (expr, unit)) in enumerate(columns.items()):
        letter = chr(ord("A") + place)
        renamed[f"Value #{letter}"] = heading
        panel = panel.with_target(column(expr).ref_id(letter))
        panel = panel.override_by_name(heading, [models.DynamicConfigValue("unit", unit)])
    for heading, url in links.items():
        link = {"title": heading, "url": url, "targetBlank": False}
        panel = panel.override_by_name(heading, [models.DynamicConfigValue("links", [link])])
    hidden = {f"Time {n}": True for n in range(1, len(columns) + 1)} | {"Time": True}
    hidden |= {value: True for value, heading in renamed.items() if heading in hide}
    return panel.transformations(
        [
            models.DataTransformerConfig(
                id_val="joinByField", options={"byField": by, "mode": "outer"}
            ),
            models.DataTransformerConfig(
                id_val="organize", options={"excludeByName": hidden, "renameByName": renamed}
            ),
        ]
    )


def choice(name: str, label: str, series: str, *, several: bool = False) -> dashboard.QueryVariable:
    """A variable with the values of a label."""
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    return variable.multi(True).include_all(True).all_value(".*") if several else variable


def event(name: str, colour: str, expr: str) -> dashboard.AnnotationQuery:
    """A line through all panels where ``expr`` has a value."""
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
        .title_format(f"{name}: {{{{model}}}}")
    )


def board(uid: str, title: str, says: str) -> dashboard.Dashboard:
    """An empty dashboard with what all of them have."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags(["driftd"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("driftd")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["driftd"])
            .as_dropdown(False)
            .keep_time(True)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
    )


def _colours(steps: Steps) -> dashboard.ThresholdsConfig:
    if steps.low:
        return _thresholds(((None, "red"), (steps.red, "yellow"), (steps.yellow, "green")))
    return _thresholds(((None, "green"), (steps.yellow, "yellow"), (steps.red, "red")))


def _thresholds(steps: tuple[tuple[float | None, str], ...]) -> dashboard.ThresholdsConfig:
    found = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)
