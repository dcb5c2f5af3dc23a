//! The digest of a plan: what was proposed and what it would do, in a form that does not depend on when it was planned.

use muster_types::{Canonical, Digest, SettingId, SettingValue, setting};
use roaring::RoaringBitmap;

use super::Proposal;
use crate::domain::assignment::{self, Intent, Tie};
use crate::domain::change::Fact;
use crate::domain::policy::{self, Content, OnUnassign};
use crate::domain::waiver::{self, Exempt, Grant, Target};

/// What becomes of some devices: the etags of what they are set to before and after.
pub(super) type Effect<'a> = ((Digest, Digest), &'a RoaringBitmap);

/// SHA-256 over the proposal and the effects, sorted by etags. Neither times, actors and reasons nor request ids go in:
/// who plans and who applies are different calls.
pub(super) fn of<'a>(proposal: &Proposal, effects: impl Iterator<Item = Effect<'a>>) -> Digest {
    let Proposal { facts, memberships, ordinals: _ } = proposal;
    let mut hasher = Hasher(Canonical::new(b"muster.policy.plan.v1"));
    hasher.0.number(facts.len() as u64);
    facts.iter().for_each(|fact| hasher.fact(fact));
    hasher.0.number(memberships.len() as u64);
    for (group, members) in memberships {
        hasher.0.bytes(group.as_bytes());
        hasher.devices(members);
    }
    for ((before, after), devices) in effects {
        hasher.0.bytes(&before);
        hasher.0.bytes(&after);
        hasher.devices(devices);
    }
    hasher.0.digest()
}

struct Hasher(Canonical);

impl Hasher {
    /// As runs: the same devices make the same bytes, however the bitmap keeps them.
    fn devices(&mut self, devices: &RoaringBitmap) {
        self.0.number(devices.len());
        let mut run: Option<(u32, u32)> = None;
        for ordinal in devices {
            run = match run {
                Some((first, last)) if last.checked_add(1) == Some(ordinal) => Some((first, ordinal)),
                ended => {
                    self.run(ended);
                    Some((ordinal, ordinal))
                }
            };
        }
        self.run(run);
    }

    fn run(&mut self, run: Option<(u32, u32)>) {
        if let Some((first, last)) = run {
            self.0.number(u64::from(first) << 32 | u64::from(last));
        }
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Policy(id, event) => {
                self.0.bytes(id.as_bytes());
                self.policy(event);
            }
            Fact::Assignment(policy, group, event) => {
                self.0.bytes(policy.as_bytes());
                self.0.bytes(group.as_bytes());
                self.assignment(event);
            }
            Fact::Waiver(id, event) => {
                self.0.bytes(id.as_bytes());
                self.waiver(event);
            }
        }
    }

    fn assignment(&mut self, event: &assignment::Event) {
        match event {
            assignment::Event::Assigned { policy: _, group: _, tie, at: _ } => {
                let Tie { intent, priority, filter } = tie;
                self.0.bytes(match intent {
                    Intent::Include => b"include",
                    Intent::Exclude => b"exclude",
                });
                self.0.number(priority.map_or(0, |priority| u64::from(priority.number())));
                self.0.bytes(filter.as_bytes());
            }
            assignment::Event::Unassigned { policy: _, group: _ } => self.0.bytes(b"unassigned"),
        }
    }

    fn policy(&mut self, event: &policy::Event) {
        match event {
            policy::Event::Created { profile, content, origin: _ } => {
                self.0.bytes(b"created");
                self.0.bytes(profile.as_bytes());
                self.content(content);
            }
            policy::Event::Revised { revision, content, rolled_back_to, origin: _ } => {
                self.0.bytes(b"revised");
                self.0.number(*revision);
                self.0.number(rolled_back_to.unwrap_or_default());
                self.content(content);
            }
            policy::Event::Deleted { origin: _ } => self.0.bytes(b"deleted"),
            policy::Event::Undeleted { origin: _ } => self.0.bytes(b"undeleted"),
        }
    }

    fn content(&mut self, content: &Content) {
        let Content { display_name, settings, on_unassign } = content;
        self.0.bytes(display_name.as_bytes());
        self.0.bytes(match on_unassign {
            OnUnassign::Revert => b"revert",
            OnUnassign::Keep => &b"keep"[..],
        });
        let settings: Vec<(&SettingId, &SettingValue)> = settings.iter().collect();
        self.0.bytes(&setting::etag(settings));
    }

    fn waiver(&mut self, event: &waiver::Event) {
        match event {
            waiver::Event::Granted { grant, origin: _ } => {
                let Grant { exempt, target, approver, expire } = grant;
                self.0.bytes(b"granted");
                self.exempt(exempt);
                match target {
                    Target::Group(group) => self.0.bytes(group.as_bytes()),
                    Target::Device(device) => self.0.bytes(device.as_bytes()),
                }
                self.0.bytes(approver.as_bytes());
                self.0.bytes(&expire.micros().to_be_bytes());
            }
            waiver::Event::Revoked { origin: _ } => self.0.bytes(b"revoked"),
            waiver::Event::Expired { at: _ } => self.0.bytes(b"expired"),
        }
    }

    fn exempt(&mut self, exempt: &Exempt) {
        self.0.bytes(exempt.policy().as_ref().map_or(&[][..], |policy| policy.as_bytes()));
        self.0.bytes(exempt.setting().map_or("", SettingId::as_str).as_bytes());
    }
}
