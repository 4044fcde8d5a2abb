//! A store's sum of integers as the `bigint` that `sum` is.
//!
//! What must stay true: what does not fit is the error of `numbers/sum.rs`, so that an answer does not depend on who added up.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::numbers;

/// `whole(sum)`.
pub(super) fn function() -> ScalarUDF {
    ScalarUDF::new_from_impl(Whole { signature: Signature::exact(vec![numbers::WHOLE], Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Whole {
    signature: Signature,
}

impl ScalarUDFImpl for Whole {
    fn name(&self) -> &str {
        "whole"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        match arrays.first().and_then(|sums| sums.as_primitive_opt::<Decimal128Type>()) {
            Some(sums) => Ok(ColumnarValue::Array(Arc::new(sums.try_unary::<_, Int64Type, _>(numbers::bigint)?))),
            None => internal_err!("whole() of {:?}", arrays.first().map(|array| array.data_type().clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Decimal128Array};
    use arrow::datatypes::Field;
    use datafusion::config::ConfigOptions;

    fn whole(sums: Vec<Option<i128>>) -> Result<Vec<Option<i64>>> {
        let rows = sums.len();
        let sums: ArrayRef = Arc::new(Decimal128Array::from(sums).with_precision_and_scale(38, 0).unwrap());
        let args = ScalarFunctionArgs {
            arg_fields: vec![Arc::new(Field::new("s", numbers::WHOLE, true))],
            args: vec![ColumnarValue::Array(sums)],
            number_rows: rows,
            return_field: Arc::new(Field::new("whole", DataType::Int64, true)),
            config_options: Arc::new(ConfigOptions::default()),
        };
        Ok(function().invoke_with_args(args)?.into_array(rows)?.as_primitive::<Int64Type>().iter().collect())
    }

    #[test]
    fn a_sum_that_64_bits_do_not_hold_is_an_error() {
        let ends = vec![Some(i128::from(i64::MAX)), None, Some(i128::from(i64::MIN))];
        assert_eq!(whole(ends).unwrap(), [Some(i64::MAX), None, Some(i64::MIN)]);
        for beyond in [i128::from(i64::MAX) + 1, i128::from(i64::MIN) - 1] {
            assert!(whole(vec![Some(1), Some(beyond)]).unwrap_err().to_string().contains("bigint out of range"));
        }
    }
}
