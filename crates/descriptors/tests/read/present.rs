//! The descriptors of this repository: none of them may become unreadable.

use std::path::PathBuf;

use super::*;

fn below(folder: &str, depth: usize) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = Vec::new();
    for path in entries {
        if depth > 0 && path.is_dir() {
            found.extend(std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else {
            found.push(path);
        }
    }
    found.retain(|path| path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml"));
    found
}

#[test]
fn applications_of_conformance_and_examples_are_read() {
    let options = ReadOptions { env: Arc::new(|name| Some(format!("value of {name}"))), ..options() };
    let mut paths = below("conformance/apigateway/app", 0);
    paths.extend(below("examples", 1).into_iter().filter(|path| path.ends_with("serverless.yml")));
    for path in paths {
        let application = read(&path, &options).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(application.apis.len(), 1, "{}", path.display());
        assert!(!application.apis[0].routes.is_empty(), "{}", path.display());
        for route in application.apis[0].routes.values() {
            let integration = route.integration.as_ref().unwrap();
            if let Some(function) = &integration.function {
                assert!(application.functions.iter().any(|one| one.name == *function), "{function}");
            }
        }
    }
}
