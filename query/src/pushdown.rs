//! From DataFusion's expressions to [`Predicate`]s.
//!
//! What must stay true: pure; a translation means exactly what the expression means, or there is none. Literals are checked
//! against the column's Arrow type; of casts on a column only those are looked through that change no value and no order. What is asked of
//! a member of a JSON value may let through more rows than the expression, which is why it stands under neither NOT nor IS.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Like, Operator};

use crate::fulltext::MATCH;
use crate::json::{self, Member};
use crate::predicate::{Op, Predicate, Truth, Value};

/// Deeper conditions stay with DataFusion, which guards its stack.
const MAX_DEPTH: usize = 128;
/// Longer lists stay with DataFusion, which hashes them.
pub(crate) const MAX_LIST: usize = 1_000;

/// What `expr` asks of a relation with this schema, when a store could be asked it at all.
pub(crate) fn translate(expr: &Expr, schema: &Schema) -> Option<Predicate> {
    below(expr, schema, 0).filter(Predicate::may_be_wide)
}

fn below(expr: &Expr, schema: &Schema, depth: usize) -> Option<Predicate> {
    if depth > MAX_DEPTH {
        return None;
    }
    let inner = |expr: &Expr| below(expr, schema, depth + 1);
    match expr {
        Expr::Alias(alias) => inner(&alias.expr),
        Expr::Column(_) => flag(expr, schema),
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => Some(Predicate::And(Vec::new())),
        Expr::Literal(ScalarValue::Boolean(Some(false)), _) => Some(Predicate::Or(Vec::new())),
        Expr::Not(negated) => inner(negated).map(Predicate::negated),
        Expr::IsNull(operand) => is_null(operand, schema).or_else(|| inner(operand).map(|p| p.is(Truth::Unknown))),
        Expr::IsNotNull(operand) => match Member::of(operand, schema) {
            Some(member) => Some(member.present()),
            None => is_null(operand, schema).or_else(|| inner(operand).map(|p| p.is(Truth::Unknown))).map(Predicate::negated),
        },
        Expr::IsTrue(operand) => inner(operand).map(|p| p.is(Truth::True)),
        Expr::IsNotTrue(operand) => inner(operand).map(|p| p.is(Truth::True).negated()),
        Expr::IsFalse(operand) => inner(operand).map(|p| p.is(Truth::False)),
        Expr::IsNotFalse(operand) => inner(operand).map(|p| p.is(Truth::False).negated()),
        Expr::IsUnknown(operand) => inner(operand).map(|p| p.is(Truth::Unknown)),
        Expr::IsNotUnknown(operand) => inner(operand).map(|p| p.is(Truth::Unknown).negated()),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => Some(joined(inner(left)?, inner(right)?, true)),
            Operator::Or => Some(joined(inner(left)?, inner(right)?, false)),
            _ => comparison(left, *op, right, schema),
        },
        Expr::Between(Between { expr, negated, low, high }) => {
            let within = joined(comparison(expr, Operator::GtEq, low, schema)?, comparison(expr, Operator::LtEq, high, schema)?, true);
            Some(if *negated { within.negated() } else { within })
        }
        Expr::InList(list) => in_list(list, schema),
        Expr::Like(like) => pattern(like, schema),
        Expr::ScalarFunction(function) => full_text(function, schema).or_else(|| json::condition(function, schema)),
        _ => None,
    }
}

/// `left AND right`, or `left OR right`, without a node more than needed.
fn joined(left: Predicate, right: Predicate, and: bool) -> Predicate {
    let mut members = Vec::new();
    for side in [left, right] {
        match side {
            Predicate::And(inner) if and => members.extend(inner),
            Predicate::Or(inner) if !and => members.extend(inner),
            other => members.push(other),
        }
    }
    if and { Predicate::And(members) } else { Predicate::Or(members) }
}

fn flag(expr: &Expr, schema: &Schema) -> Option<Predicate> {
    let column = operand(expr, schema)?;
    (*schema.field(column).data_type() == DataType::Boolean).then_some(Predicate::Flag { column })
}

fn is_null(expr: &Expr, schema: &Schema) -> Option<Predicate> {
    operand(expr, schema).map(|column| Predicate::Null { column })
}

/// The column that an expression is, as it stands or under a cast that changes neither value nor order.
fn operand(expr: &Expr, schema: &Schema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.index_of(&column.name).ok(),
        Expr::Alias(alias) => operand(&alias.expr, schema),
        Expr::Cast(cast) => operand(&cast.expr, schema).filter(|_| cast_keeps_order(&cast.expr, cast.field.data_type(), schema)),
        _ => None,
    }
}

fn cast_keeps_order(inner: &Expr, to: &DataType, schema: &Schema) -> bool {
    // A cast over a cast is left alone: what the inner one made is no longer the column's type.
    let (Expr::Column(_), Some(column)) = (inner, operand(inner, schema)) else { return false };
    widens(schema.field(column).data_type(), to)
}

/// Whether every value of `from` is a value of `to`.
pub(crate) fn widens(from: &DataType, to: &DataType) -> bool {
    let whole_digits = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
    match (from, to) {
        (DataType::Int32, DataType::Int64) => true,
        (DataType::Int32, DataType::Decimal128(p, s)) => *s >= 0 && whole_digits(*p, *s) >= 10,
        (DataType::Int64, DataType::Decimal128(p, s)) => *s >= 0 && whole_digits(*p, *s) >= 19,
        (DataType::Decimal128(p, s), DataType::Decimal128(wider, finer)) => finer >= s && whole_digits(*wider, *finer) >= whole_digits(*p, *s),
        (DataType::Timestamp(TimeUnit::Microsecond, Some(_)), DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, Some(_))) => true,
        (from, to) => from == to,
    }
}

fn comparison(left: &Expr, op: Operator, right: &Expr, schema: &Schema) -> Option<Predicate> {
    match op {
        // With a literal that is not NULL, "is not distinct" is "equal, surely".
        Operator::IsNotDistinctFrom => return comparison(left, Operator::Eq, right, schema).map(|p| p.is(Truth::True)),
        Operator::IsDistinctFrom => return comparison(left, Operator::Eq, right, schema).map(|p| p.is(Truth::True).negated()),
        _ => {}
    }
    let op = match op {
        Operator::Eq => Op::Eq,
        Operator::NotEq => Op::NotEq,
        Operator::Lt => Op::Lt,
        Operator::LtEq => Op::LtEq,
        Operator::Gt => Op::Gt,
        Operator::GtEq => Op::GtEq,
        _ => return None,
    };
    if let (Some(column), Expr::Literal(literal, _)) = (operand(left, schema), right) {
        return compare(column, op, literal, schema);
    }
    if let (Expr::Literal(literal, _), Some(column)) = (left, operand(right, schema)) {
        return compare(column, op.swapped(), literal, schema);
    }
    match (op, left, right) {
        (Op::Eq, json, Expr::Literal(literal, _)) | (Op::Eq, Expr::Literal(literal, _), json) => {
            let text = text_of(literal)?;
            Some(Member::of(json, schema)?.one_of(vec![text.to_owned()]))
        }
        _ => None,
    }
}

/// `column op literal`, when the literal can be said exactly in the column's unit.
pub(crate) fn compare(column: usize, op: Op, literal: &ScalarValue, schema: &Schema) -> Option<Predicate> {
    match exact(literal, schema.field(column).data_type())? {
        Exact::Flag(value) => {
            let flag = Predicate::Flag { column };
            match (op, value) {
                (Op::Eq, true) | (Op::NotEq, false) => Some(flag),
                (Op::Eq, false) | (Op::NotEq, true) => Some(flag.negated()),
                _ => None,
            }
        }
        Exact::Value(value) => Some(Predicate::Compare { column, op, value }),
        // Between two neighbours n and n + 1: below it is at most n, above it is more than n.
        Exact::Above(floor) => match op {
            Op::Lt | Op::LtEq => Some(Predicate::Compare { column, op: Op::LtEq, value: Value::Int(floor) }),
            Op::Gt | Op::GtEq => Some(Predicate::Compare { column, op: Op::Gt, value: Value::Int(floor) }),
            Op::Eq | Op::NotEq => None,
        },
    }
}

fn in_list(list: &InList, schema: &Schema) -> Option<Predicate> {
    let literals = list.list.iter().map(|item| if let Expr::Literal(literal, _) = item { Some(literal) } else { None });
    if let Some(member) = Member::of(&list.expr, schema) {
        let texts: Option<Vec<String>> = literals.map(|literal| literal.and_then(text_of).map(str::to_owned)).collect();
        let texts = texts.filter(|texts| !list.negated && !texts.is_empty() && texts.len() <= MAX_LIST)?;
        return Some(member.one_of(texts));
    }
    let column = operand(&list.expr, schema)?;
    let within = one_of(column, literals, schema)?;
    Some(if list.negated { within.negated() } else { within })
}

/// `column IN (literals)`.
pub(crate) fn one_of<'a>(column: usize, literals: impl Iterator<Item = Option<&'a ScalarValue>>, schema: &Schema) -> Option<Predicate> {
    let mut values = Vec::new();
    for literal in literals {
        let Exact::Value(value) = exact(literal?, schema.field(column).data_type())? else { return None };
        if !values.contains(&value) {
            values.push(value);
        }
        if values.len() > MAX_LIST {
            return None;
        }
    }
    (!values.is_empty()).then_some(Predicate::In { column, values })
}

/// Of `LIKE` only what is plain: no wildcard, a beginning, or a part. `_`, escapes and endings stay with DataFusion.
fn pattern(like: &Like, schema: &Schema) -> Option<Predicate> {
    let (Expr::Column(_), Expr::Literal(literal, _)) = (like.expr.as_ref(), like.pattern.as_ref()) else { return None };
    let column = operand(&like.expr, schema)?;
    if like.case_insensitive || like.escape_char.is_some() || *schema.field(column).data_type() != DataType::Utf8 {
        return None;
    }
    let pattern = text_of(literal)?;
    if pattern.contains(['_', '\\']) {
        return None;
    }
    let core = pattern.trim_matches('%');
    if (core.is_empty() && !pattern.is_empty()) || core.contains('%') {
        return None;
    }
    let text = core.to_owned();
    let found = match (pattern.starts_with('%'), pattern.ends_with('%')) {
        (false, false) => Predicate::Compare { column, op: Op::Eq, value: Value::Text(text) },
        (false, true) => Predicate::StartsWith { column, text },
        (true, true) => Predicate::Contains { column, text },
        (true, false) => return None,
    };
    Some(if like.negated { found.negated() } else { found })
}

fn full_text(function: &ScalarFunction, schema: &Schema) -> Option<Predicate> {
    let (MATCH, [operand_of_match, Expr::Literal(literal, _)]) = (function.name(), function.args.as_slice()) else { return None };
    let Expr::Column(_) = operand_of_match else { return None };
    Some(Predicate::Match { column: operand(operand_of_match, schema)?, query: text_of(literal)?.to_owned() })
}

/// A literal in the unit of a column.
enum Exact {
    Value(Value),
    Flag(bool),
    /// Between this integer and the next.
    Above(i64),
}

fn text_of(literal: &ScalarValue) -> Option<&str> {
    match literal {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => Some(text),
        _ => None,
    }
}

fn exact(literal: &ScalarValue, column: &DataType) -> Option<Exact> {
    let whole = |value: i128| i64::try_from(value).ok().map(|value| Exact::Value(Value::Int(value)));
    match column {
        DataType::Utf8 => text_of(literal).map(|text| Exact::Value(Value::Text(text.to_owned()))),
        DataType::Boolean => {
            if let ScalarValue::Boolean(Some(value)) = literal {
                Some(Exact::Flag(*value))
            } else {
                None
            }
        }
        DataType::Float64 => match literal {
            ScalarValue::Float64(Some(value)) if value.is_finite() && !(*value == 0.0 && value.is_sign_negative()) => Some(Exact::Value(Value::Float(*value))),
            _ => None,
        },
        DataType::Int32 | DataType::Int64 => match literal {
            ScalarValue::Decimal128(Some(value), _, scale) => divided(*value, power_of_ten(*scale)?),
            _ => whole(integer(literal)?),
        },
        DataType::Decimal128(_, column_scale) => {
            let unit = power_of_ten(*column_scale)?;
            match literal {
                ScalarValue::Decimal128(Some(value), _, scale) => divided(value.checked_mul(unit)?, power_of_ten(*scale)?),
                _ => whole(integer(literal)?.checked_mul(unit)?),
            }
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => match literal {
            ScalarValue::TimestampSecond(Some(value), Some(_)) => whole(i128::from(*value) * 1_000_000),
            ScalarValue::TimestampMillisecond(Some(value), Some(_)) => whole(i128::from(*value) * 1_000),
            ScalarValue::TimestampMicrosecond(Some(value), Some(_)) => whole(i128::from(*value)),
            ScalarValue::TimestampNanosecond(Some(value), Some(_)) => divided(i128::from(*value), 1_000),
            _ => None,
        },
        _ => None,
    }
}

fn integer(literal: &ScalarValue) -> Option<i128> {
    match literal {
        ScalarValue::Int8(Some(value)) => Some(i128::from(*value)),
        ScalarValue::Int16(Some(value)) => Some(i128::from(*value)),
        ScalarValue::Int32(Some(value)) => Some(i128::from(*value)),
        ScalarValue::Int64(Some(value)) => Some(i128::from(*value)),
        ScalarValue::UInt8(Some(value)) => Some(i128::from(*value)),
        ScalarValue::UInt16(Some(value)) => Some(i128::from(*value)),
        ScalarValue::UInt32(Some(value)) => Some(i128::from(*value)),
        ScalarValue::UInt64(Some(value)) => Some(i128::from(*value)),
        _ => None,
    }
}

fn power_of_ten(scale: i8) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(scale).ok()?)
}

fn divided(value: i128, by: i128) -> Option<Exact> {
    let floor = i64::try_from(value.div_euclid(by)).ok()?;
    Some(if value.rem_euclid(by) == 0 { Exact::Value(Value::Int(floor)) } else { Exact::Above(floor) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{cast, col, lit};

    fn asked(expr: &Expr) -> Option<String> {
        let schema = wh_schemas::arrow::transactions();
        translate(expr, &schema).map(|p| p.display(&schema).to_string())
    }

    fn decimal(value: i128, scale: i8) -> Expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), 38, scale), None)
    }

    fn nanos(value: i64) -> Expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(value), Some("UTC".into())), None)
    }

    #[test]
    fn money_is_compared_in_cents_or_not_at_all() {
        assert_eq!(asked(&col("amount").gt(decimal(50_000, 2))).as_deref(), Some("amount > 50000"));
        assert_eq!(asked(&col("amount").gt(decimal(5, 1))).as_deref(), Some("amount > 50"));
        assert_eq!(asked(&col("amount").eq(lit(7_i64))).as_deref(), Some("amount = 700"));
        assert_eq!(asked(&col("amount").gt_eq(decimal(10_005, 3))).as_deref(), Some("amount > 1000"));
        assert_eq!(asked(&col("amount").lt(decimal(-10_005, 3))).as_deref(), Some("amount <= -1001"));
        assert_eq!(asked(&col("amount").eq(decimal(10_005, 3))), None);
        assert_eq!(asked(&col("amount").gt(lit(0.5_f64))), None);
    }

    #[test]
    fn times_of_any_unit_become_microseconds() {
        assert_eq!(asked(&col("timestamp").gt_eq(nanos(5_000))).as_deref(), Some("timestamp >= 5"));
        assert_eq!(asked(&col("timestamp").gt_eq(nanos(5_001))).as_deref(), Some("timestamp > 5"));
        assert_eq!(asked(&col("timestamp").lt(nanos(5_001))).as_deref(), Some("timestamp <= 5"));
        let wall = Expr::Literal(ScalarValue::TimestampMicrosecond(Some(1), None), None);
        assert_eq!(asked(&col("timestamp").lt(wall)), None);
    }

    #[test]
    fn only_casts_that_lose_nothing_are_looked_through() {
        let finer = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        assert_eq!(asked(&cast(col("timestamp"), finer).gt(nanos(1))).as_deref(), Some("timestamp > 0"));
        assert_eq!(asked(&cast(col("risk_score"), DataType::Int64).gt(lit(69_i64))).as_deref(), Some("risk_score > 69"));
        assert_eq!(asked(&cast(col("risk_score"), DataType::Decimal128(12, 1)).gt(decimal(695, 1))).as_deref(), Some("risk_score > 69"));
        assert_eq!(asked(&cast(col("risk_score"), DataType::Utf8).eq(lit("70"))), None);
        assert_eq!(asked(&cast(col("amount"), DataType::Decimal128(15, 1)).eq(decimal(1, 1))), None);
        assert_eq!(asked(&cast(col("timestamp"), DataType::Date32).eq(lit(1_i32))), None);
    }

    #[test]
    fn booleans_are_conditions_of_their_own() {
        assert_eq!(asked(&col("is_anomaly")).as_deref(), Some("is_anomaly"));
        assert_eq!(asked(&col("is_anomaly").eq(lit(false))).as_deref(), Some("NOT is_anomaly"));
        assert_eq!(asked(&col("is_anomaly").is_not_true()).as_deref(), Some("NOT is_anomaly IS TRUE"));
        assert_eq!(asked(&col("is_anomaly").lt(lit(true))), None);
    }

    #[test]
    fn lists_and_ranges_and_nulls_are_kept() {
        assert_eq!(asked(&col("user_id").in_list(vec![lit("a"), lit("b"), lit("a")], true)).as_deref(), Some("NOT user_id IN ('a', 'b')"));
        assert_eq!(asked(&col("user_id").in_list(vec![lit("a"), lit(ScalarValue::Utf8(None))], false)), None);
        assert_eq!(asked(&col("risk_score").between(lit(3_i32), lit(5_i32))).as_deref(), Some("(risk_score >= 3 AND risk_score <= 5)"));
        assert_eq!(asked(&col("description").is_null()).as_deref(), Some("description IS NULL"));
        assert_eq!(asked(&lit("x").lt(col("user_id"))).as_deref(), Some("user_id > 'x'"));
        assert_eq!(asked(&col("user_id").eq(col("account_id"))), None);
        assert_eq!(asked(&col("user_id").eq(lit(ScalarValue::Utf8(None)))), None);
    }

    #[test]
    fn like_goes_down_only_where_it_is_plain() {
        assert_eq!(asked(&col("user_id").like(lit("ab%"))).as_deref(), Some("starts_with(user_id, 'ab')"));
        assert_eq!(asked(&col("user_id").not_like(lit("%it's%"))).as_deref(), Some("NOT contains(user_id, 'it''s')"));
        assert_eq!(asked(&col("user_id").like(lit("ab"))).as_deref(), Some("user_id = 'ab'"));
        for left in ["%ab", "a_b%", "a\\%", "%", "%%", "a%b"] {
            assert_eq!(asked(&col("user_id").like(lit(left))), None, "{left}");
        }
        assert_eq!(asked(&col("user_id").ilike(lit("ab%"))), None);
    }

    #[test]
    fn a_condition_with_one_foreign_part_stays_whole() {
        let foreign = col("amount").eq(col("risk_score"));
        assert_eq!(asked(&col("user_id").eq(lit("a")).or(foreign)), None);
        let both = col("user_id").eq(lit("a")).or(col("user_id").eq(lit("b"))).or(col("risk_score").gt(lit(3_i32)));
        assert_eq!(asked(&both).as_deref(), Some("(user_id = 'a' OR user_id = 'b' OR risk_score > 3)"));
    }

    #[test]
    fn a_tower_of_conditions_is_left_to_datafusion() {
        let mut tower = col("is_anomaly");
        for _ in 0..10_000 {
            tower = Expr::Not(Box::new(tower));
        }
        assert_eq!(asked(&tower), None);
        // Dropping so deep a tree needs more stack than a test thread has.
        std::mem::forget(tower);
    }
}
