"""What cannot be judged is said before any model is loaded."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.commands import Evaluate
from driftd.data.archive import DAY_S, Archive
from driftd.data.evaluate import Scorer, evaluate
from driftd.data.export import HOLDOUT, TRAIN, export_training
from driftd.errors import MistakeError
from tests.support.labelled import labelled

# Nothing answers at this address: a test that got so far as to ask it would fail.
SCORER = Scorer(registry_name="m", tracking_uri="http://127.0.0.1:9", timeout_s=1)
COMMAND = Evaluate(
    op_id="0123456789abcdef",
    model="m",
    candidate="2",
    champion="1",
    since=0.0,
    until=20 * DAY_S,
    holdout=0.5,
    onset=0.0,
    must_improve="brier",
)


def _export(folder: Path, phase: str) -> Path:
    archive = Archive(str(folder / "archive"))
    archive.write("m", "all", labelled(2_000, start=0, end=20 * DAY_S))
    export_training(archive, "m", 0, 20 * DAY_S, folder, phase=phase, holdout=0.5, positive="late")
    return folder


@pytest.mark.parametrize(("column", "rows"), [("id", 1), ("subject", 20)])
def test_a_withheld_row_that_was_trained_on_is_a_leak(
    tmp_path: Path, column: str, rows: int
) -> None:
    folder = _export(tmp_path, "gate")
    train, held = pq.read_table(folder / TRAIN), pq.read_table(folder / HOLDOUT)
    # Row 30 lies in the middle of the block, so that its subject's twenty rows are all withheld.
    leak = held.slice(30, 1)
    if column == "subject":
        leak = leak.set_column(0, "id", pa.array(["another"]))
    else:
        leak = leak.set_column(1, "subject", pa.array([1]))
    pq.write_table(pa.concat_tables([train, leak]), folder / TRAIN)
    result = evaluate(COMMAND, folder, SCORER)
    assert result.verdict == "not_evaluable"
    assert result.reasons == (f"{rows} withheld rows have a trained {column}",)


def test_without_a_withheld_block_nothing_can_be_judged(tmp_path: Path) -> None:
    result = evaluate(COMMAND, _export(tmp_path, "refit"), SCORER)
    assert result.verdict == "not_evaluable"
    assert result.reasons == ("the exported data has no withheld block",)


def test_a_folder_without_an_export_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(MistakeError, match="driftd data export"):
        evaluate(COMMAND, tmp_path, SCORER)
