//! Small models of what workers do to one another, searched whole; and the real store held against one of them.
//!
//! `protocol` has what happens, `state` what there is, `steps` what a worker does, `lease` the rows over the product's own
//! decision, `properties` what has to hold.
//! `sequences` runs random verbs against the store on SQLite and a reference in memory. None of it knows cookies as bytes,
//! HTTP or keys.

mod lease;
mod properties;
mod protocol;
mod sequences;
mod state;
mod steps;
