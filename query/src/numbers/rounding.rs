//! Casts that leave places out, and `round` of doubles: decimals round half away from zero, doubles half to even.
//!
//! As functions, and not as casts, they are also safe from the optimizer, which takes a cast that is compared for one that keeps every value.
//!
//! What must stay true: a name and a type are those of the cast; what does not fit is an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::quotient::DIGITS;

/// Whether a cast from one type to the other leaves places out.
pub(super) fn rounds(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Decimal128(_, scale), to) if to.is_integer() => *scale > 0,
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => to < from,
        (DataType::Float32 | DataType::Float64, to) => to.is_integer(),
        _ => false,
    }
}

/// `expr` as the nearest value of a type.
pub(super) fn rounded(expr: Expr, to: DataType) -> Expr {
    ScalarUDF::new_from_impl(Rounded { to, signature: Signature::any(1, Volatility::Immutable) }).call(vec![expr])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounded {
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Rounded {
    fn name(&self) -> &str {
        "rounded"
    }

    /// That of the cast.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [of] = args else { return internal_err!("a cast of {} values", args.len()) };
        Ok(of.schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(nearest(values, &self.to)?)),
            [ColumnarValue::Scalar(value)] => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&nearest(&value.to_array()?, &self.to)?, 0)?)),
            other => internal_err!("a cast of {} values", other.len()),
        }
    }
}

fn nearest(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let whole: ArrayRef = match values.data_type() {
        // Arrow rounds decimals where they stay decimals.
        DataType::Decimal128(..) if to.is_integer() => {
            let most = u8::try_from(DIGITS).unwrap_or(38);
            cast_with_options(values, &DataType::Decimal128(most, 0), &strict)?
        }
        DataType::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even)),
        DataType::Float32 => Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even)),
        _ => Arc::clone(values),
    };
    let called = match to {
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        to if to.is_integer() => "bigint",
        DataType::Float32 | DataType::Float64 => return Ok(whole),
        _ => "numeric",
    };
    cast_with_options(&whole, to, &strict).map_err(|_| DataFusionError::Execution(format!("{called} out of range")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Float64Array};
    use arrow::datatypes::{Int32Type, Int64Type};

    #[test]
    fn decimals_round_half_away_from_zero() {
        let values = Decimal128Array::from(vec![Some(73_260), Some(-260), Some(250), Some(350), Some(-250), None, Some(49)]);
        let values: ArrayRef = Arc::new(values.with_precision_and_scale(15, 2).unwrap());
        let found = nearest(&values, &DataType::Int32).unwrap();
        assert_eq!(found.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(733), Some(-3), Some(3), Some(4), Some(-3), None, Some(0)]);
        assert!(nearest(&values, &DataType::Int8).unwrap_err().to_string().contains("smallint out of range"));
    }

    #[test]
    fn doubles_round_half_to_even() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.5), Some(3.5), Some(-2.5), Some(-2.6), None]));
        assert_eq!(nearest(&values, &DataType::Int64).unwrap().as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(2), Some(4), Some(-2), Some(-3), None]);
        assert_eq!(nearest(&values, &DataType::Float64).unwrap().as_primitive::<Float64Type>().value(0), 2.0);
        let none: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
        assert!(nearest(&none, &DataType::Int64).is_err());
    }
}
