//! Reads serverless.yml, SAM and CloudFormation templates: functions and WebSocket APIs.
//!
//! Nothing is run and nothing is asked over the network. All mistakes are reported at once, each with its
//! line; what has no effect here is a [`Note`].
//!
//! | module           | story                                                                  |
//! |------------------|------------------------------------------------------------------------|
//! | `yaml`, `node`   | text to nodes that know their lines                                    |
//! | `files`          | the files of one reading                                               |
//! | `scope`          | what a reading knows, and what came of it                              |
//! | `variables`      | `${self:..}` and its relatives                                         |
//! | `intrinsics`     | `Ref`, `Fn::Sub` and their relatives                                   |
//! | `template`       | parameters, conditions and resources, and what references to them mean |
//! | `physical`       | names, ids and ARNs of resources                                       |
//! | `fields`         | reading a map so that nothing is overlooked                            |
//! | `apis`           | what makes an API and its routes, in both worlds                       |
//! | `functions`      | what makes a function, in both worlds                                  |
//! | `serverless`     | a serverless.yml: service, provider, functions and their events        |
//! | `cloudformation` | a template: the functions and APIs among its resources                 |
//! | `extensions`     | what only this server knows: topics, options, domains                  |

mod apis;
mod error;
mod extensions;
mod fields;
mod files;
mod functions;
mod intrinsics;
mod nearest;
mod node;
mod options;
mod physical;
mod scope;
mod template;
mod variables;
mod yaml;

mod cloudformation;
mod serverless;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fanfare_apigateway::Api;
use fanfare_runtime::HandlerConfig;

pub use error::{DescriptorError, MISTAKES_MAX, Mistake};
pub use options::{Environment, ReadOptions};

use node::Node;
use scope::Scope;

/// What a descriptor describes.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// The service's or stack's name.
    pub name: String,
    /// Region in ARNs, if the descriptor names one.
    pub region: Option<String>,
    /// Functions that run here.
    pub functions: Vec<HandlerConfig>,
    /// WebSocket APIs.
    pub apis: Vec<Api>,
    /// Code that stands in the descriptor; [`Application::write_code`] puts it where its function looks for it.
    pub code: Vec<InlineCode>,
    /// What was read and has no effect here, for the log.
    pub notes: Vec<Note>,
}

/// Code that stands in the descriptor itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineCode {
    /// The file it belongs into.
    pub path: PathBuf,
    /// The file's text.
    pub text: String,
}

/// Something in a descriptor that has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// File and line, such as `serverless.yml:12`.
    pub origin: String,
    /// What it is, and what to do.
    pub text: String,
}

impl Application {
    /// Writes the code that stands in the descriptor into its files, and makes their folders.
    ///
    /// # Errors
    /// If a folder cannot be made or a file cannot be written.
    pub fn write_code(&self) -> io::Result<()> {
        for InlineCode { path, text } in &self.code {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, text)?;
        }
        Ok(())
    }
}

/// File names that are looked for in a folder, the first one there is wins.
const NAMES: [&str; 8] = [
    "serverless.yml",
    "serverless.yaml",
    "serverless.json",
    "template.yaml",
    "template.yml",
    "template.json",
    "serverless.ts",
    "serverless.js",
];

/// Reads a descriptor: a serverless.yml, a SAM or a CloudFormation template, in YAML or JSON. A folder stands
/// for the descriptor in it.
///
/// Which of them it is shows in the file: `Resources` makes a template, `service` or `provider` a serverless.yml.
///
/// # Errors
/// All that is wrong with it, at most [`MISTAKES_MAX`], and the names of the values that are missing.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Application, DescriptorError> {
    let path = &named(path)?;
    let name: Arc<str> = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into();
    let fail = |text: String| Err(DescriptorError::of_file(&name, text));
    if matches!(path.extension().and_then(|ending| ending.to_str()), Some("ts" | "js" | "cjs" | "mjs" | "py")) {
        return fail(
            "is a program, which is not run here; give the result of `serverless print` or `cdk synth`".into(),
        );
    }
    let text = match files::text_of(path) {
        Ok(text) => text,
        Err(error) => return fail(error),
    };
    let root = match yaml::parse(&name, &text) {
        Ok(root) => root,
        Err(fault) => return Err(DescriptorError::at(&fault.place, fault.text)),
    };
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    read_root(&root, Scope::new(options, folder))
}

fn named(path: &Path) -> Result<PathBuf, DescriptorError> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let found = NAMES.iter().map(|name| path.join(name)).find(|path| path.is_file());
    let text = format!("holds no descriptor; name the file, or call it one of {}", NAMES[..6].join(", "));
    found.ok_or_else(|| DescriptorError::of_file(&path.to_string_lossy(), text))
}

fn read_root(root: &Node, mut scope: Scope<'_>) -> Result<Application, DescriptorError> {
    let has = |keys: &[&str]| keys.iter().any(|key| root.get(key).is_some());
    let application = if has(&["Resources", "AWSTemplateFormatVersion", "Transform"]) {
        cloudformation::read(&mut scope, root)
    } else if has(&["service", "provider", "functions"]) {
        serverless::read(&mut scope, root)
    } else {
        let text = "this is neither a serverless.yml (no `service`) nor a template (no `Resources`); name another file";
        return Err(DescriptorError::at(&root.place, text));
    };
    Ok(Application { notes: scope.close()?, ..application })
}
