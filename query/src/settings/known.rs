//! The settings that there are.

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What it is, and nothing else.
    Fixed,
    /// Any text.
    Text,
    /// One of these, whatever its case.
    OneOf(&'static [&'static str]),
    /// `on` or `off`.
    Flag,
    /// An integer from … to ….
    Integer(i64, i64),
    /// A duration, in milliseconds where no unit is written; it is ignored, since nothing here waits for it.
    Idle,
    /// How long a statement may run.
    Timeout,
    /// A time zone of the IANA database.
    Zone,
    /// Schemas, in the order in which names are looked for.
    Path,
    /// UTF8.
    Encoding,
    /// ISO, with the order in which a date's parts are read.
    DateStyle,
    /// Who asks.
    Principal,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its name, as SHOW ALL writes it.
    pub(super) name: &'static str,
    /// What it is when nothing was set.
    pub(super) default: &'static str,
    pub(super) kind: Kind,
    pub(super) description: &'static str,
}

const fn known(name: &'static str, default: &'static str, kind: Kind, description: &'static str) -> Known {
    Known { name, default, kind, description }
}

const ISOLATION: Kind = Kind::OneOf(&["read committed", "read uncommitted", "repeatable read", "serializable"]);
const MESSAGES: Kind = Kind::OneOf(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]);

/// What clients are told that they talk to: its number decides what they ask.
const SERVER_VERSION: &str = concat!("16.6 (Wardhouse ", env!("CARGO_PKG_VERSION"), ")");

/// Every setting, in the order of SHOW ALL.
pub(super) const KNOWN: [Known; 40] = [
    known("application_name", "", Kind::Text, "what the client calls itself"),
    known("bytea_output", "hex", Kind::OneOf(&["hex"]), "how bytes are written"),
    known("client_encoding", "UTF8", Kind::Encoding, "how text is encoded"),
    known("client_min_messages", "notice", MESSAGES, "below which messages are not sent"),
    known("DateStyle", "ISO, MDY", Kind::DateStyle, "how dates are written"),
    known("default_transaction_deferrable", "off", Kind::Flag, "transactions change nothing"),
    known("default_transaction_isolation", "read committed", ISOLATION, "transactions change nothing: see wardhouse.read"),
    known("default_transaction_read_only", "on", Kind::Flag, "nothing is ever written"),
    known("escape_string_warning", "on", Kind::Flag, "nothing is warned of"),
    known("extra_float_digits", "1", Kind::Integer(-15, 3), "floats are written in full"),
    known("idle_in_transaction_session_timeout", "0", Kind::Idle, "transactions hold nothing, so that they may be idle"),
    known("idle_session_timeout", "0", Kind::Idle, "sessions hold nothing, so that they may be idle"),
    known("in_hot_standby", "off", Kind::Fixed, "there is one server"),
    known("integer_datetimes", "on", Kind::Fixed, "times are microseconds"),
    known("IntervalStyle", "postgres", Kind::OneOf(&["postgres"]), "how intervals are written"),
    known("is_superuser", "off", Kind::Fixed, "nobody is"),
    known("jit", "off", Kind::Flag, "nothing is compiled"),
    known("lc_collate", "C", Kind::Fixed, "text is sorted by its code points"),
    known("lc_ctype", "C", Kind::Fixed, "text is UTF-8"),
    known("lc_messages", "C", Kind::OneOf(&["C", "en_US.UTF-8", "C.UTF-8"]), "messages are in English"),
    known("lock_timeout", "0", Kind::Idle, "nothing waits for locks"),
    known("max_identifier_length", "63", Kind::Fixed, "as in PostgreSQL"),
    known("max_index_keys", "32", Kind::Fixed, "as in PostgreSQL"),
    known("row_security", "on", Kind::Flag, "there are no policies by row"),
    known("search_path", "ledger", Kind::Path, "where names without a schema are looked for, in this order"),
    known("server_encoding", "UTF8", Kind::Fixed, "how text is stored"),
    known("server_version", SERVER_VERSION, Kind::Fixed, "what clients take it for"),
    known("server_version_num", "160006", Kind::Fixed, "what clients take it for"),
    known("session_authorization", "", Kind::Principal, "who asks"),
    known("standard_conforming_strings", "on", Kind::OneOf(&["on"]), "a backslash in quotes is a backslash"),
    known("statement_timeout", "0", Kind::Timeout, "how long a statement may run, to its last row: 5s, 1min, or milliseconds; 0 is as long as the role allows"),
    known("TimeZone", "UTC", Kind::Zone, "of now(), of times written without an offset, and of times that are shown"),
    known("transaction_deferrable", "off", Kind::Flag, "transactions change nothing"),
    known("transaction_isolation", "read committed", ISOLATION, "transactions change nothing: see wardhouse.read"),
    known("transaction_read_only", "on", Kind::Flag, "nothing is ever written"),
    known("wardhouse.cache", "off", Kind::Flag, "on: an answer may be one that was given before, where nothing it was read from has changed"),
    known("wardhouse.pushdown", "on", Kind::Flag, "off: stores are asked for rows only, and everything else is computed here, to compare"),
    known("wardhouse.read", "latest", Kind::OneOf(&["latest", "cut"]), "cut: append-only tables as of the lowest position that all stores have reached"),
    known("wardhouse.unavailable", "fail", Kind::OneOf(&["fail", "partial"]), "partial: a store that is down answers nothing, and a notice names it"),
    known("xmloption", "content", Kind::OneOf(&["content"]), "there is no XML"),
];
