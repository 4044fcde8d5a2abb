//! JSON in SQL. Its columns are text here, and this is what PostgreSQL's operators and functions make of them.
//!
//! ```text
//! operators (-> ->> #> #>> @> <@ ? ?| ?& → functions) → get, function (the functions; paths) → value, containment (pure)
//! elements (jsonb_array_elements(…) → unnest(json_elements(…)))
//! pushed (what of a condition a store can be asked) → member (a predicate's words for it) · types (::jsonb)
//! ```
//!
//! What must stay true: a key asks for a member and an integer for an element; what is not there is NULL, and so is anything asked of a text
//! that is no JSON. The answer is computed here unless a store says that its own is the same: else it only leaves out rows for which it cannot
//! be what is asked for.

mod containment;
mod elements;
mod function;
mod get;
mod member;
mod operators;
mod paths;
mod pushed;
mod types;
mod value;

use datafusion::logical_expr::ScalarUDF;

use self::get::Gives;

pub(crate) use elements::rewrite;
pub(crate) use member::{Beside, MemberTest, Shown, Step};
pub(crate) use operators::JsonOperators;
pub(crate) use pushed::{Member, condition};
pub(crate) use types::JsonTypes;
pub(crate) use value::array_texts;

/// The functions.
pub(crate) fn functions() -> Vec<ScalarUDF> {
    [Gives::Json, Gives::Text].into_iter().map(get::function).chain(function::functions()).collect()
}
