//! Functions that PostgreSQL calls otherwise.
//!
//! What must stay true: a synonym is for a function that gives the same, and takes no name that another has.

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Functions of a row, and what they are called as well.
const SCALARS: [(&str, &str); 2] = [("signum", "sign"), ("ceil", "ceiling")];
/// Functions of many rows.
const AGGREGATES: [(&str, &str); 2] = [("var", "variance"), ("bool_and", "every")];

/// The same functions, under both names.
pub(crate) fn scalars(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let named = |function: Arc<ScalarUDF>| match SCALARS.iter().find(|(name, _)| *name == function.name()) {
        Some((_, synonym)) => Arc::new(ScalarUDF::clone(&function).with_aliases([*synonym])),
        None => function,
    };
    functions.into_iter().map(named).collect()
}

/// The same functions, under both names.
pub(crate) fn aggregates(functions: Vec<Arc<AggregateUDF>>) -> Vec<Arc<AggregateUDF>> {
    let named = |function: Arc<AggregateUDF>| match AGGREGATES.iter().find(|(name, _)| *name == function.name()) {
        Some((_, synonym)) => Arc::new(AggregateUDF::clone(&function).with_aliases([*synonym])),
        None => function,
    };
    functions.into_iter().map(named).collect()
}
