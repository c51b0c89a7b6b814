//! A job with state of every kind whose parallelism changes, again and again, and the backend that keeps the
//! state: it knows what it would know had it run with one from the beginning.

use std::fs;

use crate::setup::{Cluster, jobs};

/// Numbers that are fed at each parallelism.
const NUMBERS: i64 = 20;

struct Remember {
    cluster: Cluster,
    fed: i64,
}

impl Remember {
    fn run(&self, (parallelism, backend): (&str, &str), savepoint: Option<&str>) -> String {
        let (jobs, numbers, asks) = (jobs(), self.cluster.path("feed"), self.cluster.path("asks"));
        let backend = format!("state.backend.type={backend}");
        let mut arguments = vec!["-c", "remember", "-p", parallelism, "-D", &backend];
        arguments.extend(["-D", "pipeline.max-parallelism=16"]);
        arguments.extend(savepoint.iter().flat_map(|savepoint| ["-s", savepoint]));
        arguments.extend([jobs.to_str().unwrap(), "--numbers", numbers.to_str().unwrap()]);
        arguments.extend(["--asks", asks.to_str().unwrap()]);
        self.cluster.submit(&arguments)
    }

    /// Feeds some numbers, and waits until the last of them is seen.
    fn feed(&mut self) {
        let numbers = self.fed + 1..=self.fed + NUMBERS;
        self.fed += NUMBERS;
        let lines: String = numbers.clone().map(|number| format!("{number}\n")).collect();
        self.cluster.feed(&format!("{:04}", self.fed), &lines);
        self.cluster.wait("all are seen", || {
            let seen = self.said("seen ");
            numbers.clone().all(|number| seen.contains(&format!("seen {number}")))
        });
    }

    /// The sum of each key is what was fed, wherever it is.
    fn look_up(&self, job: &str) {
        let query = |key: &str| {
            self.cluster.flott(&["state", "query", job, "-o", "sums", "-s", "sum", "-k", key])
        };
        for key in 0..10 {
            let own = (1..=self.fed).filter(|number| number % 10 == key);
            let found = query(&key.to_string());
            assert_eq!(found.text.trim(), own.sum::<i64>().to_string(), "{}", found.error);
        }
        let (none, wrong) = (query("-10"), query("x"));
        assert!(none.code == 1 && none.error.contains("nothing for the key -10"), "{}", none.error);
        assert!(wrong.code == 1 && wrong.error.contains("keys are i64"), "{}", wrong.error);
    }

    /// What was said that begins so, in order.
    fn said(&self, what: &str) -> Vec<String> {
        let lines = self.cluster.printed().into_iter();
        // A subtask puts its number before what it prints, if there are several.
        let own = lines.map(|line| {
            let text = line.split_once("> ").map_or(&*line, |(_, text)| text);
            text.trim_matches('"').to_owned()
        });
        let mut own: Vec<String> = own.filter(|line| line.starts_with(what)).collect();
        own.sort();
        own
    }
}

/// Has a job go on with another parallelism; returns the job that it goes on as, or, as the second, why not.
fn rescale(cluster: &Cluster, job: &str, query: &str) -> (String, String) {
    let url = format!("http://{}/jobs/{job}/rescaling?{query}", cluster.address());
    let triggered = ureq::patch(&url).send_empty().unwrap().body_mut().read_to_string().unwrap();
    let triggered: serde_json::Value = serde_json::from_str(&triggered).unwrap();
    let path = format!("/jobs/{job}/rescaling/{}", triggered["request-id"].as_str().unwrap());
    cluster.wait("it is done", || cluster.get(&path)["status"]["id"] == "COMPLETED");
    let done = &cluster.get(&path)["operation"];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (text(&done["job-id"]), text(&done["failure-cause"]["stack-trace"]))
}

#[test]
fn a_job_goes_on_with_another_parallelism_on_request() {
    let cluster = Cluster::start(2, &["taskmanager.numberOfTaskSlots: 2"]);
    fs::create_dir(cluster.path("asks")).unwrap();
    let mut remember = Remember { cluster, fed: 0 };
    let job = remember.run(("2", "hashmap"), None);
    remember.feed();
    remember.cluster.wait_for_tasks(&job);
    let folder = format!("targetDirectory={}", remember.cluster.path("savepoints").display());

    // What cannot be is said before the job stops.
    let (_, why) = rescale(&remember.cluster, &job, &format!("parallelism=17&{folder}"));
    assert!(why.contains("17"), "{why}");
    let (_, why) = rescale(&remember.cluster, &job, "parallelism=3");
    assert!(why.contains("savepoint-dir"), "{why}");
    assert_eq!(remember.cluster.status(&job), "RUNNING");

    let (next, why) = rescale(&remember.cluster, &job, &format!("parallelism=3&{folder}"));
    assert_eq!(why, "");
    assert_eq!(remember.cluster.status(&job), "FINISHED");
    let query = ["state", "query", &job, "-o", "sums", "-s", "sum", "-k", "1"];
    let gone = remember.cluster.flott(&query);
    assert!(gone.code == 1 && gone.error.contains("has ended"), "{}", gone.error);
    remember.cluster.wait_for_tasks(&next);
    let vertices = &remember.cluster.get(&format!("/jobs/{next}"))["vertices"];
    let parallelisms = vertices.as_array().unwrap().iter().map(|own| own["parallelism"].as_u64());
    assert!(parallelisms.clone().any(|own| own == Some(3)), "{vertices}");
    remember.look_up(&next);
    remember.feed();
    remember.look_up(&next);
    // And again, from what it has been made of.
    let (last, why) = rescale(&remember.cluster, &next, &format!("parallelism=1&{folder}"));
    assert_eq!(why, "");
    remember.cluster.wait_for_tasks(&last);
    remember.look_up(&last);
    remember.cluster.done(&["cancel", &last]);
}

#[test]
fn state_of_every_kind_survives_every_parallelism() {
    let cluster = Cluster::start(3, &["taskmanager.numberOfTaskSlots: 2"]);
    fs::create_dir(cluster.path("asks")).unwrap();
    let savepoints = cluster.path("savepoints");
    let savepoints = savepoints.to_str().unwrap();
    let mut remember = Remember { cluster, fed: 0 };
    let mut savepoint: Option<String> = None;
    let parallelisms = ["1", "2", "3", "5", "3", "2", "1", "5"];
    let backends = ["hashmap", "lsm", "lsm", "hashmap"];
    let steps: Vec<_> = parallelisms.into_iter().zip(backends.into_iter().cycle()).collect();
    for (index, step) in steps.iter().enumerate() {
        let job = remember.run(*step, savepoint.as_deref());
        remember.feed();
        remember.cluster.wait_for_tasks(&job);
        remember.look_up(&job);
        if index + 1 < steps.len() {
            let stopped = remember.cluster.done(&["stop", "-p", savepoints, "--json", &job]);
            let stopped: serde_json::Value = serde_json::from_str(&stopped).unwrap();
            savepoint = Some(stopped["location"].as_str().unwrap().to_owned());
            continue;
        }
        let (hidden, ask) = (remember.cluster.path("ask"), remember.cluster.path("asks/ask"));
        fs::write(&hidden, "0\n").unwrap();
        fs::rename(hidden, ask).unwrap();
        // Every subtask answers.
        remember.cluster.wait("the answers", || remember.said("broadcast").len() == 5);
        remember.cluster.done(&["stop", "-p", savepoints, "--drain", &job]);
    }

    let all: Vec<i64> = (1..=remember.fed).collect();
    let expected = |text: &dyn Fn(&i64) -> String| {
        let mut lines: Vec<String> = all.iter().map(text).collect();
        lines.sort();
        lines
    };
    assert_eq!(remember.said("split"), expected(&|number| format!("split {number}")));
    let mut united = remember.said("union");
    united.dedup();
    assert_eq!(united, expected(&|number| format!("union {number}")));
    assert_eq!(remember.said("broadcast"), vec![format!("broadcast {all:?}"); 5]);
    let sum = |key: i64| all.iter().filter(|number| *number % 10 == key).sum::<i64>();
    let timers = expected(&|number| {
        format!("timer {number} of key {} with {}", number % 10, sum(number % 10))
    });
    assert_eq!(remember.said("timer"), timers);
    assert_eq!(remember.said("seen"), expected(&|number| format!("seen {number}")));
}
