//! The injector from outside: pods in, pods out.

mod again;
mod annotations;
mod golden;
mod odd;
mod offline;
mod refusals;
mod speed;
mod tools;
mod wire;
