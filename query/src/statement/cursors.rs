//! `DECLARE` and `FETCH`: rows of a query, some at a time.
//!
//! What must stay true: a cursor goes forward only, and is for a query only; nothing is held here.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::tokens::{Cursor, text_from};
use super::{Command, refused};
use crate::errors::QueryError;
use crate::prepared::Action;

/// `DECLARE name … CURSOR … FOR query`
pub(super) fn declare(sql: &str, cursor: &mut Cursor<'_>) -> Result<Action, QueryError> {
    cursor.must("DECLARE")?;
    let name = cursor.name()?;
    while !cursor.took("CURSOR") {
        let known = ["BINARY", "ASENSITIVE", "INSENSITIVE", "NO", "SCROLL"].into_iter().any(|word| cursor.took(word));
        if !known {
            return Err(cursor.expected("CURSOR"));
        }
    }
    if cursor.took("WITH") || cursor.took("WITHOUT") {
        cursor.must("HOLD")?;
    }
    cursor.must("FOR")?;
    let reads = cursor.peek().is_some_and(|token| token.token == Token::LParen) || cursor.peek_word().is_some_and(|word| ["SELECT", "WITH", "VALUES"].contains(&word.as_str()));
    let (Some(first), Some(last), true) = (cursor.peek(), cursor.last(), reads) else { return Err(cursor.expected("a query")) };
    Ok(Action::Declare { cursor: name, sql: text_from(sql, first, last).to_owned() })
}

/// `FETCH … FROM name`. `cursor` is behind its first word.
pub(super) fn fetch(cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    let backwards = ["PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "BACKWARD"];
    // A cursor may have one of these as its name: `FETCH last`.
    let mut ahead = cursor.clone();
    ahead.next();
    if ahead.peek().is_some() && cursor.peek_word().is_some_and(|word| backwards.contains(&word.as_str())) {
        return Err(refused("a cursor goes forward only: FETCH NEXT, FETCH n or FETCH ALL"));
    }
    let forward = ahead.peek().is_some() && (cursor.took("NEXT") || cursor.took("FORWARD"));
    let rows = match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(number, _)) => {
            let rows = number.parse::<u64>().map_err(|_| cursor.expected("a number of rows"))?;
            cursor.next();
            Some(rows)
        }
        _ if (forward || ahead.peek().is_some()) && cursor.took("ALL") => None,
        _ => Some(1),
    };
    if !cursor.took("FROM") {
        cursor.took("IN");
    }
    let name = cursor.name()?;
    cursor.end()?;
    Ok(Command::Session(Action::Fetch { cursor: name, rows }))
}
