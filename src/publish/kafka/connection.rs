//! One producer, shared by outputs.

use super::super::output::OnError;
use super::account::Account;
use super::errors;
use super::user::User;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Weak};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtkafka", gst::DebugColorFlags::empty(), Some("Connections of trtpublish to Kafka"))
});

/// All connections.
static CONNECTIONS: Mutex<Vec<(Account, Weak<Connection>)>> = Mutex::new(Vec::new());

/// Lines that are still unconfirmed when the last output has gone are dropped.
pub struct Connection {
    producer: ThreadedProducer<Context>,
    users: Arc<Users>,
}

/// Why a message wasn't accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// The producer holds as much as it can.
    Full,
    /// It will never be accepted, for this reason.
    Never(Code),
}

#[derive(Default)]
struct Users {
    list: Mutex<Vec<Weak<User>>>,
    state: Mutex<ClusterState>,
    /// Nothing gets through; mirrors the state.
    away: AtomicBool,
}

#[derive(Default)]
struct ClusterState {
    /// What was last reported of one broker.
    last: Option<String>,
    /// Why nothing gets through.
    away: Option<String>,
    /// The cluster doesn't let this client in.
    is_rejected: bool,
}

struct Context {
    users: Arc<Users>,
}

impl Connection {
    /// Joins the connection with this account, or makes one.
    ///
    /// # Errors
    /// librdkafka doesn't accept the settings, for example a certificate.
    pub fn join(account: &Account, user: &Arc<User>) -> io::Result<Arc<Self>> {
        let mut connections = CONNECTIONS.lock();
        connections.retain(|(_, connection)| connection.strong_count() > 0);
        let known = connections.iter().find(|(known, _)| known == account).and_then(|(_, known)| known.upgrade());
        if let Some(connection) = known.filter(|connection| connection.is_usable(account)) {
            connection.users.add(user);
            return Ok(connection);
        }
        let users = Arc::new(Users::default());
        users.add(user);
        let context = Context { users: users.clone() };
        let producer = ThreadedProducer::from_config_and_context(&account.producer_config(), context);
        let producer = producer.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, explain(&error)))?;
        let connection = Arc::new(Self { producer, users });
        connections.retain(|(known, _)| known != account);
        connections.push((account.clone(), Arc::downgrade(&connection)));
        Ok(connection)
    }

    /// False if librdkafka has given up on it, or its users did because it was never let in.
    fn is_usable(&self, account: &Account) -> bool {
        let rejected = account.on_error == OnError::Fail && self.users.state.lock().is_rejected;
        self.producer.client().fatal_error().is_none() && !rejected
    }

    /// Hands over a message of `user`, which has [begun](User::begin) it.
    pub fn send(
        &self,
        user: &Arc<User>,
        topic: &str,
        key: &str,
        payload: &[u8],
        headers: OwnedHeaders,
    ) -> Result<(), NotSent> {
        let record = BaseRecord::with_opaque_to(topic, user.clone()).key(key).payload(payload).headers(headers);
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((error, _)) => match error.rdkafka_error_code() {
                Some(Code::QueueFull) => Err(NotSent::Full),
                code => Err(NotSent::Never(code.unwrap_or(Code::InvalidArgument))),
            },
        }
    }
}

impl Users {
    /// Adds a user, and tells it why nothing gets through, if that is known.
    fn add(&self, user: &Arc<User>) {
        let mut list = self.list.lock();
        list.retain(|user| user.strong_count() > 0);
        list.push(Arc::downgrade(user));
        drop(list);
        let away = self.state.lock().away.clone();
        if let Some(reason) = away {
            user.away(&reason);
        }
    }

    fn for_each(&self, tell: impl Fn(&User)) {
        // The lock isn't held while users are told.
        let users = self.list.lock().clone();
        users.iter().filter_map(Weak::upgrade).for_each(|user| tell(&user));
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => gst::log!(CAT, "{facility}: {message}"),
            _ => gst::debug!(CAT, "{facility}: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        gst::debug!(CAT, "{code:?}: {reason}");
        let mut state = self.users.state.lock();
        if let Some((kind, text)) = errors::rejection(code, reason) {
            state.away = Some(text.clone());
            state.is_rejected = true;
            drop(state);
            self.users.away.store(true, Ordering::Relaxed);
            return self.users.for_each(|user| user.rejected(kind, &text));
        }
        match code {
            Code::AllBrokersDown => {
                let reason = state.last.clone().unwrap_or_else(|| errors::CLOSED.to_owned());
                let reason = state.away.get_or_insert(reason).clone();
                drop(state);
                self.users.away.store(true, Ordering::Relaxed);
                self.users.for_each(|user| user.unconnected(&reason));
            }
            // Fatal errors end each message in flight too.
            _ => state.last = Some(reason.to_owned()),
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<User>;

    fn delivery(&self, result: &DeliveryResult<'_>, user: Arc<User>) {
        match result {
            Ok(_) => {
                if self.users.away.swap(false, Ordering::Relaxed) {
                    *self.users.state.lock() = ClusterState::default();
                }
                user.delivered();
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                user.failed(code, message.topic(), message.payload().map_or(0, <[u8]>::len));
            }
        }
    }
}

/// Without the setting's value, which may be secret.
fn explain(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => format!("{key}: {description}"),
        KafkaError::ClientCreation(text) => text.clone(),
        other => other.to_string(),
    }
}
