"""An encoder that lives as long as the worker: started when it is needed, never waited for to load."""

from collections.abc import Callable, Sequence
from threading import Lock, Thread

import numpy as np
from numpy.typing import NDArray

from driftd.clock import steady_now
from driftd.data.encoding import Encoder, EncoderError, EncoderSpec
from driftd.errors import MistakeError

RESTART_S = (1.0, 60.0)
"""How long one that failed is left alone: the first time, and at most."""
STEADY_S = 60.0
"""One that has worked for so long and fails is no longer the one that failed before."""
_JOIN_S = 5.0


class LiveEncoder:
    """``make`` gives its spec when it is started. One thread uses it; another may close it.

    An encoder that fails is started again, later each time: 1 s, 2 s, …, a minute.
    """

    def __init__(self, make: Callable[[], EncoderSpec]) -> None:
        self._make = make
        self._lock, self._using = Lock(), Lock()
        self._closed = False
        self._starting: Encoder | None = None
        self._encoder: Encoder | None = None
        self._loading: Thread | None = None
        self._not_before = 0.0
        self._wait_s = RESTART_S[0]
        self._ready_at = 0.0
        self.trouble = ""
        """Why it failed last, until it works again; no word of a text stands in it."""

    @property
    def ready(self) -> bool:
        """Whether it is loaded."""
        return self._encoder is not None

    def start(self) -> None:
        """Begin to load it, unless it is loaded, being loaded, or failed a moment ago."""
        if self.ready or self._closed or steady_now() < self._not_before:
            return
        if self._loading is None or not self._loading.is_alive():
            self._loading = Thread(target=self._load, name="load encoder", daemon=True)
            self._loading.start()

    def encode(self, texts: Sequence[str], timeout_s: float) -> NDArray[np.float32] | None:
        """Vectors, shape (n, dimension); None when it is not ready or fails, as ``trouble`` tells.
        ``timeout_s`` is for every 32 texts; beyond it the process is ended."""
        with self._using:
            encoder = self._encoder
            if encoder is None:
                return None
            try:
                vectors = encoder.encode(texts, timeout_s=timeout_s)
            except EncoderError as error:
                # Its own words may be of the text.
                self._fail(error.reason)
                return None
        self.trouble = ""
        return vectors

    def close(self) -> None:
        """End it, whatever it is doing; whoever waits for it gets None."""
        with self._lock:
            self._closed = True
            starting, self._starting, self._encoder = self._starting, None, None
        if starting is not None:
            starting.kill()
        if self._loading is not None:
            self._loading.join(_JOIN_S)
        # Whoever waited for it puts it away first.
        if self._using.acquire(timeout=_JOIN_S):
            if starting is not None:
                starting.close()
            self._using.release()

    def _load(self) -> None:
        try:
            encoder = Encoder(self._make(), wait=False)
            with self._lock:
                closed, self._starting = self._closed, encoder
            if closed:
                encoder.close()
                return
            encoder.load()
        except (MistakeError, OSError) as error:
            # Nothing of a text has come to it yet: all that it said may be told.
            self._fail(str(error))
            return
        self._ready_at = steady_now()
        with self._lock:
            if not self._closed:
                self._encoder = encoder

    def _fail(self, why: str) -> None:
        now = steady_now()
        if self.ready and now - self._ready_at > STEADY_S:
            self._wait_s = RESTART_S[0]
        self._encoder = None
        self._not_before = now + self._wait_s
        self._wait_s = min(2 * self._wait_s, RESTART_S[1])
        self.trouble = why
