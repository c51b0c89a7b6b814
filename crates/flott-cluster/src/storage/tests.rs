//! What every store must do, on this machine's files and on real servers.

use std::time::Duration;

use flott_checkpoint::storage::{METADATA_FILE, StoreError};
use flott_core::config::Configuration;
use flott_core::{ErrorKind, WallTime};
use flott_runtime::Clock;

use super::folder::prove_writable;
use super::store::{Creation, Entry, Found};
use super::{Place, Stores};
use crate::clock::SystemClock;

/// Larger than what is sent at once to a remote store.
const LARGE: usize = (40 << 20) + 7;

fn names(place: &Place) -> Vec<Entry> {
    let mut entries = place.list().unwrap();
    entries.sort();
    entries
}

fn entry(name: &str, is_folder: bool) -> Entry {
    Entry { name: name.to_owned(), is_folder }
}

/// What every store must do. `base` is a folder that is not there.
fn keeps_files(base: &Place) {
    base.make_folder().unwrap();
    prove_writable(base).unwrap();
    let folder = base.join("chk-1");
    folder.make_folder().unwrap();
    let (record, state) = (folder.join(METADATA_FILE), folder.join("a.state"));
    assert_eq!(record.find().unwrap(), Found::Nothing);

    assert_eq!(record.create(b"one").unwrap(), Creation::Created);
    assert_eq!(record.create(b"two").unwrap(), Creation::Exists);
    record.create_once(b"one").unwrap();
    assert!(matches!(record.create_once(b"two"), Err(StoreError::Failed(_))));
    assert_eq!(record.read(None).unwrap(), b"one");
    assert_eq!(record.find().unwrap(), Found::File);
    assert_eq!(folder.find().unwrap(), Found::Folder);

    state.write(b"hello").unwrap();
    assert_eq!(state.read(Some((1, 3))).unwrap(), b"ell");
    assert_eq!(state.read(Some((0, 0))).unwrap(), b"");
    for (place, range) in [(&state, Some((3, 3))), (&state, Some((9, 1))), (&base.join("b"), None)]
    {
        let error = place.read(range).unwrap_err().into_error();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.report());
        assert!(error.report().contains(place.name()), "{}", error.report());
    }

    let large: Vec<u8> = (0..LARGE).map(|at| (at / 251) as u8).collect();
    folder.join("large.state").write(&large).unwrap();
    assert_eq!(folder.join("large.state").read(None).unwrap(), large);
    let (offset, length) = (1 << 20, 33 << 20);
    let part = folder.join("large.state").read(Some((offset, length))).unwrap();
    assert_eq!(part, large[offset as usize..(offset + length) as usize]);

    assert_eq!(names(base), [entry("chk-1", true)]);
    let all = [entry(METADATA_FILE, false), entry("a.state", false), entry("large.state", false)];
    assert_eq!(names(&folder), all);
    let mut files = base.files().unwrap();
    files.sort();
    let found = files.iter().map(|file| (file.name.as_str(), file.bytes));
    let expected =
        [("chk-1/_metadata", 3), ("chk-1/a.state", 5), ("chk-1/large.state", LARGE as u64)];
    assert!(found.eq(expected), "{files:?}");
    let minute = Duration::from_mins(1);
    let now = SystemClock.now().wall;
    let is_new = |time: WallTime| time.plus(minute) > now && time < now.plus(minute);
    assert!(files.iter().all(|file| is_new(file.modified)), "{files:?} at {now}");
    assert!(base.join("chk-3").files().unwrap().is_empty());
    folder.delete_if_empty().unwrap();
    assert_eq!(folder.find().unwrap(), Found::Folder);
    state.delete().unwrap();
    state.delete().unwrap();
    assert_eq!(state.find().unwrap(), Found::Nothing);
    base.join("chk-2").make_folder().unwrap();
    base.join("chk-2/a").write(b"").unwrap();
    folder.delete().unwrap();
    folder.delete().unwrap();
    assert_eq!(folder.find().unwrap(), Found::Nothing);
    assert_eq!(names(base), [entry("chk-2", true)]);
    base.join("chk-2/a").delete().unwrap();
    base.join("chk-2").delete_if_empty().unwrap();
    base.join("chk-2").delete_if_empty().unwrap();
    assert!(names(base).is_empty());
}

#[test]
fn this_machine_keeps_files() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new(&Configuration::new());
    keeps_files(&stores.place(folder.path().to_str().unwrap()).unwrap().join("a"));
}

#[cfg(feature = "cloud")]
#[test]
fn s3_keeps_files() {
    let server = flott_testkit::servers::Server::s3();
    let mut config = Configuration::new();
    for option in server.s3_options() {
        let (key, value) = option.split_once(": ").unwrap();
        config.set_text(key, value, flott_core::config::Origin::File).unwrap();
    }
    let stores = Stores::new(&config);
    keeps_files(&stores.place("s3a://flott/some/folder").unwrap());
    keeps_files(&stores.place("s3://flott/b").unwrap());
    // The bucket is named, and no key.
    let error = stores.place("s3://nobody").unwrap().join("a").create(b"").unwrap_err();
    let error = error.into_error().report();
    assert!(error.contains("\"s3://nobody/a\"") && !error.contains("secret"), "{error}");
}

/// As [`keeps_files`] in a folder of a store that is reached by these variables only: this program does it once
/// more, for [`the_store_that_the_environment_names_keeps_files`].
#[cfg(feature = "cloud")]
fn keeps_files_with(variables: impl IntoIterator<Item = (&'static str, String)>, url: &str) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "storage::tests::the_store_that_the_environment_names_keeps_files"]);
    let output = command.envs(variables).env(STORE, url).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("1 passed"), "{printed}");
}

#[cfg(feature = "cloud")]
#[test]
fn azure_keeps_files() {
    let server = flott_testkit::servers::Server::azure();
    keeps_files_with(server.azure_variables(), "az://flott/some/folder");
}

#[cfg(feature = "cloud")]
#[test]
fn s3_is_reached_by_what_the_environment_says() {
    let server = flott_testkit::servers::Server::s3();
    let variables = [
        ("AWS_ENDPOINT", format!("http://{}", server.address())),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "flott".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "flott-secret".to_owned()),
    ];
    keeps_files_with(variables, "s3://flott/some/folder");
}

#[cfg(feature = "hdfs")]
#[test]
fn hdfs_keeps_files() {
    let server = flott_testkit::servers::Server::hdfs();
    let stores = Stores::new(&Configuration::new());
    keeps_files(&stores.place(&format!("hdfs://{}/some/folder", server.address())).unwrap());
}

/// A folder in a store that is reached by what the environment says.
const STORE: &str = "FLOTT_TEST_STORE";

#[test]
fn the_store_that_the_environment_names_keeps_files() {
    if let Ok(url) = std::env::var(STORE) {
        keeps_files(&Stores::new(&Configuration::new()).place(&url).unwrap());
    }
}
