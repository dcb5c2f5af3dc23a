//! The engines, one per security product.

pub mod mdatp;
