//! From an answer of the server to cells. Pure.
//!
//! What must stay true: a field that a document lacks is NULL, which the batch does not take where none may be.

use arrow::datatypes::Schema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use wh_schemas::json::{Text, write_string};
use wh_stores::alerts;

use crate::batch::Cell;

/// One answer to a search.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    /// The view of the indexes that the next page is to be read in.
    #[serde(default)]
    pub(super) pit_id: Option<String>,
    #[serde(borrow, default)]
    hits: Hits<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

/// One document.
#[derive(Deserialize)]
pub(super) struct Hit<'a> {
    #[serde(borrow, default, rename = "_source")]
    source: Source<'a>,
    #[serde(default, rename = "_score")]
    score: Option<f32>,
    #[serde(borrow, default)]
    sort: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source<'a> {
    #[serde(borrow)]
    alert_id: Option<Text<'a>>,
    #[serde(borrow)]
    transaction_id: Option<Text<'a>>,
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
    #[serde(borrow)]
    alert_type: Option<Text<'a>>,
    #[serde(borrow)]
    severity: Option<Text<'a>>,
    #[serde(borrow)]
    department: Option<Text<'a>>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    detection_rules: Option<Vec<Text<'a>>>,
    risk_score: Option<i64>,
    partition: Option<i64>,
    seq: Option<i64>,
    created_at: Option<i64>,
    timestamp: Option<i64>,
}

impl<'a> Page<'a> {
    /// Its documents.
    pub(super) fn hits(&self) -> &[Hit<'a>] {
        &self.hits.hits
    }

    /// Where the next page begins.
    pub(super) fn behind(&self) -> Option<Value> {
        self.hits.hits.last().and_then(|hit| serde_json::from_str(hit.sort?.get()).ok())
    }
}

/// Where a document has a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    AlertId,
    TransactionId,
    UserId,
    AlertType,
    Severity,
    Department,
    Title,
    Message,
    DetectionRules,
    RiskScore,
    Partition,
    Seq,
    CreatedAt,
    Timestamp,
    Score,
}

impl Column {
    /// The column at `index`.
    pub(super) fn at(schema: &Schema, index: usize) -> Option<Column> {
        Some(match schema.field(index).name().as_str() {
            alerts::ALERT_ID => Column::AlertId,
            alerts::TRANSACTION_ID => Column::TransactionId,
            alerts::USER_ID => Column::UserId,
            alerts::ALERT_TYPE => Column::AlertType,
            alerts::SEVERITY => Column::Severity,
            alerts::DEPARTMENT => Column::Department,
            alerts::TITLE => Column::Title,
            alerts::MESSAGE => Column::Message,
            alerts::DETECTION_RULES => Column::DetectionRules,
            alerts::RISK_SCORE => Column::RiskScore,
            alerts::PARTITION => Column::Partition,
            alerts::SEQ => Column::Seq,
            alerts::CREATED_AT => Column::CreatedAt,
            alerts::TIMESTAMP => Column::Timestamp,
            wh_schemas::arrow::SCORE_COLUMN => Column::Score,
            _ => return None,
        })
    }

    /// A document's value. `text` holds what is put together for it.
    pub(super) fn cell<'t>(self, hit: &'t Hit<'_>, is_scored: bool, text: &'t mut String) -> Cell<'t> {
        let source = &hit.source;
        let said = |value: &'t Option<Text<'_>>| value.as_ref().map_or(Cell::Null, |value| Cell::Text(value.as_str().as_bytes()));
        let number = |value: Option<i64>| value.map_or(Cell::Null, Cell::Int);
        match self {
            Column::AlertId => said(&source.alert_id),
            Column::TransactionId => said(&source.transaction_id),
            Column::UserId => said(&source.user_id),
            Column::AlertType => said(&source.alert_type),
            Column::Severity => said(&source.severity),
            Column::Department => said(&source.department),
            Column::Title => said(&source.title),
            Column::Message => said(&source.message),
            Column::DetectionRules => match &source.detection_rules {
                Some(rules) => {
                    list(rules, text);
                    Cell::Text(text.as_bytes())
                }
                None => Cell::Null,
            },
            Column::RiskScore => number(source.risk_score),
            Column::Partition => number(source.partition),
            Column::Seq => number(source.seq),
            Column::CreatedAt => number(source.created_at),
            Column::Timestamp => number(source.timestamp),
            Column::Score => hit.score.filter(|_| is_scored).map_or(Cell::Null, |score| Cell::Float(f64::from(score))),
        }
    }
}

/// Texts as a JSON array.
fn list(items: &[Text<'_>], out: &mut String) {
    out.clear();
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(item, out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_cells() {
        let body = r#"{"pit_id":"p","hits":{"hits":[
            {"_source":{"user_id":"u \"1\"","seq":7,"detection_rules":["a \"b\"","c"]},"_score":0.40220746,"sort":[0.40220746,5]},
            {"_score":null,"sort":["x",9007199254740993]}]}}"#;
        let page: Page<'_> = serde_json::from_str(body).unwrap();
        assert_eq!((page.pit_id.as_deref(), page.hits().len()), (Some("p"), 2));
        assert_eq!(page.behind().unwrap().to_string(), r#"["x",9007199254740993]"#);
        let [first, second] = page.hits() else { panic!("two") };
        let mut text = String::new();
        assert_eq!(Column::UserId.cell(first, true, &mut text), Cell::Text(b"u \"1\""));
        assert_eq!(Column::Seq.cell(first, true, &mut text), Cell::Int(7));
        assert_eq!(Column::DetectionRules.cell(first, true, &mut text), Cell::Text(br#"["a \"b\"","c"]"#));
        assert_eq!(Column::Score.cell(first, true, &mut text), Cell::Float(f64::from(0.402_207_46_f32)));
        assert_eq!(Column::Score.cell(first, false, &mut text), Cell::Null);
        assert_eq!(Column::UserId.cell(second, true, &mut text), Cell::Null);
        assert_eq!(serde_json::from_str::<Page<'_>>("{}").unwrap().behind(), None);
    }

    #[test]
    fn every_column_is_somewhere() {
        let schema = wh_schemas::arrow::alerts();
        for index in 0..schema.fields().len() {
            assert!(Column::at(&schema, index).is_some(), "{}", schema.field(index).name());
        }
    }
}
