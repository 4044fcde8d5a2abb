//! Faults of settings, collected so that all are told at once.

/// One sentence a fault, each beginning with the setting's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<String>);

impl Faults {
    /// None yet.
    #[must_use]
    pub fn new() -> Faults {
        Faults::default()
    }

    /// Adds a sentence.
    pub fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
    }

    /// `value` where it lies within the bounds; otherwise a fault, and the nearest bound.
    pub fn within(&mut self, name: &str, value: u64, from: u64, to: u64) -> u64 {
        if value < from || value > to {
            self.add(format!("{name} = {value}: expected {from} to {to}"));
        }
        value.clamp(from, to)
    }

    /// What is in `result`; otherwise a fault, and the default.
    pub fn take<T: Default>(&mut self, result: Result<T, String>) -> T {
        result.unwrap_or_else(|fault| {
            self.add(fault);
            T::default()
        })
    }

    /// `value` where there was no fault.
    ///
    /// # Errors
    /// The sentences.
    pub fn unless_any<T>(self, value: T) -> Result<T, Vec<String>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_all_at_once() {
        let mut faults = Faults::new();
        assert_eq!((faults.within("a", 5, 1, 9), faults.within("b", 50, 1, 9)), (5, 9));
        assert_eq!(faults.take::<u8>(Err("c = x: no".to_owned())), 0);
        assert_eq!(faults.unless_any(()).unwrap_err(), ["b = 50: expected 1 to 9", "c = x: no"]);
    }
}
