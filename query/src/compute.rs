//! Threads of their own for planning and computing.
//!
//! A sort or a join can hold its thread for long. Were it one of those that speak the protocols, nobody could connect, cancel or see a time
//! limit kept meanwhile.
//!
//! What must stay true: whoever asks waits and does not compute; letting go of what is awaited ends it at its next pause; nothing begins
//! before it is asked for; a stream whose query has ended holds no store, whether anybody takes its batches or not; scans never hold all threads.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use futures::StreamExt;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::answer::crashed;
use crate::errors::QueryError;
use crate::watch::Watch;

/// Batches that wait between those who compute and those who send.
const WAITING: usize = 2;
/// Threads on which stores are read …
const READERS: usize = 512;
/// … and how many of them scans leave to what is asked of stores otherwise: surveys and positions, and what a store's own client does on threads.
const LEFT: usize = 64;
/// How long a scan waits for a thread. Those that are held for long are held by rows that nobody takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a thread's stack: plans are walked by recursion.
const STACK_BYTES: usize = 4 << 20;

/// The threads that scans may hold. Each holds one until its last row is taken: without a bound, whoever opened portals enough would leave none
/// to anybody else.
#[derive(Debug)]
pub(crate) struct Readers(Arc<Semaphore>);

impl Readers {
    /// The right to hold one.
    pub(crate) async fn one(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        self.within(PATIENCE).await
    }

    async fn within(&self, patience: Duration) -> Result<OwnedSemaphorePermit, QueryError> {
        match tokio::time::timeout(patience, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(QueryError::Busy { scans: READERS - LEFT }),
        }
    }
}

/// The threads.
#[derive(Debug)]
pub(crate) struct Compute {
    /// Taken when it is shut down.
    runtime: Option<Runtime>,
    handle: Handle,
    readers: Arc<Readers>,
}

impl Compute {
    /// Threads for queries that are divided into so many parts.
    pub(crate) fn start(parts: usize) -> Result<Compute, QueryError> {
        let runtime = Builder::new_multi_thread()
            // More than processors: who holds a thread for long shares the processors with the others.
            .worker_threads((parts * 2).clamp(4, 64))
            .max_blocking_threads(READERS)
            .thread_stack_size(STACK_BYTES)
            .thread_name("compute")
            .enable_all()
            .build()
            .map_err(|error| QueryError::internal(format!("cannot start threads: {error}")))?;
        let handle = runtime.handle().clone();
        Ok(Compute { runtime: Some(runtime), handle, readers: Arc::new(Readers(Arc::new(Semaphore::new(READERS - LEFT)))) })
    }

    /// The threads that scans may hold.
    pub(crate) fn readers(&self) -> Arc<Readers> {
        Arc::clone(&self.readers)
    }

    /// What `future` gives, computed there.
    pub(crate) async fn run<T: Send + 'static>(&self, future: impl Future<Output = Result<T, QueryError>> + Send + 'static) -> Result<T, QueryError> {
        let mut tasks = JoinSet::new();
        tasks.spawn_on(future, &self.handle);
        match tasks.join_next().await {
            Some(Ok(outcome)) => outcome,
            // It panicked, which ends the statement and nothing else.
            Some(Err(_)) | None => Err(crashed()),
        }
    }

    /// The batches of `stream`, computed there until `watch` ends them. Whoever takes none for long, as a portal that waits for its next FETCH,
    /// sees neither a time limit nor a cancellation: what is read for it is let go of here.
    pub(crate) fn stream(&self, stream: SendableRecordBatchStream, watch: Watch) -> SendableRecordBatchStream {
        let schema = stream.schema();
        let (inner, handle) = (Arc::clone(&schema), self.handle.clone());
        let begun = async move {
            let mut builder = RecordBatchReceiverStreamBuilder::new(inner, WAITING);
            let sender = builder.tx();
            let mut stream = stream;
            let computing = async move {
                let mut ended = pin!(watch.ended());
                let why = loop {
                    let batch = tokio::select! {
                        biased;
                        why = ended.as_mut() => break why,
                        batch = stream.next() => batch,
                    };
                    let Some(batch) = batch else { return Ok(()) };
                    let is_last = batch.is_err();
                    let is_taken = tokio::select! {
                        biased;
                        why = ended.as_mut() => break why,
                        sent = sender.send(batch) => sent.is_ok(),
                    };
                    if is_last || !is_taken {
                        return Ok(());
                    }
                };
                drop(stream);
                // So that nobody takes what came before for all.
                Err(DataFusionError::from(why))
            };
            builder.spawn_on(computing, &handle);
            builder.build()
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(begun).flatten()))
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Without waiting: who lets go of an engine may be a task itself.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn what_holds_a_thread_does_not_hold_those_who_wait() {
        let compute = Arc::new(Compute::start(1).unwrap());
        let busy = Arc::clone(&compute);
        let held = tokio::spawn(async move {
            busy.run(async {
                std::thread::sleep(std::time::Duration::from_millis(300));
                Ok(1)
            })
            .await
        });
        // This runtime has one thread, and that one would be held.
        assert_eq!(compute.run(async { Ok(2) }).await, Ok(2));
        assert!(!held.is_finished());
        assert_eq!(held.await.unwrap(), Ok(1));
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let compute = Compute::start(1).unwrap();
        let outcome: Result<(), QueryError> = compute.run(async { panic!("a fault in a plan") }).await;
        assert_eq!(outcome.unwrap_err().sqlstate(), "XX000");
    }

    #[tokio::test]
    async fn a_scan_waits_for_a_thread_and_not_for_ever() {
        let compute = Compute::start(1).unwrap();
        let readers = compute.readers();
        let mut held = Vec::new();
        for _ in 0..READERS - LEFT {
            held.push(readers.one().await.unwrap());
        }
        assert_eq!(readers.within(Duration::from_millis(10)).await.unwrap_err(), QueryError::Busy { scans: READERS - LEFT });
        held.pop();
        assert!(readers.one().await.is_ok());
    }

    /// A stream without an end, and what is cancelled when it is let go of.
    fn endless() -> (SendableRecordBatchStream, CancellationToken) {
        let (schema, gone) = (Arc::new(Schema::empty()), CancellationToken::new());
        let (batch, held) = (RecordBatch::new_empty(Arc::clone(&schema)), gone.clone().drop_guard());
        let batches = futures::stream::repeat_with(move || {
            let _held = &held;
            Ok::<_, DataFusionError>(batch.clone())
        });
        (Box::pin(RecordBatchStreamAdapter::new(schema, batches)), gone)
    }

    #[tokio::test]
    async fn what_nobody_takes_is_let_go_of_when_its_query_ends() {
        let compute = Compute::start(1).unwrap();
        let stop = CancellationToken::new();
        let soon = Instant::now() + Duration::from_millis(50);
        let told = Watch { stop: stop.clone(), deadline: None };
        let overdue = Watch { stop: CancellationToken::new(), deadline: Some(soon) };
        for (watch, why) in [(told, QueryError::Cancelled), (overdue, QueryError::Timeout)] {
            let (stream, gone) = endless();
            let mut stream = compute.stream(stream, watch);
            let mut told = stream.next().await.and_then(Result::err);
            stop.cancel();
            // Nobody takes another batch.
            tokio::time::timeout(Duration::from_secs(30), gone.cancelled()).await.unwrap();
            while let Some(batch) = stream.next().await {
                told = told.or(batch.err());
            }
            assert_eq!(told.map(QueryError::from), Some(why));
        }
    }
}
