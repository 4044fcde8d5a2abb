//! The pipeline under test, in processes of its own: this same binary on places of its own, so that what it uses is told apart from what
//! sends and reads back.
//!
//! What must stay true: it is stopped whatever happens to the measurement: each process holds one end of a pipe whose other end is here, and
//! ends when that closes, which the system does however this process ends; what it said last is told where it ends by itself.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::processes::Watched;

/// How long processes may take to open their stores and take up their groups.
const READY: Duration = Duration::from_secs(120);
/// How long they may take to settle and leave their groups.
const STOP: Duration = Duration::from_secs(16);
const LOOK: Duration = Duration::from_millis(50);
/// Lines of what a process said last.
const LAST_LINES: usize = 8;

/// The roles of the stages, in the order of the data's way.
const STAGES: [&str; 7] = ["intake", "scorer", "patterns", "ledger", "documents", "metrics", "search"];
/// Lets a process end when its standard input does.
const ENDS_WITH_US: &str = "--until-input-ends";
/// The role that takes transactions over HTTP.
const HTTP: &str = "http";

/// How the pipeline is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The binary.
    pub binary: PathBuf,
    /// What stands before the command: `--config FILE`, `--data DIR`.
    pub arguments: Vec<String>,
    /// Settings that differ from those of the user, as environment variables.
    pub environment: Vec<(String, String)>,
    /// Where what it says goes.
    pub folder: PathBuf,
}

/// One process of it.
#[derive(Debug)]
struct Process {
    name: String,
    child: Child,
    said: PathBuf,
    complained: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The processes of the pipeline. Dropping it ends them at once.
#[derive(Debug)]
pub struct Pipeline {
    processes: Vec<Process>,
    /// Where transactions are taken over HTTP, where that was asked for.
    pub http: Option<String>,
}

impl Pipeline {
    /// Starts it: all stages in one process, or one process a stage. Returns when every one of them runs.
    ///
    /// # Errors
    /// A sentence with what was said last.
    pub async fn start(program: &Program, by_stage: bool, with_http: bool) -> Result<Pipeline, String> {
        let mut roles: Vec<&str> = STAGES.to_vec();
        if with_http {
            roles.push(HTTP);
        }
        let mut pipeline = Pipeline { processes: Vec::new(), http: None };
        if by_stage {
            for role in &roles {
                pipeline.processes.push(spawn(program, role, &[role])?);
            }
        } else {
            pipeline.processes.push(spawn(program, "pipeline", &roles)?);
        }
        let begun = Instant::now();
        loop {
            if let Some(ended) = pipeline.ended() {
                return Err(ended);
            }
            let said: Vec<String> = pipeline.processes.iter().map(|process| std::fs::read_to_string(&process.said).unwrap_or_default()).collect();
            if said.iter().all(|said| said.lines().any(|line| line.starts_with("running "))) {
                pipeline.http = said.iter().find_map(|said| said.lines().find_map(|line| line.strip_prefix("taking transactions on ")).map(str::to_owned));
                break;
            }
            if begun.elapsed() > READY {
                return Err(format!("the pipeline is not ready after {} seconds{}", READY.as_secs(), pipeline.complaints()));
            }
            tokio::time::sleep(LOOK).await;
        }
        if with_http && pipeline.http.is_none() {
            return Err("the pipeline takes nothing over HTTP".to_owned());
        }
        Ok(pipeline)
    }

    /// What is to be watched of it.
    #[must_use]
    pub fn watched(&self) -> Vec<Watched> {
        self.processes.iter().map(|process| Watched { name: process.name.clone(), pid: process.child.id(), ours: true, with_descendants: true }).collect()
    }

    /// The sentence that says which process has ended, where one has.
    pub fn ended(&mut self) -> Option<String> {
        let ended = self.processes.iter_mut().find_map(|process| match process.child.try_wait() {
            Ok(Some(status)) => Some((process.name.clone(), status.to_string())),
            Ok(None) => None,
            Err(error) => Some((process.name.clone(), error.to_string())),
        });
        ended.map(|(name, status)| format!("the measured process {name} ended ({status}){}", self.complaints()))
    }

    /// What the processes complained of last, for a message.
    fn complaints(&self) -> String {
        let mut told = String::new();
        for process in &self.processes {
            let text = std::fs::read_to_string(&process.complained).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            if !last.is_empty() {
                told.push_str(&format!("\n{} said:\n  {}", process.name, last.join("\n  ")));
            }
        }
        told
    }

    /// Asks every process to stop, and waits until it has left its groups; one that takes too long is ended.
    pub async fn stop(mut self) {
        for process in &self.processes {
            if let Ok(pid) = i32::try_from(process.child.id()) {
                // One that has ended already is as good.
                let _asked = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
        let begun = Instant::now();
        while begun.elapsed() < STOP && self.processes.iter_mut().any(|process| matches!(process.child.try_wait(), Ok(None))) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn spawn(program: &Program, name: &str, roles: &[&str]) -> Result<Process, String> {
    let (said, complained) = (program.folder.join(format!("{name}.out")), program.folder.join(format!("{name}.err")));
    let file = |path: &PathBuf| File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()));
    let mut command = Command::new(&program.binary);
    command.args(&program.arguments).arg("run").args(roles).arg(ENDS_WITH_US).envs(program.environment.iter().map(|(name, value)| (name, value)));
    // A group of its own: Ctrl-C is for whoever measures, who then stops it in order.
    // Nothing is ever written into its input: `Child` keeps the other end open for as long as this process lives.
    command.stdin(Stdio::piped()).stdout(file(&said)?).stderr(file(&complained)?).process_group(0);
    let child = command.spawn().map_err(|error| format!("cannot start {}: {error}", program.binary.display()))?;
    Ok(Process { name: name.to_owned(), child, said, complained })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &std::path::Path, text: &str) -> Program {
        let script = folder.join("wardhouse");
        std::fs::write(&script, text).unwrap();
        let arguments = vec![script.display().to_string(), "--data".to_owned(), "x".to_owned()];
        Program { binary: PathBuf::from("/bin/sh"), arguments, environment: vec![("SAID".to_owned(), "no".to_owned())], folder: folder.to_owned() }
    }

    #[tokio::test]
    async fn a_pipeline_is_ready_when_it_says_so_and_is_stopped_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo \"$@\" > \"$0.args\"\necho 'taking transactions on http://127.0.0.1:1/v1/transactions'\necho 'running everything; Ctrl-C stops'\nexec sleep 60";
        let mut pipeline = Pipeline::start(&program(folder.path(), script), false, true).await.unwrap();
        assert_eq!(pipeline.http.as_deref(), Some("http://127.0.0.1:1/v1/transactions"));
        assert!(pipeline.ended().is_none() && pipeline.watched().len() == 1);
        let begun = Instant::now();
        pipeline.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        let arguments = std::fs::read_to_string(folder.path().join("wardhouse.args")).unwrap();
        assert_eq!(arguments.trim(), "--data x run intake scorer patterns ledger documents metrics search http --until-input-ends");
    }

    #[tokio::test]
    async fn its_input_ends_with_whoever_started_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo 'running everything; Ctrl-C stops'\ncat > /dev/null\necho gone > \"$0.gone\"\nexec sleep 60";
        let mut pipeline = Pipeline::start(&program(folder.path(), script), false, false).await.unwrap();
        let gone = folder.path().join("wardhouse.gone");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!gone.exists());
        drop(pipeline.processes[0].child.stdin.take().unwrap());
        let begun = Instant::now();
        while !gone.exists() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not learn of it");
            tokio::time::sleep(LOOK).await;
        }
    }

    #[tokio::test]
    async fn one_that_ends_is_told_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let told = Pipeline::start(&program(folder.path(), "echo \"out of luck: $SAID\" >&2; exit 3"), false, false).await.unwrap_err();
        assert!(told.contains("ended") && told.contains("out of luck: no"), "{told}");
    }
}
