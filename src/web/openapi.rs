//! The description of the API, as it's served.

/// docs/openapi.json
pub const TEXT: &str = include_str!("../../docs/openapi.json");
