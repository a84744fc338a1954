//! Keys about who may do what beside tokens: access keys, policies, users, certificates, authorizers.

use std::path::PathBuf;

use fanfare_identity::Secret;
use fanfare_mqtt::MqttOptions;

use super::schema::Kind::{Count, Sections, Switch, Tables, Text, Texts};
use super::schema::{Form, Shown, sections};

sections! {
    /// Interfaces in the style of AWS.
    Aws {
        /// The region in ARNs. Clients may sign for any. Default: that of the application, or else local.
        region: String = "local".to_owned() => Text(Form::Plain);
        /// The account in ARNs. Default: 000000000000.
        account: String = "000000000000".to_owned() => Text(Form::Plain);
        /// Access keys (SigV4). Default: none; in development mode any is taken.
        credentials: Vec<AwsCredential> = Vec::new() => Sections(AwsCredential::keys);
    }

    /// One access key, and what it may do: `policies`, or `allow` and `deny`; without any, nothing.
    AwsCredential {
        /// The public name of the key. Required.
        access_key_id: String = String::new() => Text(Form::Plain);
        /// The secret itself.
        secret: Option<Secret> = None => Text(Form::Secret);
        /// File that holds the secret; white space around it does not count.
        secret_file: Option<PathBuf> = None => Text(Form::File);
        /// Must come with every request, if set.
        session_token: Option<Secret> = None => Text(Form::Secret);
        /// Whom it speaks for. Default: the access key.
        principal: Option<String> = None => Text(Form::Plain);
        /// Names of `[[iot.policies]]`. Default: none.
        policies: Vec<String> = Vec::new() => Texts(Form::Plain);
        /// Rules such as "publish:default/a/#". Default: none.
        allow: Vec<String> = Vec::new() => Texts(Form::Rule);
        /// Rules that win over every allow. Default: none.
        deny: Vec<String> = Vec::new() => Texts(Form::Rule);
    }

    /// Devices in the style of AWS IoT Core.
    Iot {
        /// Every MQTT client is the thing of its client id. Default: false.
        things: bool = false => Switch;
        /// Sessions that last and wills need an Allow with a condition on `iot:ConnectAttributes`.
        /// Default: false.
        strict_connect_attributes: bool = false => Switch;
        /// Policies by name. Default: none.
        policies: Vec<IotPolicy> = Vec::new() => Sections(IotPolicy::keys);
        /// Functions that decide about MQTT clients. Default: none.
        authorizers: Vec<IotAuthorizer> = Vec::new() => Sections(IotAuthorizer::keys);
        /// Whether clients that come, go and subscribe are told of below `$aws/events`. Default: true with
        /// `mqtt.profile = "aws-iot"`, otherwise false.
        lifecycle_events: Option<bool> = None => Switch;
        /// Device shadows, in all; deleted ones count, because their versions are kept. Default: 100,000.
        shadows: usize = MqttOptions::default().shadows_max => Count(0, 1_000_000_000);
        /// Topic rules, as tables `[[iot.rules]]` with `name`, `sql`, `actions` and `error_action`.
        /// Default: none.
        rules: Vec<toml::Table> = Vec::new() => Tables;
        /// Hosts of this machine or its network that `http` actions may post to, as "name" or
        /// "name:port"; others must be of the public internet. Default: none.
        http_allow: Vec<String> = Vec::new() => Texts(Form::Plain);
        /// Messages sent to single clients over HTTP that wait for acknowledgements, in all. Default: 256.
        direct_messages: usize = MqttOptions::default().direct_messages_max => Count(1, 100_000);
    }

    /// One policy, in the language of AWS IoT.
    IotPolicy {
        /// Its name. Required.
        name: String = String::new() => Text(Form::Plain);
        /// The document itself, JSON.
        document: Option<String> = None => Text(Form::Plain);
        /// File that holds the document.
        file: Option<PathBuf> = None => Text(Form::File);
    }

    /// A function that decides about MQTT clients.
    IotAuthorizer {
        /// Its name, by which clients choose it. Required.
        name: String = String::new() => Text(Form::Plain);
        /// The function, one of `[functions.NAME]`. Required.
        function: String = String::new() => Text(Form::Plain);
        /// Under which name clients send their token. Default: none.
        token_key: Option<String> = None => Text(Form::Plain);
        /// Public keys that sign tokens, PEM. Default: none.
        token_keys: Vec<String> = Vec::new() => Texts(Form::Plain);
        /// PEM files with such keys. Default: none.
        token_key_files: Vec<PathBuf> = Vec::new() => Texts(Form::File);
        /// Tokens must be signed by one of the keys. Default: true.
        signing: bool = true => Switch;
        /// Decides about clients that name no authorizer. Default: false.
        default: bool = false => Switch;
    }

    /// What client certificates stand for: those with `fingerprint`, with `common_name`, or `any`. The
    /// first entry that fits counts.
    MqttCertificate {
        /// SHA-256 of the certificate, in hexadecimal.
        fingerprint: Option<String> = None => Text(Form::Plain);
        /// The subject's common name.
        common_name: Option<String> = None => Text(Form::Plain);
        /// Every certificate that `tls.client_ca` vouches for. Default: false.
        any: bool = false => Switch;
        /// Whom it speaks for. Default: the common name, or else the fingerprint.
        principal: Option<String> = None => Text(Form::Plain);
        /// Names of `[[iot.policies]]`. Default: none.
        policies: Vec<String> = Vec::new() => Texts(Form::Plain);
        /// Rules such as "publish:default/a/#"; `${sub}` is the principal. Default: none.
        allow: Vec<String> = Vec::new() => Texts(Form::Rule);
        /// Rules that win over every allow. Default: none.
        deny: Vec<String> = Vec::new() => Texts(Form::Rule);
    }
}

impl Aws {
    /// Whether the region is another than the one that counts where nothing is said.
    pub fn has_region(&self) -> bool {
        self.region != Self::default().region
    }
}

macro_rules! shown_lists {
    ($($type:ty),*) => {$(
        impl Shown for Vec<$type> {
            fn shown(&self) -> Option<toml::Value> {
                None
            }
        }
    )*};
}

shown_lists!(AwsCredential, IotPolicy, IotAuthorizer, MqttCertificate);

impl Shown for Vec<PathBuf> {
    fn shown(&self) -> Option<toml::Value> {
        Some(self.iter().map(|file| file.to_string_lossy().into_owned()).collect::<Vec<_>>().into())
    }
}
