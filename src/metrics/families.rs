//! The families: what each is called and counts. Holds no counts.

pub(super) const REQUESTS: &str = "picklegate_requests_total";
pub(super) const DURATION: &str = "picklegate_request_duration_seconds";
pub(super) const PICKLES: &str = "picklegate_pickle_values_total";
pub(super) const READS: &str = "picklegate_cross_version_reads_total";
pub(super) const REJECTED: &str = "picklegate_rejected_writes_total";
pub(super) const NOT_LOADABLE: &str = "picklegate_not_loadable_values_total";
pub(super) const NOT_TRANSCODED: &str = "picklegate_transcode_refusals_total";
pub(super) const INVALIDATIONS: &str = "picklegate_invalidations_total";
pub(super) const SUSPECTED: &str = "picklegate_suspected_split_total";
pub(super) const UNTAGGED: &str = "picklegate_untagged_connections_total";
pub(super) const UNTAGGED_WRITES: &str = "picklegate_untagged_writes_refused_total";
pub(super) const CONNECTIONS: &str = "picklegate_connections";
pub(super) const WORKER_CONNECTIONS: &str = "picklegate_worker_connections";
pub(super) const WORKER_RELOADING: &str = "picklegate_worker_reloading";
pub(super) const LOOKS_APART: &str = "picklegate_looks_apart_total";
pub(super) const LOOKS_APART_BYTES: &str = "picklegate_looks_apart_bytes";
pub(super) const REFUSED: &str = "picklegate_refused_connections_total";
pub(super) const CLOSED: &str = "picklegate_closed_connections_total";
pub(super) const HANDSHAKE_FAILURES: &str = "picklegate_tls_handshake_failures_total";
pub(super) const UPSTREAM_CONNECTIONS: &str = "picklegate_upstream_connections";
pub(super) const UPSTREAM_REQUESTS: &str = "picklegate_upstream_requests_total";
pub(super) const UPSTREAM_ERRORS: &str = "picklegate_upstream_errors_total";
pub(super) const UPSTREAM_RECONNECTS: &str = "picklegate_upstream_reconnects_total";
pub(super) const UPSTREAM_FAILURES: &str = "picklegate_upstream_failures_total";
pub(super) const UPSTREAM_IN_FLIGHT: &str = "picklegate_upstream_in_flight";
pub(super) const ROLLOUT: &str = "picklegate_rollout_ratio";
pub(super) const MODE: &str = "picklegate_rule_mode";
pub(super) const GENERATION: &str = "picklegate_config_generation";
pub(super) const LAST_SUCCESS: &str = "picklegate_config_last_success_timestamp_seconds";
pub(super) const FAILURES: &str = "picklegate_config_failures_total";
pub(super) const LAST_SUCCESSFUL: &str = "picklegate_config_last_reload_successful";
pub(super) const HASH: &str = "picklegate_config_hash";
pub(super) const LOG_DROPPED: &str = "picklegate_log_lines_dropped_total";
pub(super) const BUILD_INFO: &str = "picklegate_build_info";

/// A family of metrics.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The name of its series.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Text after `# HELP`: the thing counted or measured.
    pub meaning: &'static str,
}

/// Families of metrics.
pub const FAMILIES: [Family; 34] = [
    Family::new(
        REQUESTS,
        "counter",
        "Requests answered; retrievals count once per key",
    ),
    Family::new(
        DURATION,
        "histogram",
        "From the whole request to its whole reply",
    ),
    Family::new(
        PICKLES,
        "counter",
        "Pickles seen on their way, by the protocol they declare",
    ),
    Family::new(
        READS,
        "counter",
        "Pickles read, by who wrote them and whether the reader loads them, if that was looked at",
    ),
    Family::new(
        REJECTED,
        "counter",
        "Stores refused because a reader of the key could not load them",
    ),
    Family::new(
        NOT_LOADABLE,
        "counter",
        "Pickles that their reader, or some reader of their key, cannot load, or that could not be understood",
    ),
    Family::new(
        NOT_TRANSCODED,
        "counter",
        "Pickles that no transcoding makes loadable for their reader",
    ),
    Family::new(
        INVALIDATIONS,
        "counter",
        "Copies in other namespaces deleted for coherence",
    ),
    Family::new(
        SUSPECTED,
        "counter",
        "Requests for what looks like a counter or a lock, of which each namespace has its own",
    ),
    Family::new(
        UNTAGGED,
        "counter",
        "Connections that made requests without a runtime tag that fits a namespace, by reason",
    ),
    Family::new(
        UNTAGGED_WRITES,
        "counter",
        "Writes refused because their connection has no runtime tag that fits a namespace",
    ),
    Family::new(CONNECTIONS, "gauge", "Downstream connections"),
    Family::new(
        WORKER_CONNECTIONS,
        "gauge",
        "Downstream connections by the worker thread that serves them",
    ),
    Family::new(
        WORKER_RELOADING,
        "gauge",
        "1 while a worker thread waits to take a configuration over, until requests under way are answered",
    ),
    Family::new(
        LOOKS_APART,
        "counter",
        "Values looked at on another thread than their worker's, as the look takes long",
    ),
    Family::new(
        LOOKS_APART_BYTES,
        "gauge",
        "Values that are being looked at on another thread than their worker's",
    ),
    Family::new(
        REFUSED,
        "counter",
        "Downstream connections turned away at max_connections",
    ),
    Family::new(
        CLOSED,
        "counter",
        "Downstream connections that picklegate closed, by reason",
    ),
    Family::new(
        HANDSHAKE_FAILURES,
        "counter",
        "Downstream connections whose TLS handshake failed or took too long",
    ),
    Family::new(
        UPSTREAM_CONNECTIONS,
        "gauge",
        "Established upstream connections",
    ),
    Family::new(
        UPSTREAM_REQUESTS,
        "counter",
        "Requests sent upstream, including deletes for coherence",
    ),
    Family::new(
        UPSTREAM_ERRORS,
        "counter",
        "Requests that an upstream did not answer, including those answered as misses",
    ),
    Family::new(
        UPSTREAM_RECONNECTS,
        "counter",
        "Upstream connections that were lost",
    ),
    Family::new(
        UPSTREAM_FAILURES,
        "counter",
        "Upstream connections that failed or could not be made, by reason",
    ),
    Family::new(
        UPSTREAM_IN_FLIGHT,
        "gauge",
        "Requests sent upstream and not yet answered",
    ),
    Family::new(ROLLOUT, "gauge", "Share of a rule's keys that is isolated"),
    Family::new(MODE, "gauge", "1 for the mode that a rule is in"),
    Family::new(GENERATION, "gauge", "Configurations loaded since the start"),
    Family::new(
        LAST_SUCCESS,
        "gauge",
        "When the configuration was last loaded",
    ),
    Family::new(
        FAILURES,
        "counter",
        "Configurations that were not taken over",
    ),
    Family::new(
        LAST_SUCCESSFUL,
        "gauge",
        "1 if the last configuration was taken over, 0 if an older one serves on",
    ),
    Family::new(
        HASH,
        "gauge",
        "A hash of the configuration files, equal for equal files; absent without a file",
    ),
    Family::new(
        LOG_DROPPED,
        "counter",
        "Lines of the log that were dropped because nobody read them in time",
    ),
    Family::new(BUILD_INFO, "gauge", "Always 1; the version is in its label"),
];

impl Family {
    const fn new(name: &'static str, kind: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            kind,
            meaning,
        }
    }
}

/// The meaning of a family, if there is such a one.
pub(super) fn meaning(name: &str) -> Option<&'static str> {
    let family = FAMILIES.iter().find(|family| family.name == name)?;
    Some(family.meaning)
}
