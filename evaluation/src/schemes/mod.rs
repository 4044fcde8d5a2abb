//! Fraud. A scheme is a function from the hospital and its honest books to the rows of one incident.

pub mod amounts;
pub mod chains;
pub mod desk;
pub mod duplicates;
pub mod payees;
pub mod payroll;
pub mod splitting;
pub mod stage;
pub mod timing;
pub mod undoing;

pub use stage::Stage;

use crate::config::Grade;
use crate::dice::Dice;
use crate::row::Row;

/// A way to commit fraud.
///
/// An incident is a list of [`Row`]s, in any order, that are added to the honest books; honest rows cannot be changed or
/// removed. All of its rows are labelled as fraud, so leave out rows that an honest person would enter as well. Between 1 and
/// about 40 rows are usual.
///
/// What the generator does with them: sets `scenario` to [`Scheme::name`]; drops rows outside the warm-up's end and the
/// stream's end; opens an account for each [`Party::Fresh`](crate::row::Party::Fresh) number (equal within an incident, never
/// shared between incidents); resolves `Device::Strange(n)` to a device that the user has not used; gives a new number to
/// rows without a `reference`; and adds ids, fractions of seconds, description and metadata as for honest rows.
///
/// What a scheme should take care of: start from rows of the user's own ([`Stage::entry`], [`Stage::spend`]) and change what
/// the scheme is about, so that all else looks like that person; take days and moments from [`Stage::days`] and
/// [`Stage::moment`]; take all chance from `dice`. By grade: *blatant* is seen at once by a careful clerk who looks at the
/// user's last weeks, *medium* hides in one or two aspects, *subtle* keeps every row within the user's range so that only
/// relations between rows tell. [`Grade::of`] picks a parameter by grade.
///
/// ```
/// use wh_evaluation::{Config, Dice, Grade, Party, Row, Scheme, Stage, generate_with};
///
/// /// Somebody pays one new account the same amount again and again.
/// struct Rent;
///
/// impl Scheme for Rent {
///     fn name(&self) -> &'static str {
///         "rent"
///     }
///     fn incident(&self, stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
///         let user = stage.spender(dice)?;
///         let days = stage.days(dice, user, grade.of(12, 8, 5), grade.of(4, 20, 50))?;
///         let cents = stage.quantile(user, stage.spending(user)?, grade.of(0.99, 0.8, 0.5));
///         days.into_iter().map(|day| Some(stage.spend(dice, user, day)?.to(Party::Fresh(0)).cents(cents))).collect()
///     }
/// }
///
/// let config = Config { users: 40, days: 60, ..Config::default() };
/// let generated = generate_with(&config, 7, &[&Rent]);
/// assert!(generated.labels.iter().any(|l| l.fraud && l.scenario == "rent"));
/// ```
pub trait Scheme: Sync {
    /// Its name in labels and tables.
    fn name(&self) -> &'static str;

    /// Grades in which it makes sense.
    fn grades(&self) -> &'static [Grade] {
        &Grade::ALL
    }

    /// The rows of one incident; `None` if this draw found nobody or nothing suitable. The generator tries some more times.
    fn incident(&self, stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>>;
}

type Body = fn(&Stage<'_>, &mut Dice, Grade) -> Option<Vec<Row>>;

/// A scheme that is a plain function.
#[derive(Clone, Copy, Debug)]
pub struct Plain(&'static str, Body);

impl Scheme for Plain {
    fn name(&self) -> &'static str {
        self.0
    }

    fn incident(&self, stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
        (self.1)(stage, dice, grade)
    }
}

/// The schemes of the standard evaluation.
pub const STANDARD: [Plain; 21] = [
    Plain("amount_spike", amounts::spike),
    Plain("skimming", amounts::skimming),
    Plain("off_hours", timing::off_hours),
    Plain("burst", timing::burst),
    Plain("dormant_user", timing::dormant_user),
    Plain("takeover", timing::takeover),
    Plain("structuring", splitting::structuring),
    Plain("duplicate_claim", duplicates::claim),
    Plain("duplicate_payment", duplicates::payment),
    Plain("refund_pocketing", undoing::refunds),
    Plain("write_off_cycle", undoing::write_offs),
    Plain("lapping", undoing::lapping),
    Plain("escalating_payee", payees::escalating),
    Plain("shell_vendor", payees::shell),
    Plain("dormant_account", payees::dormant_account),
    Plain("ghost_payee", payroll::ghost),
    Plain("payroll_padding", payroll::padding),
    Plain("outside_role", desk::outside_role),
    Plain("round_trip", chains::round_trip),
    Plain("mule_in", chains::many_to_one),
    Plain("mule_out", chains::one_to_many),
];
