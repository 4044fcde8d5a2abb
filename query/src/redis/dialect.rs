//! From predicates to what Redis can be asked: which users, by name or by a range of the index, in which partitions. Pure.
//!
//! What must stay true: the index sorts by the bytes of the ids, as SQL compares text, so that ranges and prefixes are exact; a
//! column that lies in a user's hash is never asked about, only fetched.

use std::collections::BTreeSet;
use std::fmt;

use crate::predicate::{Op, Predicate, Value};
use crate::shape::Shape;
use crate::table::Support;

/// The column by which users are found.
const USER_ID: &str = "user_id";
/// The column that is part of the key.
const PARTITION: &str = "partition";
/// Names that are shown of a list.
const SHOWN: usize = 3;

/// How well Redis answers a predicate.
pub(crate) fn support(shape: &Shape, predicate: &Predicate) -> Support {
    if is_exact(shape, predicate) { Support::Exact } else { Support::No }
}

fn is_exact(shape: &Shape, predicate: &Predicate) -> bool {
    let is = |column: usize, name: &str| shape.index_of(name) == Some(column);
    match predicate {
        Predicate::Compare { column, op, value: Value::Text(_) } => is(*column, USER_ID) && *op != Op::NotEq,
        Predicate::Compare { column, value: Value::Int(_), .. } => is(*column, PARTITION),
        Predicate::In { column, values } if is(*column, USER_ID) => values.iter().all(|value| matches!(value, Value::Text(_))),
        Predicate::In { column, values } if is(*column, PARTITION) => values.iter().all(|value| matches!(value, Value::Int(_))),
        Predicate::StartsWith { column, .. } => is(*column, USER_ID),
        Predicate::And(members) => members.iter().all(|member| is_exact(shape, member)),
        // FALSE, which a join says whose other side is empty.
        Predicate::Or(members) => members.is_empty(),
        _ => false,
    }
}

/// One end of a range of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) text: Vec<u8>,
    pub(crate) included: bool,
}

impl End {
    /// As Redis writes it: `[text` or `(text`.
    fn written(&self) -> Vec<u8> {
        let mut written = vec![if self.included { b'[' } else { b'(' }];
        written.extend_from_slice(&self.text);
        written
    }
}

/// What is asked of the partitions' users. All of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// No row at all.
    nothing: bool,
    /// These users; any where there is no list.
    these: Option<BTreeSet<String>>,
    from: Option<End>,
    to: Option<End>,
    partitions: Vec<Numbers>,
}

/// A condition on the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Numbers {
    Compared(Op, i64),
    In(Vec<i64>),
}

impl Asked {
    /// What these predicates ask, each of which [`support`] has called exact; another is left out.
    pub(crate) fn of<'a>(shape: &Shape, predicates: impl IntoIterator<Item = &'a Predicate>) -> Asked {
        let mut asked = Asked::default();
        for predicate in predicates {
            asked.add(shape, predicate);
        }
        asked
    }

    fn add(&mut self, shape: &Shape, predicate: &Predicate) {
        match predicate {
            Predicate::And(members) => members.iter().for_each(|member| self.add(shape, member)),
            Predicate::Or(members) if members.is_empty() => self.nothing = true,
            Predicate::Compare { op, value: Value::Int(number), .. } => self.partitions.push(Numbers::Compared(*op, *number)),
            Predicate::Compare { op, value: Value::Text(text), .. } => match op {
                Op::Eq => self.only(BTreeSet::from([text.clone()])),
                Op::Gt | Op::GtEq => self.not_before(text.as_bytes(), *op == Op::GtEq),
                Op::Lt | Op::LtEq => self.not_after(text.as_bytes(), *op == Op::LtEq),
                Op::NotEq => {}
            },
            Predicate::In { column, values } if shape.index_of(USER_ID) == Some(*column) => {
                self.only(values.iter().filter_map(|value| if let Value::Text(text) = value { Some(text.clone()) } else { None }).collect());
            }
            Predicate::In { values, .. } => {
                self.partitions.push(Numbers::In(values.iter().filter_map(|value| if let Value::Int(number) = value { Some(*number) } else { None }).collect()));
            }
            Predicate::StartsWith { text, .. } => {
                self.not_before(text.as_bytes(), true);
                // No byte of UTF-8 is 0xff: it stands behind everything that begins with the text.
                self.not_after(&[text.as_bytes(), &[0xff]].concat(), false);
            }
            _ => {}
        }
    }

    fn only(&mut self, these: BTreeSet<String>) {
        self.these = Some(match self.these.take() {
            Some(present) => present.intersection(&these).cloned().collect(),
            None => these,
        });
    }

    fn not_before(&mut self, text: &[u8], included: bool) {
        let tighter = self.from.as_ref().is_none_or(|end| text > end.text.as_slice() || (text == end.text && !included));
        if tighter {
            self.from = Some(End { text: text.to_vec(), included });
        }
    }

    fn not_after(&mut self, text: &[u8], included: bool) {
        let tighter = self.to.as_ref().is_none_or(|end| text < end.text.as_slice() || (text == end.text && !included));
        if tighter {
            self.to = Some(End { text: text.to_vec(), included });
        }
    }

    fn is_within(&self, user: &str) -> bool {
        let user = user.as_bytes();
        let from = self.from.as_ref().is_none_or(|end| user > end.text.as_slice() || (end.included && user == end.text));
        let to = self.to.as_ref().is_none_or(|end| user < end.text.as_slice() || (end.included && user == end.text));
        from && to
    }

    /// The users by name, in the order of their bytes, where they are known by name.
    pub(crate) fn named(&self) -> Option<Vec<String>> {
        if self.nothing {
            return Some(Vec::new());
        }
        self.these.as_ref().map(|these| these.iter().filter(|user| self.is_within(user)).cloned().collect())
    }

    /// The two ends of the range of ids, as Redis writes them, the lower first.
    pub(crate) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        (self.from.as_ref().map_or_else(|| b"-".to_vec(), End::written), self.to.as_ref().map_or_else(|| b"+".to_vec(), End::written))
    }

    /// Whether every user of a partition is asked for.
    pub(crate) fn is_all(&self) -> bool {
        !self.nothing && self.these.is_none() && self.from.is_none() && self.to.is_none()
    }

    /// Whether a partition is asked for.
    pub(crate) fn wants(&self, partition: u32) -> bool {
        let number = i64::from(partition);
        !self.nothing
            && self.partitions.iter().all(|numbers| match numbers {
                Numbers::Compared(op, value) => op.holds(number, *value),
                Numbers::In(values) => values.contains(&number),
            })
    }
}

/// What Redis is asked, for EXPLAIN.
pub(crate) struct Text<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) asked: &'a Asked,
    pub(crate) fields: &'a [&'static str],
    pub(crate) descending: bool,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text { namespace, asked, fields, descending } = self;
        let fields = fields.join(" ");
        if let Some(named) = asked.named() {
            let shown: Vec<&str> = named.iter().take(SHOWN).map(String::as_str).collect();
            let more = if named.len() > SHOWN { format!(" … ({} in all)", named.len()) } else { String::new() };
            write!(f, "HMGET {namespace}:{{p*}}:user:[{}{more}] {fields}", shown.join(", "))?;
        } else {
            let (from, to) = asked.range();
            let (from, to) = (String::from_utf8_lossy(&from).into_owned(), String::from_utf8_lossy(&to).into_owned());
            let (first, last, reverse) = if *descending { (to, from, " REV") } else { (from, to, "") };
            write!(f, "ZRANGE {namespace}:{{p*}}:index {first} {last} BYLEX{reverse} → HMGET {namespace}:{{p*}}:user:… {fields}")?;
        }
        for numbers in &asked.partitions {
            match numbers {
                Numbers::Compared(op, value) => write!(f, ", p {} {value}", op.sign())?,
                Numbers::In(values) => write!(f, ", p IN {values:?}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape;

    const USER: usize = 0;
    const P: usize = 1;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn compare(column: usize, op: Op, value: Value) -> Predicate {
        Predicate::Compare { column, op, value }
    }

    fn asked(predicates: &[Predicate]) -> Asked {
        let shape = shape::baselines();
        assert!(predicates.iter().all(|predicate| support(&shape, predicate) == Support::Exact), "{predicates:?}");
        Asked::of(&shape, predicates)
    }

    #[test]
    fn the_columns_are_where_they_are_thought_to_be() {
        let shape = shape::baselines();
        assert_eq!((shape.index_of(USER_ID), shape.index_of(PARTITION)), (Some(USER), Some(P)));
    }

    #[test]
    fn only_keys_are_asked_about() {
        let shape = shape::baselines();
        for predicate in [
            compare(3, Op::Gt, Value::Int(5)),
            compare(USER, Op::NotEq, text("a")),
            compare(USER, Op::Eq, text("a")).negated(),
            Predicate::Or(vec![compare(USER, Op::Eq, text("a")), compare(USER, Op::Eq, text("b"))]),
            Predicate::And(vec![compare(USER, Op::Eq, text("a")), compare(3, Op::Gt, Value::Int(5))]),
            Predicate::Contains { column: USER, text: "a".to_owned() },
            Predicate::StartsWith { column: 5, text: "a".to_owned() },
            Predicate::Null { column: USER },
            Predicate::In { column: 2, values: vec![Value::Int(1)] },
        ] {
            assert_eq!(support(&shape, &predicate), Support::No, "{predicate:?}");
        }
    }

    #[test]
    fn lists_and_ranges_of_users_meet() {
        let list = Predicate::In { column: USER, values: vec![text("U1"), text("U2"), text("V"), text("é")] };
        let one = asked(&[list.clone(), compare(USER, Op::Gt, text("U1")), compare(USER, Op::LtEq, text("V"))]);
        assert_eq!(one.named().unwrap(), ["U2", "V"]);
        assert_eq!(asked(&[list, compare(USER, Op::Eq, text("X"))]).named().unwrap(), [""; 0]);
        assert_eq!(asked(&[Predicate::Or(Vec::new())]).named().unwrap(), [""; 0]);
        let range = asked(&[compare(USER, Op::GtEq, text("b")), compare(USER, Op::Gt, text("b")), compare(USER, Op::GtEq, text("a")), compare(USER, Op::Lt, text("c"))]);
        assert_eq!((range.named(), range.range()), (None, (b"(b".to_vec(), b"(c".to_vec())));
    }

    #[test]
    fn a_prefix_is_a_range_of_bytes() {
        let prefix = asked(&[Predicate::StartsWith { column: USER, text: "Ué".to_owned() }]);
        assert_eq!(prefix.range(), ("[Ué".as_bytes().to_vec(), ["(Ué".as_bytes(), &[0xff]].concat()));
        assert!(prefix.is_within("Ué\u{10ffff}z") && prefix.is_within("Ué") && !prefix.is_within("Uf"));
    }

    #[test]
    fn partitions_are_chosen_by_number() {
        let some = asked(&[compare(P, Op::NotEq, Value::Int(1)), compare(P, Op::Lt, Value::Int(4)), Predicate::In { column: P, values: vec![Value::Int(1), Value::Int(3)] }]);
        assert_eq!((0..6).filter(|partition| some.wants(*partition)).collect::<Vec<_>>(), [3]);
        assert!(some.is_all() && !asked(&[Predicate::Or(Vec::new())]).is_all());
        assert!(!asked(&[compare(P, Op::Eq, Value::Int(i64::MAX))]).wants(u32::MAX));
    }

    #[test]
    fn what_is_asked_can_be_shown() {
        let fields = ["seq", "alerts"];
        let shown = |asked: &Asked, descending: bool| Text { namespace: "wardhouse", asked, fields: &fields, descending }.to_string();
        assert_eq!(shown(&asked(&[compare(USER, Op::Eq, text("U1"))]), false), "HMGET wardhouse:{p*}:user:[U1] seq alerts");
        let ranged = asked(&[compare(USER, Op::Gt, text("U1")), compare(P, Op::Eq, Value::Int(0))]);
        assert_eq!(shown(&ranged, true), "ZRANGE wardhouse:{p*}:index + (U1 BYLEX REV → HMGET wardhouse:{p*}:user:… seq alerts, p = 0");
    }
}
