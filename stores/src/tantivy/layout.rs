//! Fields and analyser of the search index: the sink writes them, SQL reads them.
//!
//! What must stay true: every document has every field (`detection_rules` may have none or several values), so that a
//! field that is missing means a damaged index and never a NULL; the analyser is registered on every index that is opened,
//! before it is written or searched. A change of fields or analyser raises `wh_schemas::layout::SEARCH_VERSION`.
//!
//! The payload of each commit is a JSON object `{"scorer": {"0": {"next_seq": …, "next_offset": …, "stored": …, "duplicates": …,
//! "dead_letters": …, "discarded": …, "updated_at": …}, …}, …}`: how far each stream and partition is visible in that commit.

use tantivy::Index;
use tantivy::schema::{FAST, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, TextAnalyzer};

use super::porter2::Porter2;
use super::words::Words;

pub use crate::alerts::{ALERT_ID, ALERT_TYPE, CREATED_AT, DEPARTMENT, DETECTION_RULES, MESSAGE, PARTITION, RISK_SCORE, SEQ, SEVERITY, TIMESTAMP, TITLE, TRANSACTION_ID, USER_ID};

/// Name of the analyser of [`TITLE`] and [`MESSAGE`]. An index that names another was written by another analyser, and is refused.
pub const ANALYZER: &str = "wardhouse-2";

/// The fields of one alert.
#[must_use]
pub fn alert_schema() -> Schema {
    let analysed = TextFieldIndexing::default().set_tokenizer(ANALYZER).set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let analysed = TextOptions::default().set_indexing_options(analysed).set_stored();
    let mut schema = Schema::builder();
    for name in [ALERT_ID, TRANSACTION_ID, USER_ID, ALERT_TYPE, SEVERITY, DEPARTMENT] {
        schema.add_text_field(name, STRING | FAST | STORED);
    }
    for name in [RISK_SCORE, PARTITION, SEQ, CREATED_AT, TIMESTAMP] {
        schema.add_i64_field(name, INDEXED | FAST | STORED);
    }
    schema.add_text_field(TITLE, analysed.clone());
    schema.add_text_field(MESSAGE, analysed);
    schema.add_text_field(DETECTION_RULES, STRING | STORED);
    schema.build()
}

/// The analyser [`ANALYZER`]: words by UAX #29, lower-cased, accents folded, Porter 2 stems. Elasticsearch's is the same
/// (`schemas/elasticsearch/alerts.json`), and a test compares the two.
#[must_use]
pub fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(Words::default()).filter(LowerCaser).filter(AsciiFoldingFilter).filter(Porter2).build()
}

/// Teaches an opened index the analyser.
pub fn register_analyzer(index: &Index) {
    index.tokenizers().register(ANALYZER, analyzer());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_analyser_of_the_index_is_registered() {
        let index = Index::create_in_ram(alert_schema());
        register_analyzer(&index);
        assert!(index.tokenizer_for_field(index.schema().get_field(MESSAGE).unwrap()).is_ok());
    }

    // What Elasticsearch 9.4 answers to `_analyze` with its analyser.
    #[test]
    fn the_analyser_folds_case_accents_and_endings() {
        for (text, wanted) in [
            ("Résumé: 3 REFUNDS, at night-time", "resum|3|refund|at|night|time"),
            ("U-0012's user_id sent 12,345.67 EUR to account:ACC1", "u|0012|s|user_id|sent|12,345.67|eur|to|account:acc1"),
            ("can't don’t O'Neil's", "can't|don't|o'neil"),
            ("m² Ⅻ １２ straße İstanbul ﬁne ŒUVRE Σίσυφος", "m|ⅻ|12|strass|istanbul|fine|oeuvr|σίσυφος"),
            ("e\u{301}te\u{301}", "e\u{301}te\u{301}"),
            ("radiologist, radiology; universities added", "radiologist|radiolog|univers|add"),
        ] {
            let mut words = Vec::new();
            analyzer().token_stream(text).process(&mut |token: &tantivy::tokenizer::Token| words.push(token.text.clone()));
            assert_eq!(words.join("|"), wanted, "{text}");
        }
    }
}
