"""Every metric of the daemon, declared in one place and kept in a registry of its own.

Threads: prometheus_client's counters may be used from any thread.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

# Otherwise every counter has a twin with the time of its making.
disable_created_metrics()

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUESTS = Counter(
    "vaultd_requests", "requests answered, by method and error code", ["method", "code"], registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "vaultd_request_seconds",
    "time from a request's first byte to its answer's last",
    ["method"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600),
    registry=REGISTRY,
)
CONNECTIONS = Gauge("vaultd_connections", "connections that are open", registry=REGISTRY)
CONNECTIONS_REFUSED = Counter(
    "vaultd_connections_refused", "connections closed at once because a limit was reached", registry=REGISTRY
)
SIGN_IN_FAILURES = Counter(
    "vaultd_sign_in_failures", "hellos with a token or certificate that nobody holds", registry=REGISTRY
)
RECORDS_STORED = Counter("vaultd_records_stored", "records appended to containers", registry=REGISTRY)
RECORD_BYTES_STORED = Counter("vaultd_record_bytes_stored", "bytes of those records", registry=REGISTRY)
RECORDS_SENT = Counter("vaultd_records_sent", "records sent for restores", registry=REGISTRY)
RECORD_BYTES_SENT = Counter("vaultd_record_bytes_sent", "bytes of those records", registry=REGISTRY)
SAFESETS_COMMITTED = Counter("vaultd_safesets_committed", "safesets committed", registry=REGISTRY)
GROUP_COMMIT_SECONDS = Histogram(
    "vaultd_group_commit_seconds",
    "time of one group commit: containers, journal, index",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
    registry=REGISTRY,
)
CHECKPOINTS = Counter("vaultd_checkpoints", "checkpoints written", registry=REGISTRY)
CHECKPOINT_FAILURES = Counter(
    "vaultd_checkpoint_failures", "checkpoints that failed, or had no room above the reserve", registry=REGISTRY
)
CHECKPOINT_SECONDS = Gauge("vaultd_checkpoint_seconds", "time that the last checkpoint took", registry=REGISTRY)
EVENT_LOOP_LAG_SECONDS_MAX = Gauge(
    "vaultd_event_loop_lag_seconds_max", "longest wait of the event loop in the last minute", registry=REGISTRY
)
EVENT_LOOP_CPU_SECONDS_MAX = Gauge(
    "vaultd_event_loop_cpu_seconds_max",
    "most processor time between two waits of the event loop in the last minute",
    registry=REGISTRY,
)
DISKS_OFFLINE = Gauge(
    "vaultd_disks_offline", "disks that are away and not declared lost, looked for every 30 seconds", registry=REGISTRY
)
DISK_FREE_BYTES = Gauge(
    "vaultd_disk_free_bytes",
    "bytes free on each disk by its number, 0 where it went away, looked for every 30 seconds",
    ["disk"],
    registry=REGISTRY,
)
SAFESETS_DAMAGED = Gauge(
    "vaultd_safesets_damaged", "safesets that use what the vault met as damaged or lost", registry=REGISTRY
)
SCRUB_BYTES = Counter("vaultd_scrub_bytes", "bytes that scrubs read from the disks and checked", registry=REGISTRY)
SCRUB_DAMAGES = Counter(
    "vaultd_scrub_damages", "damaged records, and damaged places that are no record, that scrubs met", registry=REGISTRY
)
SCRUB_ALARMS = Counter(
    "vaultd_scrub_alarms", "times that a disk gave other bytes the second time: its hardware is to be looked at",
    registry=REGISTRY,
)  # fmt: skip
SCRUB_PASSES = Counter("vaultd_scrub_passes", "scrubs that came to the end of everything", registry=REGISTRY)
SCRUB_ENDED_SECONDS = Gauge(
    "vaultd_scrub_ended_seconds", "when the last scrub of everything ended, in seconds since 1970 by the vault's clock",
    registry=REGISTRY,
)  # fmt: skip
SAFESETS_EXPIRED = Counter("vaultd_safesets_expired", "safesets that expired by the rules", registry=REGISTRY)
SAFESETS_PURGED = Counter("vaultd_safesets_purged", "safesets that nobody can bring back any more", registry=REGISTRY)
JOBS_FROZEN = Counter(
    "vaultd_jobs_frozen", "jobs that the vault froze, because many runs came that no schedule asked for",
    registry=REGISTRY,
)  # fmt: skip
CLOCK_JUMPS = Counter(
    "vaultd_clock_jumps", "times that the vault's clock jumped by more than 5 minutes", registry=REGISTRY
)
COLLECTIONS = Counter("vaultd_collections", "collections that came to their end", registry=REGISTRY)
RECORDS_DROPPED = Counter("vaultd_records_dropped", "records that no safeset used any more", registry=REGISTRY)
RECORD_BYTES_DROPPED = Counter("vaultd_record_bytes_dropped", "bytes of those records", registry=REGISTRY)
CONTAINERS_MOVED = Counter(
    "vaultd_containers_moved", "containers whose needed records were moved to others", registry=REGISTRY
)
BYTES_GIVEN_BACK = Counter("vaultd_bytes_given_back", "bytes that moving containers gave back", registry=REGISTRY)
STORE_STOPPED = Gauge("vaultd_store_stopped", "1 after a disk error stopped all writing", registry=REGISTRY)

# Name as a scrape shows it, type and meaning of every metric: what docs/operations.md lists.
METRICS: dict[str, tuple[str, str]] = {
    family.name + ("_total" if family.type == "counter" else ""): (family.type, family.documentation)
    for family in REGISTRY.collect()
}


def render() -> bytes:
    """The page of GET /metrics."""
    return generate_latest(REGISTRY)
