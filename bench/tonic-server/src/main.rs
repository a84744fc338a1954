//! The least that can serve Momento's publishes and subscriptions: tonic, and one broadcast channel for
//! each topic. No keys, no caches, nothing kept, and what a slow reader misses is gone.
//!
//! `PORT=8080 tonic-server` listens on 127.0.0.1.

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use messages::cache_client::pubsub as wire;
use messages::common::Empty;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};
use wire::pubsub_server::{Pubsub, PubsubServer};
use wire::subscription_item::Kind;
use wire::{Heartbeat, PublishRequest, SubscriptionItem, SubscriptionRequest, TopicItem};

/// Messages that a reader may be behind.
const BEHIND_MAX: usize = 1_024;

/// What is told to readers as the incarnation of a topic.
const PAGE: u64 = 1;

mod messages {
    pub mod cache_client {
        pub mod pubsub {
            tonic::include_proto!("cache_client.pubsub");
        }
    }
    pub mod common {
        tonic::include_proto!("common");
    }
}

/// A topic: the number of its last message, and everybody who reads it.
struct Topic {
    number: Mutex<u64>,
    readers: broadcast::Sender<TopicItem>,
}

#[derive(Default)]
struct Topics(Mutex<HashMap<(String, String), Arc<Topic>>>);

impl Topics {
    fn get(&self, cache: String, topic: String) -> Arc<Topic> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || Arc::new(Topic { number: Mutex::new(0), readers: broadcast::Sender::new(BEHIND_MAX) });
        Arc::clone(topics.entry((cache, topic)).or_insert_with(begin))
    }
}

fn item(kind: Kind) -> SubscriptionItem {
    SubscriptionItem { kind: Some(kind) }
}

#[tonic::async_trait]
impl Pubsub for Topics {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscriptionItem, Status>> + Send>>;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<Empty>, Status> {
        let PublishRequest { cache_name, topic, value } = request.into_inner();
        let topic = self.get(cache_name, topic);
        // Numbers and messages leave in the same order.
        let mut number = topic.number.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        let message =
            TopicItem { topic_sequence_number: *number, value, publisher_id: String::new(), sequence_page: PAGE };
        // It fails where nobody reads, which is no failure here.
        let _ = topic.readers.send(message);
        Ok(Response::new(Empty {}))
    }

    async fn subscribe(
        &self,
        request: Request<SubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let SubscriptionRequest { cache_name, topic, .. } = request.into_inner();
        let live = BroadcastStream::new(self.get(cache_name, topic).readers.subscribe());
        let live = live.map(|message| match message {
            Ok(message) => Ok(item(Kind::Item(message))),
            Err(behind) => Err(Status::data_loss(behind.to_string())),
        });
        let first = tokio_stream::once(Ok(item(Kind::Heartbeat(Heartbeat {}))));
        Ok(Response::new(Box::pin(first.chain(live))))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let stop = async {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        if let Ok(mut terminate) = terminate {
            terminate.recv().await;
        }
    };
    let server =
        tonic::transport::Server::builder().tcp_nodelay(true).add_service(PubsubServer::new(Topics::default()));
    // Streams do not end by themselves: whoever waits for them waits for ever.
    tokio::select! {
        served = server.serve(([127, 0, 0, 1], port).into()) => served?,
        () = stop => {}
    }
    Ok(())
}
