//! Running the binary on a data folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A data folder, and settings without ports.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        std::fs::write(place.config(), "[http]\nlisten = \"\"\n[operations]\nlisten = \"\"\n[sql]\npostgres = \"\"\nflight = \"\"\nhttp = \"\"\n").unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("wardhouse.toml")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wardhouse"));
        command.args(args).arg("--data").arg(self.data()).arg("--config").arg(self.config());
        command.stdin(Stdio::null()).env_remove("RUST_LOG").env("NO_COLOR", "1");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with this code; what it said.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The answer to a statement as lines of CSV, without the header.
    pub(crate) fn sql(&self, statement: &str) -> Vec<String> {
        self.ok(&["sql", "--format", "csv", statement]).lines().skip(1).map(str::to_owned).collect()
    }

    /// Generates rows into a file.
    pub(crate) fn generate(&self, name: &str, count: u32, seed: u32) -> PathBuf {
        let path = self.path(name);
        let text = self.ok(&["generate", "--count", &count.to_string(), "--seed", &seed.to_string()]);
        std::fs::write(&path, text).unwrap();
        path
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
