//! What a server has said of a relation a moment ago.
//!
//! A survey is an estimate, by which joins are ordered and scans divided; asking a server for it before each query takes as long as many a
//! query itself.
//!
//! What must stay true: nothing that is answered depends on a survey; one is believed for a few seconds only; a server that fails is asked
//! again at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::errors::QueryError;
use crate::table::Survey;

/// How long a survey is believed.
const BELIEVED: Duration = Duration::from_secs(5);

/// The last survey of a relation.
#[derive(Debug, Default)]
pub(crate) struct Surveys(Mutex<Option<(Instant, Survey)>>);

impl Surveys {
    /// The last survey, or a new one where that is old.
    pub(crate) fn recent(&self, look: impl FnOnce() -> Result<Survey, QueryError>) -> Result<Survey, QueryError> {
        self.within(BELIEVED, look)
    }

    /// The last survey, unless it is old. Asks nobody.
    pub(crate) fn known(&self) -> Option<Survey> {
        self.younger_than(BELIEVED)
    }

    fn younger_than(&self, believed: Duration) -> Option<Survey> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|(at, _)| at.elapsed() < believed).map(|(_, survey)| survey.clone())
    }

    fn within(&self, believed: Duration, look: impl FnOnce() -> Result<Survey, QueryError>) -> Result<Survey, QueryError> {
        if let Some(survey) = self.younger_than(believed) {
            return Ok(survey);
        }
        // Not held while the server is asked: others may ask at the same time.
        let looked = look();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = looked.as_ref().ok().map(|survey| (Instant::now(), survey.clone()));
        looked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: usize) -> Survey {
        Survey { rows: Some(rows), keys: Vec::new() }
    }

    #[test]
    fn a_survey_is_believed_for_a_while() {
        let surveys = Surveys::default();
        assert_eq!(surveys.known(), None);
        assert_eq!(surveys.recent(|| Ok(rows(1))).unwrap(), rows(1));
        assert_eq!(surveys.recent(|| panic!("asked again")).unwrap(), rows(1));
        assert_eq!(surveys.known(), Some(rows(1)));
        assert_eq!(surveys.within(Duration::ZERO, || Ok(rows(2))).unwrap(), rows(2));
    }

    #[test]
    fn what_failed_is_forgotten() {
        let surveys = Surveys::default();
        assert_eq!(surveys.recent(|| Ok(rows(1))).unwrap(), rows(1));
        assert!(surveys.within(Duration::ZERO, || Err(QueryError::internal("away"))).is_err());
        assert_eq!(surveys.recent(|| Ok(rows(3))).unwrap(), rows(3));
    }
}
