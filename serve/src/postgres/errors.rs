//! What goes wrong, as PostgreSQL says it: severity, SQLSTATE, message, hint, position.
//!
//! What must stay true: no message holds a zero byte, which would end it early on the wire; nothing of the host is in one.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use wh_query::QueryError;

use super::wire::Gone;

/// SQLSTATEs that this server gives by itself (PostgreSQL's appendix of error codes).
pub(super) mod code {
    pub(in crate::postgres) const SUCCESS: &str = "00000";
    pub(in crate::postgres) const PROTOCOL: &str = "08P01";
    pub(in crate::postgres) const UNSUPPORTED: &str = "0A000";
    pub(in crate::postgres) const OUT_OF_RANGE: &str = "22003";
    pub(in crate::postgres) const DATETIME: &str = "22008";
    pub(in crate::postgres) const NOT_UTF8: &str = "22021";
    pub(in crate::postgres) const BAD_TEXT: &str = "22P02";
    pub(in crate::postgres) const BAD_BINARY: &str = "22P03";
    pub(in crate::postgres) const ARRAY: &str = "2202E";
    pub(in crate::postgres) const IN_TRANSACTION: &str = "25001";
    pub(in crate::postgres) const NO_TRANSACTION: &str = "25P01";
    pub(in crate::postgres) const FAILED_TRANSACTION: &str = "25P02";
    pub(in crate::postgres) const NO_STATEMENT: &str = "26000";
    pub(in crate::postgres) const NOT_AUTHORIZED: &str = "28000";
    pub(in crate::postgres) const WRONG_PASSWORD: &str = "28P01";
    pub(in crate::postgres) const NO_CURSOR: &str = "34000";
    pub(in crate::postgres) const CURSOR_THERE: &str = "42P03";
    pub(in crate::postgres) const STATEMENT_THERE: &str = "42P05";
    pub(in crate::postgres) const TOO_MANY_CONNECTIONS: &str = "53300";
    pub(in crate::postgres) const LIMIT: &str = "54000";
    pub(in crate::postgres) const TOO_MANY_COLUMNS: &str = "54011";
    pub(in crate::postgres) const SHUTDOWN: &str = "57P01";
    pub(in crate::postgres) const INTERNAL: &str = "XX000";
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Where in the statement, in characters from 1.
    pub(super) position: Option<usize>,
    /// Whether the connection ends with it.
    pub(super) fatal: bool,
}

impl Failure {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), hint: None, position: None, fatal: false }
    }

    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { fatal: true, ..Failure::new(code, message) }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// What the engine said of `sql`, which begins after `offset` characters of what the client sent.
    pub(super) fn of(error: &QueryError, sql: &str, offset: usize) -> Failure {
        Failure {
            code: error.sqlstate(),
            message: error.headline(),
            hint: error.hint().map(str::to_owned),
            position: error.position(sql).map(|position| position + offset),
            fatal: false,
        }
    }

    /// As a message of the protocol.
    pub(super) fn message(&self) -> PgWireBackendMessage {
        let severity = if self.fatal { "FATAL" } else { "ERROR" };
        let mut fields = fields(severity, self.code, &self.message);
        if let Some(hint) = &self.hint {
            fields.push((b'H', clean(hint)));
        }
        if let Some(position) = self.position {
            fields.push((b'P', position.to_string()));
        }
        PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields))
    }
}

/// Why something that a client asked for came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no client any more, or no server.
    Gone(Gone),
    /// The client is told, and goes on.
    Failed(Failure),
}

impl From<Gone> for Fault {
    fn from(gone: Gone) -> Fault {
        Fault::Gone(gone)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault::Failed(failure)
    }
}

/// A notice.
pub(super) fn notice(text: &str) -> PgWireBackendMessage {
    PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields("NOTICE", code::SUCCESS, text)))
}

/// A warning, which the statement survives.
pub(super) fn warning(code: &'static str, text: &str) -> PgWireBackendMessage {
    PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields("WARNING", code, text)))
}

fn fields(severity: &str, code: &str, message: &str) -> Vec<(u8, String)> {
    // S may be translated, V never is.
    vec![(b'S', severity.to_owned()), (b'V', severity.to_owned()), (b'C', code.to_owned()), (b'M', clean(message))]
}

fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_fields_that_clients_read() {
        let failure = Failure { position: Some(8), ..Failure::new(code::BAD_TEXT, "no\0number").hint("write digits") };
        let PgWireBackendMessage::ErrorResponse(response) = failure.message() else { panic!("no error") };
        let shown: Vec<(char, &str)> = response.fields.iter().map(|(name, value)| (char::from(*name), value.as_str())).collect();
        assert_eq!(shown, [('S', "ERROR"), ('V', "ERROR"), ('C', "22P02"), ('M', "no\u{fffd}number"), ('H', "write digits"), ('P', "8")]);
    }
}
