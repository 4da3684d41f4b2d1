//! Template deployments over a scripted stand-in for the resources: what is written when, and what is said about it.

mod around;
mod ending;
mod fake;
mod library;
mod linked;
mod nested;
mod order;
mod published;
mod real;
mod restart;
mod rollback;
mod secure;
mod what_if;
mod what_if_of_sites;
mod world;
