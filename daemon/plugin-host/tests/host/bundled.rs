use crate::support::{Plugin, document};
use wengu_plugin_client::{ScoreInput, SegmentKind, Status};

fn legal() -> Plugin {
    Plugin::rust("plugins/legal-en/manifest.toml", "libwengu_plugin_legal_en.so")
}

fn medical() -> Plugin {
    Plugin::rust("plugins/medical-en/manifest.toml", "libwengu_plugin_medical_en.so")
}

#[tokio::test]
async fn contracts_are_segmented_labelled_and_scored() {
    let plugin = legal();
    let mut client = plugin.start().await.unwrap();
    let ready = client.ready().clone();
    assert_eq!(ready.descriptor.id, "dev.wengu.legal-en");
    assert_eq!(ready.labels.len(), 28);
    assert_eq!(Some(&ready.library_sha256), plugin.installed.manifest.sha256.as_ref());
    assert_eq!(ready.terms_sha256.len(), 64);

    let text = "This Agreement shall be governed by the laws of the State of New York. Page 3 of 12";
    let segments = client.segment(&[text, "第四条 合同"]).await.unwrap();
    let last = *segments[0].as_ref().unwrap().last().unwrap();
    assert_eq!(
        (last.kind, &text[last.begin as usize..]),
        (SegmentKind::Drop, "Page 3 of 12")
    );
    assert_eq!(segments[1].as_ref().unwrap().len(), 1);

    let votes = client.label(&[document(text)]).await.unwrap();
    let labels: Vec<_> = votes[0]
        .as_ref()
        .unwrap()
        .iter()
        .map(|v| &ready.labels[v.label as usize])
        .collect();
    assert!(
        !labels.is_empty() && labels.iter().all(|l| *l == "Governing Law"),
        "{labels:?}"
    );

    let item = |expected: &str, actual: &str| ScoreInput {
        input: text.into(),
        expected: expected.into(),
        actual: actual.into(),
        seed: 0,
    };
    let items = [
        item("License Grant", "License Grant"),
        item("License Grant", "Non-Transferable License"),
        item("?", "?"),
    ];
    let scores = client.score(&items).await.unwrap();
    assert_eq!(scores[0], Ok(vec![1.0, 1.0]));
    assert_eq!(scores[1], Ok(vec![0.0, 0.5]));
    assert_eq!(scores[2].as_ref().unwrap_err().status, Status::Input);
    client.stop().await;
}

#[tokio::test]
async fn two_processes_say_the_same_to_many_documents() {
    let plugin = medical();
    let documents: Vec<_> = (0..600)
        .map(|i| document(&format!("Case {i}: mutations in the CFTR gene cause it.")))
        .collect();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut client = plugin.start().await.unwrap();
        answers.push((client.ready().clone(), client.label(&documents).await.unwrap()));
        client.stop().await;
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].1.len(), 600);
    assert!(
        answers[0]
            .1
            .iter()
            .all(|a| a.as_ref().is_ok_and(|votes| !votes.is_empty()))
    );
}

#[tokio::test]
async fn a_bad_config_is_refused_in_the_plugins_words() {
    let ended = medical()
        .start_with(serde_json::json!({"min_confidence": 7}))
        .await
        .map(drop)
        .unwrap_err();
    assert!(
        ended
            .to_string()
            .contains("min_confidence is 7; it must be from 0 to 1"),
        "{ended}"
    );
}

#[test]
fn only_the_entry_symbol_is_exported() {
    for plugin in [legal(), medical()] {
        let library = plugin.installed.library();
        let output = std::process::Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(&library)
            .output();
        let symbols = String::from_utf8(output.expect("nm comes with the C compiler").stdout).unwrap();
        let names: Vec<_> = symbols.lines().filter_map(|l| l.split_whitespace().last()).collect();
        assert_eq!(names, ["wengu_entry_v1"], "{}", library.display());
    }
}
