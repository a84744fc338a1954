//! What a reading is told beside the descriptor.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Finds the value of an environment variable.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a descriptor is read with.
#[derive(Clone)]
pub struct ReadOptions {
    /// The stage of a serverless.yml, in place of the one it names; for a template the stage of an API that has none.
    pub stage: Option<String>,
    /// The region, in place of the one that is named, or `us-east-1`.
    pub region: Option<String>,
    /// The account in ARNs: 12 digits.
    pub account: String,
    /// The stack's name, in place of `SERVICE-STAGE` or the name of the template's folder.
    pub stack: Option<String>,
    /// Parameters of a template, `${param:..}` of a serverless.yml.
    pub params: BTreeMap<String, String>,
    /// Values that cannot be found out here, under the names that errors say: `ssm:/app/key`, `cf:stack.output`,
    /// `import:NAME`, `ref:RESOURCE`, `att:RESOURCE.ATTRIBUTE`, `opt:NAME`.
    pub values: BTreeMap<String, String>,
    /// Host and port at which this server is reached, such as `localhost:8080`. Addresses of the APIs in
    /// environments, `ID.execute-api.REGION.amazonaws.com`, become addresses of this server.
    pub endpoint: Option<String>,
    /// Folder for code that stands in a descriptor; `.fanfare/code` beside the descriptor where nothing is said.
    pub code: Option<PathBuf>,
    /// Looks up `${env:..}`: by default among the variables of this process.
    pub env: Environment,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            stage: None,
            region: None,
            account: "000000000000".to_owned(),
            stack: None,
            params: BTreeMap::new(),
            values: BTreeMap::new(),
            endpoint: None,
            code: None,
            env: Arc::new(|name| std::env::var(name).ok()),
        }
    }
}

/// Values may be secret, so only their names are shown.
impl fmt::Debug for ReadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOptions")
            .field("stage", &self.stage)
            .field("region", &self.region)
            .field("account", &self.account)
            .field("stack", &self.stack)
            .field("params", &self.params.keys())
            .field("values", &self.values.keys())
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
