//! Who reaches whom.
