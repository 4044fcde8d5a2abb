//! Documents, written as bytes: what the sink inserts, made in one go from what it reads.
//!
//! What must stay true: what [`RowWriter::finish`] gives is a document that MongoDB takes as it is: lengths agree, no name holds NUL.

use ::mongodb::bson::RawDocumentBuf;

use super::json;

/// Most bytes of one document.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

pub(super) const DOUBLE: u8 = 0x01;
pub(super) const STRING: u8 = 0x02;
pub(super) const DOCUMENT: u8 = 0x03;
pub(super) const ARRAY: u8 = 0x04;
pub(super) const BOOLEAN: u8 = 0x08;
pub(super) const DATE: u8 = 0x09;
pub(super) const NULL: u8 = 0x0A;
pub(super) const INT32: u8 = 0x10;
pub(super) const INT64: u8 = 0x12;
pub(super) const DECIMAL: u8 = 0x13;

/// Writes one document, field by field, straight into its bytes. Names of fields are literals without NUL.
#[derive(Debug)]
pub struct RowWriter {
    bytes: Vec<u8>,
}

impl Default for RowWriter {
    fn default() -> Self {
        RowWriter::new()
    }
}

impl RowWriter {
    /// An empty document.
    #[must_use]
    pub fn new() -> RowWriter {
        let mut bytes = Vec::with_capacity(2_048);
        begin(&mut bytes);
        RowWriter { bytes }
    }

    /// Adds a 64-bit integer.
    pub fn long(&mut self, name: &str, value: i64) {
        element(&mut self.bytes, INT64, name);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Adds an instant: milliseconds since 1970 UTC.
    pub fn date(&mut self, name: &str, millis: i64) {
        element(&mut self.bytes, DATE, name);
        self.bytes.extend_from_slice(&millis.to_le_bytes());
    }

    /// Adds a text.
    pub fn string(&mut self, name: &str, text: &str) {
        element(&mut self.bytes, STRING, name);
        string(&mut self.bytes, text);
    }

    /// Adds a JSON object as a document; `false` where it cannot be given back exactly. What is no object, is nested too deeply, has NUL in
    /// a name or a name twice, becomes an empty document.
    pub fn json(&mut self, name: &str, text: &str) -> bool {
        element(&mut self.bytes, DOCUMENT, name);
        let start = self.bytes.len();
        if let Some(exact) = json::append(text, &mut self.bytes) {
            return exact;
        }
        self.bytes.truncate(start);
        begin(&mut self.bytes);
        end(&mut self.bytes, start);
        false
    }

    /// The document; nothing where it is longer than any document may be.
    #[must_use]
    pub fn finish(mut self) -> Option<RawDocumentBuf> {
        end(&mut self.bytes, 0)?;
        RawDocumentBuf::from_bytes(self.bytes).ok()
    }
}

/// Begins a document; gives where.
pub(super) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    start
}

/// Ends the document that began at `start`; nothing where it is longer than any may be.
pub(super) fn end(out: &mut Vec<u8>, start: usize) -> Option<()> {
    out.push(0);
    let length = i32::try_from(out.len() - start).ok()?;
    out.get_mut(start..start + 4)?.copy_from_slice(&length.to_le_bytes());
    Some(())
}

/// Begins a field.
pub(super) fn element(out: &mut Vec<u8>, kind: u8, name: &str) {
    out.push(kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
}

/// A text, the value of a field.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    // A longer one makes the document too long for `end`, which says so.
    let length = i32::try_from(text.len() + 1).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_fields_in_order_and_survives_a_reading() {
        let mut writer = RowWriter::new();
        writer.long("_id", -5);
        writer.string("transaction_id", "日本\0𝄞");
        writer.date("appended_at", 7);
        assert!(writer.json("metadata", r#"{"z":1,"a":2}"#));
        assert!(!writer.json("odd", "[1]"));
        let row = writer.finish().unwrap();
        let names: Vec<String> = row.iter().map(|field| field.unwrap().0.as_str().to_owned()).collect();
        assert_eq!(names, ["_id", "transaction_id", "appended_at", "metadata", "odd"]);
        assert_eq!((row.get_i64("_id").unwrap(), row.get_str("transaction_id").unwrap()), (-5, "日本\0𝄞"));
        assert_eq!(row.get_datetime("appended_at").unwrap().timestamp_millis(), 7);
        assert!(row.get_document("odd").unwrap().is_empty());
    }
}
