//! Nothing in the repository names a developer's machine: no home folder, no private host.
//!
//! What is searched for is put together here from pieces, so that this file passes its own check.

use super::Complaint;
use super::files::File;

/// Where home folders are.
const HOMES: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Use", "rs/"),
    concat!(":\\Use", "rs\\"),
];

/// The ends of names that only a private network knows.
const PRIVATE_ENDS: [&str; 6] = [".corp", ".home.arpa", ".internal", ".intranet", ".lan", ".local"];

pub(super) fn check(file: &File) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut complain = |text| complaints.push(Complaint::new(&file.path, index + 1, text));
        if let Some(home) = HOMES.into_iter().find(|home| has_home(line, home)) {
            let text = "a folder of one machine: name it relative to the workspace, or by $HOME";
            complain(format!("`{home}…` is {text}"));
        }
        for host in hosts(line).filter(|host| is_private(host)) {
            complain(format!(
                "`{host}` is a private host: use localhost, example.com or 192.0.2.1"
            ));
        }
    }
    complaints
}

/// Whether the line has an absolute path that begins with `home` and goes on.
fn has_home(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + home.len()..].chars().next();
        // `docs/…` and `{folder}/…` are no absolute paths; `C:\…` begins with its drive.
        let is_absolute = home.starts_with(':')
            || !before.is_some_and(|c| c.is_alphanumeric() || "._-}~)>".contains(c));
        is_absolute && after.is_some_and(|c| c.is_alphanumeric() || "._-".contains(c))
    })
}

/// What could be a host: the authorities of URLs, and addresses of four numbers.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    let is_host = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let authorities = line.match_indices("://").map(move |(at, mark)| {
        let rest = &line[at + mark.len()..];
        let authority = rest.split(['/', ' ', '"', '`', '>', ')']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.split(|c| !is_host(c)).next().unwrap_or_default()
    });
    let is_address = |word: &&str| address(word).is_some() && !line.contains("://");
    authorities.chain(line.split(move |c| !is_host(c)).filter(is_address))
}

fn is_private(host: &str) -> bool {
    if let Some(parts) = address(host) {
        return match parts {
            [10, ..] | [192, 168, ..] => true,
            [172, second, ..] => (16..32).contains(&second),
            _ => false,
        };
    }
    let known = host.ends_with(".cluster.local");
    !known && PRIVATE_ENDS.iter().any(|end| host.ends_with(end))
}

fn address(word: &str) -> Option<[u8; 4]> {
    let parts: Option<Vec<u8>> = word.split('.').map(|part| part.parse().ok()).collect();
    parts?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> usize {
        let file = File { path: "a.md".into(), text: format!("first\n{line}\n") };
        let complaints = super::check(&file);
        assert!(complaints.iter().all(|complaint| complaint.line == 2));
        complaints.len()
    }

    #[test]
    fn home_folders_are_found() {
        assert_eq!(check(concat!("cd /ho", "me/ada/flott")), 1);
        assert_eq!(check(concat!("\"/ro", "ot/.cargo\"")), 1);
        assert_eq!(check(concat!("file:///Use", "rs/ada")), 1);
        assert_eq!(check(concat!("C:\\Use", "rs\\ada")), 1);
    }

    #[test]
    fn other_folders_are_not() {
        for line in
            ["$HOME/.cache", "docs/home/index.md", "/homework", "the /root of it", "a/root/b"]
        {
            assert_eq!(check(line), 0, "{line}");
        }
    }

    #[test]
    fn private_hosts_are_found() {
        assert_eq!(check(concat!("https://crates.acme", ".internal/index")), 1);
        assert_eq!(check(concat!("http://ada@build", ".lan:8080/")), 1);
        assert_eq!(check(concat!("listen on 192.", "168.1.7:9999")), 1);
        assert_eq!(check(concat!("http://10.", "0.0.1/")), 1);
        assert_eq!(check(concat!("172.", "16.0.1")), 1);
    }

    #[test]
    fn public_and_documentation_hosts_are_not() {
        for line in [
            "http://localhost:8081/jobs",
            "127.0.0.1 and 0.0.0.0 and 192.0.2.1 and 172.32.0.1",
            "https://github.com/a/b",
            "http://jobmanager.flott.svc.cluster.local:8081",
            "self.local.len()",
            "hdfs://namenode:8020/checkpoints",
            "version 10.2.1",
        ] {
            assert_eq!(check(line), 0, "{line}");
        }
    }
}
