//! Templates by key, and which one is taken.

use std::collections::BTreeMap;

use super::MappingError;
use crate::check::Notes;
use crate::expression::{Expression, Surroundings};
use crate::template::{Template, TemplateData};

/// Keys that are taken where no expression selects one.
const USUAL: [&str; 2] = ["$default", "application/json"];

#[derive(Debug)]
pub(super) struct Templates {
    by_key: BTreeMap<String, Template>,
    selection: Option<Expression>,
}

impl Templates {
    pub(super) fn compile(
        templates: &BTreeMap<String, String>,
        selection: Option<&str>,
        name: &str,
        notes: &mut Notes<'_>,
    ) -> Self {
        let selection = selection.and_then(|text| notes.keep("template_selection_expression", Expression::parse(text)));
        let mut notes = notes.within(name);
        let compiled =
            templates.iter().filter_map(|(key, text)| Some((key.clone(), notes.keep(key, Template::parse(text))?)));
        Self { by_key: compiled.collect(), selection }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn selection(&self) -> Option<&Expression> {
        self.selection.as_ref()
    }

    /// The selected one, otherwise `$default`; where nothing selects, also the only one.
    fn choose(&self, around: &Surroundings<'_>) -> Option<(&str, &Template)> {
        let get = |key: &str| self.by_key.get_key_value(key).map(|(key, template)| (key.as_str(), template));
        match &self.selection {
            Some(selection) => get(&selection.text(around)).or_else(|| get(USUAL[0])),
            None => USUAL.into_iter().find_map(get).or_else(|| match self.by_key.len() {
                1 => self.by_key.first_key_value().map(|(key, template)| (key.as_str(), template)),
                _ => None,
            }),
        }
    }

    /// What the template makes of it; `None` where there is none for it.
    pub(super) fn render(
        &self,
        around: &Surroundings<'_>,
        data: &TemplateData<'_>,
    ) -> Result<Option<String>, MappingError> {
        let Some((key, template)) = self.choose(around) else { return Ok(None) };
        let rendered = template.render(data);
        rendered.map(Some).map_err(|problem| MappingError::Template { key: key.to_owned(), problem })
    }
}
