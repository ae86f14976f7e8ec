use crate::support::{Plugin, compile, document, repository};
use wengu_plugin_client::{PluginClient, Status};

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
    let client = plugin.start().await.unwrap();
    labels_weather(client).await;
}

/// Built against version 1.0 of the header and never again: what the contract promises.
#[tokio::test]
async fn a_binary_of_version_1_0_loads_and_labels() {
    if !cfg!(target_arch = "x86_64") {
        eprintln!("skipped: the binary that was kept is for x86-64");
        return;
    }
    let library = repository().join("tests/plugins/kept/libweather.so");
    let plugin = Plugin::install("tests/plugins/kept/manifest.toml", &library);
    labels_weather(plugin.start().await.unwrap()).await;
}

async fn labels_weather(mut client: PluginClient) {
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
