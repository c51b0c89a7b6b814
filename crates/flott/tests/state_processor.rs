//! State that is read and written without running a job, with the job's types; and jobs that begin with it.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flott::core::MaxParallelism;
use flott::core::config::{Configuration, Origin};
use flott::prelude::*;
use flott::state_processor::{KeyedBackend, SavepointWriter, Snapshot};

fn config(settings: &[(&str, &str)]) -> Configuration {
    let mut config = Configuration::new();
    for (key, value) in settings {
        config.set_text(key, value, Origin::CommandLine).unwrap();
    }
    config
}

/// What a user's function has: a balance, and a list of what changed it.
fn balance() -> ValueStateDescriptor<i64> {
    ValueStateDescriptor::new("balance")
}

fn history() -> ListStateDescriptor<i64> {
    ListStateDescriptor::new("history")
}

#[derive(Clone, Default)]
struct Account {
    balance: ValueState<i64>,
    history: ListState<i64>,
}

impl KeyedProcessFunction<String, (String, i64), (String, i64, usize)> for Account {
    fn open(&mut self, ctx: &mut KeyedContext<'_, String>) -> flott::Result<()> {
        self.balance = ctx.value_state(balance())?;
        self.history = ctx.list_state(history())?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (account, amount): (String, i64),
        ctx: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, i64, usize)>,
    ) -> flott::Result<()> {
        let balance = self.balance.get_or_insert_with(ctx, || 0)?;
        *balance += amount;
        let balance = *balance;
        self.history.add(ctx, amount)?;
        let changes = self.history.get(ctx)?.len();
        out.collect((account, balance, changes));
        Ok(())
    }
}

/// Runs payments through the job, from a savepoint; returns what the accounts were at last.
fn run(from: &str, parallelism: u32, payments: &[(&str, i64)]) -> BTreeMap<String, (i64, usize)> {
    let settings = [
        ("execution.state-recovery.path", from),
        ("parallelism.default", &parallelism.to_string()),
    ];
    let cluster = Arc::new(flott::cluster::embedded::EmbeddedCluster::new());
    let env = StreamExecutionEnvironment::new(config(&settings), cluster);
    let payments = payments.iter().map(|(account, amount)| ((*account).to_owned(), *amount));
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let sink = seen.clone();
    env.from_collection(payments.collect::<Vec<_>>())
        .key_by(|(account, _)| account.clone())
        .process(Account::default())
        .uid("account")
        .map(move |(account, balance, changes)| {
            sink.lock().unwrap().insert(account, (balance, changes));
            Ok::<_, flott::Error>(())
        })
        .discard();
    env.execute("accounts").unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

fn bootstrap(folder: &Path, accounts: u64) -> String {
    let write = |state: &mut KeyedBackend<String>| {
        let (balance, history) = (state.value_state(balance())?, state.list_state(history())?);
        for account in 0..accounts {
            state.use_key(format!("account-{account}"))?;
            balance.update(state, account as i64)?;
            history.add(state, account as i64)?;
        }
        Ok(())
    };
    SavepointWriter::new_savepoint(&config(&[]), "accounts", MaxParallelism::new(16).unwrap())
        .unwrap()
        .with_keyed_state("account", write)
        .unwrap()
        .write(folder.to_str().unwrap())
        .unwrap()
}

/// The balances in a snapshot.
fn balances(path: &str) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    let snapshot = Snapshot::open(&config(&[]), path).unwrap();
    snapshot
        .read_keyed_state::<String, _>(
            "account",
            |state| state.value_state(balance()),
            |state, balance| {
                let account = state.current_key().cloned().unwrap_or_default();
                let amount = balance.get(state)?.copied().unwrap_or_default();
                assert!(found.insert(account, amount).is_none(), "a key is shown once");
                Ok(())
            },
        )
        .unwrap();
    found
}

#[test]
fn a_job_begins_with_state_that_no_job_has_written() {
    let folder = tempfile::tempdir().unwrap();
    let savepoint = bootstrap(folder.path(), 500);
    let expected: BTreeMap<String, i64> = (0..500).map(|n| (format!("account-{n}"), n)).collect();
    assert_eq!(balances(&savepoint), expected);
    for parallelism in [1, 3] {
        let seen = run(&savepoint, parallelism, &[("account-7", 100), ("new", 1)]);
        assert_eq!(seen["account-7"], (107, 2));
        assert_eq!(seen["new"], (1, 1));
    }
}

#[test]
fn stored_state_is_changed_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let savepoint = bootstrap(folder.path(), 50);
    let double = |state: &mut KeyedBackend<String>| {
        // The history is not registered.
        let balance = state.value_state(balance())?;
        state.use_key("account-9".to_owned())?;
        *balance.get_or_insert_with(state, || 0)? *= 2;
        Ok(())
    };
    let changed = SavepointWriter::from_existing_savepoint(&config(&[]), &savepoint)
        .unwrap()
        .with_keyed_state("account", double)
        .unwrap()
        .set_max_parallelism(MaxParallelism::new(300).unwrap())
        .unwrap()
        .write(folder.path().to_str().unwrap())
        .unwrap();
    let mut expected = balances(&savepoint);
    expected.insert("account-9".to_owned(), 18);
    assert_eq!(balances(&changed), expected);
    // More subtasks than there were key groups.
    let seen = run(&changed, 20, &[("account-9", 1), ("account-8", 1)]);
    assert_eq!(seen["account-9"], (19, 2));
    assert_eq!(seen["account-8"], (9, 2));
}

#[test]
fn state_of_another_type_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let savepoint = bootstrap(folder.path(), 5);
    let writer = SavepointWriter::from_existing_savepoint(&config(&[]), &savepoint).unwrap();
    let error = writer
        .with_keyed_state::<String>("account", |state| {
            state.value_state(ValueStateDescriptor::<String>::new("balance")).map(drop)
        })
        .err()
        .unwrap();
    assert!(error.to_string().contains("state \"balance\" cannot be restored"), "{error}");
    let snapshot = Snapshot::open(&config(&[]), &savepoint).unwrap();
    let read = snapshot.read_keyed_state::<String, _>("nobody", |_| Ok(()), |_, ()| Ok(()));
    assert!(read.unwrap_err().to_string().contains("no operator with the uid \"nobody\""));
}
