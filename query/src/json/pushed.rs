//! What of a condition on JSON a store can be asked: members whose text is compared, and what containment asks of members.
//!
//! What must stay true: pure; every row for which the condition holds meets what is asked. Nothing is asked of a step that may mean a member
//! as well as an element.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use wh_schemas::json::Node;

use super::function::{CONTAINS, EXTRACT, EXTRACT_TEXT, PATH, PATH_TEXT};
use super::get::{GET, GET_TEXT};
use super::member::{MemberTest, Step};
use crate::predicate::Predicate;

/// Most steps to a member.
const MAX_STEPS: usize = 16;
/// Most members that one containment asks about.
const MAX_MEMBERS: usize = 32;

/// The member of a column whose text an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    column: usize,
    path: Vec<Step>,
}

impl Member {
    /// `None` where the expression is something else.
    pub(crate) fn of(expr: &Expr, schema: &Schema) -> Option<Member> {
        match expr {
            Expr::Alias(alias) => Member::of(&alias.expr, schema),
            Expr::ScalarFunction(function) if matches!(function.name(), GET_TEXT | EXTRACT_TEXT | PATH_TEXT) => stepped(function, schema).filter(|member| !member.path.is_empty()),
            _ => None,
        }
    }

    /// That its text is one of these.
    pub(crate) fn one_of(self, texts: Vec<String>) -> Predicate {
        self.asked(MemberTest::TextIn(texts))
    }

    /// That it is there, and not null.
    pub(crate) fn present(self) -> Predicate {
        self.asked(MemberTest::Present)
    }

    fn asked(self, test: MemberTest) -> Predicate {
        Predicate::Member { column: self.column, path: self.path, test }
    }
}

/// What is asked where a function is the condition: `column @> 'JSON'`.
pub(crate) fn condition(function: &ScalarFunction, schema: &Schema) -> Option<Predicate> {
    let (CONTAINS, [outer, Expr::Literal(inner, _)]) = (function.name(), function.args.as_slice()) else { return None };
    let inner = Node::parse(text_of(inner)?).ok()?;
    if !matches!(&inner, Node::Object(members) if !members.is_empty()) {
        return None;
    }
    let mut asked = Vec::new();
    leaves(&value(outer, schema)?, &inner, &mut asked)?;
    (!asked.is_empty()).then_some(Predicate::And(asked))
}

/// What must be asked of the members so that a value can contain `inner`; `None` where it is too much.
fn leaves(at: &Member, inner: &Node<'_>, out: &mut Vec<Predicate>) -> Option<()> {
    if at.path.len() > MAX_STEPS || out.len() >= MAX_MEMBERS {
        return None;
    }
    // Of a text it is not said what it is the text of, and what has parts is not judged whole.
    let first = |test: MemberTest| at.clone().asked(MemberTest::First(Box::new(test)));
    let text = |text: &str| first(MemberTest::TextIn(vec![text.to_owned()]));
    match inner {
        Node::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let mut path = at.path.clone();
                path.push(Step::Key(name.as_str().to_owned()));
                leaves(&Member { column: at.column, path }, value, out)?;
            }
        }
        Node::String(string) => out.push(text(string.as_str())),
        Node::Bool(true) => out.push(text("true")),
        Node::Bool(false) => out.push(text("false")),
        // A number that is equal may be written otherwise, and so may what has parts.
        Node::Number(_) | Node::Array(_) | Node::Object(_) => out.push(first(MemberTest::Present)),
        Node::Null => {}
    }
    Some(())
}

/// The value that an expression is: a column, or what lies in it.
fn value(expr: &Expr, schema: &Schema) -> Option<Member> {
    match expr {
        Expr::Alias(alias) => value(&alias.expr, schema),
        // `metadata::jsonb`
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Utf8 => value(&cast.expr, schema),
        Expr::Column(column) => {
            let (column, field) = schema.column_with_name(&column.name)?;
            (*field.data_type() == DataType::Utf8).then_some(Member { column, path: Vec::new() })
        }
        Expr::ScalarFunction(function) if matches!(function.name(), GET | EXTRACT | PATH) => stepped(function, schema),
        _ => None,
    }
}

fn stepped(function: &ScalarFunction, schema: &Schema) -> Option<Member> {
    let (json, keys) = function.args.split_first()?;
    let mut member = value(json, schema)?;
    match (function.name(), keys) {
        (GET | GET_TEXT, [Expr::Literal(ScalarValue::Int64(Some(index)), _)]) => member.path.push(Step::Element(*index)),
        (GET | GET_TEXT, [Expr::Literal(key, _)]) => member.path.push(Step::Key(text_of(key)?.to_owned())),
        (EXTRACT | EXTRACT_TEXT, keys) => {
            for key in keys {
                let Expr::Literal(key, _) = key else { return None };
                member.path.push(plain_key(text_of(key)?)?);
            }
        }
        (PATH | PATH_TEXT, [Expr::Literal(ScalarValue::List(list), _)]) => {
            if list.len() != 1 || list.is_null(0) {
                return None;
            }
            let keys = list.value(0);
            for key in keys.as_string_opt::<i32>()? {
                member.path.push(plain_key(key?)?);
            }
        }
        _ => return None,
    }
    (member.path.len() <= MAX_STEPS).then_some(member)
}

/// A step of a path, which in an array is the place of an element where it is an integer.
fn plain_key(key: &str) -> Option<Step> {
    if key.parse::<i64>().is_ok() { None } else { Some(Step::Key(key.to_owned())) }
}

/// The text that a literal is.
fn text_of(literal: &ScalarValue) -> Option<&str> {
    match literal {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::function::{Kind, function};
    use super::super::get::{self, Gives};
    use super::*;
    use crate::pushdown::translate;
    use datafusion::logical_expr::{Literal, cast, col, lit};

    fn asked(expr: &Expr) -> Option<String> {
        let schema = wh_schemas::arrow::transactions();
        translate(expr, &schema).map(|predicate| predicate.display(&schema).to_string())
    }

    fn text(json: Expr, key: impl Literal) -> Expr {
        get::function(Gives::Text).call(vec![json, lit(key)])
    }

    fn json(json: Expr, key: impl Literal) -> Expr {
        get::function(Gives::Json).call(vec![json, lit(key)])
    }

    fn contains(outer: Expr, inner: &str) -> Expr {
        function(Kind::Contains).call(vec![outer, lit(inner)])
    }

    #[test]
    fn texts_of_members_are_asked_about() {
        let metadata = || col("metadata");
        assert_eq!(asked(&text(metadata(), "ip").eq(lit("x'y"))).as_deref(), Some("metadata->>'ip' = 'x''y'"));
        assert_eq!(asked(&lit("x").eq(text(metadata(), "ip"))).as_deref(), Some("metadata->>'ip' = 'x'"));
        assert_eq!(asked(&text(json(metadata(), "a"), -1_i64).in_list(vec![lit("x"), lit("7")], false)).as_deref(), Some("metadata->'a'->>-1 IN ('x', '7')"));
        assert_eq!(asked(&text(metadata(), "ip").is_not_null()).as_deref(), Some("metadata->>'ip' IS NOT NULL"));
        let path = |kind, keys: Vec<&str>| function(kind).call(std::iter::once(metadata()).chain(keys.into_iter().map(lit)).collect());
        assert_eq!(asked(&path(Kind::Extract(Gives::Text), vec!["a", "b"]).eq(lit("x"))).as_deref(), Some("metadata->'a'->>'b' = 'x'"));
        let both = text(metadata(), "ip").eq(lit("x")).or(col("risk_score").gt(lit(3_i32)));
        assert_eq!(asked(&both).as_deref(), Some("(metadata->>'ip' = 'x' OR risk_score > 3)"));
    }

    #[test]
    fn what_lets_too_many_rows_through_is_not_asked_where_they_would_be_lost() {
        let is = || text(col("metadata"), "ip").eq(lit("x"));
        for expr in [
            Expr::Not(Box::new(is())),
            text(col("metadata"), "ip").not_eq(lit("x")),
            text(col("metadata"), "ip").gt(lit("x")),
            text(col("metadata"), "ip").in_list(vec![lit("x")], true),
            text(col("metadata"), "ip").is_null(),
            is().is_not_true(),
            Expr::IsNull(Box::new(contains(col("metadata"), r#"{"a":"x"}"#))),
            text(col("metadata"), "ip").eq(col("user_id")),
            text(col("metadata"), "ip").eq(lit(7_i64)),
            function(Kind::Extract(Gives::Text)).call(vec![col("metadata"), lit("a"), lit("0")]).eq(lit("x")),
            function(Kind::Extract(Gives::Text)).call(vec![col("metadata")]).eq(lit("x")),
            json(col("metadata"), "ip").eq(lit("\"x\"")),
        ] {
            assert_eq!(asked(&expr), None, "{expr}");
        }
    }

    #[test]
    fn containment_asks_about_its_leaves() {
        let of = |inner: &str| asked(&contains(col("metadata"), inner));
        assert_eq!(of(r#"{"a":{"b":"x","n":1.0},"t":true}"#).as_deref(), Some("(metadata->'a'->>'b' = 'x' AND metadata->'a'->>'n' IS NOT NULL AND metadata->>'t' = 'true')"));
        assert_eq!(of(r#"{"a":[1],"z":null}"#).as_deref(), Some("(metadata->>'a' IS NOT NULL)"));
        assert_eq!(asked(&contains(json(col("metadata"), "a"), r#"{"b":"x"}"#)).as_deref(), Some("(metadata->'a'->>'b' = 'x')"));
        assert_eq!(asked(&contains(cast(col("metadata"), DataType::Utf8), r#"{"b":"x"}"#)).as_deref(), Some("(metadata->>'b' = 'x')"));
        assert_eq!(asked(&contains(cast(col("risk_score"), DataType::Utf8), r#"{"b":"x"}"#)), None);
        for nothing in [r#"{"z":null}"#, "{}", "[1]", "\"x\"", "no json"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        let contained = function(Kind::Contains).call(vec![lit(r#"{"a":"x"}"#), col("metadata")]);
        assert_eq!(asked(&contained), None);
    }
}
