//! Which connection a request to cancel is about.
//!
//! What must stay true: only who knows both numbers of a connection cancels on it; one that has ended is not kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wh_query::Session;

/// The connections that can be cancelled, by their session's number.
#[derive(Default)]
pub(super) struct Cancels {
    sessions: Mutex<HashMap<i32, Entry>>,
}

struct Entry {
    key: i32,
    session: Weak<Session>,
}

/// Keeps a connection known for as long as it is there.
pub(super) struct Known {
    cancels: Arc<Cancels>,
    id: i32,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.cancels.lock().remove(&self.id);
    }
}

impl Cancels {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i32, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a connection known.
    pub(super) fn know(self: &Arc<Self>, session: &Arc<Session>, key: i32) -> Known {
        let id = session.id();
        self.lock().insert(id, Entry { key, session: Arc::downgrade(session) });
        Known { cancels: Arc::clone(self), id }
    }

    /// Ends what runs on a connection, if the key is its own. Nothing tells the one who asks whether it was.
    pub(super) fn cancel(&self, id: i32, key: i32) {
        let session = self.lock().get(&id).filter(|entry| entry.key == key).and_then(|entry| entry.session.upgrade());
        if let Some(session) = session {
            let there = session.cancel();
            tracing::debug!(session = id, there, "cancelled by its client");
        }
    }
}
