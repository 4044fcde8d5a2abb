//! From tests of members of JSON to MongoDB's filters.
//!
//! What must stay true: pure; values are members of a document, and a key that is no plain name of a field is not asked about. A path of
//! MongoDB goes into the elements of an array by itself: where a test is said to be exact, nothing on its path is an array. Where a text is
//! kept beside the document, the document may not say what the text says: such documents are let through, and their texts judged when they
//! are read.

use ::mongodb::bson::{Bson, Decimal128, Document, doc};
use serde_json::value::RawValue;

use super::columns::Source;
use super::dialect::{all, any};
use crate::json::{Beside, MemberTest, Step};

/// Most texts of one test: each is looked for as up to four values.
const MAX_TEXTS: usize = 1_000;

/// What matches every document whose member passes the test, and every one with a text; `None` where MongoDB cannot be asked.
pub(super) fn filter(source: Source, path: &[Step], test: &MemberTest) -> Option<Document> {
    let (document, text) = source.document()?;
    let place = place(document, path)?;
    let texts = test.texts();
    if texts.len() > MAX_TEXTS {
        return None;
    }
    let mut filters = Vec::with_capacity(3);
    match exactly(source, path, test) {
        Some(exact) => filters.push(exact),
        None if texts.is_empty() => filters.push(doc! { place: { "$exists": true } }),
        None => {
            filters.push(doc! { &place: { "$in": texts.iter().flat_map(|text| values(text)).collect::<Vec<Bson>>() } });
            if texts.iter().any(|text| Beside::string(text) == Beside::Container) {
                filters.push(doc! { place: { "$type": ["object", "array"] } });
            }
        }
    }
    filters.push(doc! { text: { "$exists": true } });
    Some(any(filters))
}

/// Whether [`filter`] matches no other document but those with a text.
pub(super) fn is_exact(source: Source, path: &[Step], test: &MemberTest) -> bool {
    exactly(source, path, test).is_some()
}

/// What matches the documents without a text whose member passes the test, and no other of these. `None` where that cannot be said: of an
/// element, since an object may have a member of its name; of what has parts; of a number with a point or an exponent, since those of the same
/// value are one to MongoDB however they are written.
fn exactly(source: Source, path: &[Step], test: &MemberTest) -> Option<Document> {
    let (document, _) = source.document()?;
    if path.iter().any(|step| matches!(step, Step::Element(_))) {
        return None;
    }
    let whole = place(document, path)?;
    let (wanted, last) = match test {
        MemberTest::First(_) => return None,
        // An array with a null in it is there.
        MemberTest::Present => (vec![doc! { &whole: { "$type": "array" } }, doc! { &whole: { "$ne": Bson::Null } }], path.len()),
        MemberTest::TextIn(texts) => (one_of(&whole, texts)?, path.len() + 1),
    };
    // The metadata are an object, and other columns may be anything.
    let first = usize::from(source == Source::Metadata);
    let mut filters = vec![any(wanted)];
    for steps in first..last {
        let on_the_way = place(document, path.get(..steps)?)?;
        filters.push(doc! { on_the_way: { "$not": { "$type": "array" } } });
    }
    Some(all(filters))
}

/// What is one of these texts as text.
fn one_of(place: &str, texts: &[String]) -> Option<Vec<Document>> {
    let (mut values, mut numbers) = (Vec::with_capacity(texts.len()), Vec::new());
    for text in texts {
        values.push(Bson::String(text.clone()));
        match (Beside::string(text), text.as_str()) {
            (Beside::Nothing, _) => {}
            (Beside::Container, _) => return None,
            (Beside::Scalar, "true") => values.push(Bson::Boolean(true)),
            (Beside::Scalar, "false") => values.push(Bson::Boolean(false)),
            (Beside::Scalar, number) => match number.parse::<i64>() {
                Ok(whole) if whole.to_string() == number => numbers.push(Bson::Int64(whole)),
                _ if serde_json::from_str::<&RawValue>(number).is_ok() => return None,
                // Such as an address.
                _ => {}
            },
        }
    }
    let mut filters = vec![doc! { place: { "$in": values } }];
    if !numbers.is_empty() {
        // 7.0 is the same number, and another text.
        filters.push(doc! { place: { "$in": numbers, "$type": ["int", "long"] } });
    }
    Some(filters)
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

    fn asked(table: &Table, predicate: &Predicate, wanted: Support) -> Document {
        assert_eq!(support(table, predicate), wanted, "{predicate:?}");
        taken_apart(table, std::iter::once(predicate)).unwrap().filter
    }

    fn or_text(filter: Document) -> Document {
        doc! { "$or": [filter, { "metadata_text": { "$exists": true } }] }
    }

    fn no_array(place: &str) -> Document {
        doc! { place: { "$not": { "$type": "array" } } }
    }

    #[test]
    fn what_can_be_said_exactly_is() {
        let [metadata, explanations] = tables();
        for (path, test, wanted) in [
            (vec![key("ip")], is("10.0.0.1"), doc! { "$and": [{ "metadata.ip": { "$in": ["10.0.0.1"] } }, no_array("metadata.ip")] }),
            (vec![key("a"), key("0")], is(""), doc! { "$and": [{ "metadata.a.0": { "$in": [""] } }, no_array("metadata.a"), no_array("metadata.a.0")] }),
            (vec![key("a")], is("true"), doc! { "$and": [{ "metadata.a": { "$in": ["true", true] } }, no_array("metadata.a")] }),
            (
                vec![key("a")],
                MemberTest::TextIn(vec!["x".into(), "-7".into()]),
                doc! { "$and": [{ "$or": [{ "metadata.a": { "$in": ["x", "-7"] } }, { "metadata.a": { "$in": [-7_i64], "$type": ["int", "long"] } }] }, no_array("metadata.a")] },
            ),
            (vec![key("a")], MemberTest::Present, doc! { "$or": [{ "metadata.a": { "$type": "array" } }, { "metadata.a": { "$ne": Bson::Null } }] }),
            (
                vec![key("a"), key("b")],
                MemberTest::Present,
                doc! { "$and": [{ "$or": [{ "metadata.a.b": { "$type": "array" } }, { "metadata.a.b": { "$ne": Bson::Null } }] }, no_array("metadata.a")] },
            ),
        ] {
            assert_eq!(asked(&metadata, &member(&metadata, "metadata", &path, test), Support::Exact), or_text(wanted));
        }
        // Reasons are an array.
        let found = asked(&explanations, &member(&explanations, "reasons", &[key("rule")], is("night")), Support::Exact);
        let exact = doc! { "$and": [{ "explanation.reasons.rule": { "$in": ["night"] } }, no_array("explanation.reasons"), no_array("explanation.reasons.rule")] };
        assert_eq!(found, doc! { "$or": [exact, { "explanation_text": { "$exists": true } }] });
        // Beside others it is exact, and as one of several conditions it is not: of a text that is judged later the others are not known.
        let one = || member(&metadata, "metadata", &[key("ip")], is("x"));
        let user = || Predicate::StartsWith { column: metadata.shape.index_of("user_id").unwrap(), text: "u".into() };
        assert_eq!(support(&metadata, &Predicate::And(vec![one(), user(), Predicate::And(vec![one()])])), Support::Exact);
        assert_eq!(support(&metadata, &Predicate::Or(vec![one(), user()])), Support::Inexact);
        assert_eq!(taken_apart(&metadata, [one(), user()].iter()).unwrap().members, [&one()]);
    }

    #[test]
    fn what_cannot_be_said_exactly_is_asked_about_in_every_form_that_it_is_kept_in() {
        let [metadata, explanations] = tables();
        let decimal = |text: &str| text.parse::<Decimal128>().unwrap();
        let first = |test: MemberTest| MemberTest::First(Box::new(test));
        for (path, test, wanted) in [
            (vec![key("a"), Step::Element(0)], is("7"), doc! { "metadata.a.0": { "$in": ["7", 7_i64, 7.0, decimal("7")] } }),
            (vec![key("a")], is("1.50"), doc! { "metadata.a": { "$in": ["1.50", 1.5, decimal("1.50")] } }),
            (vec![key("a")], is("-0"), doc! { "metadata.a": { "$in": ["-0", 0_i64, -0.0, decimal("-0")] } }),
            (vec![key("a")], first(is("x")), doc! { "metadata.a": { "$in": ["x"] } }),
            (vec![key("a")], first(MemberTest::Present), doc! { "metadata.a": { "$exists": true } }),
        ] {
            assert_eq!(asked(&metadata, &member(&metadata, "metadata", &path, test), Support::Inexact), or_text(wanted));
        }
        let parts = asked(&metadata, &member(&metadata, "metadata", &[key("a")], is("[1]")), Support::Inexact);
        assert_eq!(parts, doc! { "$or": [{ "metadata.a": { "$in": ["[1]"] } }, { "metadata.a": { "$type": ["object", "array"] } }, { "metadata_text": { "$exists": true } }] });
        let rule = member(&explanations, "reasons", &[Step::Element(0), key("rule")], is("night"));
        let wanted = doc! { "$or": [{ "explanation.reasons.0.rule": { "$in": ["night"] } }, { "explanation_text": { "$exists": true } }] };
        assert_eq!(asked(&explanations, &rule, Support::Inexact), wanted);
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
