//! Label selectors and field selectors: parsed from a query or from a `LabelSelector` object, and matched.

mod field;
mod label;

pub use field::{FieldRequirement, FieldSelector, ParseFieldSelectorError};
pub use label::{LabelOperator, LabelRequirement, LabelSelector, ParseLabelSelectorError};

#[cfg(test)]
mod tests;
