//! Mapping templates: the part of the Velocity language that API Gateway's templates use.
//!
//! **Directives**: `#set #if #elseif #else #end #foreach #break #stop #define`, comments `##` and
//! `#* *#`, text as it is `#[[ ]]#`. A directive takes the rest of its line with it when there is
//! nothing but blanks, and the blanks before it when nothing else is on its line. `\$` and `\#` are
//! a dollar sign and a number sign. Anything else with `#` is text.
//!
//! **References**: `$x`, `${x}`, `$!x`, with members, items and methods: `$x.name[0].size()`. What
//! has no value prints itself as written, or nothing after `$!`; what is missing in a message, the
//! context or the stage variables, or was set to nothing, prints nothing in either case.
//!
//! **Expressions**: `+ - * / %`, comparisons (also `eq ne lt gt le ge`), `&& || !` (also `and or
//! not`), texts in double quotes with references, texts in single quotes without, `[1, 2]`,
//! `[1..9]`, `{"a": 1}`, `true false null`. Null, `false` and the empty text are not true; a missing
//! value equals the empty text.
//!
//! **Objects**: `$input.body`, `.json(path)`, `.path(path)`, `.params()`, `.params(name)`;
//! `$context`; `$stageVariables`; `$util.escapeJavaScript`, `.parseJson`, `.urlEncode`,
//! `.urlDecode`, `.base64Encode`, `.base64Decode`.
//!
//! Lists of a message print as JSON, as do objects in them; other objects print as `{a=1, b=2}`.
//! All work is bounded: see [`limits`]. No template can be made to run long, whatever is sent.

mod ast;
mod budget;
mod data;
mod error;
mod evaluate;
mod expressions;
mod functions;
mod heap;
mod java;
pub mod limits;
mod methods;
mod operators;
mod parser;
mod print;
mod references;
mod render;
mod scanner;
mod text_methods;

pub use data::TemplateData;
pub use error::TemplateError;

use ast::Block;

/// A template, read.
#[derive(Debug)]
pub struct Template {
    block: Block,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Over [`limits::TEMPLATE_BYTES_MAX`], nested too deeply, or not understood; the error says in
    /// which line and column.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        parser::parse(text).map(|block| Self { block })
    }

    /// What it makes of a request or an answer.
    ///
    /// # Errors
    /// One of the bounds of [`limits`], or a function that cannot do what it is asked.
    pub fn render(&self, data: &TemplateData<'_>) -> Result<String, TemplateError> {
        render::Renderer::new(data).run(&self.block)
    }
}

#[cfg(test)]
mod tests;
