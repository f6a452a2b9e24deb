//! `gst-trt cache`

use gsttensorrt::error;
use std::path::PathBuf;
use std::process::ExitCode;
use tensorrt::{DEFAULT_LIMIT, EngineCache};

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the engine cache [default: $XDG_CACHE_HOME/gst-tensorrt]
    #[arg(long, global = true)]
    engine_cache: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Every engine, the most recently used first.
    List,
    /// Deletes every engine, and what is remembered of builds.
    Clear,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, error::Error> {
    let folder = arguments.engine_cache.clone().unwrap_or_else(EngineCache::default_folder);
    let cache = EngineCache::new(folder, DEFAULT_LIMIT);
    match arguments.command {
        Command::List => list(&cache)?,
        Command::Clear => {
            let (engines, bytes) = cache.clear()?;
            outln!("{engines} engines deleted, {:.1} MiB", mib(bytes));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(cache: &EngineCache) -> Result<(), error::Error> {
    let engines = cache.list()?;
    for engine in &engines {
        let days = engine.last_used.elapsed().unwrap_or_default().as_secs() / 86_400;
        outln!("{}  {:.1} MiB, used {days} days ago", engine.path.display(), mib(engine.size));
        match &engine.record {
            Some(record) => {
                let facts = &record.facts;
                let gpu = facts.gpu.as_ref().map_or("no GPU", |gpu| &gpu.name);
                outln!(
                    "  {}, {}, {gpu}, {:?}, batch {}",
                    record.model.display(),
                    facts.tensorrt,
                    facts.precision,
                    facts.batch_size
                );
            }
            None => outln!("  damaged: built again when it's needed"),
        }
    }
    let total = engines.iter().map(|engine| engine.size).sum();
    outln!("{} engines, {:.1} MiB in {}", engines.len(), mib(total), cache.folder().display());
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1048576.0
}
