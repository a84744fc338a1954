//! Parameters, mappings, conditions and resources, and what references to them mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::intrinsics;
use crate::nearest::hint;
use crate::node::{Entry, Node, Place, Value};
use crate::physical;
use crate::scope::Scope;

/// A template may have this many resources, as in CloudFormation.
pub(crate) const RESOURCES_MAX: usize = 500;

/// What can be referred to.
#[derive(Debug, Default)]
pub(crate) struct Template {
    pub(crate) mappings: Option<Node>,
    pub(crate) parameters: Option<Node>,
    pub(crate) conditions: Option<Node>,
    pub(crate) resources: BTreeMap<Arc<str>, Resource>,
    /// Of resources that stand in no descriptor: what `NAME` and `NAME.ATTRIBUTE` are.
    pub(crate) known: BTreeMap<String, String>,
}

/// One resource as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) id: Arc<str>,
    pub(crate) kind: String,
    pub(crate) properties: Node,
    pub(crate) metadata: Option<Node>,
    pub(crate) place: Place,
}

/// Keys of a resource beside its type and properties that have no effect on how it runs here.
const ATTRIBUTES: [&str; 8] = [
    "Description",
    "DependsOn",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "UpdatePolicy",
    "CreationPolicy",
    "Connectors",
    "IgnoreGlobals",
];

/// Reads `Resources`. Those whose condition is not met are left out.
pub(crate) fn resources(scope: &Scope<'_>, node: &Node) -> BTreeMap<Arc<str>, Resource> {
    let node = scope.resolve(node);
    if !matches!(node.value, Value::Map(_)) && !node.is_void() {
        scope.mistake(&node.place, format!("`Resources` must be a map, and this is {}", node.kind()));
    }
    if node.entries().len() > RESOURCES_MAX {
        scope.mistake(&node.place, format!("more than {RESOURCES_MAX} resources; split the template"));
        return BTreeMap::new();
    }
    node.entries().iter().filter_map(|entry| Some((entry.key.clone(), resource(scope, entry)?))).collect()
}

fn resource(scope: &Scope<'_>, entry: &Entry) -> Option<Resource> {
    let Entry { key, place, value } = entry;
    if key.starts_with("Fn::") {
        scope.mistake(place, format!("{key} is not worked out here; write out the resources"));
        return None;
    }
    let body = scope.resolve(value);
    if !matches!(body.value, Value::Map(_)) {
        scope.mistake(place, format!("the resource {key} must be a map with a `Type`"));
        return None;
    }
    for other in body.entries() {
        let known = ["Type", "Properties", "Metadata", "Condition"];
        if !known.contains(&&*other.key) && !ATTRIBUTES.contains(&&*other.key) {
            let near = hint(&other.key, known.into_iter().chain(ATTRIBUTES));
            scope.mistake(&other.place, format!("the resource {key} has an unknown key {:?}{near}", other.key));
        }
    }
    if let Some(condition) = body.get("Condition") {
        let name = scope.text(condition)?;
        if !scope.condition(&name, &condition.place)? {
            return None;
        }
    }
    let Some(kind) = body.get("Type").and_then(|kind| scope.text(kind)) else {
        scope.mistake(place, format!("the resource {key} has no `Type`; add it"));
        return None;
    };
    let nothing = || Node { value: Value::Null, place: place.clone() };
    let properties = body.get("Properties").cloned().unwrap_or_else(nothing);
    let metadata = body.get("Metadata").cloned();
    Some(Resource { id: key.clone(), kind, properties, metadata, place: place.clone() })
}

impl Resource {
    /// One of its properties, worked out; nothing if it is not there.
    pub(crate) fn property(&self, scope: &Scope<'_>, key: &str) -> Option<Node> {
        let properties = scope.resolve(&self.properties);
        let node = scope.resolve(properties.get(key)?);
        (!node.is_void()).then_some(node)
    }
}

impl Scope<'_> {
    /// What `Ref` stands for.
    pub(crate) fn reference(&self, name: &str, place: &Place) -> Node {
        if let Some(pseudo) = name.strip_prefix("AWS::") {
            return self.pseudo(pseudo, place);
        }
        if let Some(value) = self.options.values.get(&format!("ref:{name}")) {
            return Node::text(value.as_str(), place);
        }
        if let Some(parameter) = self.template.parameters.as_ref().and_then(|all| all.get(name)) {
            return self.parameter(name, parameter, place);
        }
        if let Some(value) = self.template.known.get(name) {
            return Node::text(value.as_str(), place);
        }
        if let Some(resource) = self.template.resources.get(name) {
            return Node::text(physical::reference(self, resource), place);
        }
        self.mistake(place, format!("there is no resource or parameter {name:?}{}", self.near(name)));
        Node::broken(place)
    }

    fn near(&self, name: &str) -> String {
        let template = &self.template;
        let parameters = template.parameters.as_ref().map(Node::entries).unwrap_or_default();
        let known = template.resources.keys().map(|key| &**key);
        let known = known.chain(parameters.iter().map(|entry| &*entry.key));
        let known = known.chain(template.known.keys().map(String::as_str));
        hint(name, known)
    }

    fn pseudo(&self, name: &str, place: &Place) -> Node {
        let text = match name {
            "Region" => self.region.clone(),
            "AccountId" => self.options.account.clone(),
            "StackName" => self.stack.clone(),
            "Partition" => "aws".to_owned(),
            "URLSuffix" => physical::URL_SUFFIX.to_owned(),
            "StackId" => format!(
                "arn:aws:cloudformation:{}:{}:stack/{}/00000000-0000-0000-0000-000000000000",
                self.region, self.options.account, self.stack
            ),
            "NoValue" => return Node { value: Value::Absent, place: place.clone() },
            "NotificationARNs" => return Node::list(Vec::new(), place),
            _ => {
                let known = ["Region", "AccountId", "StackName", "Partition", "URLSuffix", "StackId", "NoValue"];
                self.mistake(place, format!("there is no AWS::{name}{}", hint(name, known)));
                return Node::broken(place);
            }
        };
        Node::text(text, place)
    }

    fn parameter(&self, name: &str, parameter: &Node, place: &Place) -> Node {
        let body = self.resolve(parameter);
        let kind = body.get("Type").and_then(|kind| self.text(kind)).unwrap_or_default();
        let given = self.options.params.get(name).map(|value| Node::text(value.as_str(), place));
        let Some(value) = given.or_else(|| body.get("Default").map(|default| self.resolve(default))) else {
            let text = format!("the parameter {name:?} has no `Default`; give it as a parameter");
            self.mistake(place, text);
            return Node::broken(place);
        };
        let Some(text) = value.as_text() else {
            // A default may be empty, which YAML may write as nothing.
            return if value.is_void() { Node::text("", place) } else { value };
        };
        if let Some(allowed) = body.get("AllowedValues") {
            let allowed: Vec<String> = self.items(allowed, true).iter().filter_map(|item| self.text(item)).collect();
            if !allowed.iter().any(|one| one == text) {
                let text = format!("the parameter {name:?} is {text:?}; it must be one of {}", allowed.join(", "));
                self.mistake(place, text);
            }
        }
        if kind.starts_with("AWS::SSM::Parameter::Value<") {
            let key = format!("ssm:{text}");
            return self.given(&key, place).map_or_else(|| Node::broken(place), |value| Node::text(value, place));
        }
        if kind == "CommaDelimitedList" || kind.starts_with("List<") {
            return Node::list(text.split(',').map(|part| Node::text(part.trim(), place)).collect(), place);
        }
        Node { place: place.clone(), ..value }
    }

    /// What `Fn::GetAtt` stands for.
    pub(crate) fn attribute(&self, resource: &str, attribute: &str, place: &Place) -> Option<String> {
        let whole = format!("{resource}.{attribute}");
        let key = format!("att:{whole}");
        if let Some(value) = self.options.values.get(&key).or_else(|| self.template.known.get(&whole)) {
            return Some(value.clone());
        }
        match self.template.resources.get(resource) {
            Some(found) => physical::attribute(self, found, attribute).or_else(|| self.given(&key, place)),
            None if self.template.known.contains_key(resource) => self.given(&key, place),
            None => {
                self.mistake(place, format!("there is no resource {resource:?}{}", self.near(resource)));
                None
            }
        }
    }

    /// Whether a condition of the template is met. `None` when that could not be found out.
    pub(crate) fn condition(&self, name: &str, place: &Place) -> Option<bool> {
        let conditions = self.template.conditions.as_ref();
        let Some(node) = conditions.and_then(|all| all.get(name)) else {
            let known = conditions.map(Node::entries).unwrap_or_default();
            let near = hint(name, known.iter().map(|entry| &*entry.key));
            self.mistake(place, format!("there is no condition {name:?}{near}"));
            return None;
        };
        self.deeper(place, || intrinsics::is_met(self, node)).flatten()
    }
}
