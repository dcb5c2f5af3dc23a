mod authority;
mod clock;
mod trust;

use proptest::prelude::*;

use muster_types::{DeviceId, SettingId, SettingValue, TenantId, setting};

use super::failure::RE_ENROL_AFTER;
use super::message::{CheckIn, Closed, Directive, Outcome, Refusal, SettingState};
use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NEXT: Duration = Duration::from_secs(90 * 60);

fn device(n: u8) -> DeviceId {
    DeviceId::from_slice(&[n; 16]).unwrap()
}

fn enrolled() -> Enrolled {
    Enrolled {
        tenant: TenantId::DEFAULT,
        device: device(1),
        certificate_begins_at: NOW,
        certificate_expires_at: NOW.plus(7 * DAY),
        first_check_in_at: None,
    }
}

fn policy(version: u64, value: i64) -> Document {
    let id: SettingId = "linux-antivirus/maximum_on_demand_scan_threads".parse().unwrap();
    let settings = vec![(id, SettingValue::Integer(value))];
    Document {
        tenant: TenantId::DEFAULT,
        device: device(1),
        etag: setting::etag(settings.iter().map(|(id, value)| (id, value))),
        version,
        issued_at: NOW,
        expires_at: NOW.plus(30 * DAY),
        settings,
        withheld: Vec::new(),
        key_id: "0123456789abcdef".into(),
        signed: Arc::from([]),
    }
}

fn reply(policy: Option<Document>) -> Input {
    refusing(policy.map(Ok))
}

fn refusing(policy: Option<Result<Document, Refusal>>) -> Input {
    Input::CheckedIn(Reply { policy, ..answer() })
}

/// The device has what it should have.
fn answer() -> Reply {
    Reply {
        policy: None,
        next_check_in: NEXT,
        wants_facts: false,
        wants_report: false,
        wants_renewal: false,
        directive: Directive::None,
        server_time: None,
    }
}

/// Gives an input; surveys that follow find nothing new, and what is in force stands as it should.
fn give(core: &mut Core, now: Timestamp, input: Input) -> Vec<Action> {
    let nothing_new = matches!(&input, Input::CheckedIn(Reply { policy: None, .. }));
    let mut actions = core.handle(now, input);
    if nothing_new
        && let Some(at) = actions.iter().position(|action| matches!(action, Action::Apply { .. }))
        && let Action::Apply { policy, .. } = actions.remove(at)
    {
        actions.extend(core.handle(now, outcomes(&policy, SettingState::Succeeded)));
    }
    while let Some(survey) = actions.iter().position(|action| *action == Action::Survey) {
        actions.remove(survey);
        actions.extend(core.handle(now, Input::Surveyed { news: false }));
    }
    actions
}

/// The policy is in force, and so many of its settings had to be put back.
fn put_back(policy: &Document) -> Input {
    let Input::Applied(outcomes) = outcomes(policy, SettingState::Succeeded) else {
        panic!("these are outcomes");
    };
    Input::Applied(outcomes.into_iter().map(|outcome| Outcome { corrections: 1, ..outcome }).collect())
}

#[test]
fn what_is_in_force_is_put_back_with_each_check_in_and_only_that_is_counted_and_told() {
    let (mut core, policy) = in_force();
    let mut now = NOW;
    let mut corrections = Vec::new();
    for changed in [false, true, true, false] {
        now = now.plus(NEXT);
        give(&mut core, now, Input::Tick);
        let actions = work(core.handle(now, reply(None)));
        assert!(matches!(actions[..], [Action::Apply { .. }]), "{actions:?}");
        let found = if changed { put_back(&policy) } else { outcomes(&policy, SettingState::Succeeded) };
        let actions = give(&mut core, now, found);
        corrections.push(report(&actions).map(|status| status.settings[0].corrections));
        give(&mut core, now, Input::Reported);
    }
    assert_eq!(corrections, [None, Some(1), Some(2), None]);
    let memory = Memory {
        enrolled: Some(enrolled()),
        last_good: Some(policy.clone()),
        applied: core.applied(),
        corrections: core.corrections().clone(),
        ..Memory::default()
    };
    let mut restarted = Core::new(memory, false, 1, now);
    give(&mut restarted, now, Input::Tick);
    give(&mut restarted, now, put_back(&policy));
    assert_eq!(restarted.corrections().counts.values().copied().collect::<Vec<_>>(), [3]);
}

#[test]
fn a_new_policy_corrects_nothing_and_begins_to_count_anew() {
    let (mut core, policy_before) = in_force();
    let now = NOW.plus(NEXT);
    give(&mut core, now, Input::Tick);
    core.handle(now, reply(None));
    give(&mut core, now, put_back(&policy_before));
    give(&mut core, now, Input::Reported);
    assert_eq!(core.corrections().counts.len(), 1);
    let next = policy(4, 9);
    let now = now.plus(NEXT);
    give(&mut core, now, Input::Tick);
    core.handle(now, reply(Some(next.clone())));
    let actions = give(&mut core, now, put_back(&next));
    assert_eq!(report(&actions).unwrap().settings[0].corrections, 0);
    assert!(core.corrections().counts.is_empty());
}

fn outcomes(policy: &Document, state: SettingState) -> Input {
    let of = |(id, value): &(SettingId, SettingValue)| Outcome {
        id: id.clone(),
        desired: Some(value.clone()),
        observed: Some(value.clone()),
        state,
        reason: (state == SettingState::Error).then_some(ErrorCode::ApplyFailed),
        message: String::new(),
        corrections: 0,
    };
    Input::Applied(policy.settings.iter().map(of).collect())
}

fn hint(policy: &Document) -> Input {
    Input::Hint { etag: Some(policy.etag), spread: Duration::ZERO, traceparent: "00-aa-bb-01".into() }
}

/// What is to do, without when to wake.
fn work(actions: Vec<Action>) -> Vec<Action> {
    actions.into_iter().filter(|action| !matches!(action, Action::WakeAt(_))).collect()
}

/// An onboarded device that has its first check-in under way.
fn checking_in() -> Core {
    let memory = Memory { enrolled: Some(enrolled()), ..Memory::default() };
    let mut core = Core::new(memory, true, 1, NOW);
    let actions = work(give(&mut core, NOW, Input::Tick));
    assert!(matches!(actions[..], [Action::OpenWatch { applied: None }, Action::CheckIn(_)]), "{actions:?}");
    core
}

/// An onboarded device with version 3 in force and reported, idle.
fn in_force() -> (Core, Document) {
    let (mut core, policy) = (checking_in(), policy(3, 8));
    let actions = work(give(&mut core, NOW, reply(Some(policy.clone()))));
    assert!(matches!(actions[..], [Action::Apply { .. }]), "{actions:?}");
    let actions = work(give(&mut core, NOW, outcomes(&policy, SettingState::Succeeded)));
    assert!(matches!(actions[..], [Action::Report { .. }]), "{actions:?}");
    assert_eq!(work(give(&mut core, NOW, Input::Reported)), []);
    (core, policy)
}

fn check_in(actions: &[Action]) -> Option<&CheckIn> {
    actions
        .iter()
        .find_map(|action| if let Action::CheckIn(check_in) = action { Some(check_in) } else { None })
}

fn report(actions: &[Action]) -> Option<&Status> {
    actions
        .iter()
        .find_map(|action| if let Action::Report { status, .. } = action { Some(&**status) } else { None })
}

#[test]
fn a_new_device_onboards_watches_and_checks_in() {
    let mut core = Core::new(Memory::default(), true, 1, NOW);
    assert_eq!(work(give(&mut core, NOW, Input::Tick)), [Action::Onboard]);
    let actions = work(give(&mut core, NOW, Input::Onboarded(enrolled())));
    assert!(matches!(actions[..], [Action::OpenWatch { .. }, Action::CheckIn(_)]), "{actions:?}");
    assert_eq!(check_in(&actions).unwrap().sequence, 1);
}

#[test]
fn the_next_check_in_says_what_is_in_force() {
    let (mut core, policy) = in_force();
    assert_eq!(work(give(&mut core, NOW.plus(NEXT / 2), Input::Tick)), []);
    let actions = give(&mut core, NOW.plus(NEXT), Input::Tick);
    let check_in = check_in(&actions).unwrap();
    assert_eq!(check_in.applied, Some((policy.etag, 3)));
    assert_eq!((check_in.received, check_in.apply_state), (Some(policy.etag), ApplyState::Applied));
    assert_eq!(check_in.sequence, 2);
}

#[test]
fn a_hint_asks_for_a_check_in_and_lends_it_its_trace() {
    let (mut core, _) = in_force();
    let newer = policy(4, 9);
    let actions = give(&mut core, NOW, hint(&newer));
    assert_eq!(check_in(&actions).unwrap().traceparent, "00-aa-bb-01");
    let actions = give(&mut core, NOW, reply(Some(newer)));
    assert!(
        actions
            .iter()
            .any(|a| matches!(a, Action::Apply { traceparent, .. } if traceparent == "00-aa-bb-01"))
    );
}

#[test]
fn a_hint_at_what_is_in_force_is_a_sync_or_means_a_directive() {
    let (mut core, policy) = in_force();
    assert!(check_in(&give(&mut core, NOW, hint(&policy))).is_some());
    // Also while a check-in is under way, which may have been answered before.
    give(&mut core, NOW, hint(&policy));
    assert!(check_in(&give(&mut core, NOW, reply(None))).is_some());
}

#[test]
fn a_hint_is_spread() {
    let (mut core, _) = in_force();
    let spread = Duration::from_secs(60);
    let input = Input::Hint { etag: None, spread, traceparent: String::new() };
    assert_eq!(check_in(&give(&mut core, NOW, input)), None);
    assert!(check_in(&give(&mut core, NOW.plus(spread), Input::Tick)).is_some());
}

#[test]
fn a_hint_during_an_apply_is_remembered() {
    let (mut core, first) = (checking_in(), policy(3, 8));
    give(&mut core, NOW, reply(Some(first.clone())));
    assert_eq!(work(give(&mut core, NOW, hint(&policy(4, 9)))), []);
    give(&mut core, NOW, outcomes(&first, SettingState::Succeeded));
    assert!(check_in(&give(&mut core, NOW, Input::Reported)).is_some());
}

#[test]
fn a_hint_during_a_check_in_is_kept_unless_the_answer_satisfies_it() {
    for (hinted, again) in [(policy(3, 8), false), (policy(4, 9), true)] {
        let (mut core, first) = (checking_in(), policy(3, 8));
        give(&mut core, NOW, hint(&hinted));
        give(&mut core, NOW, reply(Some(first.clone())));
        give(&mut core, NOW, outcomes(&first, SettingState::Succeeded));
        assert_eq!(check_in(&give(&mut core, NOW, Input::Reported)).is_some(), again);
    }
}

#[test]
fn a_hint_outlives_a_failed_check_in() {
    let (mut core, _) = in_force();
    give(&mut core, NOW, hint(&policy(4, 9)));
    assert_eq!(check_in(&give(&mut core, NOW, Input::Failed(ErrorCode::ServerUnreachable))), None);
    assert_eq!(core.last_error(), Some(ErrorCode::ServerUnreachable));
    let actions = give(&mut core, NOW.plus(Duration::from_secs(1)), Input::Tick);
    assert_eq!(check_in(&actions).unwrap().traceparent, "00-aa-bb-01");
}

#[test]
fn a_policy_that_must_not_be_obeyed_is_refused_and_the_last_good_one_stays() {
    let good = policy(4, 9);
    let unsigned = Refusal { code: ErrorCode::PolicyUnsigned, message: "no".into(), etag: Some([9; 32]) };
    let cases = [
        (Ok(Document { device: device(2), ..good.clone() }), ErrorCode::PolicyWrongDevice),
        (Ok(Document { tenant: "other".parse().unwrap(), ..good.clone() }), ErrorCode::PolicyWrongDevice),
        (Ok(policy(2, 9)), ErrorCode::PolicyRolledBack),
        (Ok(policy(3, 9)), ErrorCode::PolicyRolledBack),
        (Ok(Document { expires_at: NOW, ..good.clone() }), ErrorCode::PolicyExpired),
        (Ok(Document { issued_at: NOW.plus(2 * NEXT), ..good }), ErrorCode::PolicyNotYetValid),
        (Err(unsigned), ErrorCode::PolicyUnsigned),
    ];
    for (policy, code) in cases {
        let (mut core, before) = in_force();
        give(&mut core, NOW.plus(NEXT), Input::Tick);
        let actions = give(&mut core, NOW.plus(NEXT), refusing(Some(policy.clone())));
        let status = report(&actions).unwrap_or_else(|| panic!("{code}: {actions:?}"));
        assert_eq!(status.refused, Some(code));
        assert_eq!(status.policy, Some((before.etag, 3)), "{code}: it still speaks of the last good policy");
        assert_eq!(core.applied().map(|(etag, version, _)| (etag, version)), Some((before.etag, 3)));
        assert_eq!(core.apply_state(), ApplyState::Refused);
        give(&mut core, NOW.plus(NEXT), Input::Reported);
        // The same refusal again is no news.
        give(&mut core, NOW.plus(2 * NEXT), Input::Tick);
        assert_eq!(report(&give(&mut core, NOW.plus(2 * NEXT), refusing(Some(policy)))), None, "{code}");
    }
}

#[test]
fn a_refusal_ends_when_the_server_wants_what_is_in_force() {
    let (mut core, _) = in_force();
    give(&mut core, NOW.plus(NEXT), Input::Tick);
    give(&mut core, NOW.plus(NEXT), reply(Some(policy(2, 9))));
    give(&mut core, NOW.plus(NEXT), Input::Reported);
    give(&mut core, NOW.plus(2 * NEXT), Input::Tick);
    let actions = give(&mut core, NOW.plus(2 * NEXT), reply(None));
    assert_eq!(report(&actions).unwrap().refused, None);
    assert_eq!(core.apply_state(), ApplyState::Applied);
}

#[test]
fn a_failed_apply_is_reported_and_tried_again() {
    let (mut core, policy) = (checking_in(), policy(3, 8));
    give(&mut core, NOW, reply(Some(policy.clone())));
    let actions = give(&mut core, NOW, outcomes(&policy, SettingState::Error));
    assert_eq!(report(&actions).unwrap().settings[0].reason, Some(ErrorCode::ApplyFailed));
    assert_eq!((core.applied(), core.apply_state()), (None, ApplyState::Failed));
    give(&mut core, NOW, Input::Reported);
    let later = NOW.plus(Duration::from_secs(60));
    let actions = work(give(&mut core, later, Input::Tick));
    assert!(matches!(actions[..], [Action::Apply { .. }]), "{actions:?}");
    let actions = give(&mut core, later, outcomes(&policy, SettingState::Succeeded));
    assert_eq!(report(&actions).unwrap().settings[0].reason, None);
    assert_eq!(core.applied(), Some((policy.etag, 3, later)));
}

#[test]
fn a_report_is_sent_only_when_it_says_something_new() {
    let (mut core, same) = in_force();
    give(&mut core, NOW.plus(NEXT), Input::Tick);
    give(&mut core, NOW.plus(NEXT), reply(Some(same.clone())));
    let actions = give(&mut core, NOW.plus(NEXT), outcomes(&same, SettingState::Succeeded));
    assert_eq!(report(&actions), None);
    give(&mut core, NOW.plus(2 * NEXT), Input::Tick);
    let full = Reply { wants_facts: true, wants_report: true, ..answer() };
    let actions = work(give(&mut core, NOW.plus(2 * NEXT), Input::CheckedIn(full)));
    assert!(matches!(actions[..], [Action::Report { .. }]), "the server asked for it: {actions:?}");
    assert_eq!(work(give(&mut core, NOW.plus(2 * NEXT), Input::Reported)), [Action::ReportFacts]);
}

#[test]
fn a_failing_report_does_not_hold_up_a_check_in() {
    let (mut core, first) = (checking_in(), policy(3, 8));
    give(&mut core, NOW, reply(Some(first.clone())));
    give(&mut core, NOW, outcomes(&first, SettingState::Succeeded));
    give(&mut core, NOW, Input::Failed(ErrorCode::ServerUnreachable));
    assert!(check_in(&give(&mut core, NOW, hint(&policy(4, 9)))).is_some());
}

#[test]
fn the_last_good_policy_is_applied_again_at_start() {
    let policy = policy(3, 8);
    let since = NOW;
    let memory = Memory {
        enrolled: Some(enrolled()),
        last_good: Some(policy.clone()),
        applied: Some((policy.etag, 3, since)),
        ..Memory::default()
    };
    let later = NOW.plus(DAY);
    let mut core = Core::new(memory, false, 1, later);
    let actions = work(give(&mut core, later, Input::Tick));
    assert!(matches!(actions[..], [Action::OpenWatch { .. }, Action::Apply { .. }]), "{actions:?}");
    let actions = give(&mut core, later, outcomes(&policy, SettingState::Succeeded));
    assert_eq!(report(&actions).unwrap().applied_at, Some(since), "it was in force all the time");
    let actions = give(&mut core, later, Input::Reported);
    assert_eq!(check_in(&actions).unwrap().applied, Some((policy.etag, 3)));
}

#[test]
fn a_device_no_longer_known_onboards_again() {
    let mut core = checking_in();
    let mut now = NOW;
    for _ in 1..RE_ENROL_AFTER {
        assert_eq!(work(give(&mut core, now, Input::Failed(ErrorCode::DeviceUnknown))), []);
        now = now.plus(Duration::from_secs(60));
        assert!(check_in(&give(&mut core, now, Input::Tick)).is_some());
    }
    assert_eq!(work(give(&mut core, now, Input::Failed(ErrorCode::DeviceUnknown))), [Action::Onboard]);
}

#[test]
fn an_expired_certificate_onboards_again_or_stops() {
    for (can_onboard, expected) in
        [(true, Action::Onboard), (false, Action::Stop(ErrorCode::CertificateInvalid))]
    {
        let memory = Memory { enrolled: Some(enrolled()), ..Memory::default() };
        let later = NOW.plus(8 * DAY);
        assert_eq!(work(give(&mut Core::new(memory, can_onboard, 1, later), later, Input::Tick)), [expected]);
    }
}

#[test]
fn a_token_that_is_no_good_stops_the_agent() {
    let mut core = Core::new(Memory::default(), true, 1, NOW);
    give(&mut core, NOW, Input::Tick);
    let actions = give(&mut core, NOW, Input::Failed(ErrorCode::TokenExpired));
    assert_eq!(actions, [Action::Stop(ErrorCode::TokenExpired)]);
    assert_eq!(give(&mut core, NOW.plus(DAY), Input::Tick), []);
}

#[test]
fn the_watch_comes_back() {
    let (mut core, _) = in_force();
    give(&mut core, NOW, Input::WatchOpened);
    for ended in [Closed::Ended { reconnect_within: None }, Closed::Failed(ErrorCode::ServerUnreachable)] {
        give(&mut core, NOW, Input::WatchClosed(ended));
        let actions = work(give(&mut core, NOW.plus(Duration::from_secs(1)), Input::Tick));
        assert!(matches!(actions[..], [Action::OpenWatch { applied: Some(_) }]), "{actions:?}");
    }
}

#[test]
fn a_watch_that_the_server_ends_comes_back_within_its_time_and_asks_for_nothing() {
    let within = Duration::from_secs(600);
    let reopened_after = |seed| {
        let memory = Memory { enrolled: Some(enrolled()), ..Memory::default() };
        let mut core = Core::new(memory, true, seed, NOW);
        give(&mut core, NOW, Input::Tick);
        give(&mut core, NOW, reply(None));
        give(&mut core, NOW, Input::WatchOpened);
        let ended = Input::WatchClosed(Closed::Ended { reconnect_within: Some(within) });
        let mut actions = give(&mut core, NOW, ended);
        let mut now = NOW;
        while !actions.iter().any(|action| matches!(action, Action::OpenWatch { .. })) {
            assert_eq!(check_in(&actions), None);
            let Some(Action::WakeAt(at)) = actions.pop() else { panic!("it sleeps for ever") };
            now = at;
            actions = give(&mut core, now, Input::Tick);
        }
        now.since(NOW)
    };
    let mut moments: Vec<_> = (0..20).map(reopened_after).collect();
    moments.sort();
    assert!(moments[0] < within / 4 && moments[19] > within / 2 && moments[19] <= within, "{moments:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u32),
    Hint(i64),
    Publish(i64),
    RollBack,
    Answer(bool),
    WatchEnds(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..120u32).prop_map(Step::Wait),
        (0..6i64).prop_map(Step::Hint),
        (0..6i64).prop_map(Step::Publish),
        Just(Step::RollBack),
        any::<bool>().prop_map(Step::Answer),
        any::<bool>().prop_map(Step::Answer),
        any::<bool>().prop_map(Step::Answer),
        any::<bool>().prop_map(Step::WatchEnds),
    ]
}

/// A server and a device's hands, in little.
struct World {
    core: Core,
    now: Timestamp,
    served: Document,
    rolled_back: bool,
    under_way: Vec<Action>,
    version_floor: u64,
}

impl World {
    fn give(&mut self, input: Input) -> Result<(), TestCaseError> {
        for action in give(&mut self.core, self.now, input) {
            match &action {
                Action::WakeAt(at) => prop_assert!(*at > self.now, "a wake-up in the past spins"),
                Action::Stop(code) => prop_assert!(false, "stopped: {code}"),
                Action::OpenWatch { .. } => {}
                Action::Apply { policy, .. } => {
                    prop_assert!(policy.version >= self.version_floor, "the version went down");
                    self.version_floor = policy.version;
                    self.under_way.push(action);
                }
                Action::DropNext | Action::DropIdentity | Action::Retire | Action::Survey => {
                    prop_assert!(false, "nobody asked for it: {action:?}");
                }
                Action::Onboard
                | Action::CheckIn(_)
                | Action::Report { .. }
                | Action::ReportFacts
                | Action::Renew { .. }
                | Action::Activate
                | Action::TakeBack { .. }
                | Action::Confirm(_) => self.under_way.push(action),
            }
        }
        prop_assert!(self.under_way.len() <= 1, "two at a time: {:?}", self.under_way);
        Ok(())
    }

    fn answer(&mut self, well: bool) -> Result<(), TestCaseError> {
        let Some(action) = self.under_way.pop() else { return Ok(()) };
        let input = if !well {
            Input::Failed(ErrorCode::ServerUnreachable)
        } else if let Action::CheckIn(check_in) = &action {
            let version = if self.rolled_back { 1 } else { self.served.version };
            let same = check_in.applied.is_some_and(|(etag, _)| etag == self.served.etag);
            reply((!same).then(|| Document { version, ..self.served.clone() }))
        } else if let Action::Apply { policy, .. } = &action {
            outcomes(policy, SettingState::Succeeded)
        } else if let Action::Report { .. } = &action {
            Input::Reported
        } else {
            Input::FactsReported { authority: None }
        };
        self.give(input)
    }
}

proptest! {
    #[test]
    fn every_hint_leads_to_the_hinted_policy(steps in prop::collection::vec(step(), 0..60), seed: u64) {
        let memory = Memory { enrolled: Some(enrolled()), ..Memory::default() };
        let mut world = World {
            core: Core::new(memory, true, seed, NOW),
            now: NOW,
            served: policy(2, 0),
            rolled_back: false,
            under_way: Vec::new(),
            version_floor: 0,
        };
        world.give(Input::Tick)?;
        for step in steps {
            match step {
                Step::Wait(seconds) => {
                    world.now = world.now.plus(Duration::from_secs(seconds.into()));
                    world.give(Input::Tick)?;
                }
                Step::Hint(value) => world.give(hint(&policy(1, value)))?,
                Step::Publish(value) => {
                    world.served = policy(world.served.version + 1, value);
                    world.rolled_back = false;
                    let hint = hint(&world.served);
                    world.give(hint)?;
                }
                Step::RollBack => world.rolled_back = true,
                Step::Answer(well) => world.answer(well)?,
                Step::WatchEnds(well) => {
                    let within = Some(Duration::from_secs(1));
                    world.give(Input::WatchClosed(match well {
                        true => Closed::Ended { reconnect_within: within },
                        false => Closed::Failed(ErrorCode::ServerUnreachable),
                    }))?;
                }
            }
        }
        // One last change, hinted at once and only once; from then on all goes well.
        world.served = policy(world.served.version + 1, 100);
        world.rolled_back = false;
        let last = hint(&world.served);
        world.give(last)?;
        for _ in 0..12 {
            world.answer(true)?;
        }
        // Pauses of earlier failures are shorter than the time to the next check-in that needs no hint.
        world.now = world.now.plus(Duration::from_secs(61));
        world.give(Input::Tick)?;
        for _ in 0..12 {
            world.answer(true)?;
        }
        prop_assert_eq!(world.core.applied().map(|(etag, ..)| etag), Some(world.served.etag));
    }
}
