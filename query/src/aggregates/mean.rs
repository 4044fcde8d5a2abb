//! The average of a sum and a count.
//!
//! What must stay true: the quotient is the one of `avg`: of decimals that of `numbers/average.rs`, of integers the nearest double, as of
//! DataFusion's own.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Decimal128Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, i256};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::numbers;

/// `mean(sum, count)` of the type that `avg` has.
pub(super) fn function(result: DataType) -> ScalarUDF {
    ScalarUDF::new_from_impl(Mean { result, signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mean {
    result: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Mean {
    fn name(&self) -> &str {
        "mean"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [sums, counts] = arrays.as_slice() else { return Err(not_of(&self.result)) };
        let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(|| not_of(&self.result))?;
        match (sums.data_type(), &self.result) {
            (DataType::Decimal128(_, 0), DataType::Float64) => {
                let sums = sums.as_primitive::<Decimal128Type>();
                let mean = |(sum, count): (Option<i128>, Option<i64>)| Some(sum? as f64 / some(count)? as f64);
                Ok(ColumnarValue::Array(Arc::new(sums.iter().zip(counts.iter()).map(mean).collect::<Float64Array>())))
            }
            (DataType::Decimal128(_, from), DataType::Decimal128(precision, to)) => {
                let sums = sums.as_primitive::<Decimal128Type>();
                let mean = |(sum, count): (Option<i128>, Option<i64>)| match (sum, some(count)) {
                    (Some(sum), Some(count)) => numbers::mean(i256::from_i128(sum), i128::from(count), *from, (*precision, *to)).map(Some),
                    _ => Ok(None),
                };
                let means = sums.iter().zip(counts.iter()).map(mean).collect::<Result<Vec<_>>>()?;
                Ok(ColumnarValue::Array(Arc::new(Decimal128Array::from(means).with_precision_and_scale(*precision, *to)?)))
            }
            _ => Err(not_of(&self.result)),
        }
    }
}

/// A count that something can be divided by.
fn some(count: Option<i64>) -> Option<i64> {
    count.filter(|count| *count > 0)
}

fn not_of(result: &DataType) -> DataFusionError {
    DataFusionError::Internal(format!("a mean of {result} is that of a sum and a count"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::Field;
    use datafusion::config::ConfigOptions;

    fn mean(result: &DataType, sums: ArrayRef, counts: Vec<i64>) -> Result<ArrayRef> {
        let rows = counts.len();
        let args = ScalarFunctionArgs {
            arg_fields: vec![Arc::new(Field::new("s", sums.data_type().clone(), true)), Arc::new(Field::new("n", DataType::Int64, false))],
            args: vec![ColumnarValue::Array(sums), ColumnarValue::Array(Arc::new(Int64Array::from(counts)))],
            number_rows: rows,
            return_field: Arc::new(Field::new("mean", result.clone(), true)),
            config_options: Arc::new(ConfigOptions::default()),
        };
        function(result.clone()).invoke_with_args(args)?.into_array(rows)
    }

    #[test]
    fn a_mean_of_integers_is_a_double() {
        let sums = Decimal128Array::from(vec![Some(7), None, Some(-1)]).with_precision_and_scale(38, 0).unwrap();
        let found = mean(&DataType::Float64, Arc::new(sums), vec![2, 0, 3]).unwrap();
        assert_eq!(found.as_primitive::<arrow::datatypes::Float64Type>().iter().collect::<Vec<_>>(), [Some(3.5), None, Some(-1.0 / 3.0)]);
    }

    #[test]
    fn a_mean_of_money_is_rounded_half_away_from_zero() {
        let money = |cents: Vec<Option<i128>>| -> ArrayRef { Arc::new(Decimal128Array::from(cents).with_precision_and_scale(25, 2).unwrap()) };
        let of = DataType::Decimal128(19, 6);
        let found = mean(&of, money(vec![Some(200), Some(-200), None, Some(5)]), vec![3, 3, 0, 1]).unwrap();
        assert_eq!(found.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [Some(666_667), Some(-666_667), None, Some(50_000)]);
        assert_eq!(found.data_type(), &of);
        assert!(mean(&of, money(vec![Some(10_i128.pow(24))]), vec![1]).is_err());
    }
}
