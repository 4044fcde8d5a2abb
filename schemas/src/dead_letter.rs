//! Names of the headers of a dead letter. Key and value of one are the original bytes, unless a header says that they were left out.
//!
//! A record with the header [`DISPOSITION`] is no letter: it says what became of the letter whose stage, store and origin it repeats.

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
/// Bytes of the value of a record that the log does not take as a letter; the value is left out then.
pub const VALUE_LEFT_OUT: &str = "wh-value-left-out";
/// Bytes of the key of such a record; the key is left out then.
pub const KEY_LEFT_OUT: &str = "wh-key-left-out";
/// What an operator did with a letter: [`RETRIED`] or [`DISCARDED`].
pub const DISPOSITION: &str = "wh-disposition";
/// Value of [`DISPOSITION`]: it was sent again.
pub const RETRIED: &str = "retried";
/// Value of [`DISPOSITION`]: nobody will send it again.
pub const DISCARDED: &str = "discarded";
/// Who did it, as audit events name it.
pub const PRINCIPAL: &str = "wh-principal";
/// Why, in the operator's words; where a retry went.
pub const REMARK: &str = "wh-remark";
/// On a record that was sent again: stage, store and origin of its letter.
pub const RETRY_OF: &str = "wh-retry-of";

/// Names that only Wardhouse gives a meaning: a record's own header of such a name is not taken into its letter, nor sent again.
pub const OURS: [&str; 16] =
    [ORIGIN, ORIGIN_TIME, STAGE, STORE, ERROR_CLASS, ERROR_MESSAGE, FINGERPRINT, ATTEMPTS, BUILD, POSITION, VALUE_LEFT_OUT, KEY_LEFT_OUT, DISPOSITION, PRINCIPAL, REMARK, RETRY_OF];
