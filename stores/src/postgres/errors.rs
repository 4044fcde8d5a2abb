//! What PostgreSQL's failures ask for, by their SQLSTATE.
//!
//! | SQLSTATE | means | reaction |
//! |---|---|---|
//! | 08… | the connection broke | transient |
//! | 0A000 | a prepared statement outlived a change of the layout | transient: a new connection knows better; anything else under this code is fatal |
//! | 22… | a value does not fit | rejected |
//! | 23… | a constraint says no | rejected |
//! | 25006 | read-only: a standby, or a server that is being failed over | transient |
//! | 25P02, 25P03, 25P04 | the transaction was ended | transient |
//! | 26000 | a prepared statement is gone | transient |
//! | 28… | wrong user or password, or no rule that lets this client in | fatal |
//! | 3D000, 3F000, 57P04 | no such database or schema | fatal |
//! | 40… | deadlock, serialization failure, outcome unknown | transient |
//! | 42501 | a right is missing | fatal |
//! | 42… | no such table or column: another layout | fatal |
//! | 53100 | its disk is full | transient, looked at again after 10 s |
//! | 53… | out of memory or of connections | transient, looked at again after 1 s |
//! | 54… | a limit of the server's own | fatal |
//! | 55006, 55P03 | somebody holds a lock | transient |
//! | 57… | shut down, starting up, statement ended | transient |
//! | 58… | its files cannot be read or written | fatal |
//! | XX… | its data is damaged, or a fault of its own | fatal |
//! | another | not foreseen | fatal |
//!
//! What must stay true: pure; no record's content is in a message: what the server says of a value (class 22) is left out.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::error::DatabaseError;
use wh_schemas::Reaction;

/// How a code is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Rejected,
    Transient,
    /// With how long the server is to be left alone.
    Later(Duration),
    /// With what to do about it.
    Fatal(&'static str),
}

const LOOK: &str = "look at the server's log";
const MIGRATE: &str = "run `wardhouse migrate` with a user who owns the database, or name the database that Wardhouse made";

/// The answer to a SQLSTATE. Its message decides where one code means two things.
fn answer(code: &str, message: &str) -> Answer {
    let class = code.get(..2).unwrap_or_default();
    match (class, code) {
        ("22" | "23", _) => Answer::Rejected,
        ("08" | "40", _) | (_, "25006" | "25P02" | "25P03" | "25P04" | "26000" | "55006" | "55P03") => Answer::Transient,
        (_, "0A000") if message.starts_with("cached plan must not change") => Answer::Transient,
        (_, "53100") => Answer::Later(Duration::from_secs(10)),
        ("53", _) => Answer::Later(Duration::from_secs(1)),
        (_, "57P04") => Answer::Fatal("the database was dropped: restore it, or name another in stores.ledger"),
        ("57", _) => Answer::Transient,
        (_, "28000") => Answer::Fatal("check postgres.user, and that pg_hba.conf lets this client in; where it asks for encryption, set postgres.tls = true"),
        ("28", _) => Answer::Fatal("check postgres.user and postgres.password (or postgres.password_file)"),
        (_, "3D000" | "3F000") => Answer::Fatal("make it (createdb), or name another in stores.ledger"),
        (_, "42501") => Answer::Fatal("grant what is missing, or run `wardhouse migrate` with a user who owns the database"),
        (_, "42P05") => Answer::Fatal("a pooler before the server mixes up prepared statements: let it pool sessions, or set its max_prepared_statements"),
        ("42", _) => Answer::Fatal(MIGRATE),
        ("54", _) => Answer::Fatal("a limit of the server is reached: its log says which"),
        ("58", _) => Answer::Fatal("check the server's disk and its log"),
        (_, "XX001" | "XX002") => Answer::Fatal("its data is damaged: restore it from a backup"),
        _ => Answer::Fatal(LOOK),
    }
}

/// What the server said, without any value of a row.
fn said(error: &dyn DatabaseError, code: &str) -> String {
    if code.starts_with("22") {
        return format!("a value does not fit (SQLSTATE {code})");
    }
    let constraint = error.constraint().map(|name| format!(", constraint {name}")).unwrap_or_default();
    format!("{} (SQLSTATE {code}{constraint})", error.message())
}

/// What failed, in words, without any value of a row.
#[must_use]
pub fn in_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => said(&**error, &error.code().unwrap_or_default()),
        sqlx::Error::Io(error) => format!("the connection failed: {error}"),
        other => other.to_string(),
    }
}

/// The reaction to a failure of a statement on the ledger at `place`.
#[must_use]
pub fn reaction(place: &str, error: &sqlx::Error) -> Reaction {
    let words = in_words(error);
    match error {
        sqlx::Error::Database(error) => match answer(&error.code().unwrap_or_default(), error.message()) {
            Answer::Rejected => Reaction::Rejected(format!("ledger ({place}): {words}")),
            Answer::Transient => Reaction::transient(format!("ledger ({place}): {words}")),
            Answer::Later(wait) => Reaction::Transient { message: format!("ledger ({place}): {words}"), retry_after: Some(wait) },
            Answer::Fatal(remedy) => Reaction::fatal(format!("ledger ({place}): {words}: {remedy}")),
        },
        // What broke on the way is told apart when the connection is made anew.
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Reaction::transient(format!("ledger ({place}): {words}"))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } | sqlx::Error::Decode(_) => {
            Reaction::fatal(format!("ledger ({place}): {words}: {MIGRATE}"))
        }
        _ => Reaction::fatal(format!("ledger ({place}): {words}")),
    }
}

/// The reaction to a failure to connect to `place`. Here a broken handshake will not mend itself.
pub(super) fn connecting(place: &str, error: &sqlx::Error) -> Reaction {
    match error {
        // rustls says what is wrong with a certificate in an error of this kind.
        sqlx::Error::Io(inner) if inner.kind() == ErrorKind::InvalidData => Reaction::fatal(format!(
            "ledger ({place}): no encrypted connection: {inner}: renew the server's certificate, connect by a name that it holds, or name who vouches for it in postgres.ca_file"
        )),
        sqlx::Error::Tls(inner) if inner.to_string().contains("does not support TLS") => {
            Reaction::fatal(format!("ledger ({place}): TLS is asked for, which the server does not speak: switch it on there (ssl = on), or set postgres.tls = false"))
        }
        sqlx::Error::Tls(inner) => Reaction::fatal(format!("ledger ({place}): no encrypted connection: {inner}: check postgres.ca_file, cert_file and key_file")),
        sqlx::Error::Configuration(inner) => Reaction::fatal(format!("ledger ({place}): {inner}: check the section [postgres]")),
        sqlx::Error::Protocol(inner) => {
            Reaction::fatal(format!("ledger ({place}): what answers there does not speak PostgreSQL's protocol ({inner}): check host and port in stores.ledger"))
        }
        sqlx::Error::Io(inner) if inner.kind() == ErrorKind::UnexpectedEof => {
            Reaction::transient(format!("ledger ({place}): closed the connection before it answered: is it PostgreSQL, and up?"))
        }
        sqlx::Error::Io(inner) => Reaction::transient(format!("ledger ({place}): cannot be reached: {inner}")),
        other => reaction(place, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_answer() {
        for code in
            ["08000", "08003", "08006", "08P01", "40001", "40P01", "40003", "57014", "57P01", "57P02", "57P03", "57P05", "25006", "25P02", "25P03", "26000", "55P03", "55006"]
        {
            assert_eq!(answer(code, ""), Answer::Transient, "{code}");
        }
        for code in ["53000", "53200", "53300", "53400", "53100"] {
            assert!(matches!(answer(code, ""), Answer::Later(_)), "{code}");
        }
        for code in ["22001", "22003", "22008", "22021", "22P02", "22P05", "23502", "23505", "23514"] {
            assert_eq!(answer(code, ""), Answer::Rejected, "{code}");
        }
        for code in ["28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703", "42P05", "54000", "57P04", "58030", "XX000", "XX001", "0A000", "P0001", "", "é"] {
            assert!(matches!(answer(code, ""), Answer::Fatal(_)), "{code}");
        }
        assert_eq!(answer("0A000", "cached plan must not change result type"), Answer::Transient);
    }

    #[test]
    fn what_broke_on_the_way_is_tried_again() {
        let cut = || sqlx::Error::Io(std::io::Error::new(ErrorKind::ConnectionReset, "reset"));
        assert!(matches!(reaction("p", &cut()), Reaction::Transient { .. }));
        assert!(matches!(connecting("p", &cut()), Reaction::Transient { .. }));
        assert!(matches!(reaction("p", &sqlx::Error::Protocol("x".into())), Reaction::Transient { .. }));
    }

    #[test]
    fn a_handshake_that_cannot_succeed_is_told_with_what_to_do() {
        let certificate = sqlx::Error::Io(std::io::Error::new(ErrorKind::InvalidData, "invalid peer certificate: Expired"));
        let told = connecting("p", &certificate).to_string();
        assert!(told.contains("Expired") && told.contains("postgres.ca_file"), "{told}");
        let told = connecting("p", &sqlx::Error::Tls("server does not support TLS".into())).to_string();
        assert!(told.contains("postgres.tls = false"), "{told}");
        let told = connecting("p", &sqlx::Error::Protocol("unexpected response from SSLRequest: 0x48".into()));
        assert!(matches!(&told, Reaction::Fatal(text) if text.contains("stores.ledger")), "{told}");
    }
}
