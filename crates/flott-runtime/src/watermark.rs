//! The watermark of a task: the minimum over its channels, with idle ones left out.

use flott_core::Timestamp;
use flott_core::mutant::Mutant;

#[derive(Clone, Copy)]
struct Channel {
    watermark: Timestamp,
    idle: bool,
    ended: bool,
}

/// What a change of one channel did to the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValveEvent {
    /// The watermark has advanced to this.
    Watermark(Timestamp),
    /// All channels are idle now (`true`), or one is active again (`false`).
    Idle(bool),
}

/// Combines the watermarks of all channels of a task. The result never goes back.
#[derive(Clone)]
pub struct WatermarkValve {
    channels: Vec<Channel>,
    emitted: Timestamp,
    idle: bool,
}

impl WatermarkValve {
    /// For a task with this many channels.
    pub fn new(channels: usize) -> Self {
        let channel = Channel { watermark: Timestamp::MIN, idle: false, ended: false };
        Self { channels: vec![channel; channels], emitted: Timestamp::MIN, idle: false }
    }

    /// The watermark so far.
    pub fn watermark(&self) -> Timestamp {
        self.emitted
    }

    /// A watermark arrived: the channel has nothing older to send. If it is idle it stays so.
    pub fn watermark_on(&mut self, channel: usize, watermark: Timestamp) -> Vec<ValveEvent> {
        let state = &mut self.channels[channel];
        state.watermark = state.watermark.max(watermark);
        self.update()
    }

    /// The channel became idle or active.
    pub fn idle_on(&mut self, channel: usize, idle: bool) -> Vec<ValveEvent> {
        self.channels[channel].idle = idle;
        self.update()
    }

    /// The channel sends no more records.
    pub fn end_on(&mut self, channel: usize) -> Vec<ValveEvent> {
        self.channels[channel].ended = true;
        self.update()
    }

    /// All channels had brought this before the checkpoint that the task starts from.
    pub fn recover(&mut self, watermark: Timestamp) -> Vec<ValveEvent> {
        let advances = watermark > self.emitted;
        self.emitted = self.emitted.max(watermark);
        advances.then_some(ValveEvent::Watermark(watermark)).into_iter().collect()
    }

    fn update(&mut self) -> Vec<ValveEvent> {
        let mut events = Vec::new();
        let live = self.channels.iter().filter(|channel| !channel.ended);
        let active = live.clone().filter(|channel| !channel.idle);
        let minimum = if Mutant::WatermarkMaximum.is_on() {
            active.map(|channel| channel.watermark).max()
        } else {
            active.map(|channel| channel.watermark).min()
        };
        let idle = minimum.is_none() && live.clone().count() > 0;
        // All idle: what the idle ones have promised still holds. All ended: nothing will come.
        let target = match minimum {
            Some(minimum) => minimum,
            None if idle => live.map(|channel| channel.watermark).max().unwrap_or(self.emitted),
            None => Timestamp::MAX,
        };
        if self.idle && !idle {
            events.push(ValveEvent::Idle(false));
        }
        if target > self.emitted {
            self.emitted = target;
            events.push(ValveEvent::Watermark(target));
        }
        if idle && !self.idle {
            events.push(ValveEvent::Idle(true));
        }
        self.idle = idle;
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    #[test]
    fn the_watermark_is_the_minimum_of_the_channels() {
        let mut valve = WatermarkValve::new(2);
        assert_eq!(valve.watermark_on(0, ts(5)), []);
        assert_eq!(valve.watermark_on(1, ts(3)), [ValveEvent::Watermark(ts(3))]);
        assert_eq!(valve.watermark_on(1, ts(9)), [ValveEvent::Watermark(ts(5))]);
        assert_eq!(valve.watermark_on(0, ts(4)), []);
    }

    #[test]
    fn an_idle_channel_holds_nothing_back() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark_on(0, ts(5));
        assert_eq!(valve.idle_on(1, true), [ValveEvent::Watermark(ts(5))]);
        assert_eq!(valve.idle_on(1, false), []);
        assert_eq!(valve.watermark_on(0, ts(8)), []);
        assert_eq!(valve.watermark_on(1, ts(7)), [ValveEvent::Watermark(ts(7))]);
    }

    #[test]
    fn what_was_brought_before_a_restore_is_brought_once() {
        let mut valve = WatermarkValve::new(1);
        assert_eq!(valve.recover(ts(5)), [ValveEvent::Watermark(ts(5))]);
        assert_eq!(valve.recover(ts(4)), []);
        assert_eq!(valve.watermark_on(0, ts(3)), []);
        assert_eq!(valve.watermark_on(0, ts(8)), [ValveEvent::Watermark(ts(8))]);
    }

    #[test]
    fn all_idle_is_passed_on_and_taken_back() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark_on(0, ts(5));
        valve.watermark_on(1, ts(3));
        valve.idle_on(0, true);
        let events = valve.idle_on(1, true);
        assert_eq!(events, [ValveEvent::Watermark(ts(5)), ValveEvent::Idle(true)]);
        assert_eq!(valve.idle_on(0, false), [ValveEvent::Idle(false)]);
    }

    /// FLINK-38477: a finished channel's maximum must not win when the others go idle.
    #[test]
    fn an_ended_channel_does_not_push_the_watermark_to_the_end_while_others_are_idle() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark_on(1, ts(3));
        valve.watermark_on(0, Timestamp::MAX);
        valve.end_on(0);
        assert_eq!(valve.idle_on(1, true), [ValveEvent::Idle(true)]);
        assert_eq!(valve.watermark(), ts(3));
        let events = valve.end_on(1);
        assert_eq!(events, [ValveEvent::Idle(false), ValveEvent::Watermark(Timestamp::MAX)]);
    }
}
