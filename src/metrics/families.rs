//! The families of metrics: what each is called and means. Holds no counts.

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

/// The meaning of a family, as `# HELP` tells it, if there is such a one.
pub fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        REQUESTS => "Requests answered; retrievals count once per key",
        DURATION => "From the whole request to its whole reply",
        PICKLES => "Pickles seen on their way, by the protocol they declare",
        READS => {
            "Pickles read, by who wrote them and whether the reader loads them, if that was looked at"
        }
        REJECTED => "Stores refused because a reader of the key could not load them",
        NOT_LOADABLE => {
            "Pickles that their reader, or some reader of their key, cannot load, or that could not be understood"
        }
        NOT_TRANSCODED => "Pickles that no transcoding makes loadable for their reader",
        INVALIDATIONS => "Copies in other namespaces deleted for coherence",
        SUSPECTED => {
            "Requests for what looks like a counter or a lock, of which each namespace has its own"
        }
        UNTAGGED => {
            "Connections that made requests without a runtime tag that fits a namespace, by reason"
        }
        UNTAGGED_WRITES => {
            "Writes refused because their connection has no runtime tag that fits a namespace"
        }
        CONNECTIONS => "Downstream connections",
        WORKER_CONNECTIONS => "Downstream connections by the worker thread that serves them",
        WORKER_RELOADING => {
            "1 while a worker thread waits to take a configuration over, until requests under way are answered"
        }
        LOOKS_APART => {
            "Values looked at on another thread than their worker's, as the look takes long"
        }
        LOOKS_APART_BYTES => {
            "Values that are being looked at on another thread than their worker's"
        }
        REFUSED => "Downstream connections turned away at max_connections",
        CLOSED => "Downstream connections that picklegate closed, by reason",
        HANDSHAKE_FAILURES => "Downstream connections whose TLS handshake failed or took too long",
        UPSTREAM_CONNECTIONS => "Established upstream connections",
        UPSTREAM_REQUESTS => "Requests sent upstream, including deletes for coherence",
        UPSTREAM_ERRORS => {
            "Requests that an upstream did not answer, including those answered as misses"
        }
        UPSTREAM_RECONNECTS => "Upstream connections that were lost",
        UPSTREAM_FAILURES => "Upstream connections that failed or could not be made, by reason",
        UPSTREAM_IN_FLIGHT => "Requests sent upstream and not yet answered",
        ROLLOUT => "Share of a rule's keys that is isolated",
        MODE => "1 for the mode that a rule is in",
        GENERATION => "Configurations loaded since the start",
        LAST_SUCCESS => "When the configuration was last loaded",
        FAILURES => "Configurations that were not taken over",
        LAST_SUCCESSFUL => {
            "1 if the last configuration was taken over, 0 if an older one serves on"
        }
        HASH => "A hash of the configuration files, equal for equal files; absent without a file",
        LOG_DROPPED => "Lines of the log that were dropped because nobody read them in time",
        BUILD_INFO => "Always 1; the version is in its label",
        _ => return None,
    })
}
