//! A rule as it is evaluated: a typed expression over [`Facts`], made once from its CEL text.
//!
//! The crate `cel` reads the text; it is not its interpreter that runs here, for three reasons: an expression that is typed
//! when it is loaded cannot fail by type on the millionth record; a look-up is a call of a function pointer instead of a
//! joined name, a search by it and a boxed value each time; and nothing in it allocates or panics. Tests hold it to the
//! interpreter's answers.
//!
//! What must stay true: evaluation visits each node at most once, so that its cost is bounded by the size of the text; it
//! reads nothing but the facts.

use std::cmp::Ordering;

use super::facts::{Facts, Field};

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// CEL's bool.
    Truth,
    /// CEL's int: 64 bit.
    Int,
    /// CEL's double.
    Double,
    /// CEL's string.
    Text,
}

impl Type {
    /// CEL's name for it, with its article.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Type::Truth => "a bool",
            Type::Int => "an int",
            Type::Double => "a double",
            Type::Text => "a string",
        }
    }

    /// Whether it is a number.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::Double)
    }
}

/// A value; texts are borrowed from the facts or from the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'v> {
    Truth(bool),
    Int(i64),
    Double(f64),
    Text(&'v str),
}

/// `==`, `!=`, `<`, `<=`, `>`, `>=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Different,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// `+`, `-`, `*`, `/`, `%`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Contains,
    StartsWith,
    EndsWith,
    Size,
    ToInt,
    ToDouble,
}

/// An expression, its types checked.
#[derive(Debug)]
pub(super) enum Node {
    Truth(bool),
    Int(i64),
    Double(f64),
    Text(Box<str>),
    Field(&'static Field),
    /// The value under a metadata key; fails where there is none.
    Metadata(Box<Node>),
    /// Whether there is one.
    HasMetadata(Box<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    /// `a ? b : c`
    Choice(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    Calculate(Operation, Box<[Node; 2]>),
    /// `a in [b, c]`
    Among(Box<Node>, Box<[Node]>),
    Call(Function, Box<[Node]>),
}

/// Why a rule has no answer for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// There is nothing under a metadata key.
    NoSuchKey,
    /// A whole number divided by nothing.
    DivisionByZero,
    /// Beyond 64 bits.
    Overflow,
    /// A text that is no number.
    NotANumber,
    /// Cannot be: types are checked before.
    Type,
}

impl Node {
    /// The value for these facts.
    pub(super) fn value<'f>(&'f self, facts: &'f Facts<'f>) -> Result<Value<'f>, Unanswered> {
        Ok(match self {
            Node::Truth(value) => Value::Truth(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Double(value) => Value::Double(*value),
            Node::Text(value) => Value::Text(value),
            Node::Field(field) => (field.read)(facts),
            Node::Metadata(key) => Value::Text(facts.metadata(key.text(facts)?).ok_or(Unanswered::NoSuchKey)?),
            Node::HasMetadata(key) => Value::Truth(facts.metadata(key.text(facts)?).is_some()),
            Node::Not(inner) => Value::Truth(!inner.truth(facts)?),
            Node::Negative(inner) => match inner.value(facts)? {
                Value::Int(value) => Value::Int(value.checked_neg().ok_or(Unanswered::Overflow)?),
                Value::Double(value) => Value::Double(-value),
                _ => return Err(Unanswered::Type),
            },
            Node::And(sides) => Value::Truth(either(false, sides, facts)?),
            Node::Or(sides) => Value::Truth(either(true, sides, facts)?),
            Node::Choice(parts) => {
                let [test, then, otherwise] = parts.as_ref();
                return if test.truth(facts)? { then.value(facts) } else { otherwise.value(facts) };
            }
            Node::Compare(comparison, sides) => {
                let [left, right] = sides.as_ref();
                Value::Truth(comparison.holds(left.value(facts)?, right.value(facts)?))
            }
            Node::Calculate(operation, sides) => {
                let [left, right] = sides.as_ref();
                operation.of(left.value(facts)?, right.value(facts)?)?
            }
            Node::Among(one, several) => {
                let one = one.value(facts)?;
                for other in several.iter() {
                    if Comparison::Equal.holds(one, other.value(facts)?) {
                        return Ok(Value::Truth(true));
                    }
                }
                Value::Truth(false)
            }
            Node::Call(function, arguments) => function.of(arguments, facts)?,
        })
    }

    /// The value of a condition.
    pub(super) fn truth<'f>(&'f self, facts: &'f Facts<'f>) -> Result<bool, Unanswered> {
        match self.value(facts)? {
            Value::Truth(value) => Ok(value),
            _ => Err(Unanswered::Type),
        }
    }

    fn text<'f>(&'f self, facts: &'f Facts<'f>) -> Result<&'f str, Unanswered> {
        match self.value(facts)? {
            Value::Text(value) => Ok(value),
            _ => Err(Unanswered::Type),
        }
    }

    /// Visits the fields that it reads, in the order of the text.
    pub(super) fn visit_fields(&self, visit: &mut impl FnMut(&'static Field)) {
        match self {
            Node::Field(field) => visit(field),
            Node::Truth(_) | Node::Int(_) | Node::Double(_) | Node::Text(_) => {}
            Node::Metadata(inner) | Node::HasMetadata(inner) | Node::Not(inner) | Node::Negative(inner) => inner.visit_fields(visit),
            Node::And(sides) | Node::Or(sides) | Node::Compare(_, sides) | Node::Calculate(_, sides) => sides.iter().for_each(|side| side.visit_fields(visit)),
            Node::Choice(parts) => parts.iter().for_each(|part| part.visit_fields(visit)),
            Node::Among(one, several) => {
                one.visit_fields(visit);
                several.iter().for_each(|other| other.visit_fields(visit));
            }
            Node::Call(_, arguments) => arguments.iter().for_each(|argument| argument.visit_fields(visit)),
        }
    }
}

/// `&&` (decided by a false side) and `||` (by a true one), as CEL has them: a side that decides makes up for a failing one.
fn either<'f>(deciding: bool, sides: &'f [Node; 2], facts: &'f Facts<'f>) -> Result<bool, Unanswered> {
    let [left, right] = sides;
    match left.truth(facts) {
        Ok(left) if left == deciding => Ok(deciding),
        Ok(_) => right.truth(facts),
        Err(why) => match right.truth(facts) {
            Ok(right) if right == deciding => Ok(deciding),
            _ => Err(why),
        },
    }
}

impl Comparison {
    /// Whether it holds; numbers compare across types, and nothing but `!=` holds of a NaN.
    fn holds(self, left: Value<'_>, right: Value<'_>) -> bool {
        let order = match (left, right) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(&b),
            (Value::Int(a), Value::Double(b)) => (a as f64).partial_cmp(&b),
            (Value::Double(a), Value::Int(b)) => a.partial_cmp(&(b as f64)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Truth(a), Value::Truth(b)) => Some(a.cmp(&b)),
            _ => None,
        };
        match self {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::Different => order != Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::More => order == Some(Ordering::Greater),
            Comparison::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl Operation {
    fn of<'f>(self, left: Value<'f>, right: Value<'f>) -> Result<Value<'f>, Unanswered> {
        match (left, right) {
            (Value::Int(a), Value::Int(b)) => {
                let result = match self {
                    Operation::Add => a.checked_add(b),
                    Operation::Subtract => a.checked_sub(b),
                    Operation::Multiply => a.checked_mul(b),
                    Operation::Divide | Operation::Remainder if b == 0 => return Err(Unanswered::DivisionByZero),
                    Operation::Divide => a.checked_div(b),
                    Operation::Remainder => a.checked_rem(b),
                };
                result.map(Value::Int).ok_or(Unanswered::Overflow)
            }
            (Value::Double(a), Value::Double(b)) => match self {
                Operation::Add => Ok(Value::Double(a + b)),
                Operation::Subtract => Ok(Value::Double(a - b)),
                Operation::Multiply => Ok(Value::Double(a * b)),
                Operation::Divide => Ok(Value::Double(a / b)),
                Operation::Remainder => Err(Unanswered::Type),
            },
            _ => Err(Unanswered::Type),
        }
    }
}

impl Function {
    fn of<'f>(self, arguments: &'f [Node], facts: &'f Facts<'f>) -> Result<Value<'f>, Unanswered> {
        match (self, arguments) {
            (Function::Contains, [text, part]) => Ok(Value::Truth(text.text(facts)?.contains(part.text(facts)?))),
            (Function::StartsWith, [text, part]) => Ok(Value::Truth(text.text(facts)?.starts_with(part.text(facts)?))),
            (Function::EndsWith, [text, part]) => Ok(Value::Truth(text.text(facts)?.ends_with(part.text(facts)?))),
            (Function::Size, [text]) => Ok(Value::Int(i64::try_from(text.text(facts)?.chars().count()).unwrap_or(i64::MAX))),
            (Function::ToInt, [one]) => match one.value(facts)? {
                Value::Int(value) => Ok(Value::Int(value)),
                Value::Double(value) => whole(value).map(Value::Int).ok_or(Unanswered::Overflow),
                Value::Text(text) => text.parse().map(Value::Int).map_err(|_| Unanswered::NotANumber),
                Value::Truth(_) => Err(Unanswered::Type),
            },
            (Function::ToDouble, [one]) => match one.value(facts)? {
                Value::Int(value) => Ok(Value::Double(value as f64)),
                Value::Double(value) => Ok(Value::Double(value)),
                Value::Text(text) => text.parse().map(Value::Double).map_err(|_| Unanswered::NotANumber),
                Value::Truth(_) => Err(Unanswered::Type),
            },
            _ => Err(Unanswered::Type),
        }
    }
}

/// A double without its fraction, where 64 bits hold it; CEL leaves out the lowest.
fn whole(value: f64) -> Option<i64> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "cutting the fraction off is what is asked for; the range is checked below")]
    let cut = value as i64;
    (value > -BOUND && value < BOUND).then_some(cut)
}
