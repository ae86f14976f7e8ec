use super::Exit;
use super::args::InitArgs;
use anyhow::{Context, Result, bail};
use wengu_store::durable;

pub fn init(args: &InitArgs) -> Result<Exit> {
    let path = args.dir.join("wengu.toml");
    if path.exists() {
        bail!(
            "{} exists already; move it away, or edit it and run `wengu check`",
            path.display()
        );
    }
    let inbox = args.dir.join("inbox").join(&args.domain);
    std::fs::create_dir_all(&inbox).with_context(|| inbox.display().to_string())?;
    let secret = args.dir.join("webhook.secret");
    if !secret.exists() {
        let text = format!("{}\n", wengu_alert::secret::Secret::generate()?.reveal());
        durable::create_file(&secret, text.as_bytes(), 0o600).with_context(|| secret.display().to_string())?;
    }
    let key = args.dir.join("wengu.key");
    if args.encrypt && !key.exists() {
        super::key::new(&key)?;
    }
    let model = match &args.model {
        Some(dir) => std::path::absolute(dir)?.display().to_string(),
        None => "models/all-MiniLM-L6-v2".into(),
    };
    let text = config_text(args, &model);
    if let Err(problems) = wengu_config::parse(&text, &path) {
        bail!("the names given do not make a configuration:\n{problems}");
    }
    durable::create_file(&path, text.as_bytes(), 0o666).with_context(|| path.display().to_string())?;
    println!(
        "Wrote {}, {} and {}.",
        path.display(),
        inbox.display(),
        secret.display()
    );
    if args.encrypt {
        println!(
            "Without {} nobody reads what will be kept: keep a copy, not beside the backups.",
            key.display()
        );
    }
    println!("Next:");
    if args.model.is_none() {
        println!("  wengu model pull sentence-transformers/all-MiniLM-L6-v2   # or set [models.base] path");
    }
    println!("  wengu --config {} check", path.display());
    println!("  wengu --config {} run", path.display());
    println!("Then drop case files into {}.", inbox.display());
    Ok(Exit::Success)
}

fn config_text(args: &InitArgs, model: &str) -> String {
    let (domain, plugin) = (args.domain.as_str(), args.plugin.as_deref());
    let encryption = match args.encrypt {
        true => "\n[encryption]\nkey_file = \"wengu.key\"\n",
        false => "",
    };
    let quoted = toml::Value::from(domain).to_string();
    let plugin = match plugin {
        Some(id) => format!("plugin = {}", toml::Value::from(id)),
        None => "# plugin = \"dev.wengu.legal-en\"   # segments, labels and scores; see `wengu plugin list`".into(),
    };
    format!(
        "# wengu's configuration. `wengu check` names every error at once; daemon/config/src/example.toml has all keys.\n\
         state_dir = \"state\"\n{encryption}\n\
         [models.base]\n\
         path = {model}          # a Hugging Face folder: config.json, model.safetensors, tokenizer.json\n\n\
         [domains.{quoted}]\n\
         watch = [{inbox}]\n\
         model = \"base\"\n\
         {plugin}\n\n\
         [domains.{quoted}.intake]\n\
         text_field = \"text\"       # of .json, .jsonl, .csv and .tsv records\n\
         label_field = \"label\"\n\
         # case_field = \"doc\"      # which case a record belongs to; without it a file is one case\n\n\
         [domains.{quoted}.schedule]\n\
         cron = \"0 2 * * *\"        # every night at two, if there is enough that is new\n\
         timezone = \"UTC\"\n\
         min_new_examples = 50\n\n\
         # [webhooks.oncall]\n\
         # url = \"https://alerts.example.org/wengu\"\n\
         # secret_file = \"webhook.secret\"\n",
        model = toml::Value::from(model),
        inbox = toml::Value::from(format!("inbox/{domain}")),
    )
}
