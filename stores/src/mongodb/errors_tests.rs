//! Each class of failure, as the server and the client say it.

use ::mongodb::bson::doc;
use ::mongodb::error::{CommandError, InsertManyError, WriteError};
use serde::de::DeserializeOwned;

use super::*;

const PLACE: &str = "documents (mongodb://host/wardhouse)";

fn parsed<T: DeserializeOwned>(document: ::mongodb::bson::Document) -> T {
    ::mongodb::bson::deserialize_from_document(document).unwrap()
}

fn command(code: i32, name: &str) -> Error {
    let failure: CommandError = parsed(doc! { "code": code, "codeName": name, "errmsg": "what was in the command" });
    ErrorKind::Command(failure).into()
}

fn class(error: &Error) -> &'static str {
    let reaction = reaction(PLACE, error);
    assert!(!reaction.to_string().contains("what was in the command"), "{reaction}");
    reaction.class()
}

#[test]
fn every_code_of_the_table_has_its_class() {
    for code in TRANSIENT {
        assert_eq!(class(&command(code, "Busy")), "transient", "{code}");
    }
    for code in [UNAUTHORIZED, 18, 31, 79, 100, 8_000, 26, 59, 2, 73] {
        assert_eq!(class(&command(code, "No")), "fatal", "{code}");
    }
    let told = reaction(PLACE, &command(10_107, "NotWritablePrimary")).to_string();
    assert_eq!(told, "documents (mongodb://host/wardhouse) is busy or changing over: NotWritablePrimary (code 10107)");
    // As with any other store: once there is room it goes on, and nobody has to start it.
    for reaction in [reaction(PLACE, &command(14_031, "OutOfDiskSpace")), by_code(PLACE, 14_031, "OutOfDiskSpace", true)] {
        assert!(matches!(&reaction, Reaction::Transient { message, retry_after: Some(FULL) } if message.contains("no space left on the server: make room")), "{reaction}");
    }
    assert!(matches!(row(PLACE, 14_031, None), RowFailure::Store(Reaction::Transient { retry_after: Some(FULL), .. })));
}

#[test]
fn a_single_document_is_judged_by_its_own_code() {
    assert!(matches!(row(PLACE, 11_000, None), RowFailure::AlreadyThere));
    for code in BAD_ROW {
        assert!(matches!(row(PLACE, code, None), RowFailure::Bad(_)), "{code}");
    }
    assert!(matches!(row(PLACE, 121, None), RowFailure::Bad(why) if why == "DocumentValidationFailure (code 121)"));
    assert!(matches!(row(PLACE, 10_107, Some("NotWritablePrimary")), RowFailure::Store(Reaction::Transient { .. })));
    assert!(matches!(row(PLACE, 13, None), RowFailure::Store(Reaction::Fatal(_))));
}

#[test]
fn failed_writes_tell_their_codes() {
    let failure: WriteError = parsed(doc! { "code": 11_000, "errmsg": "E11000 dup key: { transaction_id: \"what was in the command\" }" });
    let error: Error = ErrorKind::Write(WriteFailure::WriteError(failure)).into();
    assert!(is_duplicate_key(&error) && code(&error) == Some(11_000));
    assert_eq!(class(&error), "rejected");
    let failures: InsertManyError = parsed(doc! { "writeErrors": [], "writeConcernError": { "code": 64, "codeName": "WriteConcernTimeout", "errmsg": "" } });
    assert_eq!(class(&ErrorKind::InsertMany(failures).into()), "transient");
}

#[test]
fn a_server_that_cannot_be_reached_is_waited_for_and_one_that_never_will_is_not() {
    let report = |cause: &str| {
        format!(
            "Server selection timeout: No available servers. Topology: {{ Type: Unknown, Servers: [ {{ Address: host:27017, Type: Unknown, Error: Kind: {cause}, labels: {{}}, source: None, server response: None }} ] }}"
        )
    };
    for (cause, class, said) in [
        ("I/O error: Connection refused (os error 111)", "transient", "cannot be reached: Connection refused (os error 111)"),
        ("I/O error: early eof", "transient", "early eof"),
        ("I/O error: invalid peer certificate: UnknownIssuer", "fatal", "mongodb.ca_file"),
        ("I/O error: invalid peer certificate: certificate expired: verification time 1 (UNIX)", "fatal", "has expired"),
        ("I/O error: received corrupt message of type InvalidContentType", "fatal", "does not speak TLS"),
        ("The server returned an invalid reply to a database operation: Invalid wire protocol opcode: 7", "fatal", "does not speak MongoDB's protocol"),
    ] {
        let reaction = unreachable_server(PLACE, &report(cause));
        assert_eq!(reaction.class(), class, "{reaction}");
        assert!(reaction.to_string().contains(said), "{reaction}");
    }
    let none = "Server selection timeout: No available servers. Topology: { Type: ReplicaSetNoPrimary, Servers: [ { Address: a, Type: RsSecondary } ] }";
    assert!(unreachable_server(PLACE, none).to_string().contains("no primary now"));
    let old = "Server at a:1 reports wire version 6, but this version of the MongoDB Rust Driver requires at least 8";
    assert_eq!(unreachable_server(PLACE, old).class(), "fatal");
    let io: Error = std::io::Error::from(std::io::ErrorKind::TimedOut).into();
    assert_eq!(class(&io), "transient");
}
