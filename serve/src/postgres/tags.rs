//! What a client is told when a statement is done (PostgreSQL's documentation, "CommandComplete"), and what of a transaction a statement says.

use wh_query::{Action, Prepared};

/// What a statement says of the transaction. Nothing is ever written, so that a transaction is a state of the connection alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Begin,
    /// SAVEPOINT and RELEASE.
    Savepoint,
    /// ROLLBACK TO: what failed is forgotten, and the transaction goes on.
    RollbackTo,
    Commit,
    Rollback,
    Nothing,
}

/// What a statement says of the transaction.
pub(super) fn said(prepared: &Prepared) -> Said {
    match prepared.action() {
        Action::Commit => Said::Commit,
        Action::Rollback => Said::Rollback,
        Action::Begin => match first_word(prepared.sql()).as_str() {
            "SAVEPOINT" | "RELEASE" => Said::Savepoint,
            "ROLLBACK" | "ABORT" => Said::RollbackTo,
            _ => Said::Begin,
        },
        _ => Said::Nothing,
    }
}

/// The tag of a statement that gave `rows` rows.
pub(super) fn tag(prepared: &Prepared, rows: u64) -> String {
    match prepared.action() {
        Action::Query => format!("SELECT {rows}"),
        Action::Copy { .. } => format!("COPY {rows}"),
        Action::Fetch { .. } if moves(prepared) => format!("MOVE {rows}"),
        Action::Fetch { .. } => format!("FETCH {rows}"),
        Action::Explain => "EXPLAIN".to_owned(),
        Action::Show => "SHOW".to_owned(),
        Action::Declare { .. } => "DECLARE CURSOR".to_owned(),
        Action::Close { cursor: None } => "CLOSE CURSOR ALL".to_owned(),
        Action::Close { .. } => "CLOSE CURSOR".to_owned(),
        Action::Prepare { .. } => "PREPARE".to_owned(),
        Action::Deallocate { name: None } => "DEALLOCATE ALL".to_owned(),
        Action::Deallocate { .. } => "DEALLOCATE".to_owned(),
        Action::Discard => "DISCARD ALL".to_owned(),
        Action::Commit => "COMMIT".to_owned(),
        Action::Rollback => "ROLLBACK".to_owned(),
        Action::Begin if first_word(prepared.sql()) == "START" => "START TRANSACTION".to_owned(),
        Action::Set { .. } | Action::Begin | Action::Empty => match first_word(prepared.sql()) {
            word if word == "ABORT" => "ROLLBACK".to_owned(),
            word if word == "DISCARD" => prepared.sql().trim().trim_end_matches(';').to_ascii_uppercase(),
            word => word,
        },
    }
}

/// Whether a statement goes on in a cursor and sends nothing of what it passes: MOVE.
pub(super) fn moves(prepared: &Prepared) -> bool {
    matches!(prepared.action(), Action::Fetch { .. }) && first_word(prepared.sql()) == "MOVE"
}

/// Whether a statement does nothing because there is none.
pub(super) fn is_empty(prepared: &Prepared) -> bool {
    *prepared.action() == Action::Empty && first_word(prepared.sql()).is_empty()
}

/// The first word of a statement, in capitals; comments before it are left out.
fn first_word(sql: &str) -> String {
    let mut rest = sql.trim_start_matches([';', ' ', '\t', '\n', '\r']);
    loop {
        let after = match rest {
            _ if rest.starts_with("--") => rest.split_once('\n').map_or("", |(_, after)| after),
            _ if rest.starts_with("/*") => behind_comment(rest),
            _ => break,
        };
        rest = after.trim_start_matches([';', ' ', '\t', '\n', '\r']);
    }
    rest.chars().take_while(|c| c.is_ascii_alphabetic()).map(|c| c.to_ascii_uppercase()).collect()
}

/// What follows a comment in which there may be others.
fn behind_comment(text: &str) -> &str {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return &text[at..];
                }
            }
            _ => at += 1,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_found_behind_comments() {
        for (sql, word) in
            [("select 1", "SELECT"), ("  -- a\n /* b /* c */ */ Begin;", "BEGIN"), ("/* never closed", ""), ("-- nothing", ""), ("", ""), (";;", ""), ("/*é*/ABORT", "ABORT")]
        {
            assert_eq!(first_word(sql), word, "{sql}");
        }
    }
}
