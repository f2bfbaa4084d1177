"""An encoder's process that is asked again and again: whatever it does, nobody waits for long."""

import re
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from driftd.data import encoding_child, live_encoder
from driftd.data.encoding import EncoderSpec
from driftd.data.live_encoder import LiveEncoder
from driftd.errors import MistakeError
from tests.support.encoder_child import WELL, comes_true, encoder_child, starts

HANGS_ON_A_TEXT = 'say({"ready": True})\nsys.stdin.buffer.readline()\ntime.sleep(600)\n'
READS_NOTHING = 'say({"ready": True})\ntime.sleep(600)\n'
DIES = 'say({"ready": True})\nsys.stdin.buffer.readline()\n'


def answers(code: str) -> str:
    return f'say({{"ready": True}})\nfor line in sys.stdin.buffer:\n    {code}\n'


def started(live: LiveEncoder) -> LiveEncoder:
    def ready() -> bool:
        live.start()
        return live.ready

    comes_true(ready)
    return live


def gone(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    # An orphan that has ended may wait for whoever takes care of orphans.
    return status.rpartition(")")[2].split()[0] == "Z"


def test_one_process_answers_again_and_again_until_it_is_closed(tmp_path: Path) -> None:
    live = started(LiveEncoder(lambda: encoder_child(tmp_path)))
    for _ in range(3):
        found = live.encode(["a", "abc"], 60.0)
        assert found is not None
        assert found.tolist() == [[1.0, 1.0], [3.0, 1.0]]
    assert len(starts(tmp_path)) == 1

    live.close()
    live.start()

    assert live.encode(["a"], 60.0) is None
    assert gone(starts(tmp_path)[0])
    assert len(starts(tmp_path)) == 1, "what is closed stays so"


@pytest.mark.parametrize(
    ("body", "timeout_s", "why"),
    [
        (HANGS_ON_A_TEXT, 0.3, "it took longer than 0.3 s"),
        (READS_NOTHING, 0.3, "it took longer than 0.3 s"),
        (DIES, 60.0, "its process has ended"),
        (DIES + "os.abort()", 60.0, "SIGABRT ended its process"),
        (answers("vectors(['a'])"), 60.0, "something else than vectors"),
        (answers("say([1, 2])"), 60.0, "something else than vectors"),
        (answers("say({'rows': 32, 'dimension': 10 ** 9})"), 60.0, "something else than vectors"),
        (answers("say({'rows': 'a', 'dimension': None})"), 60.0, "something else than vectors"),
        (answers("sys.stdout.buffer.write(b'[' * 10 ** 6)"), 60.0, "something else than vectors"),
        (answers("say({'rows': 32, 'dimension': 2}, b'12'); break"), 60.0, "process has ended"),
        (answers("say({'error': 'KeyError: ' + line[:99].decode()})"), 60.0, r"\(KeyError\)"),
        (answers("say({'error': line[:99].decode()})"), 60.0, "an error of its own"),
    ],
    ids=[
        *("hangs", "reads nothing", "dies", "crashes", "too few", "no object", "too large"),
        *("no numbers", "no end", "half an answer", "error", "strange error"),
    ],
)
def test_whatever_it_does_nobody_waits_and_no_text_is_told(
    body: str, timeout_s: float, why: str, tmp_path: Path
) -> None:
    live = started(LiveEncoder(lambda: encoder_child(tmp_path, body)))

    # More than a pipe holds, so that one that reads nothing cannot be written to.
    assert live.encode([f"secret {n} " * 800 for n in range(32)], timeout_s) is None

    assert not live.ready
    assert "secret" not in live.trouble
    assert re.search(why, live.trouble), live.trouble
    live.close()
    assert gone(starts(tmp_path)[0])


def test_one_that_died_is_started_again_after_a_while(tmp_path: Path) -> None:
    once = 'if len((source / "starts").read_text().split()) == 1:\n    DIE\n'.replace(
        "DIE", 'say({"ready": True}); sys.stdin.buffer.readline(); os._exit(3)'
    )
    live = started(LiveEncoder(lambda: encoder_child(tmp_path, once + WELL)))
    assert live.encode(["a"], 60.0) is None

    live.start()
    assert live._loading is not None
    live._loading.join()
    assert len(starts(tmp_path)) == 1, "not at once"

    started(live)
    found = live.encode(["ab"], 60.0)
    assert found is not None
    assert found.tolist() == [[2.0, 1.0]]
    assert live.trouble == ""
    assert len(starts(tmp_path)) == 2
    live.close()


def test_one_that_never_loads_is_told_with_its_own_words_and_tried_later_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_encoder, "RESTART_S", (0.05, 60.0))
    body = 'print("weights are broken", file=sys.stderr)\nsys.exit(1)'
    live = LiveEncoder(lambda: encoder_child(tmp_path, body))
    waits = []

    for _ in range(3):

        def failed() -> bool:
            live.start()
            return live.trouble != ""

        comes_true(failed)
        assert "weights are broken" in live.trouble
        waits.append(live._wait_s)
        live.trouble = ""

    assert waits == [0.1, 0.2, 0.4]
    assert not live.ready
    live.close()


def test_one_that_hangs_while_it_is_loaded_is_ended_with_the_worker(tmp_path: Path) -> None:
    live = LiveEncoder(lambda: encoder_child(tmp_path, "time.sleep(600)"))
    live.start()
    comes_true(lambda: starts(tmp_path) != [])
    assert not live.ready
    assert live.encode(["a"], 60.0) is None

    live.close()

    assert gone(starts(tmp_path)[0])


def test_a_mistake_in_the_settings_is_told_when_it_is_needed() -> None:
    def wrong() -> EncoderSpec:
        raise MistakeError("mlflow.reader is r, but P is empty")

    live = LiveEncoder(wrong)
    live.start()

    comes_true(lambda: "P is empty" in live.trouble)
    live.close()


def test_one_that_hangs_on_a_text_is_ended_with_the_worker(tmp_path: Path) -> None:
    live = started(LiveEncoder(lambda: encoder_child(tmp_path, HANGS_ON_A_TEXT)))
    answers: list[object] = []
    waiting = Thread(target=lambda: answers.append(live.encode(["a"], 600.0)))
    waiting.start()
    comes_true(live._using.locked)

    live.close()
    waiting.join()

    assert answers == [None]
    assert gone(starts(tmp_path)[0])


def test_the_real_child_ends_with_a_worker_that_was_killed_whatever_it_does() -> None:
    child = (
        "import os, runpy, sys, threading, time\n"
        "follow = runpy.run_path(sys.argv[1])['follow']\n"
        "threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(600)"
    )
    worker = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', *sys.argv[1:]])"
    command = [sys.executable, "-c", worker, child, encoding_child.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        process = int(running.stdout.readline())
        running.kill()

    comes_true(lambda: gone(process))
