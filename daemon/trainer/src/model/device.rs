//! Finds the device that a job asks for.

use std::ffi::{CStr, CString};
use std::sync::OnceLock;
use tch::Cuda;
use wengu_protocol::job::Device;

/// The part of libtorch that knows CUDA. Opened when the program runs: the same program runs where it is not.
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// libtorch's name of the device.
///
/// # Errors
/// A CUDA device that is not there, with what was looked for.
pub fn find(device: Device) -> Result<tch::Device, String> {
    let number = match device {
        Device::Cpu => return Ok(tch::Device::Cpu),
        Device::Auto => None,
        Device::Cuda(number) => Some(number),
    };
    // libtorch looks for CUDA once: the library has to be there before the first question.
    static OPENED: OnceLock<Result<(), String>> = OnceLock::new();
    let opened = OPENED.get_or_init(open_library);
    let found = match opened {
        Ok(()) => usize::try_from(Cuda::device_count()).unwrap_or(0),
        Err(_) => 0,
    };
    match (number, opened) {
        (None, _) if found == 0 => Ok(tch::Device::Cpu),
        (None, _) => Ok(tch::Device::Cuda(0)),
        (Some(number), _) if number < found => Ok(tch::Device::Cuda(number)),
        (Some(number), Err(why)) => Err(format!(
            "device \"cuda:{number}\": this libtorch has no CUDA ({why}); set LIBTORCH to one that has, or `device = \"cpu\"`"
        )),
        (Some(number), Ok(())) => Err(format!(
            "device \"cuda:{number}\" is not there: libtorch finds {found} CUDA devices"
        )),
    }
}

fn open_library() -> Result<(), String> {
    let name = CString::new(CUDA_LIBRARY).map_err(|e| e.to_string())?;
    // SAFETY: the name is a C string, and the library that it names is libtorch's own, of the version that is linked;
    // it stays open, so that nothing of it is used after it was closed.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: after a failed dlopen, dlerror gives a C string that is valid until the next call, or null.
    let error = unsafe { libc::dlerror() };
    if error.is_null() {
        return Err(format!("{CUDA_LIBRARY} cannot be opened"));
    }
    // SAFETY: not null, and copied at once.
    Err(unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_an_error_and_auto_finds_another() {
        assert_eq!(find(Device::Cpu), Ok(tch::Device::Cpu));
        let auto = find(Device::Auto).unwrap();
        let refused = find(Device::Cuda(999)).unwrap_err();
        assert!(refused.contains("cuda:999"), "{refused}");
        match find(Device::Cuda(0)) {
            Ok(device) => assert_eq!(auto, device),
            Err(_) => assert_eq!(auto, tch::Device::Cpu),
        }
    }
}
