//! Given past events, when a command, then new events or a refusal.

use muster_types::{DeviceId, EnrollmentCode, RequestId, Timestamp, TokenId};
use uuid::Uuid;

use super::{Command, Enrollment, Error, Event, ManagedBy, Outcome, Rules, Seat, TakenBack};
use crate::domain::facts::tests::a_linux_device;
use crate::domain::facts::{ConfigMgr, DeviceFacts, Mdm, MdmProvider};
use crate::domain::scope::{Scope, ScopeMode};
use crate::domain::tags::{InvalidTags, sorted};
use crate::domain::trouble::tests::a_wrong_clock;

const KEY: [u8; 32] = [1; 32];
const NEW_KEY: [u8; 32] = [2; 32];
const SPIFFE_ID: &str = "spiffe://muster.local/x";
const NOW: Timestamp = Timestamp::from_micros(5);
const LATER: Timestamp = Timestamp::from_micros(9);

fn given(events: &[Event]) -> Enrollment {
    Enrollment::default().after(events)
}

fn request(n: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(n))
}

fn device(n: u128) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(n))
}

fn token() -> TokenId {
    TokenId::from_uuid(Uuid::from_u128(1))
}

/// Decides where all devices are in scope and seats are free.
fn decide(given: &Enrollment, command: &Command) -> Result<Vec<Event>, Error> {
    by(&Scope::default(), Seat::Free, given, command)
}

fn by(scope: &Scope, seat: Seat, given: &Enrollment, command: &Command) -> Result<Vec<Event>, Error> {
    given.decide(command, &Rules { scope, scope_version: 3, seat, request: request(9) })
}

fn no_linux() -> Scope {
    Scope { linux: ScopeMode::Off, ..Scope::default() }
}

fn onboard(key_digest: [u8; 32], facts: DeviceFacts) -> Command {
    Command::Onboard { token: token(), tags: vec![], key_digest, facts, troubles: vec![] }
}

fn onboarded(key_digest: [u8; 32], n: u128) -> Event {
    Event::Onboarded { token: token(), key_digest, facts: a_linux_device(), request: request(n) }
}

fn succeed(key_digest: [u8; 32]) -> Command {
    Command::Succeed { key_digest, spiffe_id: SPIFFE_ID.into() }
}

fn succeeded() -> Event {
    succeeded_as(ManagedBy::Muster)
}

fn succeeded_as(managed_by: ManagedBy) -> Event {
    let code = EnrollmentCode::Enrolled;
    Event::Succeeded { spiffe_id: SPIFFE_ID.into(), managed_by, code, scope_version: 3 }
}

fn authority(from: ManagedBy, to: ManagedBy, code: EnrollmentCode) -> Event {
    Event::AuthorityChanged { from, to, code }
}

fn to_muster() -> Event {
    authority(ManagedBy::Nobody, ManagedBy::Muster, EnrollmentCode::Enrolled)
}

fn managed() -> Enrollment {
    given(&[onboarded(KEY, 1), succeeded(), to_muster()])
}

fn renamed() -> DeviceFacts {
    DeviceFacts { hostname: "web-02".into(), ..a_linux_device() }
}

fn under_mdm() -> DeviceFacts {
    let mdm = Some(Mdm { provider: Some(MdmProvider::Other), name: "MobileIron".into() });
    DeviceFacts { mdm, ..a_linux_device() }
}

fn report(facts: DeviceFacts) -> Command {
    Command::ReportFacts { facts, troubles: vec![] }
}

/// The code of the only refusal among events.
fn refusal(events: &[Event]) -> Option<EnrollmentCode> {
    events.iter().find_map(|event| if let Event::Refused { code, .. } = event { Some(*code) } else { None })
}

fn outcome(enrollment: &Enrollment) -> Option<(Outcome, EnrollmentCode)> {
    enrollment.onboarded().map(|known| (known.outcome, known.code))
}

#[test]
fn a_new_device_is_onboarded() {
    assert_eq!(decide(&given(&[]), &onboard(KEY, a_linux_device())), Ok(vec![onboarded(KEY, 9)]));
}

#[test]
fn the_same_key_and_token_again_change_nothing() {
    assert_eq!(decide(&managed(), &onboard(KEY, a_linux_device())), Ok(vec![]));
}

#[test]
fn a_known_device_with_a_new_key_is_onboarded_again_and_stays_managed() {
    let again = decide(&managed(), &onboard(NEW_KEY, a_linux_device())).expect("let in");
    assert_eq!(again, [onboarded(NEW_KEY, 9)]);
    let back = managed().after(&again);
    assert_eq!(back.onboarded().map(|known| known.authority), Some(ManagedBy::Muster));
    assert_eq!(decide(&back, &succeed(NEW_KEY)), Ok(vec![succeeded()]));
}

#[test]
fn a_repeated_onboarding_with_other_facts_changes_the_facts_alone() {
    let changed = Event::FactsChanged { facts: renamed() };
    assert_eq!(decide(&given(&[onboarded(KEY, 1)]), &onboard(KEY, renamed())), Ok(vec![changed]));
}

#[test]
fn a_device_out_of_scope_is_onboarded_and_refused_once() {
    let refused = by(&no_linux(), Seat::Free, &given(&[]), &onboard(KEY, a_linux_device())).expect("noted");
    assert!(matches!(refused[..], [Event::Onboarded { .. }, Event::Refused { .. }]));
    assert_eq!(refusal(&refused), Some(EnrollmentCode::OutOfScope));
    let device = given(&refused);
    assert!(!device.has_used(token(), &KEY));
    assert_eq!(by(&no_linux(), Seat::Free, &device, &onboard(KEY, a_linux_device())), Ok(vec![]));
}

#[test]
fn a_device_that_was_refused_is_permitted_when_the_scope_takes_it() {
    let refused = by(&no_linux(), Seat::Free, &given(&[]), &onboard(KEY, a_linux_device())).expect("noted");
    let permitted = vec![Event::Permitted { scope_version: 3 }];
    let device = given(&refused);
    assert_eq!(decide(&device, &Command::Redecide), Ok(permitted.clone()));
    let device = device.after(&permitted);
    assert_eq!(decide(&device, &Command::Redecide), Ok(vec![]));
    // It comes for its certificate: only now its token is used, and only once.
    let comes_in = decide(&device, &onboard(KEY, a_linux_device())).expect("let in");
    assert_eq!(comes_in, [onboarded(KEY, 9)]);
    let device = device.after(&comes_in);
    assert!(device.has_used(token(), &KEY));
    assert_eq!(decide(&device, &onboard(KEY, a_linux_device())), Ok(vec![]));
}

#[test]
fn without_a_seat_a_device_is_refused_and_one_that_has_a_seat_keeps_it() {
    let refused = by(&Scope::default(), Seat::Taken, &given(&[]), &onboard(KEY, a_linux_device()));
    assert_eq!(refusal(&refused.expect("noted")), Some(EnrollmentCode::SeatsExhausted));
    assert_eq!(by(&Scope::default(), Seat::Taken, &managed(), &Command::Redecide), Ok(vec![]));
    let withdrawn = by(&Scope::default(), Seat::Withdrawn, &managed(), &Command::Redecide);
    let withdrawn = withdrawn.expect("noted");
    assert_eq!(refusal(&withdrawn), Some(EnrollmentCode::SeatsExhausted));
    let back = managed().after(&withdrawn);
    assert_eq!(refusal(&decide(&back, &Command::Redecide).expect("decided")), None);
}

#[test]
fn facts_out_of_bounds_are_refused() {
    let facts = DeviceFacts { hostname: "a".repeat(300), ..a_linux_device() };
    let refused = decide(&managed(), &report(facts.clone()));
    assert!(matches!(refused, Err(Error::Facts(e)) if e.field == "hostname"));
    assert!(matches!(decide(&given(&[]), &onboard(KEY, facts)), Err(Error::Facts(_))));
}

#[test]
fn changed_facts_are_noted_once() {
    let changed = Event::FactsChanged { facts: renamed() };
    assert_eq!(decide(&managed(), &report(renamed())), Ok(vec![changed.clone()]));
    assert_eq!(decide(&managed().after(&[changed]), &report(renamed())), Ok(vec![]));
    assert_eq!(decide(&given(&[]), &report(renamed())), Err(Error::Unknown));
}

#[test]
fn a_device_stands_down_while_an_mdm_manages_it_and_resumes_when_it_leaves() {
    let taken = decide(&managed(), &report(under_mdm())).expect("noted");
    let code = EnrollmentCode::ManagedByMdm;
    assert!(matches!(&taken[..2], [Event::FactsChanged { .. }, Event::Refused { .. }]));
    assert_eq!(refusal(&taken), Some(code));
    assert_eq!(taken[2..], [authority(ManagedBy::Muster, ManagedBy::Mdm, code)]);

    let back = decide(&managed().after(&taken), &report(a_linux_device())).expect("noted");
    let to_muster = authority(ManagedBy::Mdm, ManagedBy::Muster, EnrollmentCode::Enrolled);
    assert_eq!(back[1..], [succeeded(), to_muster]);
}

#[test]
fn config_mgr_keeps_authority_as_the_tenant_says() {
    let managing = Some(ConfigMgr { present: true, manages_endpoint_protection: true });
    let facts = DeviceFacts { config_mgr: managing, ..a_linux_device() };
    let taken = decide(&managed(), &report(facts.clone())).expect("noted");
    assert_eq!(refusal(&taken), Some(EnrollmentCode::ManagedByConfigMgr));
    let switched = Scope { config_mgr_authority: false, ..Scope::default() };
    let dual = by(&switched, Seat::Free, &managed(), &report(facts)).expect("noted");
    let dual = managed().after(&dual);
    assert_eq!(outcome(&dual), Some((Outcome::Succeeded, EnrollmentCode::DualManagement)));
}

#[test]
fn established_trust_completes_an_enrollment_once() {
    let device = given(&[onboarded(KEY, 1)]);
    assert_eq!(decide(&device, &succeed(KEY)), Ok(vec![succeeded(), to_muster()]));
    assert_eq!(decide(&managed(), &succeed(KEY)), Ok(vec![]));
    assert_eq!(decide(&given(&[]), &succeed(KEY)), Err(Error::Unknown));
}

#[test]
fn trust_in_a_replaced_key_completes_nothing() {
    let device = given(&[onboarded(KEY, 1), onboarded(NEW_KEY, 2)]);
    assert_eq!(decide(&device, &succeed(KEY)), Ok(vec![]));
}

#[test]
fn trust_that_comes_after_a_refusal_is_kept_for_later() {
    let device = given(&[onboarded(KEY, 1)]);
    let refused = by(&no_linux(), Seat::Free, &device, &Command::Redecide).expect("refused");
    let device = device.after(&refused);
    let trusted = by(&no_linux(), Seat::Free, &device, &succeed(KEY)).expect("noted");
    assert_eq!(trusted[0], succeeded_as(ManagedBy::Nobody));
    assert_eq!(refusal(&trusted), Some(EnrollmentCode::OutOfScope));
    let back = decide(&device.after(&trusted), &Command::Redecide);
    assert_eq!(back, Ok(vec![succeeded(), to_muster()]));
}

#[test]
fn tags_are_set_and_taken_off_once_and_decide() {
    let tagged = Scope { linux: ScopeMode::Tagged, ..Scope::default() };
    let tag = |add: &[&str], remove: &[&str]| Command::Tag {
        add: sorted(add.iter().copied()),
        remove: sorted(remove.iter().copied()),
    };
    let pilot = by(&tagged, Seat::Free, &managed(), &tag(&["MDE-Management"], &["x"])).expect("tagged");
    let added = sorted(["MDE-Management"]);
    assert_eq!(pilot, [Event::Tagged { added, removed: vec![] }]);
    let device = managed().after(&pilot);
    assert_eq!(decide(&device, &tag(&["MDE-Management"], &["x"])), Ok(vec![]));
    let off = by(&tagged, Seat::Free, &device, &tag(&[], &["MDE-Management"])).expect("tagged");
    assert_eq!(refusal(&off), Some(EnrollmentCode::NotTagged));

    let both = Err(Error::Tags(InvalidTags::Both { tag: "a".into() }));
    assert_eq!(decide(&device, &tag(&["a"], &["a"])), both);
    let names: Vec<_> = (0..32).map(|n| n.to_string()).collect();
    let many: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(decide(&device, &tag(&many, &[])), Err(Error::Tags(InvalidTags::TooMany { found: 33 })));
}

#[test]
fn troubles_are_noted_when_they_are_others_than_the_last() {
    let troubled = Command::ReportFacts { facts: a_linux_device(), troubles: vec![a_wrong_clock()] };
    let noted = Event::TroubleReported { troubles: vec![a_wrong_clock()] };
    assert_eq!(decide(&managed(), &troubled), Ok(vec![noted.clone()]));
    assert_eq!(decide(&managed().after(&[noted]), &troubled), Ok(vec![]));
}

#[test]
fn an_offboarding_is_asked_for_confirmed_and_final() {
    let ask = |now| Command::RequestOffboarding { expire_time: LATER, now };
    let confirm = Command::ConfirmOffboarding(TakenBack::default());
    assert_eq!(decide(&managed(), &confirm), Err(Error::NoOrder));
    let asked = decide(&managed(), &ask(NOW)).expect("asked");
    assert_eq!(asked, [Event::OffboardingRequested { expire_time: LATER }]);
    let leaving = managed().after(&asked);
    assert_eq!(decide(&leaving, &ask(NOW)), Ok(vec![]));
    assert_eq!(decide(&leaving, &ask(LATER)), Ok(asked), "an order that expired is replaced");
    assert_eq!(by(&no_linux(), Seat::Free, &leaving, &Command::Redecide), Ok(vec![]));
    assert_eq!(decide(&leaving, &onboard(NEW_KEY, a_linux_device())), Err(Error::Leaving));

    let left = decide(&leaving, &confirm).expect("confirmed");
    let code = EnrollmentCode::Offboarded;
    let to_nobody = authority(ManagedBy::Muster, ManagedBy::Nobody, code);
    assert_eq!(left, [Event::Offboarded(TakenBack::default()), to_nobody]);
    let gone = leaving.after(&left);
    assert_eq!(decide(&gone, &confirm), Ok(vec![]));
    assert_eq!(decide(&gone, &ask(LATER)), Ok(vec![]));
    assert_eq!(decide(&gone, &onboard(KEY, a_linux_device())), Err(Error::Gone { code }));
}

#[test]
fn deleted_stays_deleted_until_an_admin_allows_otherwise() {
    let code = EnrollmentCode::Deleted;
    let deleted = decide(&managed(), &Command::Delete).expect("deleted");
    assert_eq!(deleted, [Event::Deleted, authority(ManagedBy::Muster, ManagedBy::Nobody, code)]);
    let gone = managed().after(&deleted);
    assert_eq!(decide(&gone, &Command::Delete), Ok(vec![]));
    for command in [onboard(NEW_KEY, a_linux_device()), report(renamed())] {
        assert_eq!(decide(&gone, &command), Err(Error::Gone { code }));
    }
    assert_eq!(decide(&gone, &Command::Redecide), Ok(vec![]));
    assert_eq!(decide(&gone, &succeed(KEY)), Ok(vec![]));

    let allowed = decide(&gone, &Command::AllowReenrollment).expect("allowed");
    assert_eq!(allowed, [Event::ReenrollmentAllowed]);
    let gone = gone.after(&allowed);
    assert_eq!(decide(&gone, &Command::AllowReenrollment), Ok(vec![]));
    assert_eq!(decide(&gone, &onboard(KEY, a_linux_device())), Ok(vec![onboarded(KEY, 9)]));
    assert_eq!(decide(&managed(), &Command::AllowReenrollment), Ok(vec![]));
}

#[test]
fn a_merged_device_is_gone_and_says_where() {
    let merge = Command::Merge { into: device(7) };
    let merged = decide(&managed(), &merge).expect("merged");
    let gone = managed().after(&merged);
    assert_eq!(outcome(&gone), Some((Outcome::Deleted, EnrollmentCode::Merged)));
    assert_eq!(gone.onboarded().and_then(|known| known.merged_into), Some(device(7)));
    assert_eq!(decide(&gone, &merge), Ok(vec![]));
    assert_eq!(decide(&given(&[]), &merge), Err(Error::Unknown));
}
