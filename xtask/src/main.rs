//! House work: `cargo xtask codegen|setup|test|tidy`.

mod codegen;

use std::path::Path;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "House work")]
enum Task {
    /// Generate crates/proto from proto/
    Codegen {
        /// Only check that the checked-in code is fresh
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match Task::parse() {
        Task::Codegen { check } => codegen::run(root, check),
    }
}
