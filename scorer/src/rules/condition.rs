//! From the text of a condition to a typed [`Node`]: read by the crate `cel`, checked by [`typing`].
//!
//! What must stay true: whatever stands in the text, the answer is a node or faults, never a panic: the parser, which is
//! another's and recursive, runs on a thread of its own with a stack that its longest text cannot exhaust.

use cel::parser::{ParseErrors, Parser};

use super::language::Node;
use super::typing::{self, Misread};

/// Longest condition, in bytes.
const LONGEST: usize = 2_000;
/// Stack of the parser: it takes some kilobytes a level, and a text of [`LONGEST`] bytes has fewer than a thousand levels.
const STACK: usize = 64 << 20;

/// The condition that a text is.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read(text: &str, metadata_keys: &[String]) -> Result<Node, Vec<Misread>> {
    if text.trim().is_empty() {
        return Err(vec![(0, "is empty: write a condition such as tx.amount > 5000.0".to_owned())]);
    }
    if text.len() > LONGEST {
        return Err(vec![(0, format!("has {} bytes; at most {LONGEST} are read", text.len()))]);
    }
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("rule".to_owned()).stack_size(STACK).spawn_scoped(scope, || parse(text, metadata_keys));
        match reader.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_panic)) => Err(vec![(0, "the CEL parser failed on it: write it more simply".to_owned())]),
            Err(error) => Err(vec![(0, format!("there is no thread to read it on: {error}"))]),
        }
    })
}

fn parse(text: &str, metadata_keys: &[String]) -> Result<Node, Vec<Misread>> {
    let (expression, source) = Parser::new().parse_with_source_info(text).map_err(|errors| syntax(text, errors))?;
    typing::condition(&expression, &source, metadata_keys)
}

/// The parser's own errors: its places are lines and columns from one on.
fn syntax(text: &str, errors: ParseErrors) -> Vec<Misread> {
    let place = |(line, column): (isize, isize)| -> usize {
        let (line, column) = (usize::try_from(line).unwrap_or(1).max(1), usize::try_from(column).unwrap_or(1).max(1));
        let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let inside = text.get(start..).unwrap_or_default().char_indices().nth(column - 1).map_or(text.len() - start.min(text.len()), |(at, _)| at);
        (start + inside).min(text.len())
    };
    // Behind an error of syntax, the parser also tells of the holes that it left.
    const SYNTAX: &str = "Syntax error: ";
    let only_syntax = errors.errors.iter().any(|error| error.msg.starts_with(SYNTAX));
    let mut faults: Vec<Misread> = Vec::new();
    for error in errors.errors.into_iter().filter(|error| !only_syntax || error.msg.starts_with(SYNTAX)) {
        let message = error.msg.split(" expecting {").next().unwrap_or_default().trim_start_matches(SYNTAX).replace("<EOF>", "the end");
        let message = if message == "UNKNOWN" { "is nested too deeply, or is no CEL".to_owned() } else { message };
        let at = place(error.pos);
        // One slip makes the parser stumble several times at the same place.
        if !faults.iter().any(|(other, _)| *other == at) {
            faults.push((at, message));
        }
    }
    faults
}
