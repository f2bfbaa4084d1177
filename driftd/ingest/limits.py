"""Every bound of ingest, with its name and its unit; what waits at one is told by a counter."""

CHUNK_RECORDS = 500
"""Decoded at once: 250-500 records stay in the processor's cache and are quickest."""
POLL_RECORDS_MAX = 2_000
POLL_MS = 100
FETCH_WAIT_MS = 100
FETCH_WAIT_EVENT_CLOCK_MS = 25
"""A replay waits for its events to be counted, so they are looked for more often."""
BUFFER_BYTES_MAX = 64 * 1024 * 1024
"""Of record values between two flushes; beyond it, as beyond ``buffer_events``, reading pauses."""
CELLS_MAX = 2_000
"""(model, version, variant, bucket) cells between two flushes; beyond it a flush is due at once."""
ARMS_MAX = 100
"""Versions and variants of one model between two flushes; more of them are skipped and counted."""
FLUSH_EVENT_CLOCK_S = 0.2
FLUSH_RETRY_S = (0.1, 2.0)
FLUSH_REVOKED_S = 1.5
"""How long a rebalance may wait for what was read to be written."""
COMMIT_S = 1.0
"""Offsets in Kafka are for lag tools only: they may fail, never delay."""
REFRESH_S = 1.0
STOP_S = 5.0
"""For each client to close, and for the poll under way to end."""
SCOUT_S = 3.0
READ_RETRY_S = (0.1, 2.0)
KAFKA_RETRY_S = (0.5, 5.0)
REQUEST_MS = 10_000
WITNESS_S = 10.0
"""How long the records below the stored positions are looked for before their absence counts."""
SILENCE_BROKEN_S = 3.0
"""Two looks at a log's end that lie further apart prove no silence between them."""
BROKER_TOLERANCE_S = 5.0
"""How far ahead of our clock an event may move a watermark: one fast clock must move nothing."""
LETTERS_WAITING_MAX = 1_000
LETTERS_A_SECOND = 50
LETTER_BYTES_MAX = 4_096
