//! A function that measures what it would give before it gives it.
//!
//! What must stay true: name, signature, types and results are those of the function inside. DataFusion's simplification of it is left out: it
//! would put the function itself in this one's place.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use super::measure::{Measure, share};
use super::{BATCH_BYTES, VALUE_BYTES, too_large};
use crate::errors::QueryError;

/// Most steps of a batch, for functions that take long and not much room: about a second.
const STEPS: u64 = 1 << 29;

/// The same functions, those that enlarge within bounds.
pub(crate) fn bounded(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let one = |inner: Arc<ScalarUDF>| match Measure::of(inner.name()) {
        Some(measure) => Arc::new(ScalarUDF::new_from_impl(Bounded { inner, measure })),
        None => inner,
    };
    functions.into_iter().map(one).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    measure: Measure,
}

impl Bounded {
    /// In a few batches, where an estimate says more than it may be: what comes out is measured then.
    fn in_parts(&self, arguments: &ScalarFunctionArgs, estimates: &[u64]) -> Result<ColumnarValue> {
        let mut parts = Vec::new();
        let (mut from, mut given) = (0, 0_u64);
        while from < estimates.len() {
            let mut sum = 0_u64;
            let more = estimates.iter().skip(from).take_while(|bytes| {
                sum = sum.saturating_add(**bytes);
                sum <= BATCH_BYTES
            });
            // One at least.
            let rows = more.count().max(1);
            let slice = |value: &ColumnarValue| match value {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
                ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
            };
            let part = ScalarFunctionArgs { args: arguments.args.iter().map(slice).collect(), number_rows: rows, ..arguments.clone() };
            let part = self.inner.invoke_with_args(part)?.into_array(rows)?;
            given = given.saturating_add(share(&part).saturating_mul(rows as u64));
            if given > BATCH_BYTES {
                return Err(self.refused(given, BATCH_BYTES, "for a few thousand rows").into());
            }
            parts.push(part);
            from += rows;
        }
        let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(arrow::compute::concat(&parts)?))
    }

    fn refused(&self, bytes: u64, most: u64, of: &str) -> QueryError {
        too_large(&format!("{}()", self.inner.name()), bytes, most, of)
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.inner().return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(types)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.inner().documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_one { args.number_rows.min(1) } else { args.number_rows };
        let estimates = self.measure.rows(&args.args, rows);
        let (most, all) = estimates.iter().fold((0, 0_u64), |(most, all), bytes| (*bytes.max(&most), all.saturating_add(*bytes)));
        if self.measure == Measure::Product {
            if all > STEPS {
                return Err(QueryError::TooLarge { message: format!("{}() of texts as long as these takes too long", self.inner.name()) }.into());
            }
            return self.inner.invoke_with_args(args);
        }
        if most > VALUE_BYTES && !(self.measure.is_rough() && most <= BATCH_BYTES) {
            return Err(self.refused(most, VALUE_BYTES, "in one value").into());
        }
        if all <= BATCH_BYTES {
            return self.inner.invoke_with_args(args);
        }
        if self.measure.is_rough() { self.in_parts(&args, &estimates) } else { Err(self.refused(all, BATCH_BYTES, "for a few thousand rows").into()) }
    }
}

/// Whether a value is longer than what a function may give.
pub(super) fn long(value: &ScalarValue) -> Option<u64> {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => Some(text.len() as u64),
        ScalarValue::Binary(Some(bytes)) | ScalarValue::BinaryView(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) => Some(bytes.len() as u64),
        ScalarValue::List(_) | ScalarValue::LargeList(_) | ScalarValue::FixedSizeList(_) => value.to_array().ok().map(|array| share(&array)),
        _ => None,
    }
}
