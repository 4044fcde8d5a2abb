//! `/` and `*` of decimals and `/` of doubles, as functions.
//!
//! What must stay true: what comes out has the name that it had; what does not fit, and what is divided by zero, is an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::kernels::numeric::div;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type, i256};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::quotient::{DIGITS, places, precision, quotient};

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// The quotient of two decimals.
    Quotient,
    /// The product of two decimals of many places.
    Product,
    /// The quotient of two doubles.
    OfDoubles,
}

/// A call of what is computed, of two values of one kind.
pub(super) fn call(kind: Kind, left: Expr, right: Expr) -> Expr {
    ScalarUDF::new_from_impl(Computed { kind, signature: Signature::any(2, Volatility::Immutable) }).call(vec![left, right])
}

/// Precision and scale of what is computed of two decimals.
fn parts(kind: Kind, left: (u8, i8), right: (u8, i8)) -> (u8, i8) {
    let whole = |(precision, scale): (u8, i8)| i16::from(precision) - i16::from(scale);
    match kind {
        Kind::Product => {
            let whole = whole(left) + whole(right);
            let scale = (i16::from(left.1) + i16::from(right.1)).min((DIGITS - whole).max(16));
            let scale = i8::try_from(scale).unwrap_or(0);
            (precision(whole, scale), scale)
        }
        Kind::Quotient | Kind::OfDoubles => {
            let scale = places(left.0, left.1, right.1);
            (precision(whole(left) + i16::from(right.1), scale), scale)
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Computed {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Computed {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Quotient => "exact_div",
            Kind::Product => "exact_mul",
            Kind::OfDoubles => "checked_div",
        }
    }

    /// That of the operator.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [left, right] = args else { return internal_err!("{} takes two numbers", self.name()) };
        let sign = if self.kind == Kind::Product { "*" } else { "/" };
        Ok(format!("{} {sign} {}", left.schema_name(), right.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.kind, types) {
            (Kind::OfDoubles, [DataType::Float64, DataType::Float64]) => Ok(DataType::Float64),
            (kind, [DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)]) if kind != Kind::OfDoubles => {
                let (precision, scale) = parts(kind, (*p1, *s1), (*p2, *s2));
                Ok(DataType::Decimal128(precision, scale))
            }
            (_, types) => internal_err!("{} does not take {types:?}", self.name()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [left, right] = arrays.as_slice() else { return internal_err!("{} takes two numbers", self.name()) };
        let computed = if self.kind == Kind::OfDoubles { of_doubles(left, right)? } else { of_decimals(self.kind, left, right)? };
        if is_one { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&computed, 0)?)) } else { Ok(ColumnarValue::Array(computed)) }
    }
}

fn of_decimals(kind: Kind, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let (DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)) = (left.data_type(), right.data_type()) else {
        return internal_err!("{} and {} are no decimals", left.data_type(), right.data_type());
    };
    let (precision, scale) = parts(kind, (*p1, *s1), (*p2, *s2));
    let overflow = || DataFusionError::Execution("numeric out of range".to_owned());
    let (first, second) = (i16::from(*s1), i16::from(*s2));
    let one = |(left, right): (Option<i128>, Option<i128>)| -> Result<Option<i128>> {
        let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
        let (left, right) = (i256::from_i128(left), i256::from_i128(right));
        let computed = match kind {
            Kind::Product => left.checked_mul(right).and_then(|product| quotient(product, i256::ONE, i16::from(scale) - first - second, precision)),
            Kind::Quotient | Kind::OfDoubles if right == i256::ZERO => return Err(ArrowError::DivideByZero.into()),
            Kind::Quotient | Kind::OfDoubles => quotient(left, right, i16::from(scale) + second - first, precision),
        };
        computed.map(Some).ok_or_else(overflow)
    };
    let pairs = left.as_primitive::<Decimal128Type>().iter().zip(right.as_primitive::<Decimal128Type>());
    let computed = pairs.map(one).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Decimal128Array::from(computed).with_precision_and_scale(precision, scale)?))
}

/// The quotients; what is no number may be divided by zero.
fn of_doubles(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let (Some(dividends), Some(divisors)) = (left.as_primitive_opt::<Float64Type>(), right.as_primitive_opt::<Float64Type>()) else {
        return internal_err!("{} and {} are no doubles", left.data_type(), right.data_type());
    };
    let by_zero = |(dividend, divisor): (Option<f64>, Option<f64>)| divisor == Some(0.0) && dividend.is_some_and(|dividend| !dividend.is_nan());
    if dividends.iter().zip(divisors).any(by_zero) {
        return Err(ArrowError::DivideByZero.into());
    }
    Ok(div(dividends, divisors)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Float64Array;

    fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
    }

    #[test]
    fn a_quotient_of_decimals_has_twenty_places() {
        let (dividends, divisors) = (decimals(vec![Some(100), Some(-200), None, Some(1)], 15, 2), decimals(vec![Some(300_000), Some(30), Some(0), None], 7, 1));
        let found = of_decimals(Kind::Quotient, &dividends, &divisors).unwrap();
        assert_eq!(found.data_type(), &DataType::Decimal128(34, 20));
        let found: Vec<_> = found.as_primitive::<Decimal128Type>().iter().collect();
        assert_eq!(found, [Some(3_333_333_333_333_333), Some(-66_666_666_666_666_666_667), None, None]);
        assert!(of_decimals(Kind::Quotient, &decimals(vec![Some(1)], 5, 2), &decimals(vec![Some(0)], 5, 2)).unwrap_err().to_string().contains("ivide by zero"));
    }

    #[test]
    fn a_product_of_many_places_is_rounded() {
        let third = || decimals(vec![Some(33_333_333_333_333_333_333)], 34, 20);
        let found = of_decimals(Kind::Product, &third(), &third()).unwrap();
        assert_eq!(found.data_type(), &DataType::Decimal128(38, 16));
        assert_eq!(found.as_primitive::<Decimal128Type>().value(0), 1_111_111_111_111_111);
    }

    #[test]
    fn a_double_is_not_divided_by_zero() {
        let doubles = |values: Vec<Option<f64>>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
        let found = of_doubles(&doubles(vec![Some(1.0), None, Some(f64::NAN)]), &doubles(vec![Some(2.0), Some(0.0), Some(0.0)])).unwrap();
        assert_eq!(found.as_primitive::<Float64Type>().value(0), 0.5);
        assert!(found.is_null(1) && found.as_primitive::<Float64Type>().value(2).is_nan());
        assert!(of_doubles(&doubles(vec![Some(1.0)]), &doubles(vec![Some(-0.0)])).is_err());
    }
}
