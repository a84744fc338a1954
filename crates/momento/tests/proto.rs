//! The Rust types and the `.proto` files say the same: whatever one side writes, the other reads,
//! field by field, and no field of the files is left out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;

use bytes::Bytes;
use fanfare_momento::wire::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};

const FILES: [&str; 8] = [
    "auth.proto",
    "cacheping.proto",
    "cachepubsub.proto",
    "common.proto",
    "controlclient.proto",
    "permissionmessages.proto",
    "token.proto",
    "webhook.proto",
];

/// Above what 32 bits hold, so that a field of another width is found.
const LARGE: u64 = (1 << 40) + 7;

fn pool() -> DescriptorPool {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let files = protox::compile(FILES, [folder]).unwrap();
    DescriptorPool::from_file_descriptor_set(files).unwrap()
}

/// What was seen of the files' fields, as `message.field`.
struct Seen {
    pool: DescriptorPool,
    fields: BTreeSet<String>,
}

impl Seen {
    /// Writes with the Rust type, reads by the file, compares the text of all fields, and back.
    fn check<M: Message + Default + PartialEq + std::fmt::Debug>(&mut self, name: &str, message: &M, expected: &str) {
        let descriptor = self.pool.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"));
        let dynamic = DynamicMessage::decode(descriptor, &*message.encode_to_vec()).unwrap();
        assert_eq!(dynamic.to_text_format(), expected, "{name}");
        assert_eq!(&M::decode(&*dynamic.encode_to_vec()).unwrap(), message, "{name}");
        self.note(&dynamic);
    }

    fn note(&mut self, message: &DynamicMessage) {
        assert_eq!(message.unknown_fields().count(), 0, "{}", message.descriptor().full_name());
        for (field, value) in message.fields() {
            self.fields.insert(field.full_name().to_owned());
            match value {
                Value::Message(inner) => self.note(inner),
                Value::List(items) => items.iter().filter_map(Value::as_message).for_each(|inner| self.note(inner)),
                _ => {}
            }
        }
    }

    fn assert_complete(&self) {
        let of_message = |message: prost_reflect::MessageDescriptor| message.fields().collect::<Vec<_>>();
        let all: BTreeSet<String> =
            self.pool.all_messages().flat_map(of_message).map(|field| field.full_name().to_owned()).collect();
        let left_out: Vec<_> = all.difference(&self.fields).collect();
        assert!(left_out.is_empty(), "no test writes {left_out:?}");
    }
}

#[test]
fn types_and_files_agree() {
    let mut seen = Seen { pool: pool(), fields: BTreeSet::new() };
    topics(&mut seen);
    permissions_of_all_kinds(&mut seen);
    tokens(&mut seen);
    logins(&mut seen);
    caches(&mut seen);
    webhooks(&mut seen);
    seen.assert_complete();
}

fn topics(seen: &mut Seen) {
    let text = TopicValue::from(topic_value::Kind::Text("x".into()));
    let binary = TopicValue::from(topic_value::Kind::Binary(Bytes::from_static(&[1, 255])));
    let package = "cache_client.pubsub";
    seen.check(
        &format!("{package}._PublishRequest"),
        &PublishRequest { cache_name: "c".into(), topic: "t".into(), value: Some(binary) },
        r#"cache_name:"c",topic:"t",value{binary:"\001\377"}"#,
    );
    seen.check(
        &format!("{package}._SubscriptionRequest"),
        &SubscriptionRequest {
            cache_name: "c".into(),
            topic: "t".into(),
            resume_at_topic_sequence_number: LARGE,
            sequence_page: LARGE + 1,
        },
        r#"cache_name:"c",topic:"t",resume_at_topic_sequence_number:1099511627783,sequence_page:1099511627784"#,
    );
    let item = format!("{package}._SubscriptionItem");
    seen.check(
        &item,
        &SubscriptionItem::from(TopicItem {
            topic_sequence_number: LARGE,
            value: Some(text),
            publisher_id: "p".into(),
            sequence_page: LARGE + 1,
        }),
        r#"item{topic_sequence_number:1099511627783,value{text:"x"},publisher_id:"p",sequence_page:1099511627784}"#,
    );
    let discontinuity =
        Discontinuity { last_topic_sequence: LARGE, new_topic_sequence: LARGE + 1, new_sequence_page: LARGE + 2 };
    seen.check(
        &item,
        &SubscriptionItem::from(discontinuity),
        "discontinuity{last_topic_sequence:1099511627783,new_topic_sequence:1099511627784,\
         new_sequence_page:1099511627785}",
    );
    seen.check(&item, &SubscriptionItem::from(Heartbeat {}), "heartbeat{}");
    for name in ["common._Empty", "cache_client._PingRequest", "cache_client._PingResponse"] {
        seen.check(name, &Empty {}, "");
    }
}

fn explicit(kind: permissions_type::Kind) -> Permissions {
    let permissions = vec![PermissionsType { kind: Some(kind) }];
    Permissions { kind: Some(permissions::Kind::Explicit(ExplicitPermissions { permissions })) }
}

fn selector(name: &str) -> CacheSelector {
    CacheSelector { kind: Some(cache_selector::Kind::CacheName(name.into())) }
}

fn permissions_of_all_kinds(seen: &mut Seen) {
    let name = "permission_messages.Permissions";
    let super_user = Permissions { kind: Some(permissions::Kind::SuperUser(SuperUserPermissions::SuperUser as i32)) };
    seen.check(name, &super_user, "super_user:SuperUser");

    let cache = |role: CacheRole, cache, item| {
        explicit(permissions_type::Kind::Cache(CachePermissions {
            role: role as i32,
            cache: Some(cache),
            cache_item: Some(item),
        }))
    };
    let items = |kind| cache_permissions::CacheItem::Selector(CacheItemSelector { kind: Some(kind) });
    let all = CacheChoice::AllCaches(All {});
    let one = CacheChoice::Selector(selector("c"));
    for (message, inside) in [
        (
            cache(CacheRole::ReadWrite, all.clone(), cache_permissions::CacheItem::AllItems(All {})),
            "role:CacheReadWrite,all_caches{},all_items{}",
        ),
        (
            cache(CacheRole::ReadOnly, one, items(cache_item_selector::Kind::Key(vec![255]))),
            r#"role:CacheReadOnly,cache_selector{cache_name:"c"},item_selector{key:"\377"}"#,
        ),
        (
            cache(CacheRole::WriteOnly, all, items(cache_item_selector::Kind::KeyPrefix(vec![255]))),
            r#"role:CacheWriteOnly,all_caches{},item_selector{key_prefix:"\377"}"#,
        ),
    ] {
        seen.check(name, &message, &format!("explicit{{permissions:[{{cache_permissions{{{inside}}}}}]}}"));
    }
    topic_permissions_of_all_kinds(seen, name);
    function_permissions_of_all_kinds(seen, name);
}

fn topic_permissions_of_all_kinds(seen: &mut Seen, name: &str) {
    let topic = |role: TopicRole, cache, topic| {
        explicit(permissions_type::Kind::Topic(TopicPermissions {
            role: role as i32,
            cache: Some(cache),
            topic: Some(topic),
        }))
    };
    let topics = |kind| topic_permissions::Topic::Selector(TopicSelector { kind: Some(kind) });
    let all = CacheChoice::AllCaches(All {});
    let one = CacheChoice::Selector(selector("c"));
    for (message, inside) in [
        (
            topic(TopicRole::ReadWrite, all.clone(), topic_permissions::Topic::AllTopics(All {})),
            "role:TopicReadWrite,all_caches{},all_topics{}",
        ),
        (
            topic(TopicRole::ReadOnly, one, topics(topic_selector::Kind::TopicName("t".into()))),
            r#"role:TopicReadOnly,cache_selector{cache_name:"c"},topic_selector{topic_name:"t"}"#,
        ),
        (
            topic(TopicRole::WriteOnly, all, topics(topic_selector::Kind::TopicNamePrefix("t".into()))),
            r#"role:TopicWriteOnly,all_caches{},topic_selector{topic_name_prefix:"t"}"#,
        ),
    ] {
        seen.check(name, &message, &format!("explicit{{permissions:[{{topic_permissions{{{inside}}}}}]}}"));
    }
}

fn function_permissions_of_all_kinds(seen: &mut Seen, name: &str) {
    let function = |cache, function| {
        explicit(permissions_type::Kind::Function(FunctionPermissions {
            role: FunctionRole::Invoke as i32,
            cache: Some(cache),
            function: Some(function),
        }))
    };
    let functions = |kind| function_permissions::Function::Selector(FunctionSelector { kind: Some(kind) });
    let all = CacheChoice::AllCaches(All {});
    let one = CacheChoice::Selector(selector("c"));
    for (message, inside) in [
        (
            function(all.clone(), function_permissions::Function::AllFunctions(All {})),
            "role:FunctionInvoke,all_caches{},all_functions{}",
        ),
        (
            function(one, functions(function_selector::Kind::FunctionName("f".into()))),
            r#"role:FunctionInvoke,cache_selector{cache_name:"c"},function_selector{function_name:"f"}"#,
        ),
        (
            function(all, functions(function_selector::Kind::FunctionNamePrefix("f".into()))),
            r#"role:FunctionInvoke,all_caches{},function_selector{function_name_prefix:"f"}"#,
        ),
    ] {
        seen.check(name, &message, &format!("explicit{{permissions:[{{function_permissions{{{inside}}}}}]}}"));
    }
}

fn tokens(seen: &mut Seen) {
    let nobody = || Some(Permissions { kind: Some(permissions::Kind::Explicit(ExplicitPermissions::default())) });
    let expires = Expires { valid_for_seconds: u32::MAX };
    seen.check(
        "token._GenerateDisposableTokenRequest",
        &GenerateDisposableTokenRequest {
            expires: Some(expires),
            auth_token: "k".into(),
            permissions: nobody(),
            token_id: "i".into(),
        },
        r#"expires{valid_for_seconds:4294967295},auth_token:"k",permissions{explicit{}},token_id:"i""#,
    );
    seen.check(
        "token._GenerateDisposableTokenResponse",
        &GenerateDisposableTokenResponse { api_key: "k".into(), endpoint: "e".into(), valid_until: LARGE },
        r#"api_key:"k",endpoint:"e",valid_until:1099511627783"#,
    );
    let request = |expiry| GenerateApiTokenRequest {
        expiry: Some(expiry),
        auth_token: "k".into(),
        permissions: nobody(),
        token_id: "i".into(),
        description: "d".into(),
    };
    let rest = r#"auth_token:"k",permissions{explicit{}},token_id:"i",description:"d""#;
    let name = "auth._GenerateApiTokenRequest";
    seen.check(name, &request(expiry::Expiry::Never(Never {})), &format!("never{{}},{rest}"));
    let expected = format!("expires{{valid_for_seconds:4294967295}},{rest}");
    seen.check(name, &request(expiry::Expiry::Expires(expires)), &expected);
    let response =
        ApiTokenResponse { api_key: "k".into(), refresh_token: "r".into(), endpoint: "e".into(), valid_until: LARGE };
    let expected = r#"api_key:"k",refresh_token:"r",endpoint:"e",valid_until:1099511627783"#;
    seen.check("auth._GenerateApiTokenResponse", &response, expected);
    seen.check("auth._RefreshApiTokenResponse", &response, expected);
    seen.check(
        "auth._RefreshApiTokenRequest",
        &RefreshApiTokenRequest { api_key: "k".into(), refresh_token: "r".into() },
        r#"api_key:"k",refresh_token:"r""#,
    );
}

fn logins(seen: &mut Seen) {
    use login_response::{DirectBrowser, Error, LoggedIn, State, Text};
    for (state, expected) in [
        (State::DirectBrowser(DirectBrowser { url: "u".into() }), r#"direct_browser{url:"u"}"#),
        (
            State::LoggedIn(LoggedIn { session_token: "s".into(), valid_for_seconds: u32::MAX }),
            r#"logged_in{session_token:"s",valid_for_seconds:4294967295}"#,
        ),
        (State::Message(Text { text: "t".into() }), r#"message{text:"t"}"#),
        (State::Error(Error { description: "d".into() }), r#"error{description:"d"}"#),
    ] {
        seen.check("auth._LoginResponse", &LoginResponse { state: Some(state) }, expected);
    }
    seen.check("auth._LoginRequest", &LoginRequest {}, "");
}

fn caches(seen: &mut Seen) {
    for name in ["_CreateCacheRequest", "_DeleteCacheRequest", "_FlushCacheRequest"] {
        let request = CacheRequest { cache_name: "c".into() };
        seen.check(&format!("control_client.{name}"), &request, r#"cache_name:"c""#);
    }
    for name in ["_CreateCacheResponse", "_DeleteCacheResponse", "_FlushCacheResponse"] {
        seen.check(&format!("control_client.{name}"), &Empty {}, "");
    }
    let request = ListCachesRequest { next_token: "n".into() };
    seen.check("control_client._ListCachesRequest", &request, r#"next_token:"n""#);
    let cache = Cache {
        cache_name: "c".into(),
        cache_limits: Some(CacheLimits {
            max_traffic_rate: u32::MAX,
            max_throughput_kbps: 2,
            max_item_size_kb: 3,
            max_ttl_seconds: LARGE,
        }),
        topic_limits: Some(TopicLimits {
            max_publish_rate: u32::MAX,
            max_subscription_count: 2,
            max_publish_message_size_kb: 3,
        }),
        cache_id: "i".into(),
    };
    seen.check(
        "control_client._ListCachesResponse",
        &ListCachesResponse { cache: vec![cache], next_token: "n".into() },
        r#"cache:[{cache_name:"c",cache_limits{max_traffic_rate:4294967295,max_throughput_kbps:2,max_item_size_kb:3,max_ttl_seconds:1099511627783},topic_limits{max_publish_rate:4294967295,max_subscription_count:2,max_publish_message_size_kb:3},cache_id:"i"}],next_token:"n""#,
    );
    let request = CreateSigningKeyRequest { ttl_minutes: u32::MAX };
    seen.check("control_client._CreateSigningKeyRequest", &request, "ttl_minutes:4294967295");
    let response = CreateSigningKeyResponse { key: "k".into(), expires_at: LARGE };
    seen.check("control_client._CreateSigningKeyResponse", &response, r#"key:"k",expires_at:1099511627783"#);
}

fn webhooks(seen: &mut Seen) {
    let id = || Some(WebhookId { cache_name: "c".into(), webhook_name: "w".into() });
    let destination = WebhookDestination { kind: Some(webhook_destination::Kind::PostUrl("u".into())) };
    let webhook = Webhook { webhook_id: id(), topic_name: "t".into(), destination: Some(destination) };
    let shown = r#"webhook_id{cache_name:"c",webhook_name:"w"},topic_name:"t",destination{post_url:"u"}"#;
    let put = PutWebhookRequest { webhook: Some(webhook.clone()) };
    seen.check("webhook._PutWebhookRequest", &put, &format!("webhook{{{shown}}}"));
    let list = ListWebhooksResponse { webhook: vec![webhook] };
    seen.check("webhook._ListWebhooksResponse", &list, &format!("webhook:[{{{shown}}}]"));
    let list = ListWebhooksRequest { cache_name: "c".into() };
    seen.check("webhook._ListWebhookRequest", &list, r#"cache_name:"c""#);
    for name in ["_DeleteWebhookRequest", "_RotateWebhookSecretRequest"] {
        let request = DeleteWebhookRequest { webhook_id: id() };
        let expected = r#"webhook_id{cache_name:"c",webhook_name:"w"}"#;
        seen.check(&format!("webhook.{name}"), &request, expected);
    }
    seen.check("webhook._DeleteWebhookResponse", &Empty {}, "");
    for name in ["_PutWebhookResponse", "_RotateWebhookSecretResponse"] {
        let response = SecretResponse { secret_string: "s".into() };
        seen.check(&format!("webhook.{name}"), &response, r#"secret_string:"s""#);
    }
    let get = GetWebhookSecretRequest { cache_name: "c".into(), webhook_name: "w".into() };
    seen.check("webhook._GetWebhookSecretRequest", &get, r#"cache_name:"c",webhook_name:"w""#);
    let secret =
        GetWebhookSecretResponse { cache_name: "c".into(), webhook_name: "w".into(), secret_string: "s".into() };
    let expected = r#"cache_name:"c",webhook_name:"w",secret_string:"s""#;
    seen.check("webhook._GetWebhookSecretResponse", &secret, expected);
}

#[test]
fn services_of_the_files_are_known() {
    let mut count = 0;
    for service in pool().services() {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let known = fanfare_momento::method::Method::of_path(&path);
            let known = known.unwrap_or_else(|| panic!("{path} is not known"));
            assert_eq!(known.is_stream(), method.is_server_streaming(), "{path}");
            count += 1;
        }
    }
    assert_eq!(count, 17);
}
