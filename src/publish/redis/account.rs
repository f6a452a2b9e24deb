//! A server and the way in.

use super::super::credentials::from_environment;
use super::super::location::{Server, Store};
use super::super::options::ServerOptions;
use super::super::tls;
use crate::config::Secret;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;

pub struct Account {
    pub server: Server,
    /// Both are checked before anything starts.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// An empty name is the default user's.
    pub credentials: Option<(String, Secret)>,
}

impl Account {
    /// # Errors
    /// What is invalid, and the remedy.
    pub fn new(store: &Store, options: &ServerOptions) -> Result<Self, String> {
        let credentials = match &store.credentials {
            Some(credentials) => Some(credentials.clone()),
            None => from_environment(options.credentials_env.as_deref().unwrap_or("REDIS"))?,
        };
        let tls = if store.tls {
            let name = ServerName::try_from(store.server.host.clone())
                .map_err(|_| "TLS needs the server's host name as in its certificate".to_owned())?;
            let config = tls::config(options.tls_ca_file.as_deref(), options.tls_client()?.as_ref())?;
            Some((Arc::new(config), name))
        } else {
            None
        };
        Ok(Self { server: store.server.clone(), tls, credentials })
    }

    /// The name for messages.
    pub fn name(&self) -> String {
        format!("redis{}://{}", if self.tls.is_some() { "s" } else { "" }, self.server)
    }
}
