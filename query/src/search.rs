//! What the two stores of `search.alerts` have in common: what each column is to an index, and how the query of a `match` is read.
//!
//! What must stay true: pure; both stores take the same queries, and refuse the others in the same words.

use std::sync::LazyLock;

use ::tantivy::Index;
use ::tantivy::query::{Occur, QueryParserError};
use ::tantivy::query_grammar::{self, Delimiter, UserInputAst, UserInputLeaf};
use arrow::datatypes::{DataType, Schema};
use wh_stores::alerts;
use wh_stores::tantivy::layout;

use crate::elasticsearch::matching;
use crate::errors::QueryError;
use crate::predicate::Predicate;
use crate::tantivy;

/// Longest query of a `match`, in bytes …
pub(crate) const MAX_QUERY: usize = 1_000;
/// … and its deepest brackets: the grammar is parsed recursively.
const MAX_BRACKETS: usize = 24;

/// What the index knows of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An integer or an instant, in a column of its own.
    Number,
    /// Text that is indexed whole, in a column of its own.
    Whole,
    /// Text that is analysed.
    Analysed,
    /// Several whole texts.
    Many,
    /// It is no field: the relevance.
    Computed,
}

/// What the index knows of the column at `index`.
pub(crate) fn kind(schema: &Schema, index: usize) -> Kind {
    let field = schema.field(index);
    match (field.name().as_str(), field.data_type()) {
        (alerts::TITLE | alerts::MESSAGE, _) => Kind::Analysed,
        (alerts::DETECTION_RULES, _) => Kind::Many,
        (_, DataType::Utf8) => Kind::Whole,
        (_, DataType::Int32 | DataType::Int64 | DataType::Timestamp(_, _)) => Kind::Number,
        _ => Kind::Computed,
    }
}

/// Reads the query of a `match`: words, AND, OR, NOT, brackets, "phrases" with ~slop. Several words mean all of them.
pub(crate) fn parsed(query: &str) -> Result<UserInputAst, QueryError> {
    if query.len() > MAX_QUERY {
        return Err(fault(query, format!("it is longer than {MAX_QUERY} bytes"), None));
    }
    if query.trim().is_empty() {
        return Err(fault(query, "it is empty".to_owned(), None));
    }
    let (mut open, mut deepest) = (0_usize, 0_usize);
    for byte in query.bytes() {
        match byte {
            b'(' => open += 1,
            b')' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    let words: Vec<&str> = query.split_whitespace().collect();
    if deepest > MAX_BRACKETS || words.windows(2).any(|pair| pair == ["NOT", "NOT"]) {
        return Err(fault(query, "brackets or NOT are nested too deep".to_owned(), None));
    }
    match query_grammar::parse_query(query) {
        Ok(ast) => tidied(ast, query),
        Err(_) => {
            let (_, faults) = query_grammar::parse_query_lenient(query);
            let first = faults.into_iter().next();
            let place = first.as_ref().map(|f| f.pos);
            Err(fault(query, first.map_or_else(|| "it cannot be read".to_owned(), |f| f.message), place))
        }
    }
}

/// What is said of a query that is not taken. `place` is the byte at which it goes wrong.
pub(crate) fn fault(query: &str, what: String, place: Option<usize>) -> QueryError {
    let place = place.map(|bytes| query.get(..bytes).unwrap_or(query).chars().count() + 1).map(|n| format!(" at character {n}")).unwrap_or_default();
    QueryError::Syntax {
        message: format!("in match(…, '{query}'){place}: {what}"),
        line: None,
        column: None,
        hint: Some("match takes words, AND, OR, NOT, brackets and \"phrases\"~2; put what has signs in it in double quotes".to_owned()),
    }
}

/// Refuses what looks elsewhere than in the column, and gives exclusions something to be excluded from.
fn tidied(ast: UserInputAst, query: &str) -> Result<UserInputAst, QueryError> {
    Ok(match ast {
        UserInputAst::Clause(members) => {
            let mut tidy = Vec::with_capacity(members.len() + 1);
            for (occur, member) in members {
                tidy.push((occur, tidied(member, query)?));
            }
            if !tidy.is_empty() && tidy.iter().all(|(occur, _)| *occur == Some(Occur::MustNot)) {
                tidy.push((Some(Occur::Must), UserInputAst::from(UserInputLeaf::All)));
            }
            UserInputAst::Clause(tidy)
        }
        UserInputAst::Boost(inner, boost) => UserInputAst::Boost(Box::new(tidied(*inner, query)?), boost),
        UserInputAst::Leaf(leaf) => match *leaf {
            // A star behind a phrase is another thing: its last word is cut off.
            UserInputLeaf::All => return Err(wildcard(query)),
            UserInputLeaf::Literal(literal) if literal.field_name.is_none() && literal.delimiter == Delimiter::None && literal.phrase.contains('*') => return Err(wildcard(query)),
            UserInputLeaf::Literal(literal) if literal.field_name.is_none() => UserInputAst::from(UserInputLeaf::Literal(literal)),
            UserInputLeaf::Literal(literal) => {
                let field = literal.field_name.unwrap_or_default();
                return Err(fault(query, format!("match looks in its own column only, and {field}: names another"), None));
            }
            _ => return Err(fault(query, "ranges, sets and patterns are not for match".to_owned(), None)),
        },
    })
}

/// What each of the two stores is asked for `match(message, query)`, or what is said of a query that it does not take: Tantivy's word first. For tests
/// that hold the two against each other.
#[doc(hidden)]
pub fn readings(query: &str) -> [Result<String, QueryError>; 2] {
    static INDEX: LazyLock<Index> = LazyLock::new(|| {
        let index = Index::create_in_ram(layout::alert_schema());
        layout::register_analyzer(&index);
        index
    });
    let schema = wh_schemas::arrow::alerts();
    let asked = |column| tantivy::query(&schema, &[Predicate::Match { column, query: query.to_owned() }], &INDEX).map(|query| format!("{query:?}"));
    let column = schema.index_of(alerts::MESSAGE).map_err(QueryError::internal);
    [column.and_then(asked), matching(alerts::MESSAGE, query).map(|query| query.to_string())]
}

fn wildcard(query: &str) -> QueryError {
    fault(query, "there is no wildcard *: words are compared by their stem, so that refund finds refunds".to_owned(), None)
}

/// How many words the analyser makes of a text. Both stores have the same.
pub(crate) fn words(text: &str) -> usize {
    let mut words = 0;
    layout::analyzer().token_stream(text).process(&mut |_| words += 1);
    words
}

/// What is said of a phrase whose last word is cut off, and which has no other.
pub(crate) fn prefix_alone(query: &str, phrase: String) -> QueryError {
    let error = QueryParserError::PhrasePrefixRequiresAtLeastTwoTerms { phrase, tokenizer: layout::ANALYZER.to_owned() };
    fault(query, error.to_string(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(query: &str) -> String {
        parsed(query).map_or_else(|error| error.to_string(), |ast| format!("{ast:?}"))
    }

    #[test]
    fn the_place_of_a_fault_is_named() {
        let text = said("refund AND (night");
        assert!(text.starts_with("in match(…, 'refund AND (night')"), "{text}");
        assert!(parsed("refund AND night OR \"late shift\"~2").is_ok());
        assert!(parsed("(refund OR transfer) NOT pharmacy").is_ok());
        for (query, word) in [("", "it is empty"), ("  ", "it is empty"), ("*", "wildcard"), ("refund AND ref*", "wildcard"), ("* AND refund", "wildcard")] {
            assert!(said(query).contains(word), "{query}: {}", said(query));
        }
    }

    #[test]
    fn match_looks_in_its_own_column() {
        assert!(said("user_id:u1").contains("user_id: names another"));
        assert!(said("[a TO b]").contains("ranges"), "{}", said("[a TO b]"));
    }

    #[test]
    fn brackets_and_lengths_have_bounds() {
        assert!(parsed(&format!("{}a{}", "(".repeat(5_000), ")".repeat(5_000))).is_err());
        assert!(parsed(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_err());
        assert!(parsed("NOT NOT a").is_err());
        assert!(parsed(&"a ".repeat(2_000)).is_err());
    }
}
