use super::Exit;
use super::args::{Dtype, ExportArgs};
use crate::export::{self, Exported};
use anyhow::Result;
use wengu_config::Config;
use wengu_protocol::merge::Precision;

/// `wengu export`.
pub fn export(config: &Config, args: &ExportArgs, json: bool) -> Result<Exit> {
    let (domain, version) = (args.domain.as_str(), args.version.as_deref());
    let done = match (&args.target.merged, &args.target.adapter) {
        (Some(out), _) => {
            let precision = args.dtype.map(|dtype| match dtype {
                Dtype::F32 => Precision::F32,
                Dtype::Bf16 => Precision::Bf16,
                Dtype::F16 => Precision::F16,
            });
            export::merged(config, domain, version, out, precision)?
        }
        (None, Some(out)) => export::adapter(config, domain, version, out)?,
        (None, None) => anyhow::bail!("say --merged FOLDER or --adapter FOLDER"),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&done)?);
    } else {
        print(&done);
    }
    Ok(Exit::Success)
}

fn print(done: &Exported) {
    let what = done.class.as_deref().unwrap_or("a PEFT adapter");
    println!(
        "Version {} of {} is in {}: {what}.",
        done.version,
        done.domain,
        done.path.display()
    );
    if let Some(head) = &done.head {
        println!("Note: {head}.");
    }
}
