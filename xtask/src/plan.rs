//! Which steps there are, in which order, and which of them were asked for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::install::{has_program, python_of};
use crate::repository::{Repository, cargo};
use crate::step::{Need, RELEASE, Step, Work};

/// Programs that a folder of suites calls.
const PROGRAMS: [(&str, &str); 9] = [
    ("native", "curl"),
    ("mqtt", "mosquitto_sub"),
    ("browser", "chromium"),
    ("apigateway", "curl"),
    ("apigateway", "mosquitto_sub"),
    ("examples", "chromium"),
    ("momento", "curl"),
    ("momento", "chromium"),
    ("momento", "mosquitto_sub"),
];

/// Folders whose Python files start programs of Node.
const WITH_NODE: [&str; 3] = ["apigateway", "examples", "momento"];

/// Folders whose Python files run at the same time, because most of their tests wait.
const AT_ONCE: [(&str, &str); 3] =
    [("mqtt", "-n 4 --dist loadfile"), ("apigateway", "-n 2 --dist loadfile"), ("momento", "-n 3 --dist load")];

/// A machine that is shared may be slow: these bounds catch what has broken, not what has got dearer.
const BENCH_BOUNDS: &str = "--quick --max-ratio 1.6 --max-idle-ratio 1.2 --max-idle-bytes 1536 --max-cliff 2.5";

/// Every step of a whole run.
pub(crate) fn all(repository: &Repository) -> Result<Vec<Step>> {
    let mut steps = vec![
        Step { name: "tidy".into(), limit: Duration::from_secs(120), work: Work::Tidy, needs: vec![] },
        Step { name: "rust".into(), limit: Duration::from_secs(1_800), work: rust(), needs: vec![] },
        Step { name: RELEASE.into(), limit: Duration::from_secs(1_800), work: release(), needs: vec![] },
    ];
    for folder in folders(&repository.root.join("conformance"))? {
        steps.extend(suites(repository, &folder)?);
    }
    steps.push(bench(repository));
    Ok(steps)
}

/// The steps whose names begin with one of `only`, and what they need; all when `only` is empty.
pub(crate) fn choose(mut steps: Vec<Step>, only: &[String]) -> Result<Vec<Step>> {
    if only.is_empty() {
        return Ok(steps);
    }
    let is_asked = |name: &str| only.iter().any(|word| name.starts_with(word.as_str()));
    if let Some(word) = only.iter().find(|word| !steps.iter().any(|step| step.name.starts_with(word.as_str()))) {
        let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
        bail!("--only {word}: no step begins so; there are: {}", names.join(", "));
    }
    let is_release_needed = steps.iter().any(|step| is_asked(&step.name) && step.needs.contains(&Need::Release));
    steps.retain(|step| is_asked(&step.name) || (is_release_needed && step.name == RELEASE));
    Ok(steps)
}

fn rust() -> Work {
    let tests = if has_program("cargo-nextest") {
        command(cargo(), "nextest run --workspace --all-targets --no-fail-fast")
    } else {
        command(cargo(), "test --workspace --all-targets --no-fail-fast")
    };
    Work::Commands(vec![tests, command(cargo(), "test --workspace --doc --quiet")])
}

/// One call for both, so that dependencies are built once with one set of features.
fn release() -> Work {
    let words = "build --release -p fanfare --bin fanfare -p fanfare-testkit --example echo";
    Work::Commands(vec![command(cargo(), words)])
}

fn bench(repository: &Repository) -> Step {
    let mut command = command(Command::new("python3"), "bench/peers.py --name smoke --fanfare");
    command.arg(repository.target.join("release/fanfare"));
    command.arg("--results").arg(repository.target.join("bench"));
    command.args(BENCH_BOUNDS.split(' '));
    let needs = vec![Need::Release, Need::Program("python3"), Need::Program("npm")];
    Step { name: "bench".into(), limit: Duration::from_secs(600), work: Work::Commands(vec![command]), needs }
}

fn suites(repository: &Repository, folder: &Path) -> Result<Vec<Step>> {
    let name =
        folder.file_name().and_then(|name| name.to_str()).context("a folder of conformance/ has a strange name")?;
    let files = files(folder)?;
    let relative = |path: &PathBuf| PathBuf::from("conformance").join(name).join(path);
    let programs = PROGRAMS.iter().filter(|(of, _)| *of == name).map(|(_, program)| Need::Program(program));
    let node = WITH_NODE.contains(&name).then_some(Need::Node);
    let programs: Vec<Need> = programs.chain(node).collect();
    let step = |runner: &str, work: Command, need: Need| Step {
        name: format!("conformance/{name} ({runner})"),
        limit: Duration::from_secs(900),
        work: Work::Commands(vec![work]),
        needs: [&[Need::Release, need], programs.as_slice()].concat(),
    };
    let mut steps = Vec::new();
    if files.iter().any(|file| is_python_test(file)) {
        let mut pytest = command(Command::new(python_of(repository)), "-m pytest -rfEs");
        if let Some((_, words)) = AT_ONCE.iter().find(|(of, _)| *of == name) {
            pytest.args(words.split(' '));
        }
        pytest.arg(Path::new("conformance").join(name));
        steps.push(step("python", pytest, Need::Python));
    }
    let scripts: Vec<PathBuf> = files.iter().filter(|file| is_node_test(file)).map(relative).collect();
    if !scripts.is_empty() {
        let mut node = command(Command::new("node"), "--test --test-reporter=spec");
        node.args(scripts);
        steps.push(step("node", node, Need::Node));
    }
    Ok(steps)
}

fn is_python_test(file: &Path) -> bool {
    let name = file.to_string_lossy();
    name.starts_with("test_") && name.ends_with(".py")
}

fn is_node_test(file: &Path) -> bool {
    file.to_string_lossy().ends_with(".test.mjs")
}

fn command(mut command: Command, words: &str) -> Command {
    command.args(words.split(' '));
    command
}

/// Folders that may hold suites, by name.
fn folders(of: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(of).with_context(|| of.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && name != "node_modules" {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn files(of: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(of)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            found.push(PathBuf::from(entry.file_name()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        let step = |name: &str, needs: &[Need]| Step {
            name: name.into(),
            limit: Duration::ZERO,
            work: Work::Tidy,
            needs: needs.to_vec(),
        };
        let suite = [Need::Release, Need::Python];
        vec![step("tidy", &[]), step(RELEASE, &[]), step("conformance/a (python)", &suite), step("bench", &suite[..1])]
    }

    fn chosen(only: &[&str]) -> Result<Vec<String>> {
        let only: Vec<String> = only.iter().map(|word| (*word).to_owned()).collect();
        Ok(choose(steps(), &only)?.into_iter().map(|step| step.name).collect())
    }

    #[test]
    fn a_suite_brings_the_release_build_along() {
        assert_eq!(chosen(&["conformance/a"]).unwrap(), [RELEASE, "conformance/a (python)"]);
        assert_eq!(chosen(&["tidy"]).unwrap(), ["tidy"]);
        assert_eq!(chosen(&[]).unwrap().len(), 4);
    }

    #[test]
    fn a_misspelt_name_is_refused_with_the_names_there_are() {
        let error = chosen(&["tydi"]).unwrap_err().to_string();
        assert!(error.contains("tidy, release, conformance/a (python), bench"), "{error}");
    }

    #[test]
    fn only_tests_are_taken_for_tests() {
        assert!(is_python_test(Path::new("test_framing.py")));
        assert!(!is_python_test(Path::new("conftest.py")));
        assert!(is_node_test(Path::new("page.test.mjs")));
        assert!(!is_node_test(Path::new("page.mjs")));
    }
}
