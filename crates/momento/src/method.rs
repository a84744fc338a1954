//! Which call a path means.

/// A call that this server answers, or answers with UNIMPLEMENTED by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// One message to a topic.
    Publish,
    /// The stream of a topic.
    Subscribe,
    /// Is the server there? Comes without a key.
    Ping,
    /// A token for browsers and devices. Comes without metadata for authorization.
    GenerateDisposableToken,
    /// A key that lasts. Comes without metadata for authorization.
    GenerateApiToken,
    /// A new key for an old one.
    RefreshApiToken,
    /// A login with a browser; not offered.
    Login,
    /// A new cache.
    CreateCache,
    /// A cache and everything in it ends.
    DeleteCache,
    /// All caches.
    ListCaches,
    /// A cache is emptied.
    FlushCache,
    /// A webhook is made or replaced.
    PutWebhook,
    /// A webhook ends.
    DeleteWebhook,
    /// All webhooks of a cache.
    ListWebhooks,
    /// What a webhook's deliveries are signed with.
    GetWebhookSecret,
    /// A new secret for a webhook.
    RotateWebhookSecret,
    /// A call of one of the original's services that has no meaning here: items of caches, lists,
    /// indexes, signing keys, functions.
    Unserved,
}

/// Services, beside all of `function.`, of which calls are answered by [`Method::Unserved`] where they are not in the table.
const SERVICES: [&str; 9] = [
    "cache_client.pubsub.Pubsub",
    "cache_client.Scs",
    "cache_client.Ping",
    "control_client.ScsControl",
    "token.Token",
    "auth.Auth",
    "webhook.Webhook",
    "leaderboard.Leaderboard",
    "global_admin.GlobalAdmin",
];

const METHODS: [(&str, Method); 16] = [
    ("/cache_client.pubsub.Pubsub/Publish", Method::Publish),
    ("/cache_client.pubsub.Pubsub/Subscribe", Method::Subscribe),
    ("/cache_client.Ping/Ping", Method::Ping),
    ("/token.Token/GenerateDisposableToken", Method::GenerateDisposableToken),
    ("/auth.Auth/GenerateApiToken", Method::GenerateApiToken),
    ("/auth.Auth/RefreshApiToken", Method::RefreshApiToken),
    ("/auth.Auth/Login", Method::Login),
    ("/control_client.ScsControl/CreateCache", Method::CreateCache),
    ("/control_client.ScsControl/DeleteCache", Method::DeleteCache),
    ("/control_client.ScsControl/ListCaches", Method::ListCaches),
    ("/control_client.ScsControl/FlushCache", Method::FlushCache),
    ("/webhook.Webhook/PutWebhook", Method::PutWebhook),
    ("/webhook.Webhook/DeleteWebhook", Method::DeleteWebhook),
    ("/webhook.Webhook/ListWebhooks", Method::ListWebhooks),
    ("/webhook.Webhook/GetWebhookSecret", Method::GetWebhookSecret),
    ("/webhook.Webhook/RotateWebhookSecret", Method::RotateWebhookSecret),
];

impl Method {
    /// The call that `path` means; `None` for a path that is none of the original's, which another
    /// door may know.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        if let Some((_, method)) = METHODS.iter().find(|(known, _)| *known == path) {
            return Some(*method);
        }
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        let is_ours = SERVICES.contains(&service) || service.starts_with("function.");
        (is_ours && !method.is_empty() && !method.contains('/')).then_some(Self::Unserved)
    }

    /// Its path; `None` for [`Method::Unserved`], which stands for many.
    #[must_use]
    pub fn path(self) -> Option<&'static str> {
        METHODS.iter().find(|(_, method)| *method == self).map(|(path, _)| *path)
    }

    /// The answer is a stream that does not end by itself. The time that clients give such a call
    /// (`grpc-timeout`) must not be kept: SDKs send some seconds and want the stream to stay.
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Subscribe | Self::Login)
    }

    /// The caller's key is in the request and not in the metadata.
    #[must_use]
    pub fn has_key_in_body(self) -> bool {
        matches!(self, Self::GenerateDisposableToken | Self::GenerateApiToken | Self::RefreshApiToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_back() {
        for (path, method) in METHODS {
            assert_eq!(Method::of_path(path), Some(method), "{path}");
            assert_eq!(method.path(), Some(path));
        }
        assert_eq!(Method::Unserved.path(), None);
    }

    #[test]
    fn other_calls_of_the_original_are_unserved() {
        for path in [
            "/cache_client.Scs/Get",
            "/control_client.ScsControl/CreateSigningKey",
            "/control_client.ScsControl/ListIndexes",
            "/leaderboard.Leaderboard/UpsertElements",
            "/function.FunctionRegistry/PutFunction",
            "/global_admin.GlobalAdmin/X",
        ] {
            assert_eq!(Method::of_path(path), Some(Method::Unserved), "{path}");
        }
        for path in
            ["", "/", "/cache_client.Scs", "/cache_client.Scs/", "/cache_client.Scs/a/b", "/topics/a/b", "/x.Y/Z"]
        {
            assert_eq!(Method::of_path(path), None, "{path}");
        }
    }

    #[test]
    fn streams_and_keys() {
        assert!(Method::Subscribe.is_stream() && !Method::Publish.is_stream());
        assert!(Method::GenerateDisposableToken.has_key_in_body() && !Method::Publish.has_key_in_body());
    }
}
