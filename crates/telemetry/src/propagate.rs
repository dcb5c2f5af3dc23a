//! Trace context in gRPC metadata and other headers.

use tonic::metadata::{MetadataMap, MetadataValue};
use tracing::Span;

use crate::context::{TRACEPARENT, current_traceparent, set_parent};

/// Writes the current span's context into metadata to be sent.
pub fn inject(metadata: &mut MetadataMap) {
    if let Some(value) = current_traceparent().and_then(|text| MetadataValue::try_from(text).ok()) {
        metadata.insert(TRACEPARENT, value);
    }
}

/// Makes a span the child of the sender of the metadata.
pub fn extract(span: &Span, metadata: &MetadataMap) {
    if let Some(text) = metadata.get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
        set_parent(span, text);
    }
}

/// Writes the current span's context into HTTP headers to be sent.
pub fn inject_headers(headers: &mut http::HeaderMap) {
    if let Some(value) = current_traceparent().and_then(|text| text.try_into().ok()) {
        headers.insert(TRACEPARENT, value);
    }
}

/// Makes a span the child of the sender of the HTTP headers.
pub fn extract_headers(span: &Span, headers: &http::HeaderMap) {
    if let Some(text) = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
        set_parent(span, text);
    }
}
