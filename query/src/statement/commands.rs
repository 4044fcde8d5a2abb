//! What a session says without reading: settings, transactions that are none, cursors, and what it lets go of.
//!
//! What must stay true: nothing is done here; each form is read to its end, so that nothing can hide behind it.

use datafusion::sql::sqlparser::tokenizer::{Token, Word};

use super::tokens::{Cursor, quoted};
use super::{Command, cursors, refused};
use crate::errors::QueryError;
use crate::prepared::Action;

/// First words of what changes something.
const WRITES: &str = "INSERT UPDATE DELETE MERGE UPSERT REPLACE CREATE DROP ALTER TRUNCATE GRANT REVOKE DENY COMMENT REINDEX VACUUM \
                      ANALYZE CLUSTER REFRESH IMPORT SECURITY REASSIGN DO CALL LOCK LOAD CHECKPOINT NOTIFY RENAME ATTACH DETACH INSTALL";

/// Whether a statement that begins so changes something.
pub(super) fn writes(word: &str) -> bool {
    WRITES.split(' ').any(|known| known == word)
}

/// Reads what a session says; `None` where it is something else. `cursor` is at its first word.
pub(super) fn session(cursor: &mut Cursor<'_>) -> Result<Option<Command>, QueryError> {
    let Some(word) = cursor.peek_word() else { return Ok(None) };
    let read: fn(&mut Cursor<'_>) -> Result<Command, QueryError> = match word.as_str() {
        "SET" => set,
        "RESET" => reset,
        "BEGIN" => transaction,
        "START" => |cursor| {
            cursor.must("TRANSACTION")?;
            transaction(cursor)
        },
        "COMMIT" | "END" => |cursor| {
            work(cursor)?;
            cursor.end()?;
            Ok(Command::Session(Action::Commit))
        },
        "ROLLBACK" | "ABORT" => rollback,
        "SAVEPOINT" => |cursor| {
            cursor.name()?;
            goes_on(cursor)
        },
        "RELEASE" => |cursor| {
            cursor.took("SAVEPOINT");
            cursor.name()?;
            goes_on(cursor)
        },
        "DISCARD" => discard,
        "DEALLOCATE" => |cursor| {
            cursor.took("PREPARE");
            let name = all_or_name(cursor)?;
            Ok(Command::Session(Action::Deallocate { name }))
        },
        "FETCH" | "MOVE" => cursors::fetch,
        "CLOSE" => |cursor| {
            let cursor = all_or_name(cursor)?;
            Ok(Command::Session(Action::Close { cursor }))
        },
        // Nobody notifies: there is nothing to stop listening to.
        "UNLISTEN" => |cursor| {
            cursor.next();
            cursor.end()?;
            Ok(Command::Session(Action::Empty))
        },
        _ => return Ok(None),
    };
    cursor.next();
    read(cursor).map(Some)
}

/// The first words of SHOW that list what there is.
const LISTS: [&str; 10] = ["TABLES", "COLUMNS", "FIELDS", "FUNCTIONS", "VIEWS", "SCHEMAS", "DATABASES", "FULL", "EXTENDED", "CREATE"];

/// Reads SHOW of a setting; `None` where something else is to be shown.
pub(super) fn show(cursor: &mut Cursor<'_>) -> Result<Option<Command>, QueryError> {
    let mut ahead = cursor.clone();
    ahead.next();
    if ahead.peek_word().is_some_and(|word| LISTS.contains(&word.as_str())) {
        return Ok(None);
    }
    let name = if ahead.took("ALL") {
        None
    } else if ahead.took("TIME") {
        ahead.must("ZONE")?;
        Some("timezone".to_owned())
    } else if ahead.took("TRANSACTION") {
        ahead.must("ISOLATION")?;
        ahead.must("LEVEL")?;
        Some("transaction_isolation".to_owned())
    } else if ahead.took("SESSION") {
        ahead.must("AUTHORIZATION")?;
        Some("session_authorization".to_owned())
    } else {
        Some(setting(&mut ahead)?)
    };
    ahead.end()?;
    // Settings of the engine itself can be looked at.
    if name.as_deref().is_some_and(|name| name.starts_with("datafusion.")) {
        return Ok(None);
    }
    Ok(Some(Command::Show(name)))
}

/// The name of a setting: parts joined by points.
fn setting(cursor: &mut Cursor<'_>) -> Result<String, QueryError> {
    let mut name = cursor.name()?.to_ascii_lowercase();
    while cursor.took_token(&Token::Period) {
        name.push('.');
        name.push_str(&cursor.name()?.to_ascii_lowercase());
    }
    if name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')) { Ok(name) } else { Err(cursor.expected("the name of a setting")) }
}

fn set(cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    if cursor.took("SESSION") {
        if cursor.took("CHARACTERISTICS") {
            cursor.must("AS")?;
            cursor.must("TRANSACTION")?;
            return modes(cursor);
        }
        if cursor.peek_word().as_deref() == Some("AUTHORIZATION") {
            return Err(refused("a session keeps the principal that it was opened by"));
        }
    } else {
        cursor.took("LOCAL");
    }
    if cursor.took("TRANSACTION") {
        return modes(cursor);
    }
    if cursor.took("TIME") {
        cursor.must("ZONE")?;
        return assigned(cursor, "timezone".to_owned());
    }
    if cursor.took("NAMES") {
        return assigned(cursor, "client_encoding".to_owned());
    }
    if cursor.peek_word().as_deref() == Some("ROLE") {
        return Err(refused("a session keeps the role that it was opened with"));
    }
    let name = setting(cursor)?;
    // What RESET ALL sets has this name.
    if name == "all" {
        return Err(cursor.expected("the name of a setting"));
    }
    if !cursor.took_token(&Token::Eq) {
        cursor.must("TO")?;
    }
    assigned(cursor, name)
}

/// The value of a setting: words, texts and numbers, joined by commas as they stand.
fn assigned(cursor: &mut Cursor<'_>, name: String) -> Result<Command, QueryError> {
    if cursor.took("DEFAULT") || (name == "timezone" && cursor.took("LOCAL")) {
        cursor.end()?;
        return Ok(Command::Reset(Some(name)));
    }
    let mut value = String::new();
    loop {
        if cursor.took_token(&Token::Minus) {
            value.push('-');
        } else {
            cursor.took_token(&Token::Plus);
        }
        match cursor.peek().map(|token| &token.token) {
            Some(Token::Number(number, _)) => value.push_str(number),
            Some(Token::Word(Word { value: word, quote_style: None, .. })) => value.push_str(word),
            // In a path the quotes are part of a schema's name; elsewhere they stand around a text, as pgcli writes SET TIME ZONE "UTC".
            Some(Token::Word(Word { value: word, .. })) if name == "search_path" => value.push_str(&format!("\"{word}\"")),
            Some(Token::Word(Word { value: word, .. })) => value.push_str(word),
            Some(token) if quoted(token).is_some() => value.push_str(quoted(token).unwrap_or_default()),
            _ => return Err(cursor.expected("a value")),
        }
        cursor.next();
        if !cursor.took_token(&Token::Comma) {
            break;
        }
        value.push_str(", ");
    }
    cursor.end()?;
    Ok(Command::Set { name, value })
}

fn reset(cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    let name = if cursor.took("ALL") {
        None
    } else if cursor.took("TIME") {
        cursor.must("ZONE")?;
        Some("timezone".to_owned())
    } else if cursor.took("SESSION") {
        cursor.must("AUTHORIZATION")?;
        Some("session_authorization".to_owned())
    } else if cursor.took("ROLE") {
        Some("session_authorization".to_owned())
    } else {
        Some(setting(cursor)?)
    };
    cursor.end()?;
    Ok(Command::Reset(name))
}

/// `[WORK | TRANSACTION] [AND [NO] CHAIN]`
fn work(cursor: &mut Cursor<'_>) -> Result<(), QueryError> {
    if !cursor.took("WORK") {
        cursor.took("TRANSACTION");
    }
    if cursor.took("AND") {
        cursor.took("NO");
        cursor.must("CHAIN")?;
    }
    Ok(())
}

fn rollback(cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    work(cursor)?;
    if cursor.took("TO") {
        cursor.took("SAVEPOINT");
        cursor.name()?;
        return goes_on(cursor);
    }
    cursor.end()?;
    Ok(Command::Session(Action::Rollback))
}

/// After a savepoint, and after going back to one, the transaction goes on as if it had just begun.
fn goes_on(cursor: &Cursor<'_>) -> Result<Command, QueryError> {
    cursor.end()?;
    Ok(Command::Session(Action::Begin))
}

fn transaction(cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    if !cursor.took("WORK") {
        cursor.took("TRANSACTION");
    }
    mode_list(cursor)?;
    Ok(Command::Session(Action::Begin))
}

/// The modes of SET TRANSACTION as the setting that they mean.
fn modes(cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    let empty = cursor.peek().is_none();
    let (isolation, read_only) = mode_list(cursor)?;
    match (isolation, read_only) {
        _ if empty => Err(cursor.expected("ISOLATION LEVEL or READ ONLY")),
        (Some(level), _) => Ok(Command::Set { name: "transaction_isolation".to_owned(), value: level.to_owned() }),
        (None, Some(read_only)) => Ok(Command::Set { name: "transaction_read_only".to_owned(), value: if read_only { "on" } else { "off" }.to_owned() }),
        (None, None) => Ok(Command::Set { name: "transaction_deferrable".to_owned(), value: "off".to_owned() }),
    }
}

/// The modes of a transaction, to the end of the statement: its isolation, and whether it only reads.
fn mode_list(cursor: &mut Cursor<'_>) -> Result<(Option<&'static str>, Option<bool>), QueryError> {
    let (mut isolation, mut read_only) = (None, None);
    while cursor.peek().is_some() {
        if cursor.took("ISOLATION") {
            cursor.must("LEVEL")?;
            isolation = Some(if cursor.took("SERIALIZABLE") {
                "serializable"
            } else if cursor.took("REPEATABLE") {
                cursor.must("READ")?;
                "repeatable read"
            } else {
                cursor.must("READ")?;
                if cursor.took("UNCOMMITTED") {
                    "read uncommitted"
                } else {
                    cursor.must("COMMITTED")?;
                    "read committed"
                }
            });
        } else if cursor.took("READ") {
            read_only = Some(cursor.took("ONLY"));
            if read_only == Some(false) {
                cursor.must("WRITE")?;
            }
        } else {
            cursor.took("NOT");
            cursor.must("DEFERRABLE")?;
        }
        cursor.took_token(&Token::Comma);
    }
    Ok((isolation, read_only))
}

fn discard(cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    let all = cursor.took("ALL");
    if !all && !["PLANS", "SEQUENCES", "TEMP", "TEMPORARY"].into_iter().any(|word| cursor.took(word)) {
        return Err(cursor.expected("ALL, PLANS, SEQUENCES or TEMP"));
    }
    cursor.end()?;
    // There are no sequences, no temporary tables, and plans are made when they are needed.
    Ok(Command::Session(if all { Action::Discard } else { Action::Empty }))
}

fn all_or_name(cursor: &mut Cursor<'_>) -> Result<Option<String>, QueryError> {
    let name = if cursor.took("ALL") { None } else { Some(cursor.name()?) };
    cursor.end()?;
    Ok(name)
}
