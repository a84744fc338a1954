//! The description of this part for machines.

/// OpenAPI 3.1, served at `/v1/openapi.json`. Tests hold it against the running code.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::ROUTES;

    #[test]
    fn the_document_and_the_routes_are_the_same() {
        let document: serde_json::Value = serde_json::from_str(super::DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let routed = ROUTES.iter().flat_map(|route| route.methods.iter().map(move |m| format!("{m} {}", route.path)));
        // HEAD is GET without a body and needs no words of its own.
        let routed: BTreeSet<_> = routed.filter(|route| !route.starts_with("HEAD ")).collect();
        assert_eq!(described, routed);
    }
}
