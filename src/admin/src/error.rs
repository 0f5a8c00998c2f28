//! Errors as one line: what went wrong, and what to do about it.

use std::fmt;

use oxmq_base::error::chain;
use oxmq_client::ClientError;
use oxmq_protocol::code::ResponseCode;

/// Why a command failed.
#[derive(Debug)]
pub enum AdminError {
    /// A server did not answer, or not as asked.
    Client(ClientError),
    /// A value of an option is not allowed.
    Value(String),
    /// There is no such thing; the hint says where to look.
    Missing {
        /// What there is not.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// The output could not be written, or the system refused something.
    Io(std::io::Error),
}

impl From<ClientError> for AdminError {
    fn from(error: ClientError) -> Self {
        AdminError::Client(error)
    }
}

impl From<std::io::Error> for AdminError {
    fn from(error: std::io::Error) -> Self {
        AdminError::Io(error)
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminError::Client(error) => f.write_str(&chain(error)),
            AdminError::Value(text) => f.write_str(text),
            AdminError::Missing { what, .. } => f.write_str(what),
            AdminError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl AdminError {
    /// The whole message of a command.
    pub fn line(&self, command: &str) -> String {
        let text = format!("mqadmin {command}: {self}").replace(['\n', '\r'], " ");
        match self.hint() {
            Some(hint) => format!("{text}; {hint}"),
            None => text,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            AdminError::Missing { hint, .. } => Some(hint),
            AdminError::Client(ClientError::NoNameserver) => Some("give -n host:port or set NAMESRV_ADDR"),
            AdminError::Client(ClientError::Call { .. }) => Some(
                "is that server running, and its address (-n, NAMESRV_ADDR, the broker's brokerIP1) right?",
            ),
            AdminError::Client(error) => match error.refused_with() {
                Some(ResponseCode::TOPIC_NOT_EXIST) => Some("mqadmin topicList shows the topics"),
                Some(ResponseCode::CONSUMER_NOT_ONLINE) => Some("no consumer of that group is connected"),
                Some(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST) => Some("mqadmin updateSubGroup makes it"),
                Some(ResponseCode::NO_PERMISSION) => Some("the broker does not allow it"),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_a_hint() {
        let error = AdminError::from(ClientError::NoNameserver);
        let line = error.line("topicList");
        assert_eq!(
            line,
            "mqadmin topicList: no nameserver address is known; give -n host:port or set NAMESRV_ADDR"
        );
        let two = AdminError::Value("a\nb".into());
        assert_eq!(two.line("x"), "mqadmin x: a b");
    }
}
