"""Pages about data at rest: HTML with its plots inside, in the style of the report."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jinja2

from detectors.profile import Profile
from driftd.console.before_after import before_after_plot
from driftd.console.replay_plot import replay_svg
from driftd.console.status import when
from driftd.data.compare import StreamCompared, drifted
from driftd.data.replay.watching import Replayed
from policies.units import duration_text

if TYPE_CHECKING:
    # It needs pandas, which a page about something else can do without.
    from driftd.data.check.table import Checked

PLOTS_MAX = 24


def compare_page(
    ref: str, cur: str, before: Profile, after: Profile, streams: Sequence[StreamCompared]
) -> bytes:
    """What `driftd data compare` found, as UTF-8; plots of what moved, or of what is nearest to it."""
    moved = drifted(streams)
    plots = [before_after_plot(one.stream, one.before, one.after) for one in streams[:PLOTS_MAX]]
    return render(
        "compare.html.j2",
        ref=ref,
        cur=cur,
        before=before,
        after=after,
        streams=streams,
        moved=moved,
        plots=[plot for plot in plots if plot],
    )


def check_page(name: str, found: "Checked") -> bytes:
    """What `driftd data check` found, as UTF-8."""
    counts = Counter({"error": 0, "warning": 0, "info": 0})
    counts.update(one.severity for one in found.findings)
    return render("check.html.j2", name=name, found=found, counts=counts)


def replay_page(found: Replayed) -> bytes:
    """What `driftd data replay` found, as UTF-8."""
    return render(
        "replay.html.j2", found=found, pane=duration_text(found.pane_s), plot=replay_svg(found)
    )


def render(template: str, **values: Any) -> bytes:
    """One template of the console as UTF-8."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("driftd.console", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["when"] = when
    return environment.get_template(template).render(**values).encode()
