//! Where in a document each column of SQL is, and its value.
//!
//! What must stay true: pure; a column means what the embedded store's expression for it means; what is missing is NULL, and a value of a
//! type that Wardhouse does not write is an error that names the field, never a guess.

use ::mongodb::bson::{Bson, Document, RawBsonRef, RawDocument};
use wh_schemas::json;
use wh_stores::mongodb::json as documents;

use super::keys::{KeyColumns, unpacked};
use crate::batch::{BatchBuilder, Cell};
use crate::predicate::Predicate;
use crate::shape::Shape;

/// Where a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In the key.
    Partition,
    Seq,
    /// A field of the document.
    Field(&'static str),
    /// A field of the explanation: its path, and its name in there.
    Explained(&'static str, &'static str),
    /// A part of the explanation, as JSON.
    ExplainedJson(&'static str, &'static str),
    /// The metadata, as JSON.
    Metadata,
}

impl Source {
    fn of(column: &str) -> Option<Source> {
        Some(match column {
            "partition" => Source::Partition,
            "seq" => Source::Seq,
            "transaction_id" => Source::Field("transaction_id"),
            "user_id" => Source::Field("user_id"),
            "timestamp" => Source::Field("timestamp"),
            "risk_score" => Source::Explained("explanation.risk_score", "risk_score"),
            "risk_level" => Source::Explained("explanation.risk_level", "risk_level"),
            "ruleset" => Source::Explained("explanation.ruleset", "ruleset"),
            "state_epoch" => Source::Explained("explanation.state_epoch", "state_epoch"),
            "dimensions" => Source::ExplainedJson("explanation.dimensions", "dimensions"),
            "reasons" => Source::ExplainedJson("explanation.reasons", "reasons"),
            "alerts" => Source::ExplainedJson("explanation.alerts", "alerts"),
            "metadata" => Source::Metadata,
            _ => return None,
        })
    }

    /// Its path, where the server can be asked about it. JSON is text in SQL, which the server does not have.
    pub(super) fn path(self) -> Option<&'static str> {
        match self {
            Source::Field(path) | Source::Explained(path, _) => Some(path),
            Source::Partition | Source::Seq | Source::ExplainedJson(..) | Source::Metadata => None,
        }
    }

    /// Where the JSON is that it is: the path of the nearest document, and the field of the text that is there where that is not exact.
    pub(super) fn document(self) -> Option<(&'static str, &'static str)> {
        match self {
            Source::Metadata => Some(("metadata", "metadata_text")),
            Source::ExplainedJson(path, _) => Some((path, "explanation_text")),
            Source::Partition | Source::Seq | Source::Field(_) | Source::Explained(..) => None,
        }
    }

    /// What must be read of a document for it, beside the key.
    fn read(self) -> &'static [&'static str] {
        match self {
            Source::Partition | Source::Seq => &[],
            Source::Field("transaction_id") => &["transaction_id"],
            Source::Field("user_id") => &["user_id"],
            Source::Field(_) => &["timestamp"],
            Source::Explained(_, "risk_score") => &["explanation.risk_score"],
            Source::Explained(_, "risk_level") => &["explanation.risk_level"],
            Source::Explained(_, "ruleset") => &["explanation.ruleset"],
            Source::Explained(..) => &["explanation.state_epoch"],
            Source::ExplainedJson(_, "dimensions") => &["explanation.dimensions", "explanation_text"],
            Source::ExplainedJson(_, "reasons") => &["explanation.reasons", "explanation_text"],
            Source::ExplainedJson(..) => &["explanation.alerts", "explanation_text"],
            Source::Metadata => &["metadata", "metadata_text"],
        }
    }

    fn put(self, document: &RawDocument, key: i64, text: &mut String, batch: &mut BatchBuilder, place: usize) -> Result<(), String> {
        text.clear();
        let cell = match self {
            Source::Partition => Cell::Int(unpacked(key).0),
            Source::Seq => Cell::Int(unpacked(key).1),
            Source::Field(name) => cell(name, got(document, name)?)?,
            Source::Explained(path, name) => cell(path, explained(document, name)?)?,
            Source::Metadata => match got(document, "metadata_text")? {
                Some(exact) => cell("metadata_text", Some(exact))?,
                None => as_json("metadata", got(document, "metadata")?, text)?,
            },
            Source::ExplainedJson(path, name) => match got(document, "explanation_text")? {
                Some(RawBsonRef::String(exact)) => member_of(exact, name, text)?,
                Some(other) => return Err(format!("explanation_text is of the type {:?}", other.element_type())),
                None => as_json(path, explained(document, name)?, text)?,
            },
        };
        batch.push(place, cell).map_err(|misfit| misfit.to_string())
    }
}

fn got<'d>(document: &'d RawDocument, name: &str) -> Result<Option<RawBsonRef<'d>>, String> {
    document.get(name).map_err(|_| "damaged BSON".to_owned())
}

fn explained<'d>(document: &'d RawDocument, name: &str) -> Result<Option<RawBsonRef<'d>>, String> {
    match got(document, "explanation")?.and_then(RawBsonRef::as_document) {
        Some(explanation) => got(explanation, name),
        None => Ok(None),
    }
}

/// The cell of a value of a plain type.
pub(super) fn cell<'d>(path: &str, value: Option<RawBsonRef<'d>>) -> Result<Cell<'d>, String> {
    Ok(match value {
        None | Some(RawBsonRef::Null) => Cell::Null,
        Some(RawBsonRef::Int32(value)) => Cell::Int(i64::from(value)),
        Some(RawBsonRef::Int64(value)) => Cell::Int(value),
        Some(RawBsonRef::String(text)) => Cell::Text(text.as_bytes()),
        Some(other) => return Err(format!("{path} is of the type {:?}", other.element_type())),
    })
}

fn as_json<'t>(path: &str, value: Option<RawBsonRef<'_>>, text: &'t mut String) -> Result<Cell<'t>, String> {
    match value {
        None | Some(RawBsonRef::Null) => return Ok(Cell::Null),
        Some(value) => documents::value_text(value, text).map_err(|foreign| format!("{path}: {foreign}"))?,
    }
    Ok(Cell::Text(text.as_bytes()))
}

/// A member of a JSON object, as its text.
fn member_of<'t>(object: &str, name: &str, text: &'t mut String) -> Result<Cell<'t>, String> {
    let members = json::members(object).map_err(|_| "explanation_text is no JSON object".to_owned())?;
    let found = members.into_iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value.get());
    Ok(match found {
        None | Some("null") => Cell::Null,
        Some(value) => {
            text.push_str(value);
            Cell::Text(text.as_bytes())
        }
    })
}

/// One of the two tables over the documents.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) shape: Shape,
    pub(super) sources: Vec<Source>,
    pub(super) keys: KeyColumns,
}

impl Table {
    /// Nothing where a column is in no document.
    pub(super) fn of(shape: Shape) -> Option<Table> {
        let sources = shape.schema.fields().iter().map(|field| Source::of(field.name())).collect::<Option<Vec<_>>>()?;
        let keys = KeyColumns::of(&shape.schema)?;
        Some(Table { shape, sources, keys })
    }

    /// What is to be read of each document for these columns, and to judge it by these conditions; the key always is.
    pub(super) fn projection(&self, columns: &[usize], members: &[&Predicate]) -> Document {
        let fields = columns.iter().filter_map(|column| self.sources.get(*column)).flat_map(|source| source.read().iter().copied());
        let texts = members.iter().filter_map(|member| self.text_of(member));
        std::iter::once("_id").chain(fields).chain(texts).map(|name| (name.to_owned(), Bson::Int32(1))).collect()
    }

    /// The field of the text by which a condition on a member is judged.
    pub(super) fn text_of(&self, predicate: &Predicate) -> Option<&'static str> {
        let Predicate::Member { column, .. } = predicate else { return None };
        self.sources.get(*column)?.document().map(|(_, text)| text)
    }

    /// Whether what the text beside a document says meets conditions on members. Of a document without one the server has told it.
    pub(super) fn passes(&self, document: &RawDocument, members: &[&Predicate]) -> Result<bool, String> {
        for member in members {
            let (Predicate::Member { column, path, test }, Some(field)) = (member, self.text_of(member)) else { continue };
            let exact = match got(document, field)? {
                None => continue,
                Some(RawBsonRef::Null) => return Ok(false),
                Some(RawBsonRef::String(exact)) => exact,
                Some(other) => return Err(format!("{field} is of the type {:?}", other.element_type())),
            };
            let mut text = String::new();
            let passes = match self.sources.get(*column) {
                Some(Source::ExplainedJson(_, name)) => match member_of(exact, name, &mut text)? {
                    Cell::Text(json) => std::str::from_utf8(json).is_ok_and(|json| test.passes(json, path)),
                    _ => false,
                },
                _ => test.passes(exact, path),
            };
            if !passes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds a document's row.
    pub(super) fn put(&self, document: &RawDocument, key: i64, columns: &[usize], text: &mut String, batch: &mut BatchBuilder) -> Result<(), String> {
        for (place, column) in columns.iter().enumerate() {
            let Some(source) = self.sources.get(*column) else { return Err(format!("there is no column {column}")) };
            source.put(document, key, text, batch, place)?;
        }
        batch.end_row();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::mongodb::bson::{RawDocumentBuf, doc};
    use arrow::array::{Array, AsArray};
    use wh_stores::mongodb::rows::RowWriter;

    use super::*;
    use crate::json::{MemberTest, Step};
    use crate::shape;

    fn tables() -> [Table; 2] {
        shape::documents().map(|shape| Table::of(shape).unwrap())
    }

    /// The row of a document, each column as text.
    fn row(table: &Table, document: &RawDocument) -> Result<Vec<Option<String>>, String> {
        let columns: Vec<usize> = (0..table.sources.len()).collect();
        let mut batch = BatchBuilder::new(Arc::clone(&table.shape.schema), 10).unwrap();
        table.put(document, document.get_i64("_id").unwrap(), &columns, &mut String::new(), &mut batch)?;
        let batch = batch.finish().unwrap();
        let shown = |column: &Arc<dyn Array>| column.is_valid(0).then(|| arrow::util::display::array_value_to_string(column, 0).unwrap());
        assert!(batch.column(0).as_string::<i32>().is_valid(0));
        Ok(batch.columns().iter().map(shown).collect())
    }

    fn written(metadata: &str, explanation: &str) -> RawDocumentBuf {
        let mut writer = RowWriter::new();
        writer.long("_id", (2 << 40) | 7);
        writer.string("transaction_id", "t");
        writer.string("user_id", "");
        writer.long("timestamp", 0);
        if !writer.json("metadata", metadata) {
            writer.string("metadata_text", metadata);
        }
        if !writer.json("explanation", explanation) {
            writer.string("explanation_text", explanation);
        }
        writer.finish().unwrap()
    }

    #[test]
    fn every_column_is_in_the_document() {
        let [metadata, explanations] = tables();
        let document =
            written(r#"{"a":1.50}"#, r#"{"risk_score":70,"risk_level":"medium","dimensions":{"amount":1},"reasons":[{"rule":"é"}],"alerts":[],"ruleset":null,"state_epoch":5}"#);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(row(&metadata, &document).unwrap()[3..], [text("2"), text("7"), text(r#"{"a":1.50}"#)]);
        let found = row(&explanations, &document).unwrap();
        assert_eq!(found[5..], [text("70"), text("medium"), text(r#"{"amount":1}"#), text(r#"[{"rule":"é"}]"#), text("[]"), None, text("5")]);
    }

    #[test]
    fn what_is_kept_as_text_is_read_from_the_text() {
        let [metadata, explanations] = tables();
        let document = written(r#"{"a":1e400}"#, r#"{"risk_score":1,"reasons":[1e400],"alerts":null}"#);
        assert_eq!(row(&metadata, &document).unwrap()[5].as_deref(), Some(r#"{"a":1e400}"#));
        let found = row(&explanations, &document).unwrap();
        assert_eq!((found[5].as_deref(), found[6].as_deref(), found[8].as_deref(), found[9].as_deref()), (Some("1"), None, Some("[1e400]"), None));
    }

    #[test]
    fn what_somebody_else_wrote_is_told_by_its_field() {
        let [metadata, explanations] = tables();
        let mut document = Document::try_from(&*written("{}", "{}")).unwrap();
        document.insert("metadata", doc! { "at": ::mongodb::bson::DateTime::from_millis(0) });
        document.insert("explanation", doc! { "risk_score": 0.5 });
        let document = RawDocumentBuf::try_from(&document).unwrap();
        assert!(row(&metadata, &document).unwrap_err().starts_with("metadata: it holds a value of the type DateTime"));
        assert_eq!(row(&explanations, &document).unwrap_err(), "explanation.risk_score is of the type Double");
    }

    #[test]
    fn what_is_kept_as_text_is_judged_by_the_text() {
        let [metadata, explanations] = tables();
        let member = |table: &Table, column: &str, name: &str, text: &str| Predicate::Member {
            column: table.shape.index_of(column).unwrap(),
            path: vec![Step::Key(name.into())],
            test: MemberTest::TextIn(vec![text.into()]),
        };
        let judged = |table: &Table, document: &RawDocumentBuf, members: &[&Predicate]| table.passes(document, members).unwrap();
        let huge = written(r#"{"a":1e400}"#, r#"{"risk_score":1,"dimensions":{"amount":1e400},"reasons":null}"#);
        let (is, is_not) = (member(&metadata, "metadata", "a", "1e400"), member(&metadata, "metadata", "a", "x"));
        assert!(judged(&metadata, &huge, &[&is, &is]) && !judged(&metadata, &huge, &[&is, &is_not]));
        let dimension = |name: &str| member(&explanations, "dimensions", name, "1e400");
        assert!(judged(&explanations, &huge, &[&dimension("amount")]) && !judged(&explanations, &huge, &[&dimension("time")]));
        assert!(!judged(&explanations, &huge, &[&member(&explanations, "reasons", "rule", "x")]));
        // The server has judged it.
        assert!(judged(&metadata, &written(r#"{"a":"y"}"#, "{}"), &[&is_not]));
    }

    #[test]
    fn only_what_is_wanted_is_read() {
        let [metadata, explanations] = tables();
        let column = |table: &Table, name: &str| table.shape.index_of(name).unwrap();
        assert_eq!(metadata.projection(&[], &[]), doc! { "_id": 1 });
        let member = Predicate::Member { column: column(&metadata, "metadata"), path: vec![Step::Key("a".into())], test: MemberTest::Present };
        assert_eq!(metadata.projection(&[column(&metadata, "user_id")], &[&member]), doc! { "_id": 1, "user_id": 1, "metadata_text": 1 });
        assert_eq!(metadata.projection(&[column(&metadata, "seq"), column(&metadata, "metadata")], &[]), doc! { "_id": 1, "metadata": 1, "metadata_text": 1 });
        let wanted = [column(&explanations, "risk_score"), column(&explanations, "reasons")];
        assert_eq!(explanations.projection(&wanted, &[]), doc! { "_id": 1, "explanation.risk_score": 1, "explanation.reasons": 1, "explanation_text": 1 });
    }
}
