//! From tests of members of JSON to MongoDB's filters.
//!
//! What must stay true: pure; values are members of a document, and a key that is no plain name of a field is not asked about. A path of
//! MongoDB goes into the elements of an array by itself, which lets more through and no less. Where a text is kept beside the document,
//! the document may not say what the text says: such documents are let through.

use ::mongodb::bson::{Bson, Decimal128, Document, doc};

use super::columns::Source;
use super::dialect::any;
use crate::json::{Beside, MemberTest, Step};

/// Most texts of one test: each is looked for as up to four values.
const MAX_TEXTS: usize = 1_000;

/// What matches every document whose member passes the test; `None` where MongoDB cannot be asked.
pub(super) fn filter(source: Source, path: &[Step], test: &MemberTest) -> Option<Document> {
    let (document, exact) = source.document()?;
    let place = place(document, path)?;
    let mut filters = Vec::with_capacity(3);
    match test {
        MemberTest::Present => filters.push(doc! { &place: { "$exists": true } }),
        MemberTest::TextIn(texts) if texts.len() > MAX_TEXTS => return None,
        MemberTest::TextIn(texts) => {
            filters.push(doc! { &place: { "$in": texts.iter().flat_map(|text| values(text)).collect::<Vec<Bson>>() } });
            if texts.iter().any(|text| Beside::string(text) == Beside::Container) {
                filters.push(doc! { place: { "$type": ["object", "array"] } });
            }
        }
    }
    filters.push(doc! { exact: { "$exists": true } });
    Some(any(filters))
}

/// The path in a document. A dot parts the names of fields, and what begins with `$` is no name.
fn place(document: &str, path: &[Step]) -> Option<String> {
    let mut place = document.to_owned();
    for step in path {
        place.push('.');
        match step {
            Step::Key(key) if !key.is_empty() && !key.starts_with('$') && !key.contains(['.', '\0']) => place.push_str(key),
            Step::Element(index) if *index >= 0 => place.push_str(&index.to_string()),
            Step::Key(_) | Step::Element(_) => return None,
        }
    }
    Some(place)
}

/// The values that are kept of what has this text: a string, and a number or a truth value where it can be one. Numbers are compared across
/// their types.
fn values(text: &str) -> Vec<Bson> {
    let mut values = vec![Bson::String(text.to_owned())];
    match (Beside::string(text), text) {
        (Beside::Scalar, "true") => values.push(Bson::Boolean(true)),
        (Beside::Scalar, "false") => values.push(Bson::Boolean(false)),
        (Beside::Scalar, number) => {
            values.extend(number.parse().ok().map(Bson::Int64));
            values.extend(number.parse().ok().filter(|double: &f64| double.is_finite()).map(Bson::Double));
            values.extend(number.parse::<Decimal128>().ok().map(Bson::Decimal128));
        }
        (Beside::Nothing | Beside::Container, _) => {}
    }
    values
}

#[cfg(test)]
mod tests {
    use super::super::columns::Table;
    use super::super::dialect::{support, taken_apart};
    use super::*;
    use crate::predicate::Predicate;
    use crate::shape;
    use crate::table::Support;

    fn tables() -> [Table; 2] {
        shape::documents().map(|shape| Table::of(shape).unwrap())
    }

    fn member(table: &Table, column: &str, path: &[Step], test: MemberTest) -> Predicate {
        Predicate::Member { column: table.shape.index_of(column).unwrap(), path: path.to_vec(), test }
    }

    fn key(key: &str) -> Step {
        Step::Key(key.to_owned())
    }

    fn is(text: &str) -> MemberTest {
        MemberTest::TextIn(vec![text.to_owned()])
    }

    fn asked(table: &Table, predicate: &Predicate) -> Document {
        assert_eq!(support(table, predicate), Support::Inexact, "{predicate:?}");
        taken_apart(table, std::iter::once(predicate)).unwrap().filter
    }

    #[test]
    fn members_are_asked_about_in_every_form_that_they_are_kept_in() {
        let [metadata, explanations] = tables();
        let decimal = |text: &str| text.parse::<Decimal128>().unwrap();
        for (predicate, wanted) in [
            (member(&metadata, "metadata", &[key("ip")], is("x")), doc! { "$or": [{ "metadata.ip": { "$in": ["x"] } }, { "metadata_text": { "$exists": true } }] }),
            (
                member(&metadata, "metadata", &[key("a"), Step::Element(0)], is("7")),
                doc! { "$or": [{ "metadata.a.0": { "$in": ["7", 7_i64, 7.0, decimal("7")] } }, { "metadata_text": { "$exists": true } }] },
            ),
            (
                member(&metadata, "metadata", &[key("a")], is("1.50")),
                doc! { "$or": [{ "metadata.a": { "$in": ["1.50", 1.5, decimal("1.50")] } }, { "metadata_text": { "$exists": true } }] },
            ),
            (member(&metadata, "metadata", &[key("a")], is("true")), doc! { "$or": [{ "metadata.a": { "$in": ["true", true] } }, { "metadata_text": { "$exists": true } }] }),
            (
                member(&metadata, "metadata", &[key("a")], is("[1]")),
                doc! { "$or": [{ "metadata.a": { "$in": ["[1]"] } }, { "metadata.a": { "$type": ["object", "array"] } }, { "metadata_text": { "$exists": true } }] },
            ),
            (member(&metadata, "metadata", &[key("a")], MemberTest::Present), doc! { "$or": [{ "metadata.a": { "$exists": true } }, { "metadata_text": { "$exists": true } }] }),
        ] {
            assert_eq!(asked(&metadata, &predicate), wanted);
        }
        let rule = member(&explanations, "reasons", &[Step::Element(0), key("rule")], is("night"));
        let wanted = doc! { "$or": [{ "explanation.reasons.0.rule": { "$in": ["night"] } }, { "explanation_text": { "$exists": true } }] };
        assert_eq!(asked(&explanations, &rule), wanted);
    }

    #[test]
    fn hostile_keys_are_not_asked_about() {
        let [metadata, _] = tables();
        let no = |predicate: &Predicate| assert_eq!(support(&metadata, predicate), Support::No, "{predicate:?}");
        for hostile in ["$where", "a.b", "", "a\0"] {
            no(&member(&metadata, "metadata", &[key(hostile)], MemberTest::Present));
        }
        no(&member(&metadata, "metadata", &[Step::Element(-1)], MemberTest::Present));
        no(&member(&metadata, "user_id", &[key("a")], MemberTest::Present));
        no(&member(&metadata, "metadata", &[key("a")], is("x")).negated());
        no(&Predicate::Or(vec![member(&metadata, "metadata", &[key("a")], is("x")), Predicate::Null { column: metadata.keys.seq }]));
    }
}
