//! Given past events, when a command, then new events or a refusal.

use super::*;
use crate::domain::scope::ScopeMode;

const NOW: Timestamp = Timestamp::from_micros(5);

fn given(events: &[Event]) -> TenantSettings {
    let mut settings = TenantSettings::default();
    events.iter().for_each(|event| settings.evolve(event));
    settings
}

fn without_linux() -> Scope {
    Scope { linux: ScopeMode::Off, ..Scope::default() }
}

fn change(scope: Scope, etag: &str) -> Command {
    Command::ChangeScope { scope, etag: etag.into(), now: NOW }
}

fn changed(scope: Scope) -> Event {
    Event::ScopeChanged { scope, at: NOW }
}

#[test]
fn a_scope_is_changed() {
    assert_eq!(given(&[]).decide(&change(without_linux(), "")), Ok(vec![changed(without_linux())]));
    assert_eq!(given(&[]).decide(&change(without_linux(), "0")), Ok(vec![changed(without_linux())]));
}

#[test]
fn what_holds_already_changes_nothing_whatever_the_etag() {
    let settings = given(&[changed(without_linux())]);
    assert_eq!(settings.decide(&change(without_linux(), "0")), Ok(vec![]));
    assert_eq!(given(&[]).decide(&change(Scope::default(), "")), Ok(vec![]));
}

#[test]
fn an_etag_of_before_is_refused() {
    let settings = given(&[changed(without_linux())]);
    let refused = Error::Etag { expected: "0".into(), found: "1".into() };
    assert_eq!(settings.decide(&change(Scope::default(), "0")), Err(refused));
}

#[test]
fn domain_controllers_without_servers_are_refused() {
    let scope =
        Scope { windows_server: ScopeMode::Off, domain_controllers: ScopeMode::All, ..Scope::default() };
    let refused = given(&[]).decide(&change(scope, ""));
    assert!(matches!(refused, Err(Error::Scope(invalid)) if invalid.field == "domain_controllers"));
}

#[test]
fn an_empty_tag_is_refused() {
    let scope = Scope { tag: "".into(), ..Scope::default() };
    assert!(matches!(given(&[]).decide(&change(scope, "")), Err(Error::Scope(_))));
}
