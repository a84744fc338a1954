//! Packages of AWS's SDK that Node functions import. Lambda has them all, so that applications do not bring them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::config::{HandlerConfig, RuntimeKind};
use crate::reload::each_file;

/// Larger files are not looked into, in bytes: they are bundles, which bring what they need.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Packages at most.
const PACKAGES_MAX: usize = 100;
const EXTENSIONS: [&str; 3] = ["js", "mjs", "cjs"];
const SCOPE: &str = "@aws-sdk/";
/// What stands before the name of a package that is imported, apart from white space and quotes.
const IMPORTS: [&str; 3] = ["from", "import", "("];
/// The version that Lambda has.
const VERSION: &str = "3";

/// What the code of these functions imports of AWS's SDK, version 3, as npm is told: `@aws-sdk/client-sqs@3` and so on, for
/// [`HostOptions::node_packages`](crate::HostOptions::node_packages). Reads the files of Node functions: at most 5,000
/// of each folder, and none of more than 1 MiB.
#[must_use]
pub fn sdk_packages<'a>(functions: impl IntoIterator<Item = &'a HandlerConfig>) -> Vec<String> {
    let is_node = |config: &&HandlerConfig| matches!(config.runtime, RuntimeKind::Node(_));
    let roots: BTreeSet<&Path> = functions.into_iter().filter(is_node).map(|config| config.root.as_path()).collect();
    let mut names = BTreeSet::new();
    for root in roots {
        each_file(root, |path, metadata| {
            let is_code = path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|&known| extension == known));
            if is_code
                && metadata.len() <= FILE_BYTES_MAX
                && let Ok(code) = fs::read_to_string(path)
            {
                names.extend(imported(&code).map(str::to_owned));
            }
        });
    }
    names.into_iter().take(PACKAGES_MAX).map(|name| format!("{name}@{VERSION}")).collect()
}

/// Names of packages that a file imports.
fn imported(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices(SCOPE).filter_map(|(at, _)| {
        let before = code[..at].strip_suffix(['"', '\''])?.trim_end();
        let rest = &code[at + SCOPE.len()..];
        let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let length = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let is_import = length > 0 && IMPORTS.iter().any(|word| before.ends_with(word));
        is_import.then(|| &code[at..at + SCOPE.len() + length])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::config;

    #[test]
    fn imports_of_every_kind_count_and_other_words_do_not() {
        let code = r#"
            import { A } from "@aws-sdk/client-apigatewaymanagementapi";
            import '@aws-sdk/client-sns'; const b = require( "@aws-sdk/lib-dynamodb/commands" );
            const c = await import('@aws-sdk/client-sqs');
            // see @aws-sdk/client-s3, or "@aws-sdk/client-ses", or from "@aws-sdk/"
            const other = require("aws-sdk"), name = "@aws-sdk/client-kms", é = "é@aws-sdk/client-ssm";"#;
        let found: Vec<_> = imported(code).collect();
        let names = ["client-apigatewaymanagementapi", "client-sns", "lib-dynamodb", "client-sqs"];
        assert_eq!(found, names.map(|name| format!("@aws-sdk/{name}")));
    }

    #[test]
    fn only_the_own_code_of_node_functions_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, package: &str| {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("import '@aws-sdk/{package}';")).unwrap();
        };
        write("src/a.mjs", "client-b");
        write("index.js", "client-a");
        write("node_modules/x/index.js", "client-c");
        write("notes.txt", "client-d");
        let mut config = config("f", folder.path());
        assert!(sdk_packages([&config]).is_empty(), "it is no Node function");
        config.runtime = RuntimeKind::Node("20".into());
        assert_eq!(sdk_packages([&config, &config.clone()]), ["@aws-sdk/client-a@3", "@aws-sdk/client-b@3"]);
    }
}
