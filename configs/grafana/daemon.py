"""The daemon itself: does it read, decide and reach the world, and what does it cost?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from configs.grafana.panels import PANEL, board, choice, lines, q, states

AT = 'instance=~"$instance"'
RATE = "[$__rate_interval]"


def daemon() -> Dashboard:
    """What an SRE looks at when driftd itself is ill."""
    page = board(
        "driftd-daemon",
        "driftd / Daemon",
        "The workers and servers of driftd: do they read, decide and reach the world?",
    ).with_variable(choice("instance", "Worker", "driftd_ready", several=True))
    for title, panels in (
        ("Health", _health()),
        ("Reading", _reading()),
        ("Store and control loop", _deciding()),
        ("The world outside", _outside()),
        ("Processes", _processes()),
        ("Servers", _servers()),
    ):
        page = page.with_row(Row(title))
        for panel in panels:
            page = page.with_panel(panel)
    return page


def _quantile(share: float, series: str, by: str = "") -> str:
    labels = ", ".join(filter(None, (by, "le")))
    rate = f"sum by ({labels}) (rate({series}_bucket{{{AT}}}{RATE}))"
    return f"histogram_quantile({share}, {rate})"


def _health() -> list[PANEL]:
    return [
        states("Takes part", "Green while a worker is ready; GET /ready says what is missing.", q(f"max by (instance) (driftd_ready{{{AT}}})", "{{instance}}"), span=12),
        lines("Since it last came round", "Above a minute a part stalls; after two the worker ends itself.", "s",
              q(f"max by (instance, part) (driftd_stalled_seconds{{{AT}}})", "{{instance}} {{part}}"), limit=60),
        lines("Models a worker", "Who steps how many; a hand-over moves them.", "short", q(f"max by (instance) (driftd_owned_models{{{AT}}})", "{{instance}}"), stack=True),
        lines("Policy files refused", "Files whose present content is refused; the last good revision stays in force.", "short",
              q(f"max by (instance) (driftd_policy_files_refused{{{AT}}})", "{{instance}}")),
    ]  # fmt: skip


def _reading() -> list[PANEL]:
    return [
        lines("Records counted a second", "What arrives in Kafka and is counted, by topic.", "cps", q(f"sum by (topic) (rate(driftd_records_total{{{AT}}}{RATE}))", "{{topic}}"), span=8),
        lines("Records not read", "The backlog by topic; growing means that reading is slower than what comes.", "short",
              q(f"sum by (topic) (driftd_ingest_lag_records{{{AT}}})", "{{topic}}"), span=8),
        lines("Records refused, skipped or repaired", "By reason, a second; docs/events.md says what each means.", "cps",
              q(f"sum by (reason) (rate(driftd_rejected_total{{{AT}}}{RATE}))", "{{reason}}"), span=8),
        lines("Time of a flush", "To fold and write what was read; longer than the interval of flushes is too long.", "s",
              q(_quantile(0.5, "driftd_flush_seconds"), "p50"), q(_quantile(0.99, "driftd_flush_seconds"), "p99"), span=6),
        lines("Records a flush", "How many one transaction brings.", "short",
              q(f"sum(rate(driftd_flush_records_sum{{{AT}}}{RATE})) / sum(rate(driftd_flush_records_count{{{AT}}}{RATE}))", "mean"), span=6),
        lines("Dead letters a second", "Records that nobody could attribute; suppressed: too many at once, counted only.", "cps",
              q(f"sum by (outcome) (rate(driftd_dead_letters_total{{{AT}}}{RATE}))", "{{outcome}}"), span=6),
        lines("Topics that began anew", "A step: a topic was made anew, or lost records before they were read.", "short",
              q(f"max by (topic) (driftd_topic_lineages{{{AT}}})", "{{topic}}"), span=6),
    ]  # fmt: skip


def _deciding() -> list[PANEL]:
    return [
        lines("Time of a store transaction", "99th percentile, by kind.", "s", q(_quantile(0.99, "driftd_store_seconds", "kind"), "{{kind}}"), span=8),
        lines("Store transactions that failed", "A second; while it fails nothing is decided and nothing is lost.", "cps",
              q(f"sum by (kind) (rate(driftd_store_errors_total{{{AT}}}{RATE}))", "{{kind}}"), span=8),
        lines("Ingest transactions", "Written, or lost to another worker that has the partition by now.", "cps",
              q(f"sum by (outcome) (rate(driftd_flushes_total{{{AT}}}{RATE}))", "{{outcome}}"), span=8),
        lines("Time of a control step", "One model, read to written.", "s",
              q(_quantile(0.5, "driftd_control_step_seconds"), "p50"), q(_quantile(0.99, "driftd_control_step_seconds"), "p99"), span=8),
        lines("Control steps", "By outcome, a second; lost: another worker wrote first.", "cps",
              q(f"sum by (outcome) (rate(driftd_control_steps_total{{{AT}}}{RATE}))", "{{outcome}}"), span=8),
        lines("Waiting for a step", "Wishes of people and ends of commands that no step has heard yet.", "short",
              q(f"sum(driftd_inbox_messages{{{AT}}})", "inbox"), span=8),
    ]  # fmt: skip


def _outside() -> list[PANEL]:
    return [
        lines("Open commands", "What was decided and is not done yet, by kind.", "short", q(f"sum by (kind) (driftd_commands_open{{{AT}}})", "{{kind}}"), stack=True, span=8),
        lines("Oldest open command", "By kind; a training may take its time.", "s", q(f"max by (kind) (driftd_command_oldest_age_seconds{{{AT}}})", "{{kind}}"), span=8),
        lines("Time of a command", "From decision to end, 95th percentile of the last hour.", "s",
              q(f"histogram_quantile(0.95, sum by (kind, le) (increase(driftd_command_seconds_bucket{{{AT}}}[1h])))", "{{kind}}"), span=8),
        lines("Commands that did not succeed", "In an hour: ended badly, or tried again because nobody answered.", "short",
              q(f'sum by (kind) (increase(driftd_commands_total{{{AT},outcome!="done"}}[1h]))', "{{kind}} ended"),
              q(f"sum by (kind) (increase(driftd_command_retries_total{{{AT}}}[1h]))", "{{kind}} again"), bars=True, stack=True, span=8),
        lines("Since a system outside last did as asked", "Registry, router, Alertmanager, Prometheus. Alertmanager is asked only while there is an alert to tell.", "s",
              q(f"time() - max by (system) (driftd_outside_success_timestamp_seconds{{{AT}}})", "{{system}}"), span=8),
        lines("Calls outside that failed", "A second, by system.", "cps", q(f"sum by (system) (rate(driftd_outside_failures_total{{{AT}}}{RATE}))", "{{system}}"), span=8),
        states("Kafka and store answer", "As each worker sees them.", q(f"min by (instance, system) (driftd_outside_up{{{AT}}})", "{{system}} at {{instance}}"), span=12),
        lines("Alerts", "In an hour, by what became of them; failed: nobody was told.", "short",
              q(f"sum by (outcome) (increase(driftd_alerts_total{{{AT}}}[1h]))", "{{outcome}}"), bars=True, stack=True),
    ]  # fmt: skip


def _processes() -> list[PANEL]:
    own = 'job="driftd",instance=~"$instance"'
    return [
        lines("Memory", "Resident set of each worker; it should be flat.", "bytes", q(f"process_resident_memory_bytes{{{own}}}", "{{instance}}"), span=6),
        lines("Processors in use", "Of each worker; 1 is one processor.", "none", q(f"rate(process_cpu_seconds_total{{{own}}}{RATE})", "{{instance}}"), span=6),
        lines("Open files", "Share of what the process may open.", "percentunit", q(f"process_open_fds{{{own}}} / process_max_fds{{{own}}}", "{{instance}}"), span=6),
        lines("Age", "Since the process began; a saw-tooth restarts again and again.", "s", q(f"time() - process_start_time_seconds{{{own}}}", "{{instance}}"), span=6),
    ]  # fmt: skip


def _servers() -> list[PANEL]:
    return [
        lines("Calls a second", "At all servers, by HTTP status.", "reqps", q(f"sum by (status) (rate(driftd_serving_requests_total{RATE}))", "{{status}}"), stack=True, span=8),
        states("Versions that can answer", "Each version in the memory of each server.", q("min by (model, version, instance) (driftd_serving_version_up)", "{{model}} {{version}} at {{instance}}"), span=8),
        lines("Events of the servers", "A second: delivered to Kafka, or lost.", "cps", q(f"sum by (outcome) (rate(driftd_serving_events_total{RATE}))", "{{outcome}}"), span=8),
    ]  # fmt: skip
