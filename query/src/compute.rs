//! Threads of their own for planning and computing.
//!
//! A sort or a join can hold its thread for long. Were it one of those that speak the protocols, nobody could connect, cancel or see a time
//! limit kept meanwhile.
//!
//! What must stay true: whoever asks waits and does not compute; letting go of what is awaited ends it at its next pause; nothing begins
//! before it is asked for.

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use futures::StreamExt;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

use crate::answer::crashed;
use crate::errors::QueryError;

/// Batches that wait between those who compute and those who send.
const WAITING: usize = 2;
/// Threads that may read stores at the same time.
const READERS: usize = 512;
/// Bytes of a thread's stack: plans are walked by recursion.
const STACK_BYTES: usize = 4 << 20;

/// The threads.
#[derive(Debug)]
pub(crate) struct Compute {
    /// Taken when it is shut down.
    runtime: Option<Runtime>,
    handle: Handle,
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
        Ok(Compute { runtime: Some(runtime), handle })
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

    /// The batches of `stream`, computed there.
    pub(crate) fn stream(&self, stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = stream.schema();
        let (inner, handle) = (Arc::clone(&schema), self.handle.clone());
        let begun = async move {
            let mut builder = RecordBatchReceiverStreamBuilder::new(inner, WAITING);
            let sender = builder.tx();
            let mut stream = stream;
            let computing = async move {
                while let Some(batch) = stream.next().await {
                    let is_last = batch.is_err();
                    if sender.send(batch).await.is_err() || is_last {
                        break;
                    }
                }
                Ok(())
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
}
