//! `sum` of whole numbers and of long decimals: what its type does not hold is an error, where DataFusion's own wraps around.
//!
//! It is added up in twice the width, which no number of rows fills, by DataFusion's own accumulators of decimals; only the sum at the end is made
//! narrow. So the order of the rows and the number of partitions have no say in whether it fits. Every other type is DataFusion's own.
//!
//! What must stay true: what fits has the value and the type that it had; sums that stores compute are made narrow by [`bigint`], too.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Int64Type, UInt64Type, i256};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF, Signature};

/// The type in which 64-bit integers are added up.
pub(crate) const WHOLE: DataType = DataType::Decimal128(38, 0);
/// Digits of a decimal of 128 bits, and of one of 256.
const DIGITS: u8 = 38;
const MORE_DIGITS: u8 = 76;
/// Digits of a decimal from which on its sums may have more than 38.
const LONG: u8 = 28;

/// `sum`, in the place of DataFusion's own.
pub(crate) fn sum() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Sum { own: sum_udaf() }))
}

/// A sum as a `bigint`.
pub(crate) fn bigint(sum: i128) -> Result<i64> {
    i64::try_from(sum).map_err(|_| beyond("bigint"))
}

fn unsigned(sum: i128) -> Result<u64> {
    u64::try_from(sum).map_err(|_| beyond("bigint"))
}

fn numeric(sum: i256) -> Result<i128> {
    sum.to_i128().filter(|sum| sum.unsigned_abs() < 10_u128.pow(u32::from(DIGITS))).ok_or_else(|| beyond("numeric"))
}

fn beyond(what: &str) -> DataFusionError {
    DataFusionError::Execution(format!("{what} out of range"))
}

/// The type in which sums of this type are added up; nothing where DataFusion does it.
fn wide(result: &DataType, of: Option<&FieldRef>) -> Option<DataType> {
    match (result, of.map(|field| field.data_type())) {
        (DataType::Int64 | DataType::UInt64, _) => Some(WHOLE),
        (DataType::Decimal128(DIGITS, scale), Some(DataType::Decimal128(precision, _))) if *precision > LONG => Some(DataType::Decimal256(MORE_DIGITS, *scale)),
        _ => None,
    }
}

/// A field of the wide type.
fn field(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("sum", data_type, true))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    own: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        self.own.name()
    }

    fn aliases(&self) -> &[String] {
        self.own.aliases()
    }

    fn signature(&self) -> &Signature {
        self.own.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.own.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let to = args.return_field.data_type().clone();
        Ok(match wide(&to, args.expr_fields.first()) {
            Some(by) => Box::new(One { own: self.own.accumulator(AccumulatorArgs { return_field: field(by.clone()), ..args })?, by, to }),
            None => self.own.accumulator(args)?,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        match wide(args.return_field.data_type(), args.input_fields.first()) {
            Some(by) => self.own.state_fields(StateFieldsArgs { return_field: field(by), ..args }),
            None => self.own.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.own.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let to = args.return_field.data_type().clone();
        Ok(match wide(&to, args.expr_fields.first()) {
            Some(by) => Box::new(Grouped { own: self.own.create_groups_accumulator(AccumulatorArgs { return_field: field(by.clone()), ..args })?, by, to }),
            None => self.own.create_groups_accumulator(args)?,
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let to = args.return_field.data_type().clone();
        Ok(match wide(&to, args.expr_fields.first()) {
            // DataFusion slides over the distinct values of nothing but integers of 64 bits.
            Some(_) if args.is_distinct => Box::new(Different { own: self.own.create_sliding_accumulator(args)? }),
            Some(by) => Box::new(One { own: self.own.create_sliding_accumulator(AccumulatorArgs { return_field: field(by.clone()), ..args })?, by, to }),
            None => self.own.create_sliding_accumulator(args)?,
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.own.documentation()
    }
}

/// Values in the type in which they are added up.
fn widened(values: &[ArrayRef], by: &DataType) -> Result<Vec<ArrayRef>> {
    let [values] = values else { return internal_err!("a sum of {} columns", values.len()) };
    let wide: ArrayRef = match (values.data_type(), by) {
        (DataType::Int64, DataType::Decimal128(digits, places)) => {
            Arc::new(values.as_primitive::<Int64Type>().unary::<_, Decimal128Type>(i128::from).with_precision_and_scale(*digits, *places)?)
        }
        (DataType::UInt64, DataType::Decimal128(digits, places)) => {
            Arc::new(values.as_primitive::<UInt64Type>().unary::<_, Decimal128Type>(i128::from).with_precision_and_scale(*digits, *places)?)
        }
        (DataType::Decimal128(_, _), DataType::Decimal256(digits, places)) => {
            Arc::new(values.as_primitive::<Decimal128Type>().unary::<_, Decimal256Type>(i256::from_i128).with_precision_and_scale(*digits, *places)?)
        }
        (other, by) => return internal_err!("a sum of {other} as {by}"),
    };
    Ok(vec![wide])
}

/// Sums in the type that they have in SQL.
fn narrowed(sums: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let narrow: ArrayRef = match (sums.data_type(), to) {
        (DataType::Decimal128(_, _), DataType::Int64) => Arc::new(sums.as_primitive::<Decimal128Type>().try_unary::<_, Int64Type, _>(bigint)?),
        (DataType::Decimal128(_, _), DataType::UInt64) => Arc::new(sums.as_primitive::<Decimal128Type>().try_unary::<_, UInt64Type, _>(unsigned)?),
        (DataType::Decimal256(_, _), DataType::Decimal128(digits, places)) => {
            Arc::new(sums.as_primitive::<Decimal256Type>().try_unary::<_, Decimal128Type, _>(numeric)?.with_precision_and_scale(*digits, *places)?)
        }
        (other, to) => return internal_err!("a sum in {other} as {to}"),
    };
    Ok(narrow)
}

/// One group, or a window.
#[derive(Debug)]
struct One {
    own: Box<dyn Accumulator>,
    by: DataType,
    to: DataType,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.own.update_batch(&widened(values, &self.by)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(match (self.own.evaluate()?, &self.to) {
            (ScalarValue::Decimal128(sum, _, _), DataType::Int64) => ScalarValue::Int64(sum.map(bigint).transpose()?),
            (ScalarValue::Decimal128(sum, _, _), DataType::UInt64) => ScalarValue::UInt64(sum.map(unsigned).transpose()?),
            (ScalarValue::Decimal256(sum, _, _), DataType::Decimal128(digits, places)) => ScalarValue::Decimal128(sum.map(numeric).transpose()?, *digits, *places),
            (other, to) => return internal_err!("a sum {other:?} as {to}"),
        })
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.own.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.own.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.own.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.own.retract_batch(&widened(values, &self.by)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.own.supports_retract_batch()
    }
}

/// A window over different values: all of them are its state.
#[derive(Debug)]
struct Different {
    own: Box<dyn Accumulator>,
}

impl Accumulator for Different {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.own.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = self.own.state()?;
        let [ScalarValue::List(list)] = state.as_slice() else { return internal_err!("a sum of different values of {state:?}") };
        let values = if list.is_empty() { None } else { list.value(0).as_primitive_opt::<Int64Type>().cloned() };
        let values = values.filter(|values| !values.is_empty());
        Ok(ScalarValue::Int64(values.map(|values| bigint(values.iter().flatten().map(i128::from).sum())).transpose()?))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.own.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.own.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.own.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.own.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.own.supports_retract_batch()
    }
}

/// Many groups.
struct Grouped {
    own: Box<dyn GroupsAccumulator>,
    by: DataType,
    to: DataType,
}

impl GroupsAccumulator for Grouped {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.own.update_batch(&widened(values, &self.by)?, groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        narrowed(&self.own.evaluate(emit_to)?, &self.to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.own.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.own.merge_batch(values, groups, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.own.convert_to_state(&widened(values, &self.by)?, filter)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.own.size()
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    const MOST: &str = "WITH t(g, x) AS (VALUES (1, 9223372036854775807), (1, 1), (2, 5), (2, NULL), (3, 9223372036854775807), (3, 7), (3, -7)) ";

    /// The first column, of one thread and of more.
    async fn answer(sql: &str, threads: usize) -> Result<Vec<String>> {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads).with_batch_size(2));
        context.register_udaf(AggregateUDF::clone(&sum()));
        let batches = context.sql(&format!("{MOST}{sql}")).await?.collect().await?;
        let shown = |batch: &arrow::array::RecordBatch| (0..batch.num_rows()).map(|row| array_value_to_string(batch.column(0), row).unwrap()).collect::<Vec<_>>();
        Ok(batches.iter().flat_map(shown).collect())
    }

    #[tokio::test]
    async fn what_does_not_fit_is_an_error() {
        for sql in [
            "SELECT sum(x) FROM t",
            "SELECT sum(-x) FROM t WHERE g < 3",
            "SELECT sum(x) FROM t GROUP BY g",
            "SELECT sum(DISTINCT x) FROM t WHERE g = 1",
            "SELECT sum(x) OVER (PARTITION BY g) FROM t",
            "SELECT sum(x) OVER (ORDER BY g ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WHERE g = 1",
            "SELECT sum(DISTINCT x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WHERE g = 1",
            "SELECT sum(x::decimal(38, 0) * 6000000000000000000) FROM t",
        ] {
            for threads in [1, 3] {
                let error = answer(sql, threads).await.unwrap_err();
                assert!(error.to_string().contains("out of range"), "{sql}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn what_fits_is_the_same_in_any_order() {
        for (sql, wanted) in [
            ("SELECT sum(x) FROM t WHERE g = 3", vec!["9223372036854775807"]),
            ("SELECT sum(x) FROM t WHERE g = 2", vec!["5"]),
            ("SELECT sum(x) FROM t WHERE g = 4", vec![""]),
            ("SELECT sum(x) AS s FROM t WHERE g > 1 GROUP BY g ORDER BY s", vec!["5", "9223372036854775807"]),
            ("SELECT sum(DISTINCT x) FROM t WHERE g = 3", vec!["9223372036854775807"]),
            ("SELECT sum(x) FILTER (WHERE x < 10) FROM t", vec!["6"]),
            ("SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM t WHERE g = 3 AND x < 10 ORDER BY s", vec!["-7", "0"]),
            ("SELECT sum(x::decimal(38, 2)) FROM t", vec!["18446744073709551620.00"]),
            ("SELECT sum(x::decimal(12, 2)) FROM t WHERE x < 10", vec!["6.00"]),
            ("SELECT sum(x::double) FROM t WHERE g = 2", vec!["5.0"]),
        ] {
            for threads in [1, 3] {
                let found = answer(sql, threads).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                assert_eq!(found, wanted, "{sql}");
            }
        }
    }
}
