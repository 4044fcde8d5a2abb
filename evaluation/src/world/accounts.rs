//! The accounts: the hospital's own, and those of vendors, insurers, employees and patients.

use crate::transaction::Department;

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The hospital's own.
    Internal,
    /// A vendor's.
    Vendor,
    /// An insurer's.
    Insurer,
    /// An employee's bank account.
    Employee,
    /// A patient's customer account.
    Patient,
    /// A bank account or card that a patient pays from.
    PatientBank,
    /// Opened by an incident.
    Fresh,
}

/// A department's own accounts and tariffs.
#[derive(Clone, Debug)]
pub struct Ward {
    /// Which.
    pub department: Department,
    /// Costs are booked here.
    pub cost: usize,
    /// Income is booked here.
    pub income: usize,
    /// The cash desk.
    pub desk: usize,
    /// Further accounts: projects, third-party funds.
    pub further: Vec<usize>,
    /// Tariffs in cents, the commonest first.
    pub tariffs: Vec<i64>,
}

impl Ward {
    /// All its internal accounts.
    #[must_use]
    pub fn internal(&self) -> Vec<usize> {
        let mut all = vec![self.cost, self.income, self.desk];
        all.extend(&self.further);
        all
    }
}

/// A patient as the books know one.
#[derive(Clone, Copy, Debug)]
pub struct Patient {
    /// Customer account.
    pub account: usize,
    /// Where money comes from and refunds go to; the department's cash desk for those who pay in cash.
    pub bank: usize,
    /// Insurer.
    pub insurer: usize,
}

/// Somebody on the payroll.
#[derive(Clone, Debug)]
pub struct Employee {
    /// Bank account.
    pub bank: usize,
    /// From that day on another bank account.
    pub changes: Option<(usize, usize)>,
    /// Wage in cents a run.
    pub wage: i64,
    /// First day of employment.
    pub since: usize,
    /// Paid weekly by hand instead of in the runs.
    pub agency: bool,
    /// Whose wages these are: place in the department list.
    pub department: Department,
}

impl Employee {
    /// The bank account on that day.
    #[must_use]
    pub fn bank_on(&self, day: usize) -> usize {
        match self.changes {
            Some((from, bank)) if day >= from => bank,
            _ => self.bank,
        }
    }
}
