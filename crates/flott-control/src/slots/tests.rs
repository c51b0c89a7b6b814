//! TaskManagers that come and go, and jobs that want their slots.

use super::*;

const A: TaskManagerId = TaskManagerId(1);
const B: TaskManagerId = TaskManagerId(2);

fn slots(spread_out: bool) -> Slots {
    Slots::new(SlotConfig { request_timeout: Duration::from_secs(300), spread_out })
}

fn job(number: u128) -> JobId {
    JobId::from_u128(number)
}

fn effects(slots: &mut Slots) -> Vec<SlotEffect> {
    std::iter::from_fn(|| slots.poll_effect()).collect()
}

fn at(seconds: u64) -> MonoTime {
    MonoTime::default().plus(Duration::from_secs(seconds))
}

#[test]
fn a_job_gets_its_slots_all_at_once_when_there_are_enough() {
    let mut slots = slots(false);
    slots.request(at(0), job(1), 3);
    slots.offer(A, 2, BTreeMap::new());
    assert_eq!(effects(&mut slots), []);
    assert!(slots.missing(job(1)).unwrap().contains("needs 3 slots and 2 are free"));
    slots.offer(B, 2, BTreeMap::new());
    let granted = SlotEffect::Granted { job: job(1), slots: vec![A, A, B] };
    assert_eq!(effects(&mut slots), [granted]);
    assert_eq!(slots.missing(job(1)), None);
    assert_eq!(slots.counts().map(|(_, count)| count.free).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_large_job_is_not_passed_over() {
    let mut slots = slots(false);
    slots.offer(A, 2, BTreeMap::new());
    slots.request(at(0), job(1), 3);
    slots.request(at(1), job(2), 1);
    assert_eq!(effects(&mut slots), []);
    slots.offer(B, 2, BTreeMap::new());
    assert_eq!(effects(&mut slots).len(), 2);
}

#[test]
fn slots_are_spread_if_that_is_wanted() {
    let mut slots = slots(true);
    slots.offer(A, 4, BTreeMap::new());
    slots.offer(B, 4, BTreeMap::new());
    slots.request(at(0), job(1), 4);
    let granted = SlotEffect::Granted { job: job(1), slots: vec![A, B, A, B] };
    assert_eq!(effects(&mut slots), [granted]);
}

#[test]
fn who_waits_too_long_is_told_how_many_are_missing() {
    let mut slots = slots(false);
    slots.offer(A, 1, BTreeMap::new());
    slots.request(at(10), job(1), 3);
    assert_eq!(slots.poll_timeout(), Some(at(310)));
    slots.handle_timeout(at(309));
    assert_eq!(effects(&mut slots), []);
    slots.handle_timeout(at(310));
    let effects = effects(&mut slots);
    let [SlotEffect::Refused { message, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert!(message.contains("2 are missing") && message.contains("300 s"), "{message}");
    assert_eq!(slots.poll_timeout(), None);
}

#[test]
fn what_is_lost_or_released_is_seen_by_those_who_wait() {
    let mut slots = slots(false);
    slots.offer(A, 2, BTreeMap::new());
    slots.request(at(0), job(1), 2);
    slots.request(at(0), job(2), 2);
    effects(&mut slots);
    slots.lost(A);
    assert_eq!(effects(&mut slots), [SlotEffect::Lost { job: job(1), task_manager: A }]);
    slots.offer(B, 2, BTreeMap::new());
    let granted = |number| SlotEffect::Granted { job: job(number), slots: vec![B, B] };
    assert_eq!(effects(&mut slots), [granted(2)]);
    slots.request(at(0), job(1), 2);
    assert_eq!(effects(&mut slots), []);
    slots.release(job(2));
    assert_eq!(effects(&mut slots), [granted(1)]);
}
