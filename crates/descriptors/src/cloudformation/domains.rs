//! `AWS::ApiGatewayV2::DomainName` and `AWS::ApiGatewayV2::ApiMapping`.

use fanfare_apigateway::model::Domain;

use crate::fields::Fields;
use crate::scope::Scope;
use crate::template::Resource;

use super::Parts;

/// Reads a domain; mappings say what it stands for.
pub(crate) fn domain(scope: &Scope<'_>, resource: &Resource) {
    let mut fields = Fields::new(scope, format!("the domain {}", resource.id), &resource.properties);
    fields.required_text("DomainName");
    fields.noted(&["DomainNameConfigurations"], "the certificate is this server's");
    fields.noted(&["MutualTlsAuthentication"], "clients need no certificate");
    fields.noted(&["Tags", "RoutingMode"], "it is for people, or about AWS's network");
    fields.finish();
}

/// Reads what a domain stands for.
pub(crate) fn mapping(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the mapping {}", resource.id), &resource.properties);
    let Some(at) = parts.api_of(scope, &mut fields) else { return };
    let name = fields.required_text("DomainName");
    let stage = fields.required_text("Stage");
    let mapping_key = fields.text("ApiMappingKey").unwrap_or_default();
    fields.finish();
    if let (Some(name), Some(stage)) = (name, stage) {
        let name = name.to_ascii_lowercase();
        parts.apis[at].domains.push(Domain { name, mapping_key, stage });
    }
}
