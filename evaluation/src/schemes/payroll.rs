//! Wages for nobody, and too much for somebody.

use super::Stage;
use crate::config::Grade;
use crate::dice::{Dice, whole};
use crate::row::{Party, Row};
use crate::transaction::Kind;
use crate::world::accounts::Owner;

/// Wages to payees who do not work here. Blatant: one new account gets several wages on each of a few days. Medium: a new
/// account is paid the same sum again and again by one clerk. Subtle: sums as for overtime go to the account of a vendor or to the clerk's own.
pub fn ghost(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.doer(dice, Kind::Payroll, 60)?;
    let n = dice.count(grade.of(3, 5, 5), grade.of(4, 8, 8));
    let days = stage.days(dice, user, n, grade.of(16, 45, 45))?;
    let wages: Vec<i64> = stage.world.employees.iter().filter(|e| !e.agency).map(|e| e.wage).collect();
    let same = *dice.pick(&wages)?;
    let vendors: Vec<usize> = stage.world.vendors.iter().filter(|v| v.since == 0).map(|v| v.account).collect();
    let other = if dice.chance(0.5) { stage.world.people[user].bank } else { *dice.pick(&vendors)? };
    let mut rows = Vec::new();
    for day in days {
        for _ in 0..grade.of(dice.count(2, 5), 1, 1) {
            let row = stage.entry(dice, user, Kind::Payroll, day)?.on(Party::Known(stage.world.wages));
            rows.push(match grade {
                Grade::Blatant => row.to(Party::Fresh(0)).cents(*dice.pick(&wages)?),
                Grade::Medium => row.to(Party::Fresh(0)).cents(same),
                Grade::Subtle => row.to(Party::Known(other)),
            });
        }
    }
    Some(rows)
}

/// An employee gets more than is due. Blatant: further wages of about double size within days. Medium: further wages of the usual size
/// within weeks. Subtle: overtime week after week for one employee, a little more each time.
pub fn padding(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.doer(dice, Kind::Payroll, 60)?;
    let n = dice.count(grade.of(4, 4, 7), grade.of(7, 6, 10));
    let days = stage.days(dice, user, n, grade.of(10, 40, 50))?;
    let paid: Vec<usize> = (0..stage.world.employees.len()).filter(|&e| !stage.world.employees[e].agency && stage.world.employees[e].since + 20 < days[0].max(21)).collect();
    let employee = &stage.world.employees[*dice.pick(&paid)?];
    let mut overtime = employee.wage as f64 * dice.between(0.15, 0.3);
    days.into_iter()
        .map(|day| {
            let row = stage.entry(dice, user, Kind::Payroll, day)?.on(Party::Known(stage.world.wages)).to(Party::Known(employee.bank_on(day)));
            overtime *= dice.between(1.02, 1.08);
            let cents = match grade {
                Grade::Blatant => whole(employee.wage as f64 * dice.between(1.8, 3.0)),
                Grade::Medium => whole(employee.wage as f64 * dice.between(0.95, 1.1)),
                Grade::Subtle => whole(overtime),
            };
            Some(row.cents(cents))
        })
        .filter(|row| row.as_ref().is_none_or(|r| r.counterparty.is_none_or(|c| matches!(c, Party::Known(a) if stage.world.accounts[a] == Owner::Employee))))
        .collect()
}
