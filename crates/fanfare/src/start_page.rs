//! What a newcomer sees first.

use std::net::SocketAddr;
use std::path::Path;

use crate::config::Config;
use crate::endpoints::Place;

/// A short page: where it listens, how to try each door, where the data lies. `ca` is the file of the
/// local authority, if there is one; `places` are the stages of WebSocket APIs.
pub(crate) fn render(
    config: &Config,
    addresses: &[SocketAddr],
    connections_max: u32,
    files_max: u64,
    ca: Option<&Path>,
    places: &[Place],
) -> String {
    let scheme = if config.tls.cert.is_some() { "https" } else { "http" };
    let first = addresses.first().map_or_else(|| "127.0.0.1:8080".to_owned(), ToString::to_string);
    let mqtt = addresses.get(config.listen.len()).or(addresses.first());
    let url = format!("{scheme}://{first}");
    let flag = if url == "http://127.0.0.1:8080" { String::new() } else { format!(" --url {url}") };
    let mut page = format!("Fanfare {} listens on {}\n\n", env!("CARGO_PKG_VERSION"), list(addresses));
    page += &format!("  console      {url}/console/\n");
    page += &format!("  native       fanfare sub room-1{flag}   and   fanfare pub room-1 hello{flag}\n");
    page += &format!("  events       curl -N '{url}/v1/sse?topic=room-1'\n");
    page += &format!("  http         curl -d hello '{url}/v1/publish?topic=room-1'\n");
    if let Some(mqtt) = mqtt {
        page += &format!("  mqtt         mosquitto_sub -h {} -p {} -t room-1\n", mqtt.ip(), mqtt.port());
    }
    page += &stages(places, config.is_development());
    page += "\n";
    page += &match config.in_memory {
        true => "  data         in memory: a restart forgets it (--in-memory)\n".to_owned(),
        false => format!("  data         {}\n", config.data.display()),
    };
    if let Some(ca) = ca {
        page += &format!("  tls          on the same ports, for clients that trust {}\n", ca.display());
    }
    page += &format!("  connections  at most {connections_max}, because the system allows {files_max} open files\n");
    if config.is_development() {
        page += "  access       open to everybody on this machine; set auth.keys before listening elsewhere\n";
    }
    page
}

/// Where clients of each stage connect, and where senders call back.
fn stages(places: &[Place], is_development: bool) -> String {
    let mut text = String::new();
    for place in places {
        text += &format!("\n  {}\n", place.name);
        for socket in &place.sockets {
            text += &format!("    connect    {socket}\n");
        }
        if !place.callbacks.is_empty() {
            text += &format!("    callbacks  {}/@connections/ID\n", place.callbacks);
        }
    }
    if !places.is_empty() {
        text += match is_development {
            true => "\n  senders sign with any access key; later, with one of `fanfare credentials create NAME`\n",
            false => "\n  senders sign with an access key: `fanfare credentials create NAME` makes one\n",
        };
    }
    text
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
