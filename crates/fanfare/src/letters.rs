//! Dead letters of functions: messages as any other.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Grant, Kind, Principal, Publication, Refusal, TopicName};
use fanfare_door::Gateway;
use fanfare_functions::{DeadLetters, LetterError, Publishing};

use crate::config::Aws;

/// Under which name letters are counted.
const NAME: &str = "functions";

/// Publishes dead letters to topics of the default space.
pub(crate) struct Letters {
    gateway: Arc<Gateway>,
    principal: Arc<Principal>,
    /// What stands before a function's name in its ARN.
    arn_prefix: String,
}

impl Letters {
    pub(crate) fn new(gateway: Arc<Gateway>, aws: &Aws) -> Self {
        let arn_prefix = format!("arn:aws:lambda:{}:{}:function:", aws.region, aws.account);
        Self { gateway, principal: Arc::new(Principal::anonymous(Grant::everything())), arn_prefix }
    }
}

impl DeadLetters for Letters {
    fn function_arn(&self, function: &str) -> String {
        format!("{}{function}:$LATEST", self.arn_prefix)
    }

    fn publish(&self, topic: Arc<str>, letter: Bytes) -> Publishing {
        let (gateway, principal) = (self.gateway.clone(), self.principal.clone());
        Box::pin(async move {
            let topic = TopicName::new(&topic).map_err(|refusal| LetterError::Never(refusal.to_string()))?;
            let publication = Publication::new(gateway.default_space().clone(), topic, Kind::Json, letter);
            let published = gateway.publish(&principal, publication, NAME).await;
            published.map(drop).map_err(|refusal| match refusal {
                Refusal::Overloaded | Refusal::Log(_) | Refusal::RateLimited { .. } | Refusal::ShuttingDown => {
                    LetterError::Later(refusal.to_string())
                }
                refusal => LetterError::Never(refusal.to_string()),
            })
        })
    }
}
