//! The last room: what a call does once its guards hold.
//!
//! `program` is the exit program: how the results of the graph become what the function returns, and
//! which writes to objects outside happen (`parse` reads it). `run` carries out an entry: it calls the graph and goes through the program,
//! of which `step` performs one operation and `store` one write.

mod parse;
mod program;
mod run;
mod step;
mod store;

pub use program::ExitProgram;
pub use run::{Place, Ran, run};
