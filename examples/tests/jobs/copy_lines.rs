//! `copy_lines`, killed a hundred times: every line is in the copy exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::checkpoints::{self, COMPLETED};
use crate::support::{JobProcess, Launch, Random, files, job, text};

const KILLS: usize = 100;
const FILES: usize = 5;

#[test]
fn a_hundred_kills_lose_and_double_no_line_when_parts_are_closed_at_checkpoints() {
    Copy::new(11, None).survive();
}

#[test]
fn a_hundred_kills_lose_and_double_no_line_when_parts_go_on_over_checkpoints() {
    Copy::new(12, Some(4096)).survive();
}

#[test]
fn kills_while_the_input_ends_lose_and_double_no_line() {
    // How many kills a run survives depends on the machine; each seed must come to its end.
    let mut kills = 0;
    for seed in 0.. {
        assert!(seed < 200, "only {kills} kills");
        kills += Copy::new(100 + seed, Some(4096)).finish_with_kills();
        if seed >= 9 && kills > 20 {
            break;
        }
    }
}

/// The input, the output and the checkpoints of a job that is killed again and again.
struct Copy {
    seed: u64,
    random: Random,
    part_bytes: Option<u64>,
    directory: tempfile::TempDir,
    /// How many lines each input file has.
    fed: [usize; FILES],
    /// The committed parts, with their lengths.
    committed: BTreeMap<PathBuf, u64>,
    /// The lines of those parts.
    copied: BTreeSet<String>,
}

impl Copy {
    fn new(seed: u64, part_bytes: Option<u64>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("input")).unwrap();
        let (fed, committed, copied) = ([0; FILES], BTreeMap::new(), BTreeSet::new());
        let random = Random(seed << 32);
        let mut copy = Self { seed, random, part_bytes, directory, fed, committed, copied };
        (0..FILES).for_each(|file| copy.append(file, 1));
        copy
    }

    /// Kills runs that follow the input while it grows, then copies the rest.
    fn survive(mut self) {
        let mut kills_amid_work = 0;
        for _ in 0..KILLS {
            self.feed(1000);
            let mut run = self.launch(true).start();
            self.wait_for_the_moment(&mut run);
            // However fast the machine is: these lines are not copied when the kill comes.
            self.feed(100);
            run.kill();
            self.take_stock();
            kills_amid_work += usize::from(self.copied.len() < self.fed.iter().sum());
        }
        assert!(kills_amid_work > KILLS * 3 / 4, "only {kills_amid_work} kills hit work");
        self.launch(false).run().expect(0, ["to FINISHED"]);
        self.check();
    }

    /// Kills runs that read to the end of the input, where the last checkpoint and the commit of
    /// everything are, until one of them has finished. Says how many kills that took.
    fn finish_with_kills(mut self) -> usize {
        self.feed(20_000);
        for kills in 0.. {
            assert!(kills < 1000, "seed {}: no run finishes", self.seed);
            let output = self.path("output");
            let mut run = self.launch(false).start();
            let (checkpoints, new_parts) = (self.random.below(4 + kills), self.random.below(200));
            let before = parts(&output).len();
            let what = format!("checkpoint {checkpoints} or part {new_parts}");
            run.until_of(&what, |run| {
                let has_come = run.count_logged(COMPLETED) >= checkpoints
                    || parts(&output).len() >= before + new_parts
                    || run.count_logged("to FINISHED") > 0;
                has_come.then_some(())
            });
            let ended = run.kill();
            self.take_stock();
            if checkpoints::had_finished(&ended, &self.path("checkpoints")) {
                self.check();
                return kills;
            }
        }
        unreachable!("the loop has no other end")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A run from the newest checkpoint; without one, from the start.
    fn launch(&mut self, follow: bool) -> Launch {
        let (input, output) = (self.path("input"), self.path("output"));
        let mut launch = job("copy_lines").checkpoints(&self.path("checkpoints"), 10).arguments([
            "--from",
            text(&input),
            "--to",
            text(&output),
        ]);
        if let Some(bytes) = self.part_bytes {
            launch = launch.arguments(["--part-bytes", &bytes.to_string()]);
        }
        if follow {
            launch = launch.arguments(["--follow"]);
        }
        // Where some subtasks may have finished and others not, their number must stay the same.
        let parallelism = if follow { self.random.between(1, 3) as u32 } else { 2 };
        launch = launch.parallelism(parallelism);
        if let Some(newest) = checkpoints::newest(&self.path("checkpoints")) {
            return launch.resume(&newest.path);
        }
        let _ = fs::remove_dir_all(&output);
        self.committed.clear();
        self.copied.clear();
        launch
    }

    /// Waits for a random number of events of a random kind, and feeds lines at each.
    fn wait_for_the_moment(&mut self, run: &mut JobProcess) {
        let count = self.random.between(0, 4);
        if self.random.below(2) == 0 {
            run.logged("CREATED to RUNNING");
            for _ in 0..count {
                self.feed(100);
                run.completed();
            }
        } else {
            let output = self.path("output");
            for _ in 0..count {
                let before = parts(&output).len();
                self.feed(1000);
                run.until("a new part", || (parts(&output).len() > before).then_some(()));
            }
        }
    }

    /// Adds about `count` lines to the input.
    fn feed(&mut self, count: usize) {
        for file in 0..FILES {
            let lines = self.random.below(2 * count / FILES);
            self.append(file, lines);
        }
    }

    fn append(&mut self, file: usize, count: usize) {
        let path = self.path("input").join(format!("{file}.txt"));
        let first = self.fed[file];
        self.fed[file] += count;
        let lines: String = (first..first + count).map(|n| line(file, n) + "\n").collect();
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// Reads the parts that are new. A committed part never changes, and no line is in two.
    fn take_stock(&mut self) {
        let found = parts(&self.path("output"));
        let lengths = found.iter().map(|part| (part, fs::metadata(part).unwrap().len()));
        let lengths: BTreeMap<&PathBuf, u64> = lengths.collect();
        for (part, length) in &self.committed {
            assert_eq!(lengths.get(part), Some(length), "seed {}: {part:?} changed", self.seed);
        }
        for (part, length) in lengths {
            if self.committed.insert(part.clone(), length).is_some() {
                continue;
            }
            let text = fs::read_to_string(part).unwrap();
            assert!(text.ends_with('\n'), "seed {}: {part:?} ends in a line", self.seed);
            for line in text.lines() {
                let is_new = self.copied.insert(line.to_owned());
                assert!(is_new, "seed {}: \"{line}\" is in {part:?} again", self.seed);
            }
        }
    }

    /// The copy is complete, and nothing but the copy is there.
    fn check(&mut self) {
        let output = self.path("output");
        self.committed.clear();
        self.copied.clear();
        self.take_stock();
        let all = self.fed.iter().enumerate();
        let wanted: BTreeSet<String> =
            all.flat_map(|(file, count)| (0..*count).map(move |n| line(file, n))).collect();
        let missing: Vec<&String> = wanted.difference(&self.copied).take(5).collect();
        assert!(missing.is_empty(), "seed {}: {missing:?} … are lost", self.seed);
        assert_eq!(self.copied.len(), wanted.len(), "seed {}: there are other lines", self.seed);
        let hidden: Vec<PathBuf> =
            files(&output).into_iter().filter(|path| is_hidden(path)).collect();
        assert!(hidden.is_empty(), "seed {}: {hidden:?} are left", self.seed);
    }
}

fn line(file: usize, number: usize) -> String {
    format!("file {file}, line {number:06}")
}

/// The committed parts: what readers see.
fn parts(output: &Path) -> Vec<PathBuf> {
    files(output).into_iter().filter(|path| !is_hidden(path)).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}
