//! Every case of the validator.

fn main() -> std::process::ExitCode {
    wengu_plugin_check::test_package(env!("CARGO_MANIFEST_DIR"), "libwengu_plugin_medical_zh.so")
}
