//! Looking up keys from outside.

use std::time::Duration;

use flott_core::Timestamp;

use super::disk::on_disk;
use super::*;
use crate::StateBackend;

fn ask(
    backend: &mut KeyedBackend<(String, u8)>,
    state: &str,
    key: &str,
    now: i64,
) -> Result<Option<String>> {
    let question = StateQuestion { state: state.to_owned(), key: key.to_owned() };
    match backend.look_up(&question, Timestamp(now))? {
        StateAnswer::Entry(entry) => Ok(entry.value),
        StateAnswer::Elsewhere(group) => panic!("group {} is here", group.0),
    }
}

#[test]
fn every_kind_of_state_is_found_and_nothing_changes() {
    for place in [StateBackend::Heap, on_disk(1)] {
        let mut backend = KeyedBackend::new("all", max(8).range_of(0, 1), max(8)).on(place);
        backend.set_now(Timestamp(0));
        let ttl =
            StateTtlConfig::new(Duration::from_millis(10)).update_type(UpdateType::OnReadAndWrite);
        let value = backend.value_state(ValueStateDescriptor::<u64>::new("value")).unwrap();
        let list = backend.list_state(ListStateDescriptor::<u8>::new("list")).unwrap();
        let aged =
            backend.value_state(ValueStateDescriptor::<String>::new("aged").ttl(ttl)).unwrap();
        for n in 0..50u8 {
            backend.use_key(("key".to_owned(), n)).unwrap();
            value.update(&mut backend, u64::from(n) * 10).unwrap();
            list.add(&mut backend, n).unwrap();
            aged.update(&mut backend, format!("\"{n}\"")).unwrap();
        }
        for n in 0..50 {
            let key = format!("[\"key\", {n}]");
            assert_eq!(ask(&mut backend, "value", &key, 5).unwrap(), Some((n * 10).to_string()));
            assert_eq!(ask(&mut backend, "list", &key, 5).unwrap(), Some(format!("[{n}]")));
            let text = format!(r#"{{"used":0,"value":"\"{n}\""}}"#);
            assert_eq!(ask(&mut backend, "aged", &key, 5).unwrap(), Some(text));
        }
        // That somebody looked has not prolonged anything.
        assert_eq!(ask(&mut backend, "aged", "[\"key\", 7]", 10).unwrap(), None);
        assert_eq!(ask(&mut backend, "value", "[\"key\", 50]", 10).unwrap(), None);
        assert_eq!(backend.current_key(), Some(&("key".to_owned(), 49)), "that of the job");
    }
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let mut backend = KeyedBackend::<u64>::new("sums", max(8).range_of(1, 2), max(8));
    let _ = backend.value_state(ValueStateDescriptor::<i64>::new("sum")).unwrap();
    let mut ask = |state: &str, key: &str| {
        let question = StateQuestion { state: state.to_owned(), key: key.to_owned() };
        backend.look_up(&question, Timestamp(0))
    };
    let answers: Vec<_> = (0..40).map(|key| ask("sum", &key.to_string()).unwrap()).collect();
    for (key, answer) in answers.iter().enumerate() {
        let group = max(8).key_group(crate::testing::hash(&(key as u64)));
        match answer {
            StateAnswer::Entry(entry) => assert!(group.0 >= 4 && entry.key_group == group),
            StateAnswer::Elsewhere(found) => assert!(group.0 < 4 && *found == group),
        }
    }
    let there = (0..40u64).find(|key| max(8).key_group(crate::testing::hash(key)).0 >= 4).unwrap();
    let unknown = ask("total", &there.to_string()).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::InvalidInput);
    assert!(unknown.to_string().contains("no keyed state \"total\": it has \"sum\""), "{unknown}");
    let wrong = ask("sum", "seven").unwrap_err();
    assert!(wrong.to_string().contains("\"seven\" is no key: keys are u64"), "{wrong}");
}
