//! What every implementation of [`EventLog`](crate::EventLog) must do, one function a promise. Each takes a log, panics
//! with what it found when the promise is broken, and uses streams of its own, so that several can share a log.
//!
//! [`all`] runs everything that needs no outside hand; [`under_disturbance`] appends and follows while its caller kills
//! and restarts what the log is made of.

#![expect(clippy::panic, reason = "a broken promise ends the case that found it")]

mod appends;
mod disturbance;
mod fixture;
mod reads;

use crate::log::SharedLog;

pub use self::appends::{
    a_refused_append_writes_nothing, a_repeated_append_keeps_its_first_position,
    appends_to_many_streams_stand_or_fall_together, events_come_back_as_they_were_written,
    of_racing_appends_one_wins, racing_appends_over_two_streams_leave_no_half,
};
pub use self::disturbance::{Disturbed, under_disturbance};
pub use self::reads::{
    a_broken_chain_is_noticed, a_read_brings_what_was_acknowledged, a_reader_that_stalls_holds_up_nobody,
    a_subscription_begins_after_any_position, an_empty_part_is_caught_up_with_at_once,
    catching_up_passes_into_following, everybody_sees_one_order, services_do_not_see_each_other,
};

/// Every promise, one after another. `contiguous` where the engine counts positions without a gap.
///
/// # Panics
/// When one is broken. The log must be fresh.
pub async fn all(log: &SharedLog, contiguous: bool) {
    an_empty_part_is_caught_up_with_at_once(log).await;
    events_come_back_as_they_were_written(log).await;
    of_racing_appends_one_wins(log).await;
    a_repeated_append_keeps_its_first_position(log).await;
    appends_to_many_streams_stand_or_fall_together(log).await;
    racing_appends_over_two_streams_leave_no_half(log).await;
    a_refused_append_writes_nothing(log).await;
    a_read_brings_what_was_acknowledged(log).await;
    services_do_not_see_each_other(log).await;
    everybody_sees_one_order(log, contiguous).await;
    a_subscription_begins_after_any_position(log).await;
    catching_up_passes_into_following(log).await;
    a_reader_that_stalls_holds_up_nobody(log).await;
    a_broken_chain_is_noticed(log, contiguous).await;
}
