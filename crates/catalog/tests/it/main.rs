//! The built-in catalogue, seen from outside.

mod checking;
mod explaining;
mod loading;
mod values;
mod wire;
