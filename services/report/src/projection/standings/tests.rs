//! The view against what asking every device one by one gives.

mod history;
mod laws;
mod oracle;
mod said;
