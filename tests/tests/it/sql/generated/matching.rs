//! Conditions of full text, with a meaning of their own: which alerts have these words, told from the alerts' texts.
//!
//! What must stay true: no index is asked. The analyser alone is that of the stores; what words, phrases, AND, OR and NOT mean is said here
//! a second time.

use tantivy::tokenizer::Token;
use wh_stores::tantivy::layout;

use super::dice::Dice;
use super::literals::quoted;
use super::values::WORDS;

/// What is asked of a text.
#[derive(Clone, Debug)]
enum Wanted {
    Word(&'static str),
    Phrase(&'static str, &'static str),
    Both(Box<Wanted>, Box<Wanted>),
    Either(Box<Wanted>, Box<Wanted>),
    Without(Box<Wanted>, Box<Wanted>),
    Not(Box<Wanted>),
}

/// A `match` in a query.
#[derive(Clone, Debug)]
pub(super) struct Match {
    alias: String,
    column: &'static str,
    wanted: Wanted,
}

/// An alert's id and the words of its two texts, each with its place.
pub(super) struct Analysed {
    alert_id: String,
    title: Vec<(usize, String)>,
    message: Vec<(usize, String)>,
}

/// The alerts of `search.alerts` by their ids and texts.
pub(super) fn analysed(rows: impl Iterator<Item = [String; 3]>) -> Vec<Analysed> {
    rows.map(|[alert_id, title, message]| Analysed { alert_id, title: words(&title), message: words(&message) }).collect()
}

fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    layout::analyzer().token_stream(text).process(&mut |token: &Token| words.push((token.position, token.text.clone())));
    words
}

impl Match {
    pub(super) fn new(dice: &mut Dice, alias: &str) -> Match {
        let wanted = if dice.percent(12) { Wanted::Not(Box::new(inner(dice, 1))) } else { inner(dice, 2) };
        Match { alias: alias.to_owned(), column: if dice.percent(75) { "message" } else { "title" }, wanted }
    }

    /// As stores are asked it.
    pub(super) fn asked(&self) -> String {
        format!("match({}.\"{}\", {})", self.alias, self.column, quoted(&self.wanted.text()))
    }

    /// The same, said by the ids of the alerts that it finds.
    pub(super) fn found(&self, alerts: &[Analysed]) -> String {
        let found = alerts.iter().filter(|alert| self.wanted.is_in(if self.column == "title" { &alert.title } else { &alert.message }));
        let ids: Vec<String> = found.map(|alert| quoted(&alert.alert_id)).collect();
        if ids.is_empty() { "FALSE".to_owned() } else { format!("{}.\"alert_id\" IN ({})", self.alias, ids.join(", ")) }
    }
}

fn word(dice: &mut Dice) -> &'static str {
    WORDS[dice.below(WORDS.len())]
}

fn inner(dice: &mut Dice, depth: usize) -> Wanted {
    let below = |dice: &mut Dice| Box::new(inner(dice, depth.saturating_sub(1)));
    let form = dice.below(if depth == 0 { 4 } else { 9 });
    match form {
        0..=2 => Wanted::Word(word(dice)),
        3 => Wanted::Phrase(word(dice), word(dice)),
        4 | 5 => Wanted::Either(below(dice), below(dice)),
        6 | 7 => Wanted::Both(below(dice), below(dice)),
        _ => Wanted::Without(below(dice), below(dice)),
    }
}

impl Wanted {
    fn text(&self) -> String {
        match self {
            Wanted::Word(word) => (*word).to_owned(),
            Wanted::Phrase(one, other) => format!("\"{one} {other}\""),
            Wanted::Both(one, other) => format!("({} AND {})", one.text(), other.text()),
            Wanted::Either(one, other) => format!("({} OR {})", one.text(), other.text()),
            Wanted::Without(one, other) => format!("({} AND NOT {})", one.text(), other.text()),
            Wanted::Not(inner) => format!("NOT {}", inner.text()),
        }
    }

    fn is_in(&self, text: &[(usize, String)]) -> bool {
        // A word of letters alone is one word to the analyser, too.
        let stem = |word: &str| words(word).into_iter().map(|(_, stem)| stem).next().unwrap_or_default();
        match self {
            Wanted::Word(word) => {
                let stem = stem(word);
                text.iter().any(|(_, found)| *found == stem)
            }
            Wanted::Phrase(one, other) => {
                let (one, other) = (stem(one), stem(other));
                text.iter().any(|(at, found)| *found == one && text.iter().any(|(behind, next)| *behind == at + 1 && *next == other))
            }
            Wanted::Both(one, other) => one.is_in(text) && other.is_in(text),
            Wanted::Either(one, other) => one.is_in(text) || other.is_in(text),
            Wanted::Without(one, other) => one.is_in(text) && !other.is_in(text),
            Wanted::Not(inner) => !inner.is_in(text),
        }
    }
}
