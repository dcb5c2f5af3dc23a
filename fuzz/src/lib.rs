//! Fuzz targets: for each parser of input that may be hostile, a function that takes any bytes, holds what comes out to
//! the rules, and panics where one is broken; and seeds, from which it is fun to begin.
//!
//! The same functions run in two ways: in the tests of this crate over the seeds and some thousand deterministic
//! mutations of them, and under libFuzzer for as long as one likes (see `CONTRIBUTING.md`).

mod mutate;
mod target;

pub use mutate::Mutator;

/// Something that takes hostile input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Takes any bytes and tells whether they were good; panics when a rule is broken.
    pub run: fn(&[u8]) -> bool,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Mutations in a test.
    pub mutations: u32,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "facts", run: target::facts::run, seeds: target::facts::seeds, mutations: 20_000 },
    Target { name: "report", run: target::report::run, seeds: target::report::seeds, mutations: 20_000 },
    Target { name: "csr", run: target::csr::run, seeds: target::csr::seeds, mutations: 10_000 },
    Target { name: "chain", run: target::chain::run, seeds: target::chain::seeds, mutations: 10_000 },
    Target { name: "files", run: target::files::run, seeds: target::files::seeds, mutations: 5_000 },
    Target { name: "filter", run: target::filter::run, seeds: target::filter::seeds, mutations: 20_000 },
    Target { name: "token", run: target::token::run, seeds: target::token::seeds, mutations: 20_000 },
    Target { name: "bundle", run: target::bundle::run, seeds: target::bundle::seeds, mutations: 5_000 },
    Target { name: "envelope", run: target::envelope::run, seeds: target::envelope::seeds, mutations: 5_000 },
    Target { name: "rule", run: target::rule::run, seeds: target::rule::seeds, mutations: 10_000 },
    Target { name: "mdatp", run: target::mdatp::run, seeds: target::mdatp::seeds, mutations: 15_000 },
    Target { name: "wdav", run: target::wdav::run, seeds: target::wdav::seeds, mutations: 15_000 },
    #[cfg(feature = "tpm")]
    Target { name: "tpm", run: target::tpm::run, seeds: target::tpm::seeds, mutations: 20_000 },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
