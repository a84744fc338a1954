//! The commented default `fanfare.toml`.

use super::keys::Config;
use super::schema::{Key, Kind};
use super::tree::join;

/// Every key with its meaning and default, as a file to start from. Everything is commented out:
/// what stands there is what counts without it.
pub fn reference() -> String {
    let mut out = String::from(
        "# fanfare.toml: every key with its default.\n\
         #\n\
         # Defaults < this file < environment < flags. The variable of a key is FANFARE_ and its path\n\
         # in capitals, with two underscores between levels; lists are written with commas:\n\
         # FANFARE_LISTEN=0.0.0.0:8080 FANFARE_LIMITS__SPACES=100 fanfare\n",
    );
    section(&mut out, "", &Config::keys(), false);
    out
}

fn section(out: &mut String, path: &str, keys: &[Key], is_commented: bool) {
    let is_section =
        |key: &&Key| matches!(key.kind, Kind::Section(_) | Kind::Sections(_) | Kind::Named(_) | Kind::Keyed(_));
    for key in keys.iter().filter(|key| !is_section(key)) {
        out.push('\n');
        comment(out, key.doc);
        let value = match &key.default {
            Some(value) => value.to_string(),
            // Nothing that could be uncommented by mistake.
            None => "...".to_owned(),
        };
        out.push_str(&format!("# {} = {value}\n", key.name));
    }
    for key in keys.iter().filter(is_section) {
        let path = join(path, key.name);
        out.push('\n');
        comment(out, key.doc);
        let (header, keys) = match key.kind {
            Kind::Section(keys) => (format!("[{path}]"), keys),
            Kind::Sections(keys) => (format!("[[{path}]]"), keys),
            Kind::Named(keys) | Kind::Keyed(keys) => (format!("[{path}.default]"), keys),
            _ => continue,
        };
        // A header without keys below is no difference, except in a list or under a name.
        let is_commented = is_commented || !matches!(key.kind, Kind::Section(_));
        out.push_str(if is_commented { "# " } else { "" });
        out.push_str(&header);
        out.push('\n');
        section(out, header.trim_matches(['[', ']']), &keys(), is_commented);
    }
}

fn comment(out: &mut String, doc: &str) {
    for line in doc.lines() {
        out.push_str(&format!("#{line}\n"));
    }
}
