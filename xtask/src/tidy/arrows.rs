//! Which room may know which. Dependencies for tests alone are free.

use std::path::Path;

use super::Finding;
use crate::repository::{Package, Repository};

/// Rooms that know the core and nothing else of ours.
const BESIDE_THE_CORE: [&str; 5] =
    ["fanfare-identity", "fanfare-momento", "fanfare-policy", "fanfare-store", "fanfare-telemetry"];
/// Rooms that know nothing of ours.
const LEAVES: [&str; 6] =
    ["fanfare-aws", "fanfare-core", "fanfare-events", "fanfare-iot", "fanfare-mqtt-codec", "fanfare-websocket"];

/// A package of the workspace, as far as arrows go.
struct Room<'a> {
    name: &'a str,
    is_door: bool,
}

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let doors = repository.root.join("crates/doors");
    let rooms: Vec<Room<'_>> = repository.packages.iter().map(|package| room(package, &doors)).collect();
    let mut findings = Vec::new();
    for package in &repository.packages {
        let from = room(package, &doors);
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
            let Some(to) = rooms.iter().find(|room| room.name == dependency.name) else {
                continue;
            };
            if let Some(rule) = broken(&from, to) {
                let text = format!("{} depends on {}: {rule}", from.name, to.name);
                findings.push(Finding::new(repository.shown(&package.manifest_path), 0, text));
            }
        }
    }
    findings
}

fn room<'a>(package: &'a Package, doors: &Path) -> Room<'a> {
    let is_door = package.manifest_path.starts_with(doors) || package.name == "fanfare-admin";
    Room { name: &package.name, is_door }
}

/// The rule that an arrow breaks, with what to do instead.
fn broken(from: &Room<'_>, to: &Room<'_>) -> Option<&'static str> {
    if LEAVES.contains(&from.name) {
        return Some("it knows no other room; hand in what it needs");
    }
    if BESIDE_THE_CORE.contains(&from.name) && to.name != "fanfare-core" {
        return Some("it knows only fanfare-core; put them together in crates/fanfare");
    }
    if from.is_door && to.is_door {
        return Some("doors do not know each other; move what they share into crates/door");
    }
    if from.name == "fanfare-door" && to.is_door {
        return Some("the driver knows no door; ask through the Door trait");
    }
    if to.name == "fanfare-store" && from.name != "fanfare" {
        return Some("only crates/fanfare knows the store; ask through the core's traits");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str) -> Option<&'static str> {
        let is_door = |name: &str| ["fanfare-native", "fanfare-mqtt", "fanfare-admin"].contains(&name);
        broken(&Room { name: from, is_door: is_door(from) }, &Room { name: to, is_door: is_door(to) })
    }

    #[test]
    fn arrows_point_towards_the_core() {
        for (from, to) in [
            ("fanfare-native", "fanfare-door"),
            ("fanfare-native", "fanfare-websocket"),
            ("fanfare-door", "fanfare-core"),
            ("fanfare-store", "fanfare-core"),
            ("fanfare", "fanfare-store"),
            ("fanfare", "fanfare-mqtt"),
        ] {
            assert_eq!(arrow(from, to), None, "{from} to {to}");
        }
    }

    #[test]
    fn other_arrows_are_named() {
        for (from, to) in [
            ("fanfare-core", "fanfare-identity"),
            ("fanfare-websocket", "fanfare-core"),
            ("fanfare-identity", "fanfare-telemetry"),
            ("fanfare-native", "fanfare-mqtt"),
            ("fanfare-admin", "fanfare-native"),
            ("fanfare-admin", "fanfare-store"),
            ("fanfare-door", "fanfare-admin"),
            ("fanfare-door", "fanfare-store"),
            ("fanfare-load", "fanfare-store"),
        ] {
            assert!(arrow(from, to).is_some(), "{from} to {to}");
        }
    }
}
