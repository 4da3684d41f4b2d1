//! The HTTP front end: routes by host name and by port to the main container of an app's instances.

pub mod protocol;
