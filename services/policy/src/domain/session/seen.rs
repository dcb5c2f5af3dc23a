//! Telling a copied identity from a reboot, a restarted agent and a restored snapshot, by what check-ins say.
//!
//! A boot is over once another one of the machine was seen. A boot that comes back has either lived on beside the other,
//! on another machine: its agent has counted on. Or the machine was put back to an earlier state of itself: its agent
//! counts on from there, and says again what it had said.

use super::BootId;

/// Boots before the present one that are remembered.
const EARLIER_MAX: usize = 2;
/// So many steps back of one session, and one machine's memory lives twice.
const STEPS_BACK_MAX: u8 = 3;
/// So many steps forward in a row, and steps back before them are forgotten: a machine may be restored now and then.
const FORGIVEN_AFTER: u8 = 8;

/// What a check-in says of where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    boot: BootId,
    session: u32,
    sequence: u32,
}

impl Run {
    /// A boot id that is not 16 bytes is none: nothing can be told then but the agent's own counting.
    #[must_use]
    pub fn new(boot_id: &[u8], session_id: &[u8], sequence: u64) -> Self {
        let mut session = [0; 4];
        session.iter_mut().zip(session_id).for_each(|(byte, given)| *byte = *given);
        Self {
            boot: boot_id.try_into().unwrap_or_default(),
            session: u32::from_be_bytes(session),
            sequence: u32::try_from(sequence).unwrap_or(u32::MAX),
        }
    }

    /// The boot; zeros when it was not told.
    #[must_use]
    pub const fn boot(&self) -> BootId {
        self.boot
    }

    fn is_told(&self) -> bool {
        self.boot != BootId::default()
    }
}

/// A boot that another one followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Past {
    /// First half of the boot's id: enough to know it again.
    boot: [u8; 8],
    session: u32,
    sequence: u32,
}

impl Past {
    fn of(run: &Run) -> Self {
        let Run { boot, session, sequence } = *run;
        Self { boot: half(boot), session, sequence }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn lower_half(version: u64) -> u32 {
    version as u32
}

fn half(boot: BootId) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = boot;
    [a, b, c, d, e, f, g, h]
}

/// What is remembered of a device's check-ins, by one process, in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    present: Run,
    earlier: [Past; EARLIER_MAX],
    /// Lower half of the version of the policy last signed for the device; 0 when none was.
    signed: u32,
    /// The device had that version in force, or a later one.
    acknowledged: bool,
    steps_back: u8,
    steps_forward: u8,
    memory: Memory,
}

/// What is remembered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Memory {
    /// Nothing: the device was not seen yet.
    #[default]
    Empty,
    /// It was seen.
    Seen,
    /// And a suspicion was told that nobody has taken up yet.
    Suspected,
}

/// What the version of the policy in force on a device shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It is the one last signed for the device, as far as that is known: the acknowledgement.
    Latest,
    /// It is an earlier one: what was signed did not get there, or is not in force yet.
    Earlier,
    /// It is an earlier one, and the latest was in force: the machine was put back to an earlier state of itself.
    WentBack,
}

/// What a check-in shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first that this process sees.
    New,
    /// The agent goes on.
    Same,
    /// The agent says again what it said, since it got no answer.
    Repeated,
    /// The agent goes on, and check-ins between were not seen.
    Skipped,
    /// Another boot, or another run of the agent.
    Restarted,
    /// The machine was put back to an earlier state of itself.
    Restored,
    /// Two machines take turns: the one that calls, and the one with this boot id.
    TakingTurns(BootId),
}

/// Judges a check-in by those before it, and remembers it.
pub fn observe(seen: &mut Seen, run: Run) -> Verdict {
    let before = seen.present;
    if seen.memory == Memory::Empty {
        seen.memory = Memory::Seen;
        seen.present = run;
        return Verdict::New;
    }
    seen.present = run;
    if before.boot == run.boot {
        return if before.session == run.session {
            seen.step(before, run)
        } else {
            seen.afresh(Verdict::Restarted)
        };
    }
    let known = seen.earlier.iter().position(|past| run.is_told() && past.boot == half(run.boot));
    let Some(known) = known else {
        seen.remember(&before, EARLIER_MAX - 1);
        return seen.afresh(Verdict::Restarted);
    };
    let past = seen.earlier[known];
    seen.remember(&before, known);
    let lived_on = past.session == run.session && run.sequence > past.sequence;
    let both_told = before.is_told();
    seen.afresh(if lived_on && both_told { Verdict::TakingTurns(before.boot) } else { Verdict::Restored })
}

impl Seen {
    /// Whether a suspicion was told that nobody has taken up yet.
    #[must_use]
    pub fn is_suspected(&self) -> bool {
        self.memory == Memory::Suspected
    }

    /// Notes whether a suspicion was told that nobody has taken up yet.
    pub const fn suspected(&mut self, suspected: bool) {
        self.memory = if suspected { Memory::Suspected } else { Memory::Seen };
    }

    /// Notes that a version was signed for the device.
    pub const fn signed(&mut self, version: u64) {
        self.signed = lower_half(version);
        self.acknowledged = false;
    }

    /// Judges the version in force on the device by those signed for it, and remembers it; 0 when none is in force, which
    /// is no earlier version.
    ///
    /// Versions count all events there are: two of one device are never 2 billion apart, so halves can be compared.
    pub const fn holds(&mut self, version: u64) -> Held {
        if version == 0 {
            return Held::Latest;
        }
        let version = lower_half(version);
        let behind = self.signed != 0 && self.signed.wrapping_sub(version).wrapping_sub(1) < u32::MAX / 2;
        if !behind {
            self.signed = version;
            self.acknowledged = true;
            Held::Latest
        } else if self.acknowledged {
            Held::WentBack
        } else {
            Held::Earlier
        }
    }

    /// Puts a boot in front of the earlier ones; the one at `gone` makes room.
    fn remember(&mut self, run: &Run, gone: usize) {
        self.earlier[..=gone].rotate_right(1);
        self.earlier[0] = Past::of(run);
    }

    const fn afresh(&mut self, verdict: Verdict) -> Verdict {
        self.steps_back = 0;
        self.steps_forward = 0;
        verdict
    }

    /// A step of one session: forward as an agent counts, or back.
    fn step(&mut self, before: Run, run: Run) -> Verdict {
        if run.sequence > before.sequence {
            self.steps_forward = self.steps_forward.saturating_add(1);
            if self.steps_forward >= FORGIVEN_AFTER {
                self.steps_back = 0;
            }
            let next = before.sequence.saturating_add(1);
            return if run.sequence == next { Verdict::Same } else { Verdict::Skipped };
        }
        self.steps_forward = 0;
        self.steps_back = self.steps_back.saturating_add(1);
        if self.steps_back < STEPS_BACK_MAX || !run.is_told() {
            return if run.sequence == before.sequence { Verdict::Repeated } else { Verdict::Restored };
        }
        self.afresh(Verdict::TakingTurns(run.boot))
    }
}
