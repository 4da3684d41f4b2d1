//! The template language from outside: reading, expressions, whole templates, limits, secrets, differences.

mod deployed;
mod differences;
mod expressions;
mod limits;
mod nested;
mod order;
mod parameters;
mod properties;
mod reading;
mod refusals;
mod secrets;
mod templates;
