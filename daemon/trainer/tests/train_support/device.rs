use wengu_protocol::job::Device;

/// Where the models of these tests compute: the processor, or the device that `WENGU_TEST_DEVICE` names as a configuration does.
pub fn device() -> Device {
    let named = std::env::var("WENGU_TEST_DEVICE");
    serde_json::from_value(named.unwrap_or("cpu".into()).into()).unwrap()
}
