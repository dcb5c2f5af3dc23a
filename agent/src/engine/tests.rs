use muster_types::WithheldReason;

use super::*;

/// A product that keeps what it has while its tamper protection is on.
#[derive(Default)]
struct Product {
    stands: BTreeMap<SettingId, SettingValue>,
    wanted: BTreeMap<SettingId, SettingValue>,
    locked: bool,
}

impl Engine for Product {
    fn handles(&self, _profile: &str) -> bool {
        true
    }

    fn plan(&self, desired: &BTreeMap<SettingId, SettingValue>) -> Result<Plan, Failure> {
        let desired: Vec<_> = desired.iter().collect();
        Ok(Plan { owned: serde_json::to_vec(&desired).unwrap(), ..Plan::default() })
    }

    fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        let desired: Vec<(SettingId, SettingValue)> = serde_json::from_slice(&plan.owned).unwrap();
        self.wanted = desired.into_iter().collect();
        let guarded =
            |id: &SettingId| Catalogue::builtin().setting(id).unwrap().tamper_protected != Tamper::No;
        let (kept, free): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.wanted.clone().into_iter().partition(|(id, _)| self.locked && guarded(id));
        drop(kept);
        self.stands = free;
        Ok(())
    }

    fn read_back(&self, ids: &[SettingId]) -> Observed {
        ids.iter().map(|id| (id.clone(), Ok(self.stands.get(id).cloned()))).collect()
    }

    fn tamper_protected(&self) -> bool {
        self.locked
    }
}

fn id(text: &str) -> SettingId {
    text.parse().unwrap()
}

const GUARDED: &str = "windows-antivirus/allow_realtime_monitoring";
const FREE: &str = "windows-antivirus/allow_script_scanning";

fn enforced(locked: bool) -> Vec<(SettingState, Option<ErrorCode>)> {
    let on = SettingValue::Text("allowed".into());
    let settings = [(id(GUARDED), on.clone()), (id(FREE), on)];
    let outcomes = enforce(&mut [Box::new(Product { locked, ..Product::default() })], &settings);
    outcomes.iter().map(|outcome| (outcome.state, outcome.reason)).collect()
}

#[test]
fn what_the_lock_keeps_is_told_from_what_failed() {
    const DONE: (SettingState, Option<ErrorCode>) = (SettingState::Succeeded, None);
    assert_eq!(enforced(false), [DONE, DONE]);
    let kept = (SettingState::TamperProtected, Some(ErrorCode::TamperProtected));
    assert_eq!(enforced(true), [kept, DONE]);
}

#[test]
fn tamper_protection_goes_back_to_its_default_whatever_is_kept() {
    let switch = id("windows-security-experience/tamper_protection");
    let kept = BTreeSet::from([switch.clone(), id(FREE)]);
    let settings = [(id(FREE), SettingValue::Integer(1)), (switch.clone(), SettingValue::Integer(0))];
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(Product::default())];
    enforce(&mut engines, &settings);
    let taken_back = take_back(&mut engines, &settings, &kept);
    assert_eq!((taken_back.reverted, taken_back.kept), (vec![switch], vec![id(FREE)]));
}

#[test]
fn what_is_withheld_is_reported_beside_what_is_in_force() {
    let outcome = |name: &str, state| Outcome {
        id: id(name),
        desired: Some(SettingValue::Integer(1)),
        observed: Some(SettingValue::Integer(1)),
        state,
        reason: None,
        message: String::new(),
        corrections: 0,
    };
    let in_force = vec![
        outcome("p/b", SettingState::Succeeded),
        outcome("p/d", SettingState::Succeeded),
        outcome("p/e", SettingState::Error),
    ];
    let withheld = [
        ("p/a", WithheldReason::Waived),
        ("p/b", WithheldReason::Conflict),
        ("p/c", WithheldReason::Conflict),
        ("p/d", WithheldReason::Waived),
        ("p/e", WithheldReason::Conflict),
        ("p/f", WithheldReason::Rules),
        ("p/g", WithheldReason::TamperProtected),
    ]
    .map(|(name, reason)| (id(name), reason));
    let outcomes = with_withheld(in_force, &withheld);
    let told: Vec<_> = outcomes
        .iter()
        .map(|outcome| (outcome.id.setting(), outcome.state, outcome.reason, outcome.desired.is_some()))
        .collect();
    assert_eq!(
        told,
        [
            ("a", SettingState::Waived, Some(ErrorCode::SettingWaived), false),
            ("b", SettingState::Conflict, Some(ErrorCode::SettingConflict), true),
            ("c", SettingState::Conflict, Some(ErrorCode::SettingConflict), false),
            ("d", SettingState::Succeeded, None, true),
            ("e", SettingState::Error, None, true),
            ("f", SettingState::NotApplicable, Some(ErrorCode::SettingNotApplicable), false),
            ("g", SettingState::TamperProtected, Some(ErrorCode::TamperProtected), false),
        ]
    );
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.failed()).count(),
        1,
        "what is withheld is not wanted"
    );
}
