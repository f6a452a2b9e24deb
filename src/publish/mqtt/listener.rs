//! Listens to topics of a broker, on a connection for that alone: what a broker does about a subscription that it doesn't
//! allow affects no line that is published.

use super::super::location::Location;
use super::super::output::OnError;
use super::errors::describe;
use super::settings::{Account, MqttSettings};
use crate::backoff::Attempts;
use rumqttc::{AsyncClient, Event, MqttOptions, NetworkOptions, Packet, QoS, SubscribeFilter, SubscribeReasonCode};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify as Wake;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Message {
        topic: String,
        payload: Vec<u8>,
    },
    /// The broker can't be reached, is lost, or doesn't allow a subscription; said once.
    Away(String),
    /// It can again.
    Back,
}

/// Listens until dropped.
#[derive(Debug)]
pub struct Listener {
    end: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    const CONNECT_LIMIT: Duration = Duration::from_secs(5);

    /// Begins to connect to the broker of a location, again and again. `hear` is called on the listener's thread. Messages
    /// that the broker has retained aren't heard: they are from before.
    ///
    /// # Errors
    /// The settings are invalid, or the system can't create a thread.
    pub fn start(
        location: &str,
        settings: &MqttSettings,
        topics: Vec<String>,
        hear: impl Fn(Heard) + Send + 'static,
    ) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let Location::Mqtt(broker) = Location::parse(location).map_err(invalid)? else {
            return Err(invalid("this isn't a broker's address".into()));
        };
        // Of two clients with the same id a broker disconnects one.
        let client_id = settings.client_id.as_ref().map(|id| format!("{id}-commands"));
        let settings = MqttSettings { client_id, status_topic: None, ..settings.clone() };
        let options = Account::new(&broker, &settings, OnError::Retry).and_then(|account| account.options());
        let options = options.map_err(invalid)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let end = Arc::new(Wake::new());
        let ended = end.clone();
        let main = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(&options, &topics, &hear) => {}
                    () = ended.notified() => {}
                }
            });
            // Don't wait for a name lookup that is still running.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("mqtt-commands".into()).spawn(main)?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread ends at its next await.
            let _ = thread.join();
        }
    }
}

async fn serve(options: &MqttOptions, topics: &[String], hear: &impl Fn(Heard)) {
    let mut attempts = Attempts::new(Duration::from_millis(100), Duration::from_secs(10));
    let mut is_away = false;
    loop {
        attempts.begin();
        let listens = || {
            if std::mem::take(&mut is_away) {
                hear(Heard::Back);
            }
        };
        let reason = session(options, topics, hear, listens).await;
        attempts.worked();
        if !std::mem::replace(&mut is_away, true) {
            hear(Heard::Away(reason));
        }
        tokio::time::sleep(attempts.next_wait()).await;
    }
}

/// One connection. Returns why it has ended.
async fn session(options: &MqttOptions, topics: &[String], hear: &impl Fn(Heard), mut listens: impl FnMut()) -> String {
    let (client, mut events) = AsyncClient::new(options.clone(), 4);
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(Listener::CONNECT_LIMIT.as_secs());
    events.set_network_options(network);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let filters = topics.iter().map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce));
                if client.subscribe_many(filters.collect::<Vec<_>>()).await.is_err() {
                    return "the topics can't be subscribed to".into();
                }
            }
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                let refused = topics.iter().zip(&answer.return_codes);
                let mut refused = refused.filter(|(_, code)| **code == SubscribeReasonCode::Failure);
                if let Some((topic, _)) = refused.next() {
                    return format!("the broker doesn't allow to subscribe to {topic}: allow it in its ACL");
                }
                listens();
            }
            Ok(Event::Incoming(Packet::Publish(message))) if !message.retain => {
                hear(Heard::Message { topic: message.topic, payload: message.payload.to_vec() });
            }
            Ok(_) => {}
            Err(error) => return describe(&error),
        }
    }
}
