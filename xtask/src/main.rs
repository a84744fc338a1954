//! Tasks of this repository: `cargo xtask test`, `cargo xtask tidy` and `cargo xtask requirements`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};

mod install;
mod plan;
mod process;
mod repository;
mod requirements;
mod step;
mod tidy;

use repository::Repository;

const USAGE: &str = "\
cargo xtask test [--only NAME]...   run everything, or the steps whose names begin with NAME
cargo xtask test --list             the names of the steps
cargo xtask tidy                    house rules only
cargo xtask requirements            write docs/mqtt-requirements.md from the tests that prove its statements
cargo xtask requirements --check    say what is not true in it (part of tidy)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", rest @ ..] => test(rest),
        ["tidy"] => tidy::run(&Repository::find()?, &mut io::stdout()),
        ["requirements"] => requirements::run(&Repository::find()?, false, &mut io::stdout()),
        ["requirements", "--check"] => requirements::run(&Repository::find()?, true, &mut io::stdout()),
        [] | ["help" | "--help" | "-h"] => {
            io::stdout().write_all(USAGE.as_bytes())?;
            Ok(true)
        }
        _ => bail!("{} is no task\n{USAGE}", words.join(" ")),
    }
}

fn test(words: &[&str]) -> Result<bool> {
    let mut only = Vec::new();
    let mut rest = words;
    let mut is_list = false;
    loop {
        rest = match rest {
            [] => break,
            ["--only", name, rest @ ..] => {
                only.push((*name).to_owned());
                rest
            }
            ["--list", rest @ ..] => {
                is_list = true;
                rest
            }
            [word, ..] => bail!("test: {word} is not understood\n{USAGE}"),
        };
    }
    let repository = Repository::find()?;
    let steps = plan::choose(plan::all(&repository)?, &only)?;
    let out = &mut io::stdout();
    if is_list {
        for step in &steps {
            writeln!(out, "{}", step.name)?;
        }
        return Ok(true);
    }
    let ready = install::install(&repository, &steps, out)?;
    let reports = step::run_all(&repository, &ready, steps, out)?;
    step::conclude(&reports, is_strict(), out)
}

/// Under CI nothing may be left out.
fn is_strict() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}
