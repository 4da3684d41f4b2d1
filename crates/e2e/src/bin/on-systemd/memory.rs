//! What one boot has to tell the next.

use std::{
    fs::{self, File},
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

const FILE: &str = "/var/lib/on-systemd.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    Fresh,
    Rebooted,
    Cut,
}

/// Kept in a file that is on disk when [`Memory::keep`] returns.
#[derive(Debug)]
pub struct Memory {
    pub boot: Boot,
    /// When the machine was told to go down, in seconds since 1970.
    pub down_at: u64,
}

impl Memory {
    pub fn recall() -> Memory {
        let text = fs::read(FILE).unwrap_or_default();
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        let boot = match value["boot"].as_str() {
            Some("rebooted") => Boot::Rebooted,
            Some("cut") => Boot::Cut,
            Some(_) | None => Boot::Fresh,
        };
        Memory { boot, down_at: value["downAt"].as_u64().unwrap_or_default() }
    }

    pub fn keep(&mut self) {
        self.down_at = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_secs();
        let boot = match self.boot {
            Boot::Fresh => "fresh",
            Boot::Rebooted => "rebooted",
            Boot::Cut => "cut",
        };
        let text = json!({ "boot": boot, "downAt": self.down_at }).to_string();
        let mut file = File::create(FILE).expect("the memory can be written");
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).expect("the memory is written");
        File::open("/var/lib").and_then(|dir| dir.sync_all()).expect("the memory's name is written");
    }
}
