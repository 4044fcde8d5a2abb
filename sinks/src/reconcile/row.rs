//! A row in a form in which it can be compared, and sums over rows that do not depend on their order. Pure.
//!
//! What must stay true: the hash is over every field as it is stored and over nothing else; checksums are sums modulo 2^64, so that a row
//! that is there twice is seen, which an exclusive or would not show.

use std::borrow::Cow;

use wh_schemas::ids;
use wh_schemas::position::SeqPosition;

/// A row, stored or expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The table, collection or measurement.
    pub table: &'static str,
    /// Where it stands; a sum over a block stands at the block's first `seq`.
    pub at: SeqPosition,
    /// What tells it from others at its place; empty where there is one alone.
    pub key: String,
    /// The transaction, or the alert, by which it is found elsewhere.
    pub id: String,
    /// How the store finds it, to remove it. Not compared.
    pub place: String,
    /// By what retention goes: microseconds UTC.
    pub time: i64,
    /// Whether it may be missing: the dead letters hold its record.
    pub optional: bool,
    /// Every field by its name, `None` for NULL; in the order of their names.
    pub(crate) fields: Vec<Field>,
}

/// A field's name and value.
pub type Field = (Cow<'static, str>, Option<String>);

/// A field in which two rows differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub field: String,
    /// What the store has; `None` for NULL or nothing.
    pub stored: Option<String>,
    /// What the log says.
    pub expected: Option<String>,
}

impl Row {
    /// A row of these fields.
    #[must_use]
    pub fn new(table: &'static str, at: SeqPosition, mut fields: Vec<Field>) -> Row {
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        Row { table, at, key: String::new(), id: String::new(), place: String::new(), time: 0, optional: false, fields }
    }

    /// A field's value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).and_then(|(_, value)| value.as_deref())
    }

    /// Whether every field is the same.
    #[must_use]
    pub fn has_fields_of(&self, other: &Row) -> bool {
        self.fields == other.fields
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        200 + self.fields.iter().map(|(_, value)| 48 + value.as_ref().map_or(0, String::len)).sum::<usize>()
    }

    /// Eight bytes that stand for it: the first of a SHA-256 over its place and fields, each with its length.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.bytes());
        let mut push = |text: &str| {
            bytes.extend_from_slice(&text.len().to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        push(self.table);
        push(&self.at.to_string());
        push(&self.key);
        for (name, value) in &self.fields {
            push(name);
            match value {
                Some(value) => {
                    push("=");
                    push(value);
                }
                None => push("null"),
            }
        }
        ids::fingerprint(&bytes)
    }

    /// In which fields a stored row differs from this one.
    #[must_use]
    pub fn differences(&self, stored: &Row) -> Vec<Difference> {
        let mut found = Vec::new();
        for (name, expected) in &self.fields {
            let held = stored.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
            if held.as_ref() != Some(expected) {
                found.push(Difference { field: name.to_string(), stored: held.flatten(), expected: expected.clone() });
            }
        }
        for (name, held) in stored.fields.iter().filter(|(name, _)| !self.fields.iter().any(|(field, _)| field == name)) {
            found.push(Difference { field: name.to_string(), stored: held.clone(), expected: None });
        }
        found
    }
}

/// How many rows, and the sum of their hashes modulo 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    /// How many.
    pub rows: u64,
    /// The sum.
    pub sum: u64,
}

impl Checksum {
    /// Of some rows.
    #[must_use]
    pub fn of(rows: &[Row]) -> Checksum {
        let mut checksum = Checksum::default();
        rows.iter().for_each(|row| checksum.add(row));
        checksum
    }

    /// Counts a row.
    pub fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(row.hash());
    }

    /// Takes a row away that was counted.
    pub fn remove(&mut self, row: &Row) {
        self.rows = self.rows.saturating_sub(1);
        self.sum = self.sum.wrapping_sub(row.hash());
    }

    /// Counts the rows of another.
    pub fn join(&mut self, other: Checksum) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64, fields: &[(&'static str, Option<&str>)]) -> Row {
        Row::new("t", SeqPosition { partition: 0, seq }, fields.iter().map(|(name, value)| (Cow::Borrowed(*name), value.map(str::to_owned))).collect())
    }

    #[test]
    fn a_checksum_depends_on_every_field_and_on_no_order() {
        let (one, other) = (row(1, &[("a", Some("x")), ("b", None)]), row(2, &[("a", Some("y")), ("b", Some(""))]));
        assert_eq!(Checksum::of(&[one.clone(), other.clone()]), Checksum::of(&[other.clone(), one.clone()]));
        assert_eq!(row(1, &[("b", None), ("a", Some("x"))]).hash(), one.hash());
        for changed in
            [row(1, &[("a", Some("x")), ("b", Some(""))]), row(1, &[("a", Some("xb"))]), row(3, &[("a", Some("x")), ("b", None)]), row(1, &[("a", None), ("b", Some("x"))])]
        {
            assert_ne!(changed.hash(), one.hash(), "{changed:?}");
        }
        let mut twice = Checksum::of(&[one.clone(), one.clone()]);
        assert_ne!(twice.sum, 0);
        twice.remove(&one);
        assert_eq!(twice, Checksum::of(&[one]));
    }

    #[test]
    fn a_difference_names_the_field_and_both_values() {
        let (expected, stored) = (row(1, &[("a", Some("x")), ("b", Some("1")), ("c", None)]), row(1, &[("a", Some("x")), ("b", Some("2")), ("d", Some("?"))]));
        let told: Vec<String> = expected.differences(&stored).iter().map(|d| format!("{} {:?} {:?}", d.field, d.stored, d.expected)).collect();
        assert_eq!(told, ["b Some(\"2\") Some(\"1\")", "c None None", "d Some(\"?\") None"]);
        assert!(expected.differences(&expected).is_empty() && expected.has_fields_of(&expected) && !expected.has_fields_of(&stored));
    }
}
