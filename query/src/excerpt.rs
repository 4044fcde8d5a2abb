//! The part of a text that has most of the words that a query looks for, with marks around them.
//!
//! What must stay true: pure; words are found by the one analyser that both stores of `search.alerts` have, and a word is marked where either
//! store would have found it; a word is never cut.

use std::collections::HashSet;

use ::tantivy::query::Occur;
use ::tantivy::query_grammar::{UserInputAst, UserInputLeaf, UserInputLiteral};
use ::tantivy::tokenizer::{TextAnalyzer, Token};
use wh_stores::tantivy::layout;

/// The words that queries look for, as the analyser makes them.
pub(crate) struct Words {
    analyzer: TextAnalyzer,
    whole: HashSet<String>,
    beginnings: Vec<String>,
}

/// A word of a text: where it stands in bytes and in characters, and whether it is looked for.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: usize,
    to: usize,
    first: usize,
    behind: usize,
    is_found: bool,
}

impl Words {
    pub(crate) fn new() -> Words {
        Words { analyzer: layout::analyzer(), whole: HashSet::new(), beginnings: Vec::new() }
    }

    /// Takes the words of a query, but those of which it says that they must not be there.
    pub(crate) fn add(&mut self, query: UserInputAst) {
        match query {
            UserInputAst::Clause(members) => {
                for (_, member) in members.into_iter().filter(|(occur, _)| *occur != Some(Occur::MustNot)) {
                    self.add(member);
                }
            }
            UserInputAst::Boost(inner, _) => self.add(*inner),
            UserInputAst::Leaf(leaf) => {
                if let UserInputLeaf::Literal(UserInputLiteral { phrase, prefix, .. }) = *leaf {
                    let mut words = Vec::new();
                    self.analyzer.token_stream(&phrase).process(&mut |token: &Token| words.push(token.text.clone()));
                    if prefix {
                        self.beginnings.extend(words.pop());
                    }
                    self.whole.extend(words);
                }
            }
        }
    }

    fn spans(&mut self, text: &str) -> Vec<Span> {
        let (mut spans, mut at, mut chars) = (Vec::new(), 0, 0);
        let mut stream = self.analyzer.token_stream(text);
        while stream.advance() {
            let token = stream.token();
            let (from, to) = (token.offset_from, token.offset_to);
            let count = |from: usize, to: usize| text.get(from..to).map_or(0, |part| part.chars().count());
            let first = chars + count(at, from);
            (at, chars) = (to, first + count(from, to));
            let is_found = self.whole.contains(&token.text) || self.beginnings.iter().any(|beginning| token.text.starts_with(beginning.as_str()));
            spans.push(Span { from, to, first, behind: chars, is_found });
        }
        spans
    }

    /// The part of a text that has most of the words, about `most` characters long, with `«…»` around them and `…` where something is left out.
    pub(crate) fn excerpt(&mut self, text: &str, most: usize) -> String {
        let spans = self.spans(text);
        let (begin, end) = if text.chars().count() <= most { (0, text.len()) } else { window(text, &spans, most) };
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let mut excerpt = String::with_capacity(end - begin + 16);
        excerpt.push_str(if begin > 0 { "…" } else { "" });
        let mut at = begin;
        for span in spans.iter().filter(|span| span.is_found && span.from >= begin && span.to <= end) {
            excerpt.push_str(part(at, span.from));
            excerpt.push('«');
            excerpt.push_str(part(span.from, span.to));
            excerpt.push('»');
            at = span.to;
        }
        excerpt.push_str(part(at, end));
        excerpt.push_str(if end < text.len() { "…" } else { "" });
        excerpt
    }
}

/// Where the part begins and ends in a text that is longer than `most` characters: whole words, those that are found in the middle.
fn window(text: &str, spans: &[Span], most: usize) -> (usize, usize) {
    // How many words, from one on, are together no longer.
    let fitting = |from: usize| spans.iter().skip(from).take_while(|span| span.behind - spans[from].first <= most).count().max(1);
    let hits: Vec<usize> = spans.iter().enumerate().filter(|(_, span)| span.is_found).map(|(place, _)| place).collect();
    let mut best: Option<(usize, usize)> = None;
    for (at, first) in hits.iter().enumerate() {
        let inside = hits.iter().skip(at).take_while(|place| spans[**place].behind - spans[*first].first <= most).count().max(1);
        if best.is_none_or(|(_, most_inside)| inside > most_inside) {
            best = Some((at, inside));
        }
    }
    let from = match best {
        None => 0,
        Some((at, inside)) => {
            let (first, last) = (spans[hits[at]], spans[hits[at + inside - 1]]);
            let before = most.saturating_sub(last.behind - first.first) / 2;
            spans.partition_point(|span| span.first + before < first.first)
        }
    };
    let Some(first) = spans.get(from) else { return (0, text.char_indices().nth(most).map_or(text.len(), |(at, _)| at)) };
    let behind = from + fitting(from);
    let begin = if from == 0 && first.first < most { 0 } else { first.from };
    let end = if behind == spans.len() { text.len() } else { spans[behind - 1].to };
    (begin, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::parsed;

    fn shown(query: &str, text: &str, most: usize) -> String {
        let mut words = Words::new();
        words.add(parsed(query).unwrap());
        words.excerpt(text, most)
    }

    #[test]
    fn words_are_shown_where_the_analyser_finds_them() {
        assert_eq!(shown("refund AND night", "User Ünal was refunded 999.99 at night, twice.", 200), "User Ünal was «refunded» 999.99 at «night», twice.");
        assert_eq!(shown("RESUME", "Résumé of billing", 200), "«Résumé» of billing");
        assert_eq!(shown("refund NOT night", "refunds at night", 200), "«refunds» at night");
        assert_eq!(shown("\"at ni\"*", "refunds at night", 200), "refunds «at» «night»");
        assert_eq!(shown("(a OR b^2) c", "a b, c d", 200), "«a» «b», «c» d");
        assert_eq!(shown("night", "", 200), "");
        assert_eq!(shown("night", "...", 200), "...");
    }

    #[test]
    fn of_a_long_text_the_part_with_most_words_is_shown() {
        assert_eq!(shown("refund", "aaa bbb ccc ddd refund eee fff ggg hhh", 20), "…ddd «refund» eee fff…");
        assert_eq!(shown("refund night", "refund one two three four five refund night six seven", 20), "…«refund» «night» six…");
        assert_eq!(shown("refund", "refund one two three four five six", 20), "«refund» one two three…");
        assert_eq!(shown("refund", "one two three four five six refund.", 20), "…six «refund».");
        assert_eq!(shown("refund", "aaa bbb ccc ddd eee", 10), "aaa bbb…");
        assert_eq!(shown("ü", "üüüü ü üüüü üüüü", 6), "…«ü» üüüü…");
        assert_eq!(shown("refund", "!!!!!!!!!!", 4), "!!!!…");
        let long = "x".repeat(300);
        assert_eq!(shown(&long, &format!("a {long} b"), 20).matches('«').count(), 1);
    }
}
