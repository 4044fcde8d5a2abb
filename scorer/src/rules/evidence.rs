//! What a score says of a team's rule: a text whose `{tx.amount}` stand for values.
//!
//! What must stay true: the same facts give the same text, and none is longer than a few hundred characters.

use std::fmt::Write;

use super::facts::{FIELDS, Facts, Field};
use super::language::{Node, Value};
use super::nearest::suggestion;
use super::typing::Misread;

/// Longest text of the ruleset, in bytes.
const LONGEST: usize = 400;
/// Longest value that is put into it, in characters.
const LONGEST_VALUE: usize = 60;
/// Values that are listed where the ruleset names none.
const LISTED: usize = 6;

#[derive(Debug)]
enum Piece {
    Words(Box<str>),
    Field(&'static Field),
    Metadata(Box<str>),
}

/// An evidence text, its names looked up.
#[derive(Debug)]
pub(super) struct Evidence(Vec<Piece>);

impl Evidence {
    /// The evidence that a text is: `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn parse(text: &str, metadata_keys: &[String]) -> Result<Evidence, Vec<Misread>> {
        if text.len() > LONGEST {
            return Err(vec![(0, format!("has {} bytes; at most {LONGEST} are read", text.len()))]);
        }
        let (mut pieces, mut faults, mut words) = (Vec::new(), Vec::new(), String::new());
        let mut at = 0;
        while let Some(next) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                words.push(next);
                at += 2;
            } else if next == '{' {
                let Some(end) = rest.find('}') else {
                    faults.push((at, "{ is not closed; a brace itself is written {{".to_owned()));
                    break;
                };
                match named(rest[1..end].trim(), metadata_keys) {
                    Ok(piece) => {
                        if !words.is_empty() {
                            pieces.push(Piece::Words(std::mem::take(&mut words).into_boxed_str()));
                        }
                        pieces.push(piece);
                    }
                    Err(message) => faults.push((at, message)),
                }
                at += end + 1;
            } else if next == '}' {
                faults.push((at, "} closes nothing; a brace itself is written }}".to_owned()));
                at += 1;
            } else {
                words.push(next);
                at += next.len_utf8();
            }
        }
        if !words.is_empty() {
            pieces.push(Piece::Words(words.into_boxed_str()));
        }
        if faults.is_empty() { Ok(Evidence(pieces)) } else { Err(faults) }
    }

    /// The condition itself and the values that it reads.
    pub(super) fn of_condition(text: &str, condition: &Node) -> Evidence {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut shown: String = text.chars().take(200).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        let mut read: Vec<&'static Field> = Vec::new();
        condition.visit_fields(&mut |field| {
            if read.len() < LISTED && !read.iter().any(|other| other.name == field.name) {
                read.push(field);
            }
        });
        let mut pieces = Vec::with_capacity(1 + 2 * read.len());
        for (i, field) in read.into_iter().enumerate() {
            let before = if i == 0 { std::mem::take(&mut shown) + ": " } else { ", ".to_owned() };
            pieces.push(Piece::Words(format!("{before}{} ", field.name).into_boxed_str()));
            pieces.push(Piece::Field(field));
        }
        if !shown.is_empty() {
            pieces.push(Piece::Words(shown.into_boxed_str()));
        }
        Evidence(pieces)
    }

    /// The text for these facts.
    pub(super) fn text(&self, facts: &Facts<'_>) -> String {
        let mut out = String::with_capacity(96);
        for piece in &self.0 {
            match piece {
                Piece::Words(words) => out.push_str(words),
                Piece::Field(field) => write_value(&mut out, (field.read)(facts)),
                Piece::Metadata(key) => write_value(&mut out, Value::Text(facts.metadata(key).unwrap_or("none"))),
            }
        }
        out
    }
}

/// The piece that a name in braces stands for.
fn named(name: &str, metadata_keys: &[String]) -> Result<Piece, String> {
    if let Some(key) = name.strip_prefix("tx.metadata.") {
        let known: Vec<&str> = metadata_keys.iter().map(String::as_str).collect();
        return if known.contains(&key) {
            Ok(Piece::Metadata(key.into()))
        } else {
            Err(format!("{key}: metadata_keys does not have it, so that no rule may read it{}", suggestion(key, &known)))
        };
    }
    FIELDS.iter().find(|field| field.name == name).map(Piece::Field).ok_or_else(|| {
        let known: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        format!("{{{name}}}: there is no such field{}", suggestion(name, &known))
    })
}

/// Doubles with two places, long texts cut.
fn write_value(out: &mut String, value: Value<'_>) {
    let written = match value {
        Value::Truth(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Double(value) => write!(out, "{value:.2}"),
        Value::Text(value) => match value.char_indices().nth(LONGEST_VALUE) {
            Some((end, _)) => write!(out, "{}…", &value[..end]),
            None => write!(out, "{value}"),
        },
    };
    // Writing to a string does not fail.
    if written.is_err() {
        out.push('?');
    }
}
