//! Unpacking: a layer's tar stream becomes a directory in overlayfs form, and nothing outside that directory is touched.

mod error;

pub use error::UnpackError;
