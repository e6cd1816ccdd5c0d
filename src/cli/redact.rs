//! Keeps passwords out of what is printed about a command line.

use clap::error::{ContextKind, ContextValue};
use std::fmt;

/// A server's URL as it was given: it may carry a password, so it does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl From<String> for ServerUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl ServerUrl {
    /// The URL with its password, for connecting.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ServerUrl({:?})", without_secrets(&self.0))
    }
}

/// The text with `***` for everything between `://` and the last `@`, and for the query of a URL:
/// that of a socket file may hold `pass=`.
fn without_secrets(text: &str) -> String {
    let text = match text.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, host)))) => format!("{scheme}://***@{host}"),
        _ => text.to_owned(),
    };
    match text.split_once('?') {
        Some((before, query)) if before.contains(':') && query.contains('=') => {
            format!("{before}?***")
        }
        _ => text,
    }
}

/// The same error, without the password of a URL that stood in the wrong place.
pub(super) fn redact(mut error: clap::Error) -> clap::Error {
    let echoes =
        [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    for kind in echoes {
        let clean = match error.get(kind) {
            Some(ContextValue::String(text)) => ContextValue::String(without_secrets(text)),
            Some(ContextValue::Strings(texts)) => {
                ContextValue::Strings(texts.iter().map(|text| without_secrets(text)).collect())
            }
            _ => continue,
        };
        error.insert(kind, clean);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed_and_not_lost() {
        let url = ServerUrl("rediss://me:s3cr@t/x@host:1/0".into());
        assert_eq!(format!("{url:?}"), r#"ServerUrl("rediss://***@host:1/0")"#);
        assert_eq!(url.reveal(), "rediss://me:s3cr@t/x@host:1/0");
        assert_eq!(
            without_secrets("unix:/run/redis.sock?db=0&pass=s3c@ret"),
            "unix:/run/redis.sock?***"
        );
    }

    #[test]
    fn text_without_a_password_stays_as_it_is() {
        for text in [
            "redis://host",
            "a?b=c",
            "what: this?",
            "a@b",
            "thundering_herd",
            "",
            "unix:///run/redis.sock",
        ] {
            assert_eq!(without_secrets(text), text);
        }
    }
}
