//! From the query of a `match` to Elasticsearch's own: the same words, phrases and brackets that Tantivy reads, said as `bool` and
//! `match_phrase`, never as text that the server would read again. Pure.
//!
//! What must stay true: the same rows as Tantivy finds, so the same readings of what is odd: several words mean all of them, a word that the
//! analyser makes nothing of is left out, a query of such words alone finds nothing, one of exclusions alone is refused.

use ::tantivy::query::{Occur, QueryParserError};
use ::tantivy::query_grammar::{UserInputAst, UserInputLeaf, UserInputLiteral};
use serde_json::{Map, Value, json};

use crate::errors::QueryError;
use crate::search::{fault, parsed, prefix_alone, words};

/// Deepest nesting of a query: the server takes 30, of which some are around it.
const MAX_DEPTH: usize = 26;
/// As many words may end a phrase whose last word is cut off, here and in Tantivy.
const MAX_EXPANSIONS: u32 = 50;

/// A query whose words went through the analyser.
enum Tree {
    Clause(Vec<(Occur, Tree)>),
    Boost(Box<Tree>, f64),
    Leaf(Value),
}

/// What `match(field, query)` asks; an error where it cannot be read.
pub(crate) fn matching(field: &str, query: &str) -> Result<Value, QueryError> {
    let tree = Build { field, query }.tree(parsed(query)?)?;
    let is_empty = matches!(&tree, Tree::Clause(members) if members.is_empty());
    if !is_empty && tree.is_negative() {
        return Err(fault(query, QueryParserError::AllButQueryForbidden.to_string(), None));
    }
    let value = tree.value().unwrap_or_else(|| json!({ "match_none": {} }));
    if depth(&value) > MAX_DEPTH { Err(fault(query, "brackets or NOT are nested too deep".to_owned(), None)) } else { Ok(value) }
}

/// How deep queries are nested.
pub(super) fn depth(query: &Value) -> usize {
    match query {
        Value::Object(members) => members.iter().map(|(name, inner)| usize::from(matches!(name.as_str(), "bool" | "constant_score")) + depth(inner)).max().unwrap_or(0),
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

struct Build<'a> {
    field: &'a str,
    query: &'a str,
}

impl Build<'_> {
    fn tree(&self, ast: UserInputAst) -> Result<Tree, QueryError> {
        Ok(match ast {
            UserInputAst::Clause(members) => {
                let mut tree = Vec::with_capacity(members.len());
                for (occur, member) in members {
                    tree.push((occur.unwrap_or(Occur::Must), self.tree(member)?));
                }
                Tree::Clause(tree)
            }
            UserInputAst::Boost(inner, boost) => Tree::Boost(Box::new(self.tree(*inner)?), boost.into_inner()),
            UserInputAst::Leaf(leaf) => match *leaf {
                UserInputLeaf::Literal(literal) => self.literal(literal)?,
                UserInputLeaf::All => Tree::Leaf(json!({ "match_all": {} })),
                _ => return Err(QueryError::internal("a match was asked what it has refused")),
            },
        })
    }

    /// One word or phrase. The server analyses it as it analysed the text; here it is only seen how many words it has.
    fn literal(&self, literal: UserInputLiteral) -> Result<Tree, QueryError> {
        let UserInputLiteral { phrase, slop, prefix, .. } = literal;
        let words = words(&phrase);
        if prefix && words < 2 {
            return Err(prefix_alone(self.query, phrase));
        }
        Ok(match (words, prefix) {
            (0, _) => Tree::Clause(Vec::new()),
            (_, true) => Tree::Leaf(json!({ "match_phrase_prefix": { self.field: { "query": phrase, "max_expansions": MAX_EXPANSIONS } } })),
            (_, false) => Tree::Leaf(json!({ "match_phrase": { self.field: { "query": phrase, "slop": slop } } })),
        })
    }
}

impl Tree {
    /// Whether it only says what must not be.
    fn is_negative(&self) -> bool {
        match self {
            Tree::Clause(members) => members.iter().all(|(occur, member)| *occur == Occur::MustNot || member.is_negative()),
            Tree::Boost(inner, _) => inner.is_negative(),
            Tree::Leaf(_) => false,
        }
    }

    /// The query; `None` where nothing is left to be asked.
    fn value(self) -> Option<Value> {
        let members = match self {
            Tree::Leaf(value) => return Some(value),
            // The server takes no endless number.
            Tree::Boost(inner, boost) => return Some(json!({ "bool": { "must": [inner.value()?], "boost": boost.min(1e30) } })),
            Tree::Clause(members) => members,
        };
        let (mut must, mut should, mut must_not) = (Vec::new(), Vec::new(), Vec::new());
        for (occur, member) in members {
            let Some(value) = member.value() else { continue };
            match occur {
                Occur::Must => must.push(value),
                Occur::Should => should.push(value),
                Occur::MustNot => must_not.push(value),
            }
        }
        if must.is_empty() && should.is_empty() {
            return if must_not.is_empty() { None } else { Some(json!({ "match_none": {} })) };
        }
        let mut clause = Map::new();
        if must.is_empty() {
            clause.insert("minimum_should_match".to_owned(), 1.into());
        }
        for (name, members) in [("must", must), ("should", should), ("must_not", must_not)] {
            if !members.is_empty() {
                clause.insert(name.to_owned(), Value::Array(members));
            }
        }
        Some(json!({ "bool": clause }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> String {
        matching("message", query).map_or_else(|error| format!("error: {error}"), |value| value.to_string())
    }

    fn word(text: &str) -> String {
        format!(r#"{{"match_phrase":{{"message":{{"query":"{text}","slop":0}}}}}}"#)
    }

    #[test]
    fn words_phrases_and_brackets_keep_their_meaning() {
        assert_eq!(asked("refund"), word("refund"));
        assert_eq!(asked("refund night"), format!(r#"{{"bool":{{"must":[{},{}]}}}}"#, word("refund"), word("night")));
        assert_eq!(asked("refund AND night"), asked("refund night"));
        assert_eq!(asked("refund OR night"), format!(r#"{{"bool":{{"minimum_should_match":1,"should":[{},{}]}}}}"#, word("refund"), word("night")));
        assert_eq!(asked("night-time"), word("night-time"));
        assert_eq!(asked("\"late shift\"~2"), r#"{"match_phrase":{"message":{"query":"late shift","slop":2}}}"#);
        assert_eq!(asked("\"big bad wo\"*"), r#"{"match_phrase_prefix":{"message":{"query":"big bad wo","max_expansions":50}}}"#);
        assert!(asked("*").contains("wildcard"));
        assert_eq!(asked("NOT refund"), format!(r#"{{"bool":{{"must":[{{"match_all":{{}}}}],"must_not":[{}]}}}}"#, word("refund")));
        assert!(asked("refund^2.5 night").contains(r#""boost":2.5"#));
    }

    #[test]
    fn what_the_analyser_makes_nothing_of_is_left_out() {
        assert_eq!(asked("refund \"...\""), format!(r#"{{"bool":{{"must":[{}]}}}}"#, word("refund")));
        assert!(asked("").contains("it is empty"));
        assert_eq!(asked("\"...\""), r#"{"match_none":{}}"#);
        assert_eq!(asked("NOT \"...\""), r#"{"bool":{"must":[{"match_all":{}}]}}"#);
        assert!(asked("\"...\" \"--\"").contains("Only excluding terms given"));
    }

    #[test]
    fn what_cannot_be_read_is_told_as_tantivy_tells_it() {
        assert!(asked("\"refu\"*").contains("at least two terms"), "{}", asked("\"refu\"*"));
        assert!(asked("refund AND (night").starts_with("error: in match(…, 'refund AND (night')"));
        assert!(asked("user_id:u1").contains("names another"));
        assert!(asked(&format!("{}a{}", "(NOT ".repeat(30), ")".repeat(30))).contains("nested too deep"));
        let tower = (0..3).fold(word("a").parse::<Value>().unwrap(), |inner, _| json!({ "bool": { "must": [inner, { "match_all": {} }] } }));
        assert_eq!((depth(&tower), depth(&json!({ "constant_score": { "filter": tower } }))), (3, 4));
    }
}
