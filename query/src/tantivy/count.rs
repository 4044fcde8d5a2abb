//! Counting the alerts of the index: it knows how many documents a word has, and need not look at them.
//!
//! What must stay true: a document that was deleted is never counted.

use ::tantivy::TantivyError;
use ::tantivy::query::EnableScoring;
use arrow::datatypes::Schema;

use super::dialect;
use super::scan::SearchScan;
use crate::aggregate::{Aggregation, Function};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::partial::{Groups, Part, Partial};
use crate::predicate::Predicate;
use crate::table::{Prepared, Request};

/// Whether it is a number of documents: every document has every field.
pub(super) fn takes(schema: &Schema, aggregation: &Aggregation) -> bool {
    let counts = |column: Option<usize>| column.is_none_or(|column| !schema.field(column).is_nullable());
    aggregation.groups.is_empty() && aggregation.measures.iter().all(|measure| measure.function == Function::Count && counts(measure.column))
}

/// A count, ready to run.
#[derive(Debug)]
pub(super) struct SearchCount {
    pub(super) scan: SearchScan,
    pub(super) request: Request,
    pub(super) aggregation: Aggregation,
}

impl Prepared for SearchCount {
    fn text(&self) -> String {
        format!("count of {}", dialect::text(&self.scan.schema, &self.request.predicates))
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let failed = |error: TantivyError| self.scan.index.failed(&error);
        let (index, searcher) = self.scan.index.searcher()?;
        let predicates: Vec<Predicate> = self.request.predicates.iter().chain(late).cloned().collect();
        let query = dialect::query(&self.scan.schema, &predicates, &index)?;
        let weight = query.weight(EnableScoring::disabled_from_searcher(&searcher)).map_err(failed)?;
        let mut count = 0;
        for segment in searcher.segment_readers() {
            count += i64::from(weight.count(segment).map_err(failed)?);
        }
        let misfit = |what: String| self.scan.index.failed(&what);
        let mut out = Groups::new(&self.aggregation, sink)?;
        let measures = self.aggregation.measures.iter().map(|_| Partial::Count(count)).collect();
        if out.add(Part { group: Vec::new(), measures }).map_err(misfit)? {
            out.end().map_err(misfit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::aggregate::{Group, Measure};

    #[test]
    fn only_numbers_of_documents_are_taken() {
        let schema = wh_schemas::arrow::alerts();
        let column = |name: &str| Some(schema.index_of(name).unwrap());
        let told = |groups: Vec<Group>, function: Function, column: Option<usize>| {
            takes(&schema, &Aggregation { groups, measures: vec![Measure { function, column }], schema: Arc::new(Schema::empty()) })
        };
        assert!(told(Vec::new(), Function::Count, None) && told(Vec::new(), Function::Count, column("title")));
        assert!(!told(Vec::new(), Function::Count, column("_score")));
        assert!(!told(Vec::new(), Function::Max, column("seq")));
        assert!(!told(vec![Group::Column(0)], Function::Count, None));
    }
}
