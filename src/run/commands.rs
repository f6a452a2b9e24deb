//! Requests for clips that come over MQTT.

use super::outputs::connection;
use super::supervisor::Supervisor;
use crate::config::{Broker, Camera};
use crate::publish::{Heard, Listener};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::StreamExt;
use gst::glib;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// The cameras of each topic.
type Topics = BTreeMap<String, Vec<String>>;

/// Listens to the topics of a plan, on the main context that is the default of the thread that created it.
pub struct Commands {
    listeners: HashMap<Broker, (Topics, Listener)>,
    sender: UnboundedSender<Asked>,
    task: glib::JoinHandle<()>,
}

/// What a listener has heard, and for which cameras.
enum Asked {
    Clips { cameras: Vec<String>, text: Option<String> },
    Say(String),
}

/// The longest text of a request that is kept, in characters.
const LONGEST: usize = 1000;

impl Commands {
    /// Passes requests on to the supervisor; `say` takes reports of brokers that can't be reached.
    pub fn start(supervisor: &Rc<Supervisor>, say: impl Fn(&str) + 'static) -> Self {
        let (sender, receiver) = unbounded();
        let supervisor = Rc::downgrade(supervisor);
        let task = async move {
            let mut receiver: UnboundedReceiver<Asked> = receiver;
            while let Some(asked) = receiver.next().await {
                let Some(supervisor) = supervisor.upgrade() else { return };
                match asked {
                    Asked::Clips { cameras, text } => {
                        for camera in &cameras {
                            supervisor.record_clips(Some(camera), "command", text.as_deref());
                        }
                    }
                    Asked::Say(text) => say(&text),
                }
            }
        };
        let task = glib::MainContext::ref_thread_default().spawn_local(task);
        Self { listeners: HashMap::new(), sender, task }
    }

    /// Listens to the topics of these cameras, and to no others.
    pub fn apply(&mut self, cameras: &[Camera]) {
        let mut wanted: HashMap<Broker, Topics> = HashMap::new();
        for camera in cameras {
            let topic = camera.outputs.clips.as_ref().and_then(|clips| clips.command_topic.clone());
            if let (Some(topic), Some(mqtt)) = (topic, &camera.outputs.mqtt) {
                let topics = wanted.entry(mqtt.broker.clone()).or_default();
                topics.entry(topic).or_default().push(camera.name.clone());
            }
        }
        self.listeners.retain(|broker, (topics, _)| wanted.get(broker) == Some(topics));
        for (broker, topics) in wanted {
            if self.listeners.contains_key(&broker) {
                continue;
            }
            match self.listen(&broker, topics.clone()) {
                Ok(listener) => _ = self.listeners.insert(broker, (topics, listener)),
                Err(error) => self.tell(format!("commands can't be received from {}: {error}", host(&broker))),
            }
        }
    }

    fn listen(&self, broker: &Broker, topics: Topics) -> std::io::Result<Listener> {
        let (location, settings) = connection(broker);
        let (names, host, sender) = (topics.keys().cloned().collect(), host(broker).to_owned(), self.sender.clone());
        let hear = move |heard: Heard| {
            let asked = match heard {
                Heard::Message { topic, payload } => {
                    let text: String = String::from_utf8_lossy(&payload).chars().take(LONGEST).collect();
                    let text = Some(text).filter(|text| !text.trim().is_empty());
                    Asked::Clips { cameras: topics.get(&topic).cloned().unwrap_or_default(), text }
                }
                Heard::Away(reason) => {
                    Asked::Say(format!("commands aren't received from {host}: {reason}; trying again"))
                }
                Heard::Back => Asked::Say(format!("commands are received from {host} again")),
            };
            // Fails only when the program is ending.
            let _ = sender.unbounded_send(asked);
        };
        Listener::start(&location, &settings, names, hear)
    }

    fn tell(&self, text: String) {
        let _ = self.sender.unbounded_send(Asked::Say(text));
    }
}

/// What a broker is called in reports.
fn host(broker: &Broker) -> &str {
    broker.server.hosts.first().map_or("", |(host, _)| host)
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.task.abort();
    }
}
