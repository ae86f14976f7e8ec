//! What can go wrong in a job, with the end that it means for the job.

use std::io;
use std::path::Path;
use tch::TchError;
use wengu_protocol::job::JobEnd;

/// An error that ends a job.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TrainerError {
    /// How the job ends.
    pub end: JobEnd,
    /// For people: what was wrong, where, what to do.
    pub message: String,
}

impl TrainerError {
    /// An error with this end and message.
    pub fn new(end: JobEnd, message: impl Into<String>) -> TrainerError {
        let message = message.into();
        let is_of_what_was_read = matches!(
            end,
            JobEnd::BadJob | JobEnd::BadModel | JobEnd::BadData | JobEnd::Internal
        );
        if is_of_what_was_read && is_out_of_memory(&message) {
            // A file that there was no memory to read is no bad file; what to do about one, and libtorch's backtrace, come behind.
            let short = message.split(['\n', ';']).next().unwrap_or_default().trim();
            return TrainerError {
                end: JobEnd::OutOfMemory,
                message: short.to_owned(),
            };
        }
        TrainerError { end, message }
    }

    /// A failure to read or write a file of the given kind.
    pub fn at(end: JobEnd, path: &Path, error: impl std::fmt::Display) -> TrainerError {
        TrainerError::new(end, format!("{}: {error}", path.display()))
    }

    /// The same error with a word on what was being done.
    pub fn context(self, doing: impl std::fmt::Display) -> TrainerError {
        TrainerError {
            end: self.end,
            message: format!("{doing}: {}", self.message),
        }
    }
}

impl From<TchError> for TrainerError {
    fn from(error: TchError) -> TrainerError {
        let text = error.to_string();
        // libtorch adds a C++ backtrace of twenty lines.
        let mut first = text.lines().next().unwrap_or_default().trim().to_owned();
        if first.contains(NO_PRIMITIVE) {
            first += " (its kernel is compiled into memory, of which there was too little, or none that is writable and executable)";
        }
        let end = if is_out_of_memory(&text) {
            JobEnd::OutOfMemory
        } else {
            JobEnd::Internal
        };
        TrainerError::new(end, format!("libtorch: {first}"))
    }
}

impl From<io::Error> for TrainerError {
    fn from(error: io::Error) -> TrainerError {
        let end = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::ReadOnlyFilesystem => JobEnd::WriteFailed,
            io::ErrorKind::OutOfMemory => JobEnd::OutOfMemory,
            _ => JobEnd::Internal,
        };
        TrainerError::new(end, error.to_string())
    }
}

/// What oneDNN says where it has no memory for a kernel.
const NO_PRIMITIVE: &str = "could not create a primitive";

fn is_out_of_memory(text: &str) -> bool {
    let text = text.to_lowercase();
    let signs = [
        "out of memory",
        "can't allocate memory",
        "cannot allocate memory",
        "std::bad_alloc",
        // libtorch had no memory to say so.
        "error computing error::what()",
        NO_PRIMITIVE,
    ];
    signs.iter().any(|sign| text.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_libtorch_error_keeps_one_line_and_knows_when_memory_was_short() {
        let backtrace = "The size of tensor a (3) must match\nframe #0: c10::Error\nframe #1: at::native";
        let error = TrainerError::from(TchError::Torch(backtrace.into()));
        assert_eq!(error.end, JobEnd::Internal);
        assert_eq!(error.message.lines().count(), 1);
        assert!(error.message.contains("must match") && !error.message.contains("frame"));

        let text =
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried";
        assert_eq!(
            TrainerError::from(TchError::Torch(text.into())).end,
            JobEnd::OutOfMemory
        );
    }

    #[test]
    fn a_file_that_there_is_no_memory_for_is_no_bad_file() {
        let path = Path::new("/versions/1/fisher.safetensors");
        let libtorch = "tensor `a`: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried\nframe #0: c10\n; take it again";
        let system = io::Error::from_raw_os_error(12).to_string() + "; take it again";
        for error in [libtorch, &system, "out of memory; take it again"] {
            let error = TrainerError::at(JobEnd::BadModel, path, error);
            assert_eq!(error.end, JobEnd::OutOfMemory, "{error}");
            assert!(
                error.message.contains("fisher.safetensors") && !error.message.contains("again"),
                "{error}"
            );
            assert_eq!(error.message.lines().count(), 1);
        }
        let error = TrainerError::at(JobEnd::BadModel, path, "not a safetensors file; take it again");
        assert!(error.end == JobEnd::BadModel && error.message.contains("again"));
    }

    #[test]
    fn a_full_disk_is_a_failed_write() {
        assert_eq!(
            TrainerError::from(io::Error::from(io::ErrorKind::StorageFull)).end,
            JobEnd::WriteFailed
        );
    }

    #[test]
    fn libtorch_itself_reports_a_refused_allocation_as_out_of_memory() {
        let error = tch::Tensor::f_zeros([1 << 45], (tch::Kind::Double, tch::Device::Cpu)).unwrap_err();
        let error = TrainerError::from(error);
        assert_eq!(error.end, JobEnd::OutOfMemory, "{error}");
    }
}
