//! The folder of a base model, as far as the daemon reads it.

use std::path::{Component, Path};
use wengu::{headers, model};
use wengu_decide::footprint::{self, Load};
use wengu_protocol::model_files::check_header;

/// The first byte says which file of the folder the rest is.
pub fn model_files(data: &[u8]) {
    let Some((&which, file)) = data.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str| std::fs::write(folder.path().join(name), file).expect("a temporary file");
    match which % 3 {
        0 => {
            write("config.json");
            config(folder.path());
        }
        1 => {
            write("model.safetensors");
            weights(folder.path(), file);
        }
        _ => {
            write("model.safetensors.index.json");
            index(folder.path());
        }
    }
}

/// What is reckoned from a shape that was taken stays within its numbers: panics tell of an overflow.
fn config(folder: &Path) {
    let _ = model::target_modules(folder);
    let Ok(described) = headers::describe(folder) else {
        return;
    };
    let shape = described.shape;
    assert!(shape.max_tokens >= 1 && shape.heads >= 1 && shape.layers >= 1);
    for (batch, tokens) in [(1, 1), (65_536, shape.max_tokens)] {
        let load = Load {
            batch,
            tokens,
            bytes: 4,
        };
        let sites = [(shape.hidden, shape.inner)];
        let most = footprint::to_train(&shape, u64::MAX, u64::MAX, &sites, load).total();
        assert!(most >= footprint::to_train_head(&shape, 1, 1, load).total());
        let sparing = footprint::to_train_sparing(&shape, 1, 1, &sites, load).total();
        assert!(sparing > 0 && footprint::to_serve(&shape, 1, load).total() > 0);
    }
}

/// The tensors are no more than the file holds.
fn weights(folder: &Path, file: &[u8]) {
    let Ok(tensors) = headers::tensors(folder) else { return };
    assert_eq!(check_header(file), Ok(()));
    let held: u64 = tensors.iter().map(headers::Tensor::bytes).sum();
    assert!(held <= file.len() as u64, "{held} bytes in a file of {}", file.len());
    let targets = ["q_proj".to_owned(), "a".to_owned()];
    let sites = headers::sites(&tensors, &targets);
    assert!(sites.len() <= tensors.len());
    let _ = footprint::lora_parameters(&sites, 4096);
    let numbers: u64 = tensors.iter().map(headers::Tensor::numbers).sum();
    assert!(headers::saved(&tensors, &targets) <= numbers);
}

/// The shards are files of the folder itself.
fn index(folder: &Path) {
    let Ok(names) = model::weights(folder) else { return };
    for name in names {
        let parts: Vec<_> = Path::new(&name).components().collect();
        assert!(matches!(parts[..], [Component::Normal(_)]), "{name:?}");
    }
}
