//! `fanfare check`: all mistakes of a file, or of an application, at once.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::CheckArgs;
use crate::config::{Config, DEFAULT_FILE};
use crate::exit::FAILED;
use crate::hosting::Hosted;
use crate::output;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let own = Path::new(DEFAULT_FILE);
    let is_wanted = args.app.app.is_none() || own.exists();
    let file = args.file.as_deref().or(is_wanted.then_some(own));
    let checked = Config::check(file, args.app.flags()).map_err(anyhow::Error::from);
    match checked.and_then(|mut config| Ok((Hosted::gather(&mut config)?, config))) {
        Ok((hosted, config)) => {
            let notes = hosted.notes.iter().map(|note| format!("{}: note: {}\n", note.origin, note.text));
            let names = file.into_iter().chain(config.app.as_deref());
            let good = names.map(|name| format!("{}: no mistakes\n", name.display()));
            output::write(notes.chain(good).collect::<String>().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            output::note(&format!("{error:#}"));
            Ok(ExitCode::from(FAILED))
        }
    }
}
