//! What the framework reports when something fails, with the reason where it is known.

use std::fmt;

/// Where a call was on its way when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Making memory.
    Surface,
    /// Turning text into a program of the engine.
    Compile,
    /// Bringing a compiled program to the engine.
    Load,
    /// Looking at a request, before anything runs.
    Request,
    /// Running.
    Evaluate,
}

/// A failure as the framework reports it (section 1.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where it happened.
    pub stage: Stage,
    /// The `NSError`'s domain.
    pub domain: &'static str,
    /// The `NSError`'s code.
    pub code: i64,
    /// The `NSError`'s description.
    pub text: String,
    /// The description of the error below it, if there is one.
    pub underlying: Option<String>,
    /// Why, as far as known: an emulator knows, hardware seldom says.
    pub reasons: Vec<Reason>,
}

/// One known cause of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The constraint's number, `C12`, or the section of the facts, `2.2`.
    pub constraint: String,
    /// What hit it: the value's name, what was found.
    pub found: String,
    /// The way round it.
    pub fix: String,
}

impl Failure {
    /// Domain of everything but the compiler.
    pub const RUNTIME: &'static str = "com.apple.appleneuralengine";
    /// Domain of the compiler.
    pub const COMPILER: &'static str = "com.apple.appleneuralengine.compiler";

    /// A time-out.
    pub const TIMEOUT: i64 = 3;
    /// A program that could not be brought to the engine.
    pub const PROGRAM_LOAD: i64 = 6;
    /// An inference that failed, with a status in its text.
    pub const INFERENCE: i64 = 8;
    /// A surface that could not be mapped.
    pub const SURFACE_MAP: i64 = 13;
    /// A file that is not there.
    pub const FILE_NOT_FOUND: i64 = 16;
    /// A program that is not, or no longer, loaded.
    pub const PROGRAM_NOT_FOUND: i64 = 23;
    /// An argument that cannot be.
    pub const BAD_ARGUMENT: i64 = 26;

    /// The compiler's only code, whatever the cause.
    pub fn compile(underlying: impl Into<String>, reasons: Vec<Reason>) -> Self {
        Self {
            stage: Stage::Compile,
            domain: Self::COMPILER,
            code: 1,
            text: "_ANECompiler : ANECCompile() FAILED".to_owned(),
            underlying: Some(underlying.into()),
            reasons,
        }
    }

    /// A failure of the runtime.
    pub fn runtime(stage: Stage, code: i64, text: impl Into<String>) -> Self {
        let (text, domain) = (text.into(), Self::RUNTIME);
        Self { stage, domain, code, text, underlying: None, reasons: Vec::new() }
    }

    /// An inference that ended with `status`: 0x1d for surfaces, shapes and sizes that do not fit.
    pub fn status(status: u32) -> Self {
        let text = format!(
            "ANEProgramProcessRequestDirect() Failed with status=0x{status:x} : statusType=0x9: \
             Program Inference error"
        );
        Self::runtime(Stage::Evaluate, Self::INFERENCE, text)
    }

    /// The same with a reason more.
    #[must_use]
    pub fn because(
        mut self,
        constraint: &str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (found, fix) = (found.into(), fix.into());
        self.reasons.push(Reason { constraint: constraint.to_owned(), found, fix });
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (domain {}, code {})", self.text, self.domain, self.code)?;
        if let Some(underlying) = &self.underlying {
            write!(f, ": {underlying}")?;
        }
        for Reason { constraint, found, fix } in &self.reasons {
            write!(f, "\n  {constraint}: {found}; {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
