//! The statements of a standard, in our own words.

/// What is published under one version number.
pub(super) struct Standard {
    pub(super) version: &'static str,
    pub(super) title: &'static str,
    /// Name of the file with its statements.
    pub(super) file: &'static str,
    pub(super) statements: Vec<Statement>,
}

/// One thing that a standard demands.
pub(super) struct Statement {
    /// As the standard has it, `MQTT-3.1.0-2`.
    pub(super) id: &'static str,
    /// `server`, `client` or `both`.
    pub(super) who: &'static str,
    pub(super) line: &'static str,
    /// Why no test can prove it here.
    pub(super) reason: Option<&'static str>,
    /// Line in the file, from 1.
    pub(super) row: usize,
}

/// Both standards that are served.
pub(super) fn all() -> [Standard; 2] {
    let v5 = include_str!("mqtt5.txt");
    let v311 = include_str!("mqtt311.txt");
    [
        Standard { version: "5.0", title: "MQTT 5.0", file: "mqtt5.txt", statements: statements(v5) },
        Standard { version: "3.1.1", title: "MQTT 3.1.1", file: "mqtt311.txt", statements: statements(v311) },
    ]
}

fn statements(text: &'static str) -> Vec<Statement> {
    let rows = text.lines().enumerate().filter_map(|(index, row)| {
        let mut columns = row.split('\t');
        let (id, who, line) = (columns.next()?, columns.next()?, columns.next()?);
        Some(Statement { id, who, line, reason: columns.next(), row: index + 1 })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_lists_are_whole_and_their_lines_short() {
        let [v5, v311] = all();
        assert_eq!((v5.statements.len(), v311.statements.len()), (251, 141));
        for standard in [v5, v311] {
            let ids: BTreeSet<_> = standard.statements.iter().map(|statement| statement.id).collect();
            assert_eq!(ids.len(), standard.statements.len(), "each id once in {}", standard.file);
            for Statement { id, who, line, .. } in standard.statements {
                assert!(id.starts_with("MQTT-") && ["server", "client", "both"].contains(&who), "{id} {who}");
                assert!((3..=15).contains(&line.split_whitespace().count()), "{id}: {line}");
            }
        }
    }
}
