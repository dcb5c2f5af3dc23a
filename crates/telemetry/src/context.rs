//! Trace context as text: W3C `traceparent`.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Name of the header.
pub const TRACEPARENT: &str = "traceparent";

/// The context of the current span, to be sent along; `None` outside spans or before [`crate::init`].
#[must_use]
pub fn current_traceparent() -> Option<String> {
    traceparent_of(&Span::current())
}

/// The context of a span, to be sent along.
#[must_use]
pub fn traceparent_of(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| format(&context))
}

/// Makes a span the child of the one that sent `traceparent`. Only before the span is entered; text that is no
/// `traceparent` changes nothing.
pub fn set_parent(span: &Span, traceparent: &str) {
    if let Some(context) = parse(traceparent) {
        // Fails only where nobody records spans, and then there is nothing to relate.
        drop(span.set_parent(opentelemetry::Context::new().with_remote_span_context(context)));
    }
}

/// Links a span to the one that sent `traceparent`: work that was caused by it, later and elsewhere.
pub fn link(span: &Span, traceparent: &str) {
    if let Some(context) = parse(traceparent) {
        span.add_link(context);
    }
}

fn format(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // A later version may add parts at its end; the first one may not, and "ff" is none.
    let sound = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
    if !sound || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing::{info_span, subscriber::with_default};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::propagate;

    fn traced<T>(body: impl FnOnce() -> T) -> T {
        let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
        with_default(tracing_subscriber::registry().with(crate::init::spans(&provider)), body)
    }

    #[test]
    fn a_parent_survives_the_round_trip_through_metadata() {
        traced(|| {
            let sender = info_span!("sender");
            let mut metadata = tonic::metadata::MetadataMap::new();
            sender.in_scope(|| propagate::inject(&mut metadata));
            let receiver = info_span!("receiver");
            propagate::extract(&receiver, &metadata);
            let (sent, got) = (traceparent_of(&sender).unwrap(), traceparent_of(&receiver).unwrap());
            assert_eq!(sent.split('-').nth(1), got.split('-').nth(1), "one trace");
            assert_ne!(sent.split('-').nth(2), got.split('-').nth(2), "two spans");
        });
    }

    #[test]
    fn spans_have_ids_though_nothing_is_exported() {
        traced(|| {
            let traceparent = info_span!("alone").in_scope(current_traceparent).unwrap();
            assert!(parse(&traceparent).is_some(), "{traceparent}");
            let linked = info_span!("linked");
            link(&linked, &traceparent);
        });
        assert_eq!(current_traceparent(), None);
    }

    #[test]
    fn what_is_no_traceparent_is_no_parent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(parse(good).map(|context| format(&context)).as_deref(), Some(good));
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033-01",
            "00-0af7651916cd43dd8448eb211c80319z-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
