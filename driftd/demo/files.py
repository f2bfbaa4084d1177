"""The settings and the policy that the demo writes: the same files a person would write."""

import sys
from pathlib import Path

from driftd.demo.flights import LATE, MODEL
from driftd.demo.options import TOPICS
from driftd.errors import MistakeError

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAINER, OTHER_TEAM = "flights_trainer.py", "early_labels_pipeline.py"

_SETTINGS = """\
# Written by `driftd demo`. Everything here runs on this machine and ends with the demo.
store: sqlite:///driftd.db
kafka: {{bootstrap: "{bootstrap}", session_timeout: 4s}}
topics: {{control_partitions: {control_partitions}}}
mlflow: {{tracking_uri: "{tracking_uri}"}}
policies: policies/
archive: archive/
work: work/
http: {{host: 127.0.0.1, port: {port}}}
clock: event                         # a replay: panes, cool-downs and budgets follow the flights
ingest: {{flush: 200ms, flush_canary: 200ms, sample: 100%}}
trainers:
  tabular:
    command: ["{python}", "{trainer}"]
    env: {{OMP_NUM_THREADS: "1", DRIFTD_SEED: "{seed}"}}
"""

_POLICY = f"""\
model: {MODEL}
owner: delays
mode: auto
labels: {{arrive_within: 36h, maturity: 12h, positive: {LATE}}}
clock: {{pane: 1d, lateness: 5m}}
watch:
  drift: {{ignore: [weekday]}}            # a day has one weekday: it moves every midnight
  rules:
    - {{metric: brier_skill, below: 0, over: 14d}}        # worse than telling everyone the mean
    - {{metric: label_arrival, below: 70%, over: 1d}}     # the blizzard of 8-9 February
retrain:
  on: [quality]
  needs: {{labels_since_onset: 500}}
  limits: {{cooldown: 42d, budget: 1 per 42d, trainings: 4}}
  data: {{window: 365d, holdout: 20%}}        # all there is: eight weeks forget the seasons
  trainer: tabular
gate:
  - {{metric: brier, better_by: 0.003, than: champion}}
canary:
  steps: [{{weight: 10%, shadow: 100%, for: 14d}}, {{weight: 50%, shadow: 100%, for: 3d}}]
  judge:
    - {{metric: brier, worse_by_at_most: 0}}
  give_up_after: 21d
promote: {{probation: 5d, reverse_shadow: 100%}}
"""


def write_files(
    directory: Path, *, bootstrap: str, tracking_uri: str, port: int, seed: int
) -> Path:
    """Write ``settings.yaml`` and the policy into ``directory``; the settings' path."""
    (directory / "policies").mkdir(parents=True, exist_ok=True)
    (directory / "policies" / f"{MODEL}.yaml").write_text(_POLICY)
    settings = directory / "settings.yaml"
    settings.write_text(
        _SETTINGS.format(
            bootstrap=bootstrap,
            control_partitions=TOPICS["driftd.control"],
            tracking_uri=tracking_uri,
            port=port,
            python=sys.executable,
            trainer=example(TRAINER),
            seed=seed,
        )
    )
    return settings


def example(name: str) -> Path:
    """A script of ``examples/``. Raises ``MistakeError`` outside a checkout."""
    path = EXAMPLES / name
    if not path.exists():
        raise MistakeError(f"the demo runs from a checkout of driftd: {path} is not there")
    return path
