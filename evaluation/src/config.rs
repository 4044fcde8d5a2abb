//! What a caller chooses. Everything else (population, rhythms, amounts, vendors, ids) is drawn from the seed.

use chrono::NaiveDate;

/// How well an incident hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grade {
    /// A careful clerk who looks at the user's last weeks sees it at once.
    Blatant,
    /// Hidden within the user's habits in one or two aspects.
    Medium,
    /// Each row lies within the user's normal range; only relations between rows tell.
    Subtle,
}

impl Grade {
    /// Every grade, the plainest first.
    pub const ALL: [Grade; 3] = [Grade::Blatant, Grade::Medium, Grade::Subtle];

    /// Its name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Grade::Blatant => "blatant",
            Grade::Medium => "medium",
            Grade::Subtle => "subtle",
        }
    }

    /// The value for this grade of a parameter that has one for each.
    #[must_use]
    pub fn of<T>(self, blatant: T, medium: T, subtle: T) -> T {
        match self {
            Grade::Blatant => blatant,
            Grade::Medium => medium,
            Grade::Subtle => subtle,
        }
    }
}

/// Size and mix of a stream.
#[derive(Clone, Debug)]
pub struct Config {
    /// People who enter transactions. Fewer than 24 leave some schemes without anybody to commit them.
    pub users: usize,
    /// Calendar days.
    pub days: usize,
    /// The first day, in the hospital's own zone.
    pub start: NaiveDate,
    /// Share of the transactions that are to be fraudulent, reached to within one incident.
    pub fraud_share: f64,
    /// Grades of the incidents, in about equal numbers.
    pub grades: Vec<Grade>,
}

impl Default for Config {
    /// 120 users, 100 days across a quarter's end, 0.75 % fraud in all grades: about 100,000 transactions.
    fn default() -> Self {
        Config { users: 120, days: 100, start: NaiveDate::from_ymd_opt(2026, 2, 2).unwrap_or_default(), fraud_share: 0.0075, grades: Grade::ALL.to_vec() }
    }
}

impl Config {
    /// First day on which fraud may occur: before it there is only honest work to learn from.
    #[must_use]
    pub fn warm_up(&self) -> usize {
        (self.days / 4).min(25)
    }
}
