//! The unmodified Azure CLI and SDK against the built program, with real containers behind it.

mod configuration;
mod containers;
mod faults;
mod front;
mod groups;
mod guide;
mod https_only;
mod linked;
mod login;
mod logs;
mod sdk;
mod slots;
mod stage;
mod starting;
mod templates;
mod webapps;
