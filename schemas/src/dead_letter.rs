//! Names of the headers of a dead letter. Key and value of one are the original bytes.

/// `topic/partition/offset` of the record.
pub const ORIGIN: &str = "wh-origin";
/// Append time of the record, microseconds since 1970 UTC.
pub const ORIGIN_TIME: &str = "wh-origin-time";
/// Stage that could not take it.
pub const STAGE: &str = "wh-stage";
/// Store that could not take it, where a sink wrote.
pub const STORE: &str = "wh-store";
/// Class of the error, e.g. `amount:not_positive`.
pub const ERROR_CLASS: &str = "wh-error-class";
/// What was expected and found, for a person.
pub const ERROR_MESSAGE: &str = "wh-error-message";
/// Sixteen hexadecimal digits, the same for records that fail alike.
pub const FINGERPRINT: &str = "wh-fingerprint";
/// How often it was tried.
pub const ATTEMPTS: &str = "wh-attempts";
/// Version and commit of the build that wrote it.
pub const BUILD: &str = "wh-build";
/// `partition:seq` of the emitted record, where a sink or the scorer wrote.
pub const POSITION: &str = "wh-position";
