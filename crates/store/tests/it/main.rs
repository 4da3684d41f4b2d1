//! The store against the real disk: what is acknowledged stays, what is sealed stays sealed.

mod crash;
mod documents;
mod sealed;
mod secrets;

use std::path::Path;

use pillion_model::{App, AppName};

pub fn name() -> AppName {
    "shop".parse().expect("a name")
}

pub fn app() -> App {
    serde_json::from_value(serde_json::json!({ "name": "shop", "containers": { "web": { "main": true, "image": "web:1" } } }))
        .expect("an app")
}

pub fn raw(root: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(root.join("state.db")).expect("the file opens")
}
