//! `avg` of decimals with the places of a quotient, rounded.
//!
//! Sums and counts are DataFusion's own, and so is every other type: only the division at the end is done here.
//!
//! What must stay true: the average is that of `aggregates/mean.rs`, which divides the sums and counts of stores.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, FieldRef, UInt64Type, i256};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF, Signature};

use super::quotient::{places, precision, quotient};

/// `avg`, in the place of DataFusion's own.
pub(crate) fn average() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Average { own: avg_udaf() }))
}

/// A sum with `from` places divided by a count.
pub(crate) fn mean(sum: i256, count: i128, from: i8, to: (u8, i8)) -> Result<i128> {
    let (precision, scale) = to;
    let overflow = || DataFusionError::Execution("numeric out of range in avg".to_owned());
    quotient(sum, i256::from_i128(count), i16::from(scale) - i16::from(from), precision).ok_or_else(overflow)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    own: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Average {
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
        match types {
            [DataType::Decimal128(digits, scale)] if *scale >= 0 => {
                let to = places(*digits, *scale, 0);
                Ok(DataType::Decimal128(precision(i16::from(*digits) - i16::from(*scale), to), to))
            }
            types => self.own.return_type(types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let to = divided(&args);
        let own = self.own.accumulator(args)?;
        Ok(match to {
            Some(to) => Box::new(One { own, to }),
            None => own,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.own.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.own.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let to = divided(&args);
        let own = self.own.create_groups_accumulator(args)?;
        Ok(match to {
            Some(to) => Box::new(Grouped { own, to }),
            None => own,
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.own.documentation()
    }
}

/// Precision and scale of an average that is divided here.
fn divided(args: &AccumulatorArgs<'_>) -> Option<(u8, i8)> {
    match (args.expr_fields.first()?.data_type(), args.return_field.data_type()) {
        (DataType::Decimal128(_, from), DataType::Decimal128(precision, scale)) if *from >= 0 => Some((*precision, *scale)),
        _ => None,
    }
}

/// One group, or a window.
#[derive(Debug)]
struct One {
    own: Box<dyn Accumulator>,
    to: (u8, i8),
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.own.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (count, sum) = match self.own.state()?.as_slice() {
            [ScalarValue::UInt64(count), ScalarValue::Decimal128(sum, _, from)] => (i128::from(count.unwrap_or(0)), sum.map(|sum| (i256::from_i128(sum), *from))),
            [ScalarValue::UInt64(count), ScalarValue::Decimal256(sum, _, from)] => (i128::from(count.unwrap_or(0)), sum.map(|sum| (sum, *from))),
            // The distinct values.
            [ScalarValue::List(list)] => {
                let values = if list.is_empty() { None } else { Some(list.value(0)) };
                match values.as_ref().map(|values| (values.data_type().clone(), values.as_primitive_opt::<Decimal128Type>())) {
                    None => (0, None),
                    Some((DataType::Decimal128(_, from), Some(values))) => {
                        let sum = values.iter().flatten().fold(i256::ZERO, |sum, value| sum.wrapping_add(i256::from_i128(value)));
                        (i128::try_from(values.len() - values.null_count()).unwrap_or(0), Some((sum, from)))
                    }
                    Some((other, _)) => return internal_err!("an average of {other}"),
                }
            }
            other => return internal_err!("an average of {other:?}"),
        };
        let average = match sum {
            Some((sum, from)) if count > 0 => Some(mean(sum, count, from, self.to)?),
            _ => None,
        };
        Ok(ScalarValue::Decimal128(average, self.to.0, self.to.1))
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
    to: (u8, i8),
}

impl GroupsAccumulator for Grouped {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.own.update_batch(values, groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let state = self.own.state(emit_to)?;
        let [counts, sums] = state.as_slice() else { return internal_err!("an average of {} columns", state.len()) };
        let counts = counts.as_primitive::<UInt64Type>();
        let average = |sum: Option<i256>, count: Option<u64>, from: i8| match (sum, count) {
            (Some(sum), Some(count)) if count > 0 => mean(sum, i128::from(count), from, self.to).map(Some),
            _ => Ok(None),
        };
        let averages = match sums.data_type() {
            DataType::Decimal128(_, from) => {
                let sums = sums.as_primitive::<Decimal128Type>().iter().map(|sum| sum.map(i256::from_i128));
                sums.zip(counts).map(|(sum, count)| average(sum, count, *from)).collect::<Result<Vec<_>>>()?
            }
            DataType::Decimal256(_, from) => {
                let sums = sums.as_primitive::<Decimal256Type>().iter();
                sums.zip(counts).map(|(sum, count)| average(sum, count, *from)).collect::<Result<Vec<_>>>()?
            }
            other => return internal_err!("an average of {other}"),
        };
        Ok(Arc::new(Decimal128Array::from(averages).with_precision_and_scale(self.to.0, self.to.1)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.own.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.own.merge_batch(values, groups, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.own.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.own.size()
    }
}
