use crate::cases::CASES;
use crate::child::run_case_if_asked;
use crate::parent::{Options, Subject, check};
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A test program with every case as a test, for a `tests/validator.rs` with `harness = false`:
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     wengu_plugin_check::test_package(env!("CARGO_MANIFEST_DIR"), "libtriage.so")
/// }
/// ```
///
/// `library` is the cdylib's name; cargo puts it beside its test programs.
pub fn test_package(folder: &str, library: &str) -> ExitCode {
    if let Some(code) = run_case_if_asked() {
        return code;
    }
    let runner = std::env::current_exe().expect("this program has a path");
    let library = beside(&runner, library);
    let trials = CASES.iter().map(|case| {
        let subject = Subject {
            package: folder.into(),
            library: Some(library.clone()),
        };
        let options = Options {
            only: vec![case.name.to_owned()],
            ..Options::new(runner.clone())
        };
        Trial::test(case.name, move || {
            let report = check(&subject, &options, &mut |_| {}).map_err(|e| Failed::from(e.to_string()))?;
            let told: Vec<String> = report.cases.iter().map(ToString::to_string).collect();
            match report.passed && report.cases.len() == 1 {
                true => Ok(()),
                false => Err(Failed::from(told.join("\n"))),
            }
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn beside(runner: &Path, library: &str) -> PathBuf {
    runner.parent().unwrap_or(Path::new(".")).join(library)
}
