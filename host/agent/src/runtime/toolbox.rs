//! The tools that every pod finds beside its own programs.

use std::sync::Arc;

use coracle_host_sandbox::Program;

use crate::programs::{BuildProgramError, ProgramCache};

/// What the toolbox can be called as. The same list is in the guest, which a test holds against this one.
pub(crate) const TOOLS: [&str; 25] = [
    "[", "cat", "cp", "date", "echo", "env", "false", "find", "grep", "head", "hostname", "ls", "mkdir", "mv",
    "printenv", "pwd", "rm", "sleep", "tail", "tar", "test", "touch", "true", "wc", "wget",
];

/// One program with many names, compiled when the first of them is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Toolbox {
    programs: ProgramCache,
    wasm: &'static [u8],
}

impl Toolbox {
    pub(crate) fn new(programs: ProgramCache, wasm: &'static [u8]) -> Self {
        Self { programs, wasm }
    }

    /// The tool's name, if there is such a tool.
    pub(crate) fn find(&self, word: &str) -> Option<&'static str> {
        let name = word.rsplit('/').next().unwrap_or(word);
        TOOLS.into_iter().find(|tool| *tool == name)
    }

    pub(crate) async fn program(&self) -> Result<Program, Arc<BuildProgramError>> {
        self.programs.builtin(self.wasm).await
    }
}
