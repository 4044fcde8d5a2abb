//! What it would take to read and plan a statement, told by its tokens.
//!
//! The parser tries some words first as what they begin and then as names: where the innermost of `CAST(CAST(…))` is wrong, it is read four times as often
//! with each level. A plan is walked anew for each query in an expression, with all that are nested in it. Neither can be stopped once it has begun.
//!
//! What must stay true: checked before anything is parsed; what people write is far below the bound.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::tokens::says;
use crate::errors::QueryError;

/// How often a token may be looked at, summed over all.
const MOST: u64 = 1 << 22;
/// Words that begin something of their own before a bracket, and may be names too.
const WORDS: [&str; 10] = ["CAST", "TRY_CAST", "SAFE_CAST", "SUBSTRING", "SUBSTR", "OVERLAY", "CEIL", "FLOOR", "CONVERT", "TRY_CONVERT"];
/// What each of these, and each query in an expression, multiplies what is inside by.
const EACH: u64 = 4;
/// The same for `ARRAY[`.
const ARRAY: u64 = 2;
/// Words before a query that is none in an expression.
const TABLES: [&str; 8] = ["FROM", "JOIN", "LATERAL", "AS", "UNION", "INTERSECT", "EXCEPT", "MATERIALIZED"];

/// Refuses a statement that would take too much.
pub(super) fn bounded(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let (mut weights, mut total) = (vec![1_u64], 0_u64);
    let mut before = "";
    let mut rest = tokens.iter().filter(|token| says(token)).peekable();
    while let Some(token) = rest.next() {
        let weight = weights.last().copied().unwrap_or(1);
        total = total.saturating_add(weight);
        if total > MOST {
            let message = "queries in expressions, CAST(…), ARRAY[…] and the like are nested too deeply in one another: name queries by WITH, and write value::type";
            return Err(QueryError::TooComplex { message: message.to_owned() });
        }
        match &token.token {
            Token::LParen => {
                let is_query = rest.peek().is_some_and(|next| ["SELECT", "WITH", "VALUES"].iter().any(|word| is_word(next, word)));
                let is_one = |words: &[&str]| words.iter().any(|word| before.eq_ignore_ascii_case(word));
                let factor = if is_one(&WORDS) || (is_query && !is_one(&TABLES)) { EACH } else { 1 };
                weights.push(weight.saturating_mul(factor));
            }
            Token::LBracket => weights.push(weight.saturating_mul(if before.eq_ignore_ascii_case("ARRAY") { ARRAY } else { 1 })),
            Token::RParen | Token::RBracket if weights.len() > 1 => {
                weights.pop();
            }
            _ => {}
        }
        before = match &token.token {
            Token::Word(Word { value, quote_style: None, .. }) => value.as_str(),
            _ => "",
        };
    }
    Ok(())
}

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::super::{read, tokens};
    use super::*;

    fn refused(sql: &str) -> bool {
        bounded(&tokens::read(sql).unwrap()).is_err()
    }

    #[test]
    fn what_doubles_with_each_level_is_bounded() {
        for (begin, end) in
            [("CAST(", " AS int)"), ("(SELECT ", ")"), ("EXISTS (SELECT ", ")"), ("1 IN (SELECT ", ")"), ("ceil(", ")"), ("substring(", " FROM 1)"), ("ARRAY[", "]")]
        {
            let nested = |levels: usize| format!("SELECT {}1{}", begin.repeat(levels), end.repeat(levels));
            assert!(!refused(&nested(8)) && refused(&nested(25)) && refused(&nested(5_000)), "{begin}");
            // Whatever is taken ends soon, be it right or wrong.
            for levels in [3, 10, 20, 40, 63] {
                assert!(read(&nested(levels).replace('1', "1 1")).is_err(), "{begin} {levels}");
            }
        }
    }

    #[test]
    fn what_people_write_is_far_below_it() {
        let functions = format!("SELECT {}a{}", "replace(".repeat(40), ", 'x', 'y')".repeat(40));
        let tables = format!("SELECT * {}", "FROM (SELECT * ".repeat(40) + "FROM t" + &") AS x".repeat(40));
        let list = format!(
            "SELECT coalesce(CASE WHEN a IN (1{}) THEN 1 END, 2) FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a AND b IN (1{}))",
            ", 2".repeat(20_000),
            ", 2".repeat(20_000)
        );
        for sql in [functions, tables, list, format!("SELECT {}1{}", "(".repeat(60), ")".repeat(60))] {
            assert!(!refused(&sql), "{}", sql.chars().take(100).collect::<String>());
        }
    }
}
