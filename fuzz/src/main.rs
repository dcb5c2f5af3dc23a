//! Writes the seeds as corpora for libFuzzer: `cargo run -p muster-fuzz -- DIR` makes `DIR/<target>/seed-<number>`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let dir = std::env::args_os().nth(1).context("usage: muster-fuzz DIR")?;
    for target in muster_fuzz::TARGETS {
        let corpus = Path::new(&dir).join(target.name);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
