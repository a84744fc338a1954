//! `fanfare passwd`: makes an entry of the users file.

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;
use fanfare_identity::{PASSWORD_BYTES_MAX, hash_password};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use crate::cli::PasswdArgs;
use crate::exit::Misuse;
use crate::output;

pub(crate) fn run(args: &PasswdArgs) -> anyhow::Result<ExitCode> {
    if args.name.is_empty() || args.name.contains('?') {
        return Err(Misuse("a user's name is not empty and holds no '?'".to_owned()).into());
    }
    let password = read_password().context("the password could not be read")?;
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(Misuse(format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes")).into());
    }
    let hash = hash_password(&password)?;
    let name = toml::Value::from(args.name.as_str());
    let rules = "# What the user may do; or policies = [\"NAME\"].\nallow = []\ndeny = []\n";
    output::write_to_reader(format!("[[users]]\nname = {name}\npassword_hash = \"{hash}\"\n{rules}").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The first line of standard input; a terminal does not show it.
fn read_password() -> anyhow::Result<String> {
    let input = io::stdin();
    let mut line = String::new();
    if !input.is_terminal() {
        input.lock().read_line(&mut line)?;
    } else {
        output::note("Password (not shown):");
        let shown = tcgetattr(&input)?;
        let mut hidden = shown.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&input, SetArg::TCSANOW, &hidden)?;
        let read = input.lock().read_line(&mut line);
        tcsetattr(&input, SetArg::TCSANOW, &shown)?;
        read?;
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
