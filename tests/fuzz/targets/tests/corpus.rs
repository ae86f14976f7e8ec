//! Every file of the corpus goes through its target, without a fuzzer: what was found once stays found.

use std::path::Path;
use std::time::{Duration, Instant};
use wengu_fuzz_targets::TARGETS;

/// For the slowest file on a busy machine, without optimisation.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn every_file_of_the_corpus_is_survived() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for (name, target) in TARGETS {
        let mut files = 0;
        for entry in std::fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            let began = Instant::now();
            if let Err(panic) = std::panic::catch_unwind(|| target(&data)) {
                eprintln!("{} fails {name}", path.display());
                std::panic::resume_unwind(panic);
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{} took {:?}",
                path.display(),
                began.elapsed()
            );
            files += 1;
        }
        assert!(files > 0, "the corpus of {name} is empty");
    }
}

#[test]
fn the_corpus_has_no_folder_without_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for entry in std::fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|(known, _)| *known == name), "{name} is no target");
    }
}
