//! `flott state`: snapshots of every format, without the binary of their job.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// A snapshot that an earlier version has written.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/tests/golden").join(name)
}

fn v1() -> PathBuf {
    golden("v1/word_totals/chk-3")
}

/// Its state is in files of two checkpoints.
fn v2() -> PathBuf {
    golden("v2/word_totals/chk-4")
}

/// Exit code, output, errors.
fn state(verb: &str, path: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flott"));
    let output = command.args(["state", verb]).arg(path).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn done(verb: &str, path: &Path, arguments: &[&str]) -> String {
    let (code, text, error) = state(verb, path, arguments);
    assert_eq!((code, &*error), (0, ""), "{verb} {path:?} {arguments:?}: {text}");
    text
}

#[test]
fn what_is_stored_is_listed_with_its_shape_and_size() {
    for (path, groups) in [(v1(), 65), (v2(), 4)] {
        let text = done("ls", &path, &[]);
        assert!(text.contains("of job word_totals (") && text.contains("100 entries"), "{text}");
        assert!(text.contains("String => (String, i64)"), "{text}");
        let all: Value = serde_json::from_str(&done("ls", &path, &["--json"])).unwrap();
        let expected = json!([1, "sum", "rolling", "value", 100, groups]);
        let own = &all["states"][0];
        let found = json!([
            all["states"].as_array().unwrap().len(),
            own["uid"],
            own["state"],
            own["kind"],
            own["entries"],
            own["key_groups"]
        ]);
        assert_eq!(found, expected);
    }
}

#[test]
fn entries_are_shown_looked_up_and_exported_as_they_are_now() {
    assert_eq!(done("get", &v1(), &["-k", "word7"]), "[\"word7\",7]\n");
    assert_eq!(done("get", &v2(), &["-k", "\"word7\"", "-o", "sum"]), "[\"word7\",102]\n");
    assert_eq!(done("show", &v2(), &["-n", "3"]).lines().count(), 3);
    let lines = done("export", &v2(), &[]);
    let mut all: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    all.sort_by_key(|entry| entry["value"][1].as_i64());
    assert_eq!(all.len(), 100);
    assert_eq!(all[99], json!({"key": "word9", "value": ["word9", 109]}));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("words.csv");
    done("export", &v1(), &["--format", "csv", "--to", file.to_str().unwrap(), "-s", "rolling"]);
    let text = fs::read_to_string(file).unwrap();
    assert!(text.starts_with("key,value\n"), "{text}");
    assert!(
        text.contains("word3,\"[\"\"word3\"\",3]\"\n") && text.lines().count() == 101,
        "{text}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    for (arguments, expected) in [
        (["-k", "nope"], "has nothing for the key nope"),
        (["-ktwo", "-snope"], "there is no such state: "),
        (["-ktwo", "-onobody"], "has \"rolling\" of \"sum\""),
    ] {
        let (code, _, error) = state("get", &v2(), &arguments);
        assert!(code == 1 && error.contains(expected), "{error}");
    }
    let (code, _, error) = state("ls", Path::new("/nowhere"), &[]);
    assert!(code == 1 && error.contains("the checkpoint \"/nowhere\" does not exist"), "{error}");
}

#[test]
fn two_snapshots_are_compared_entry_by_entry() {
    let same = done("diff", &v1(), &[v1().to_str().unwrap()]);
    assert_eq!(same, "Both have the same.\n");
    let (code, text, error) = state("diff", &v1(), &[v2().to_str().unwrap(), "-n", "8"]);
    assert!(code == 1 && error.contains("they differ in 10 entries"), "{error}");
    assert!(text.starts_with("sum: rolling (10 differences)\n"), "{text}");
    assert!(text.contains("  ~ \"word7\": [\"word7\",7] => [\"word7\",102]\n"), "{text}");
    assert!(text.ends_with("  …\n"), "{text}");
}

#[test]
fn any_damage_is_found() {
    assert!(done("verify", &v1(), &[]).contains("is whole: 1 states with 100 entries"));
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path();
    for name in ["chk-1", "chk-3", "chk-4"] {
        fs::create_dir(job.join(name)).unwrap();
        for file in fs::read_dir(golden("v2/word_totals").join(name)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), job.join(name).join(file.file_name())).unwrap();
        }
    }
    let path = job.join("chk-4");
    assert!(done("verify", &path, &[]).contains("in 4 files"));
    let file = fs::read_dir(job.join("chk-1")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    bytes[300] ^= 0x20;
    fs::write(&file, &bytes).unwrap();
    let (code, _, error) = state("verify", &path, &[]);
    assert!(code == 1 && error.contains("is damaged"), "{error}");
    assert!(error.contains(file.to_str().unwrap()), "{error}");
    let (code, _, error) = state("show", &path, &["-n", "1000"]);
    assert!(code == 1 && error.contains("state \"rolling\", key group"), "{error}");
}

#[test]
fn a_directory_is_tidied_up_when_it_is_old_enough() {
    let directory = tempfile::tempdir().unwrap();
    let lost = directory.path().join("chk-9");
    fs::create_dir_all(&lost).unwrap();
    fs::write(lost.join("a.state"), "12345").unwrap();
    let gc = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flott"));
        let output = command.args(["checkpoint", "gc"]).arg(directory.path()).args(arguments);
        let output = output.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(gc(&[]).contains("left alone") && lost.exists());
    let told = gc(&["--dry-run", "--min-age", "0 s"]);
    assert!(told.contains("chk-9/a.state (5 bytes)") && told.contains("1 files, 5 bytes would be"));
    assert!(lost.exists());
    assert!(gc(&["--min-age", "0 s"]).contains("1 files, 5 bytes deleted") && !lost.exists());
    assert!(gc(&[]).contains("There are no checkpoints"));
}

/// Edits a snapshot into a folder, and returns where the new one is.
fn edited(path: &Path, to: &Path, arguments: &[&str]) -> PathBuf {
    let text = done("edit", path, &[&["--to", to.to_str().unwrap()], arguments].concat());
    text.trim().strip_prefix("Savepoint completed. Path: file:").unwrap().into()
}

#[test]
fn a_savepoint_is_made_of_another_one() {
    let folder = tempfile::tempdir().unwrap();
    for (path, groups) in [(v1(), "1000"), (v2(), "7")] {
        let before = done("verify", &path, &[]);
        let new = edited(&path, folder.path(), &["--max-parallelism", groups]);
        assert!(done("verify", &new, &[]).contains("1 states with 100 entries"));
        assert_eq!(done("diff", &path, &[new.to_str().unwrap()]), "Both have the same.\n");
        let all: Value = serde_json::from_str(&done("ls", &new, &["--json"])).unwrap();
        assert_eq!(all["states"][0]["max_parallelism"].to_string(), groups);
        // Nothing of it is elsewhere, and the old one is as it was.
        let moved = folder.path().join(groups);
        fs::rename(&new, &moved).unwrap();
        done("verify", &moved, &[]);
        assert_eq!(done("verify", &path, &[]), before);
    }
    let renamed = edited(&v2(), folder.path(), &["--rename", "sum=totals"]);
    assert_eq!(done("get", &renamed, &["-k", "word7", "-o", "totals"]), "[\"word7\",102]\n");
    let empty = edited(&v2(), folder.path(), &["--remove", "sum"]);
    assert!(done("verify", &empty, &[]).contains("is whole: 0 states"));
}

#[test]
fn what_cannot_be_edited_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    for (arguments, expected) in [
        (&[][..], "nothing is to be changed: use --rename"),
        (&["--rename", "a"], "the old uid, an equals sign, the new uid"),
        (&["--rename", "nope=b"], "there is no operator with the uid \"nope\"; there are "),
        (&["--rename", "sum=sum"], "an operator with the uid \"sum\" already"),
        (&["--max-parallelism", "0"], "max parallelism 0 is out of range"),
    ] {
        let (code, _, error) = state("edit", &v2(), &[&["--to", to], arguments].concat());
        assert!(code != 0 && error.contains(expected), "{arguments:?}: {error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is half written");
}

#[cfg(not(feature = "sql"))]
#[test]
fn what_this_build_has_not_is_said_with_what_has_it() {
    let to = ["--format", "parquet", "--to", "/nowhere/words.parquet"];
    for (verb, arguments) in [("sql", &["SELECT 1"][..]), ("export", &to)] {
        let (code, _, error) = state(verb, &v2(), arguments);
        assert!(code == 1 && error.contains("built without the feature \"sql\""), "{error}");
    }
}

#[cfg(feature = "sql")]
mod sql {
    use std::fs::File;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    #[test]
    fn questions_are_answered_as_tables_json_and_csv() {
        let query = "SELECT count(*) AS words, sum(value['1']) AS total FROM sum.rolling";
        let answer = done("sql", &v1(), &[query, "--format", "json"]);
        assert_eq!(answer, "{\"words\":100,\"total\":4950}\n");
        let query =
            "SELECT key, value['1'] AS n FROM rolling WHERE key LIKE 'word1_' ORDER BY n LIMIT 2";
        let answer = done("sql", &v2(), &[query, "--format", "csv"]);
        assert_eq!(answer, "key,n\nword10,10\nword11,11\n");
        let answer = done("sql", &v2(), &["SELECT key FROM rolling WHERE key = 'word7'"]);
        assert!(answer.contains("| key   |\n") && answer.contains("| word7 |\n"), "{answer}");
        let answer = done("sql", &v2(), &["DESCRIBE rolling", "--format", "json"]);
        assert!(answer.contains("\"column_name\":\"key\",\"data_type\":\"Utf8\""), "{answer}");
        let query = "SELECT key FROM rolling WHERE key = 'nope'";
        let none = done("sql", &v2(), &[query]);
        assert!(none.contains("key"), "the names are there without rows: {none}");
        assert_eq!(done("sql", &v2(), &[query, "--format", "csv"]), "key\n");
        let answer = done("sql", &v2(), &["SHOW TABLES", "--format", "csv"]);
        assert!(answer.contains("datafusion,sum,rolling,"), "{answer}");
    }

    #[test]
    fn what_cannot_be_answered_is_said_with_the_tables() {
        for (query, expected) in [
            ("SELECT * FROM nobody", "the tables are rolling"),
            ("SELECT nope FROM rolling", "nope"),
            ("SELEKT 1", "the query cannot be answered"),
            ("DROP TABLE rolling", "DDL not supported"),
            ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "DDL not supported"),
            ("COPY rolling TO '/tmp/words.json'", "DML not supported"),
            ("SET datafusion.execution.batch_size = 1", "Statement not supported"),
        ] {
            let (code, text, error) = state("sql", &v2(), &[query]);
            assert!(code == 1 && text.is_empty(), "{query}: {text}");
            assert!(error.contains(expected), "{query}: {error}");
        }
    }

    #[test]
    fn a_damaged_state_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("chk-3");
        fs::create_dir(&copy).unwrap();
        for file in fs::read_dir(v1()).unwrap() {
            let file = file.unwrap();
            let mut bytes = fs::read(file.path()).unwrap();
            if file.file_name() != "_metadata" {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            fs::write(copy.join(file.file_name()), bytes).unwrap();
        }
        let (code, _, error) = state("sql", &copy, &["SELECT count(*) FROM rolling"]);
        assert!(code == 1 && error.contains("state \"rolling\""), "{error}");
    }

    #[test]
    fn a_state_becomes_a_file_of_columns() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("words.parquet");
        done("export", &v1(), &["--format", "parquet", "--to", file.to_str().unwrap()]);
        let reader = SerializedFileReader::new(File::open(&file).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 100);
        let total: i64 =
            rows.iter().map(|row| row.get_group(1).unwrap().get_long(1).unwrap()).sum();
        assert_eq!(total, 4950);
        let (code, _, error) = state("export", &v1(), &["--format", "parquet"]);
        assert!(code == 1 && error.contains("use --to FILE"), "{error}");
    }
}
