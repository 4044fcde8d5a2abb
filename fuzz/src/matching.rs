//! The query of SQL's `match()`.
//!
//! Holds: both stores take the same queries, and refuse the others in the same words; but Elasticsearch refuses what is nested deeper than it takes.

/// Takes the bytes as a query.
pub fn run(data: &[u8]) {
    let query = String::from_utf8_lossy(data);
    let [tantivy, elasticsearch] = wh_query::readings(&query);
    match (tantivy, elasticsearch) {
        (Ok(_), Ok(_)) => {}
        (Err(one), Err(other)) => {
            assert_eq!(one, other, "{query:?}");
            assert!(one.to_string().contains("in match(…, '"), "{one}");
        }
        (Ok(_), Err(refusal)) => assert!(refusal.to_string().contains("nested too deep"), "Elasticsearch alone refuses {query:?}: {refusal}"),
        (Err(refusal), Ok(_)) => panic!("Tantivy alone refuses {query:?}: {refusal}"),
    }
}
