//! Each target over its seeds and some thousand mutations of them.

use muster_fuzz::{Mutator, target};

/// Where the mutations begin; another number tries others.
const NUMBER: u64 = 20_260_101;

fn smoke(name: &str) {
    let target = target(name).expect("there is such a target");
    let seeds = (target.seeds)();
    let run = |input: &[u8]| {
        // Some seeds have keys that are made anew each time, so only the input itself tells what it was.
        let outcome = std::panic::catch_unwind(|| (target.run)(input));
        assert!(outcome.is_ok(), "{name} breaks a rule over {}", input.escape_ascii());
    };
    seeds.iter().for_each(|seed| run(seed));
    let mut mutator = Mutator::new(NUMBER);
    for _ in 0..target.mutations {
        run(&mutator.next(&seeds));
    }
}

#[test]
fn any_facts_are_refused_or_decided() {
    smoke("facts");
}

#[test]
fn any_report_is_refused_or_kept_as_it_was_said() {
    smoke("report");
}

#[test]
fn any_certificate_signing_request_is_refused_or_certified() {
    smoke("csr");
}

#[test]
fn no_chain_is_believed_that_was_not_signed() {
    smoke("chain");
}

#[test]
fn any_filter_is_refused_with_a_place_or_understood() {
    smoke("filter");
}

#[test]
fn any_file_is_refused_with_places_or_reads_back_as_the_same() {
    smoke("files");
}

#[test]
fn any_token_is_no_secret_or_one() {
    smoke("token");
}

#[test]
fn any_bundle_is_refused_or_round_trips() {
    smoke("bundle");
}

#[test]
fn nothing_is_obeyed_that_was_not_signed() {
    smoke("envelope");
}

#[test]
fn any_rule_is_refused_with_a_place_or_says_the_same_in_three_ways() {
    smoke("rule");
}

#[test]
fn any_managed_json_file_is_refused_or_comes_back() {
    smoke("mdatp");
}

#[test]
fn any_property_list_is_refused_or_comes_back() {
    smoke("wdav");
}

#[test]
#[cfg(feature = "tpm")]
fn no_structure_of_a_tpm_passes_for_another() {
    smoke("tpm");
}

/// A parser that refuses all seeds would be tried at its door only.
#[test]
fn most_seeds_are_good() {
    for target in muster_fuzz::TARGETS {
        let seeds = (target.seeds)();
        let good = seeds.iter().filter(|seed| (target.run)(seed)).count();
        assert!(2 * good >= seeds.len(), "{}: {good} of {}", target.name, seeds.len());
    }
}

#[test]
fn every_target_is_tried_here() {
    let tried = [
        "facts", "csr", "chain", "files", "filter", "token", "bundle", "envelope", "rule", "mdatp", "wdav",
        "tpm", "report",
    ];
    assert!(muster_fuzz::TARGETS.iter().all(|target| tried.contains(&target.name)));
}
