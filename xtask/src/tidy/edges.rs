//! Which crate uses which, compared with the table in [`super::rooms`].
//!
//! Development dependencies are not edges: a crate's tests may use whatever helps.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::Complaint;
use super::rooms::{LOUD_DEPENDENCIES, MayUse, QUIET_DEPENDENCIES, ROOMS, Room};
use crate::cargo;

const TABLE: &str = "xtask/src/tidy/rooms.rs";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

/// Asks cargo for the workspace's edges and checks them.
pub(super) fn check_workspace(root: &Path) -> Result<Vec<Complaint>, String> {
    let json = cargo::output("metadata --format-version 1 --no-deps --offline")?;
    let mut metadata: Metadata = serde_json::from_str(&json)
        .map_err(|error| format!("cannot read the output of `cargo metadata`: {error}"))?;
    for package in &mut metadata.packages {
        let path = Path::new(&package.manifest_path);
        let path = path.strip_prefix(root).unwrap_or(path);
        package.manifest_path = path.to_string_lossy().replace('\\', "/");
    }
    let mut complaints = check_rooms(&metadata.packages, ROOMS);
    for package in &metadata.packages {
        let text = fs::read_to_string(root.join(&package.manifest_path)).unwrap_or_default();
        complaints.extend(check_package(package, &text, &metadata.packages, ROOMS));
    }
    for room in ROOMS.iter().filter(|room| room.quiet) {
        if let Some(package) = metadata.packages.iter().find(|package| package.name == room.name) {
            let tree = format!("tree -p {} -e normal --offline --prefix none", room.name);
            complaints.extend(check_tree(package, &cargo::output(&tree)?));
        }
    }
    Ok(complaints)
}

/// The table and the workspace must have the same crates.
fn check_rooms(packages: &[Package], rooms: &[Room]) -> Vec<Complaint> {
    let has_package = |room: &&Room| packages.iter().any(|package| package.name == room.name);
    let has_room = |package: &&Package| rooms.iter().any(|room| room.name == package.name);
    let unknown = packages.iter().filter(|package| !has_room(package)).map(|package| {
        let text = format!("{} is not in the table of crates: add it to {TABLE}", package.name);
        Complaint::new(&package.manifest_path, 1, text)
    });
    let gone = rooms.iter().filter(|room| !has_package(room)).map(|room| {
        let text = format!("there is no crate {}: remove its row", room.name);
        Complaint::new(TABLE, 1, text)
    });
    unknown.chain(gone).collect()
}

/// The direct dependencies of one crate.
fn check_package(
    package: &Package,
    manifest: &str,
    packages: &[Package],
    rooms: &[Room],
) -> Vec<Complaint> {
    let Some(room) = rooms.iter().find(|room| room.name == package.name) else { return Vec::new() };
    let is_edge = |dependency: &&Dependency| dependency.kind.as_deref() != Some("dev");
    let edges = package.dependencies.iter().filter(is_edge);
    let complain = |dependency: &Dependency| {
        let name = dependency.name.as_str();
        let text = if packages.iter().any(|package| package.name == name) {
            let allowed = match room.may_use {
                MayUse::Only(allowed) => allowed.contains(&name),
                MayUse::Anything => true,
            };
            (!allowed).then(|| {
                format!(
                    "{} may not use {name} ({}): do without it, or change the row in {TABLE} and \
                     say why",
                    room.name, room.reason
                )
            })
        } else {
            (room.quiet && !QUIET_DEPENDENCIES.contains(&name)).then(|| {
                format!(
                    "{} is quiet and may use only {} from outside, not {name}",
                    room.name,
                    QUIET_DEPENDENCIES.join(", ")
                )
            })
        };
        text.map(|text| Complaint::new(&package.manifest_path, line_of(name, manifest), text))
    };
    edges.filter_map(complain).collect()
}

/// Everything below a quiet crate, as `cargo tree --prefix none` lists it.
fn check_tree(package: &Package, tree: &str) -> Vec<Complaint> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let mut loud: Vec<&str> = names.filter(|name| LOUD_DEPENDENCIES.contains(name)).collect();
    loud.sort_unstable();
    loud.dedup();
    let complain = |name: &str| {
        let text = format!(
            "{} is quiet, but {name} is among what it is built with: `cargo tree -p {} -e normal \
             -i {name}` says through whom",
            package.name, package.name
        );
        Complaint::new(&package.manifest_path, 1, text)
    };
    loud.into_iter().map(complain).collect()
}

fn line_of(dependency: &str, manifest: &str) -> usize {
    let names = |line: &str| {
        let rest = line.trim_start().strip_prefix(dependency)?;
        rest.starts_with([' ', '.', '=']).then_some(())
    };
    manifest.lines().position(|line| names(line).is_some()).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Room] = &[
        Room { name: "low", quiet: true, may_use: MayUse::Only(&[]), reason: "low knows none" },
        Room { name: "high", quiet: false, may_use: MayUse::Only(&["low"]), reason: "" },
        Room { name: "kit", quiet: false, may_use: MayUse::Anything, reason: "" },
    ];

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).into(),
            kind: kind.map(String::from),
        };
        Package {
            name: name.into(),
            manifest_path: format!("crates/{name}/Cargo.toml"),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    /// Checks the dependencies of `name` in a workspace of low, high and kit.
    fn check(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let others = [package("low", &[]), package("high", &[]), package("kit", &[])];
        let manifest = "[dependencies]\nregex = \"1\"\nhigh.workspace = true\n";
        let complaints = check_package(&package(name, dependencies), manifest, &others, TABLE);
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_edge_in_the_table_is_allowed() {
        assert!(check("high", &[("low", None), ("tokio", None)]).is_empty());
        assert!(check("kit", &[("low", None), ("high", None)]).is_empty());
        assert!(check("low", &[("serde", None), ("postcard", None)]).is_empty());
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_named_with_its_line_and_the_reason() {
        let complaints = check("low", &[("high", None)]);
        assert_eq!(complaints.len(), 1);
        assert!(
            complaints[0]
                .starts_with("crates/low/Cargo.toml:3: low may not use high (low knows none)"),
            "{complaints:?}"
        );
        assert_eq!(check("high", &[("kit", Some("build"))]).len(), 1);
    }

    #[test]
    fn a_quiet_crate_uses_few_things_from_outside() {
        let complaints = check("low", &[("regex", None)]);
        assert!(complaints[0].contains("Cargo.toml:2: low is quiet"), "{complaints:?}");
    }

    #[test]
    fn tests_may_use_anything() {
        assert!(check("low", &[("high", Some("dev")), ("proptest", Some("dev"))]).is_empty());
    }

    #[test]
    fn the_table_has_a_row_for_each_crate_and_no_other() {
        let complaints = check_rooms(&[package("low", &[]), package("new", &[])], TABLE);
        let texts: Vec<&str> = complaints.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[0].starts_with("new is not in the table"), "{texts:?}");
        assert!(texts[1].starts_with("there is no crate high"), "{texts:?}");
    }

    #[test]
    fn a_loud_crate_far_below_a_quiet_one_is_found() {
        let tree = "low v0.1.0 (/x)\nserde v1.0.0\ntokio v1.50.0\nmio v1.2.0\ntokio v1.50.0 (*)\n";
        let complaints = check_tree(&package("low", &[]), tree);
        assert_eq!(complaints.len(), 2);
        assert!(complaints[0].text.contains("-i mio"), "{complaints:?}");
    }

    #[test]
    fn every_row_of_the_table_says_why_and_names_crates_that_exist() {
        for room in ROOMS {
            assert!(!room.reason.is_empty(), "{} has no reason", room.name);
            let MayUse::Only(names) = room.may_use else { continue };
            for name in names {
                let other = ROOMS.iter().find(|other| other.name == *name);
                let other = other.unwrap_or_else(|| panic!("{} uses unknown {name}", room.name));
                assert!(other.quiet || !room.quiet, "{} is quiet, {name} is not", room.name);
            }
        }
    }
}
