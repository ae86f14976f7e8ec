use crate::support::{Plugin, compile, document, repository};
use wengu_plugin_client::Status;

#[tokio::test]
async fn the_example_in_one_c_file_labels() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libweather.so");
    let script = repository().join("plugin-api/include/wengu_plugin.version");
    let script = format!("-Wl,--version-script={}", script.display());
    compile(
        &repository().join("examples/plugin-c/weather.c"),
        &library,
        &["-pedantic", &script],
    );
    let plugin = Plugin::install("examples/plugin-c/manifest.toml", &library);
    let mut client = plugin.start().await.unwrap();
    assert_eq!(client.ready().labels, ["rain", "snow", "sunshine"]);
    assert_eq!(client.ready().descriptor.domain, "weather");
    let documents = [document("heavy rain, then sun"), document(""), document("大雪")];
    let outcomes = client.label(&documents).await.unwrap();
    let labels: Vec<u32> = outcomes[0].as_ref().unwrap().iter().map(|v| v.label).collect();
    assert_eq!(labels, [0, 2]);
    assert_eq!(outcomes[1].as_ref().unwrap_err().status, Status::Input);
    assert_eq!(outcomes[2].as_ref().unwrap().len(), 0);
    client.stop().await;
}
